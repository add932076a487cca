#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "sightline/vision/camera_agent.h"

namespace sightline {

// Waits in real time, and says "stop" from SIGINT or SIGTERM on. Make it before any other thread: it blocks the two signals in the whole
// process and takes them in a thread of its own. Thread-safe.
class StopSignal final : public vision::Pace {
 public:
  StopSignal();
  ~StopSignal() override;
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool WaitUntil(std::int64_t monotonic_ns) override;
  bool stopped() const override;

 private:
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;  // guarded by mutex_
  std::thread listener_;
};

}  // namespace sightline
