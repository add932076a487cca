#pragma once

#include <atomic>
#include <chrono>

#include "sightline/runtime/clock.h"

namespace sightline::runtime {

// A clock that moves only when told to. Thread-safe.
class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(WallTime start = WallTime(1'700'000'000'000)) : wall_ms_(start.value) {}
  WallTime Now() const override { return WallTime(wall_ms_.load()); }
  std::int64_t MonotonicNs() const override { return monotonic_ns_.load(); }
  // Time passes: both readings move on.
  void Advance(std::chrono::milliseconds by) {
    wall_ms_ += by.count();
    monotonic_ns_ += std::chrono::nanoseconds(by).count();
  }
  // Somebody sets the wall clock, forwards or back; the monotonic reading does not notice.
  void Jump(std::chrono::milliseconds by) { wall_ms_ += by.count(); }

 private:
  std::atomic<std::int64_t> wall_ms_;
  std::atomic<std::int64_t> monotonic_ns_{1};
};

}  // namespace sightline::runtime
