#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sightline {

// CRC-32C (Castagnoli, RFC 3720), as stored in our formats; `seed` is the CRC of the bytes before.
std::uint32_t Crc32c(std::string_view bytes, std::uint32_t seed = 0);

// A 64-bit finalizer (SplitMix64, Steele et al. 2014): every input bit reaches every output bit.
constexpr std::uint64_t Mix64(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  x ^= x >> 31;
  return x;
}

// XXH3, 64 and 128 bits. The 128-bit form with a secret seed identifies keys that are not integers.
std::uint64_t Hash64(std::string_view bytes, std::uint64_t seed = 0);
struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};
Hash128 HashBytes128(std::string_view bytes, std::uint64_t seed);

}  // namespace sightline
