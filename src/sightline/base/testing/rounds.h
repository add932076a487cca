#pragma once

#include <cstdint>

namespace sightline {

// ThreadSanitizer makes a test ten times slower and finds nothing where there is one thread. Tests that repeat one thread's work over many
// seeds or bytes do a tenth of it there, and all of it in the other builds; tests with threads take no notice of this.
#ifdef __SANITIZE_THREAD__
inline constexpr std::uint64_t kOneThreadRoundOf = 10;
#else
inline constexpr std::uint64_t kOneThreadRoundOf = 1;
#endif

// Of `all` rounds those to be run, one at least.
constexpr std::uint64_t OneThreadRounds(std::uint64_t all) { return (all + kOneThreadRoundOf - 1) / kOneThreadRoundOf; }

}  // namespace sightline
