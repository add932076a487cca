#pragma once

#include <chrono>
#include <functional>

namespace sightline::serve {

// One thread of the server with its queue of work. A connection and everything that belongs to it lives on one loop for
// good, so that none of it needs a lock. Post and PostAfter may be called from any thread; work that is still queued when the
// server stops is destroyed without being run.
class Loop {
 public:
  virtual ~Loop() = default;
  virtual void Post(std::function<void()> work) = 0;
  virtual void PostAfter(std::chrono::nanoseconds delay, std::function<void()> work) = 0;
};

}  // namespace sightline::serve
