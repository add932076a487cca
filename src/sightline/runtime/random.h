#pragma once

#include <cstdint>

#include "sightline/base/hash.h"
#include "sightline/base/int128.h"

namespace sightline::runtime {

// A small seeded generator (SplitMix64). Not thread-safe, not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() { return Mix64(state_ += 0x9e3779b97f4a7c15ULL); }
  // Uniform in [0, bound); bound > 0.
  std::uint64_t Below(std::uint64_t bound) { return static_cast<std::uint64_t>((static_cast<Uint128>(Next()) * bound) >> 64); }
  // True once in `n` on average.
  bool OneIn(std::uint64_t n) { return Below(n) == 0; }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

// 64 bits from the operating system's generator, fit for seeds, ids and (several of them) secrets.
std::uint64_t SystemEntropy();

}  // namespace sightline::runtime
