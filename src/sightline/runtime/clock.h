#pragma once

#include <cstdint>

#include "sightline/model/time.h"

namespace sightline::runtime {

// The only way to ask for the time. Thread-safe. The simulated twin is SimulatedClock.
class Clock {
 public:
  virtual ~Clock() = default;
  // May jump either way.
  virtual WallTime Now() const = 0;
  // Nanoseconds that never go back; only differences mean something.
  virtual std::int64_t MonotonicNs() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime Now() const override;
  std::int64_t MonotonicNs() const override;
};

}  // namespace sightline::runtime
