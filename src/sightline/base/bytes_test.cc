#include "sightline/base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace sightline {
namespace {

TEST(Bytes, WhatIsWrittenIsRead) {
  std::string bytes;
  ByteWriter out(bytes);
  out.Put(std::uint8_t{7});
  out.Put(std::int64_t{-5});
  out.Put(std::uint32_t{0xdeadbeef});
  out.PutString("text");
  out.PutVarint(300);
  out.PutBytes("raw");
  ByteReader in(bytes);
  EXPECT_EQ(in.Get<std::uint8_t>(), 7);
  EXPECT_EQ(in.Get<std::int64_t>(), -5);
  EXPECT_EQ(in.Get<std::uint32_t>(), 0xdeadbeefU);
  EXPECT_EQ(in.GetString(), "text");
  EXPECT_EQ(in.GetVarint(), 300U);
  EXPECT_FALSE(in.done());
  EXPECT_EQ(in.GetBytes(3), "raw");
  EXPECT_TRUE(in.done());
}

TEST(Bytes, IntegersAreLittleEndian) {
  std::string bytes;
  ByteWriter(bytes).Put(std::uint32_t{0x01020304});
  EXPECT_EQ(bytes, std::string("\4\3\2\1", 4));
  char raw[8] = {};
  StoreLe(raw + 1, std::uint16_t{0x0a0b});
  EXPECT_EQ(raw[1], 0x0b);
  EXPECT_EQ(LoadLe<std::uint16_t>(raw + 1), 0x0a0b);
}

TEST(Bytes, VarintsOfEveryLength) {
  for (int bits = 0; bits <= 64; ++bits) {
    const std::uint64_t value = bits == 0 ? 0 : std::numeric_limits<std::uint64_t>::max() >> (64 - bits);
    std::string bytes;
    ByteWriter(bytes).PutVarint(value);
    EXPECT_EQ(bytes.size(), static_cast<std::size_t>(bits <= 7 ? 1 : (bits + 6) / 7));
    ByteReader in(bytes);
    EXPECT_EQ(in.GetVarint(), value);
    EXPECT_TRUE(in.done());
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      ByteReader broken(std::string_view(bytes).substr(0, cut));
      EXPECT_EQ(broken.GetVarint(), 0U);
      EXPECT_FALSE(broken.ok());
    }
  }
}

TEST(Bytes, VarintsBeyond64BitsAreBroken) {
  for (const std::string_view bytes : {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}) {
    ByteReader in(bytes);
    EXPECT_EQ(in.GetVarint(), 0U);
    EXPECT_FALSE(in.ok());
  }
}

TEST(Bytes, AfterTheFirstReadPastTheEndEverythingIsZero) {
  ByteReader in("abcd");
  EXPECT_EQ(in.Get<std::uint64_t>(), 0U);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.Get<std::uint8_t>(), 0U) << "also what would have been there";
  EXPECT_EQ(in.GetBytes(1), "");
  EXPECT_EQ(in.remaining(), 0U);
  EXPECT_FALSE(in.done());
}

TEST(Bytes, SizesThatLieAreBroken) {
  std::string bytes;
  ByteWriter(bytes).PutVarint(std::numeric_limits<std::uint64_t>::max());
  bytes += "x";
  ByteReader in(bytes);
  EXPECT_EQ(in.GetString(), "");
  EXPECT_FALSE(in.ok());
}

TEST(Bytes, ZigZagKeepsSmallNumbersSmall) {
  EXPECT_EQ(ZigZag(0), 0U);
  EXPECT_EQ(ZigZag(-1), 1U);
  EXPECT_EQ(ZigZag(1), 2U);
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1}, std::int64_t{-123456789},
                                   std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    EXPECT_EQ(UnZigZag(ZigZag(value)), value);
  }
}

}  // namespace
}  // namespace sightline
