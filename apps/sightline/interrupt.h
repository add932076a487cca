#pragma once

namespace sightline::app {

// While it lives, the first SIGINT or SIGTERM is remembered instead of ending the process; the second one ends it. At most one
// at a time; of the main thread.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  bool requested() const;
};

}  // namespace sightline::app
