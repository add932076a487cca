#include "sightline/base/hash.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

namespace sightline {
namespace {

// Vectors of RFC 3720, appendix B.4.
TEST(Crc32c, AgreesWithTheRfc) {
  EXPECT_EQ(Crc32c(""), 0U);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  std::string rising;
  for (char c = 0; c < 32; ++c) rising.push_back(c);
  EXPECT_EQ(Crc32c(rising), 0x46dd794eU);
}

TEST(Crc32c, CanBeTakenInPieces) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes.push_back(static_cast<char>(i * 37));
  const std::uint32_t whole = Crc32c(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(Crc32c(bytes.substr(cut), Crc32c(bytes.substr(0, cut))), whole) << cut;
  }
}

TEST(Crc32c, SeesEveryFlippedBit) {
  const std::string bytes(61, 'a');
  std::set<std::uint32_t> seen = {Crc32c(bytes)};
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_TRUE(seen.insert(Crc32c(flipped)).second) << bit;
  }
}

TEST(Mix64, IsSplitMix64) {
  // First outputs of the published generator for seed 0: its state advances by this constant before each.
  constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ULL;
  EXPECT_EQ(Mix64(kStep), 0xe220a8397b1dcdafULL);
  EXPECT_EQ(Mix64(2 * kStep), 0x6e789e6aa1b965f4ULL);
}

TEST(Hash, DependsOnBytesAndSeed) {
  EXPECT_EQ(Hash64("a"), Hash64("a"));
  EXPECT_NE(Hash64("a"), Hash64("b"));
  EXPECT_NE(Hash64("a", 1), Hash64("a", 2));
  EXPECT_EQ(Hash64(""), 0x2d06800538d394c2ULL);  // XXH3's published value for no bytes
  EXPECT_EQ(HashBytes128("a", 1), HashBytes128("a", 1));
  EXPECT_NE(HashBytes128("a", 1), HashBytes128("a", 2));
  EXPECT_NE(HashBytes128("a", 1), HashBytes128("b", 1));
}

}  // namespace
}  // namespace sightline
