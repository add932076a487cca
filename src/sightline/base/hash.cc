#include "sightline/base/hash.h"

#include <nmmintrin.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "sightline/base/bytes.h"

namespace sightline {

std::uint32_t Crc32c(std::string_view bytes, std::uint32_t seed) {
  std::uint64_t crc = seed ^ 0xffffffffU;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  while (left >= 8) {
    crc = _mm_crc32_u64(crc, LoadLe<std::uint64_t>(at));
    at += 8;
    left -= 8;
  }
  auto narrow = static_cast<std::uint32_t>(crc);
  while (left > 0) {
    narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*at++));
    --left;
  }
  return narrow ^ 0xffffffffU;
}

std::uint64_t Hash64(std::string_view bytes, std::uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

Hash128 HashBytes128(std::string_view bytes, std::uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.low64, hash.high64};
}

}  // namespace sightline
