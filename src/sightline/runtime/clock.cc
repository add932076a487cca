#include "sightline/runtime/clock.h"

#include <chrono>

namespace sightline::runtime {

WallTime SystemClock::Now() const {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return WallTime(std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count());
}

std::int64_t SystemClock::MonotonicNs() const {
  const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_start).count();
}

}  // namespace sightline::runtime
