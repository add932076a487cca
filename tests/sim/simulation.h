#pragma once

#include <cstdint>
#include <string>

namespace sightline::sim {

// What became of one seed.
struct Outcome {
  bool failed = false;
  std::string check;            // that was violated
  std::string what;
  bool reported_damage = false; // bytes were damaged on purpose, and it was noticed
  std::uint64_t trace = 0;      // equal for equal runs
  std::uint64_t processes = 0;  // that were started
  std::uint64_t records = 0;
  std::uint64_t results = 0;
};

// Runs one seed from an empty disk to rest and verifies it. A function of the seed and of the program.
Outcome Simulate(std::uint64_t seed, bool verbose);

}  // namespace sightline::sim
