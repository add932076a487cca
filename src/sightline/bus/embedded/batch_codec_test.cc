#include "sightline/bus/embedded/batch_codec.h"

#include <gtest/gtest.h>

#include <iomanip>
#include <sstream>

#include "sightline/bus/testing/bus_harness.h"
#include "sightline/runtime/random.h"

namespace sightline::bus {
namespace {

std::string Hex(std::string_view bytes) {
  std::ostringstream out;
  for (const char c : bytes) out << std::hex << std::setw(2) << std::setfill('0') << (static_cast<unsigned>(c) & 0xff);
  return out.str();
}

// What docs/formats/log.md says a batch looks like. If this has to change, old logs can no longer be read: raise the format
// version, and keep reading the old one.
TEST(BatchCodec, BytesAreAsTheFormatPageSays) {
  const std::vector<std::string_view> values = {"ab", "", "c"};
  const std::vector<std::string_view> keys = {"k", "kk", ""};
  auto encoded = EncodeBatch({.encoding = Encoding::kProtobuf,
                              .values = values,
                              .keys = keys,
                              .idempotency = IdempotencyTag{.key = {0x1111, 0x2222}, .part = 3, .digest = 4}},
                             Compression::kNone, 1 << 20);
  ASSERT_TRUE(encoded);
  BatchHeader& header = encoded->header;
  header.segment_id = 0xa1a2a3a4a5a6a7a8;
  header.position = 64;
  header.base = Offset(42);
  header.append_time = AppendTime(1'700'000'000'000);
  header.durable_upto = Offset(40);
  header.published_upto = Offset(39);
  header.epoch = Epoch(2);
  StoreBatchHeader(header, encoded->content_crc, encoded->bytes.data());
  EXPECT_EQ(Hex(encoded->bytes),
            "c6cff5e9"                            //   0 checksum
            "534c4231"                            //   4 magic
            "96000000"                            //   8 size: 150
            "01000100"                            //  12 version, type, encoding, codec
            "a8a7a6a5a4a3a2a1"                    //  16 segment id
            "4000000000000000"                    //  24 position
            "2a00000000000000"                    //  32 base
            "0068e5cf8b010000"                    //  40 append time
            "2800000000000000"                    //  48 durable_upto
            "2700000000000000"                    //  56 published_upto
            "02000000"                            //  64 epoch
            "03000000"                            //  68 count
            "1e000000"                            //  72 raw size: 30
            "03000000"                            //  76 flags
            "0000000000000000"
            "0000000000000000"  //  80 producer, sequence
            "1111000000000000"
            "2222000000000000"  //  96 idempotency key
            "03000000"
            "04000000"                  // 112 part, digest
            "02000000"
            "00000000"
            "01000000"       // 120 sizes of the values
            "01000000"
            "02000000"
            "00000000"       // sizes of the keys
            "616263"
            "6b6b6b");                    // values, keys
}

TEST(BatchCodec, RoundTripOfRandomBatches) {
  runtime::Random random(5);
  BatchDecoder decoder;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> values(1 + random.Below(50));
    std::vector<std::string> keys(random.OneIn(2) ? values.size() : 0);
    for (auto* strings : {&values, &keys}) {
      for (std::string& s : *strings) {
        s.resize(random.Below(random.OneIn(10) ? 5000 : 30));
        for (char& c : s) c = static_cast<char>(random.Below(random.OneIn(2) ? 4 : 256));
      }
    }
    const auto value_views = testing::Views(values);
    const auto key_views = testing::Views(keys);
    const auto compression = static_cast<Compression>(random.Below(3));
    const auto encoded = EncodeBatch({.values = value_views, .keys = key_views}, compression, 1 << 20);
    ASSERT_TRUE(encoded);
    ASSERT_EQ(encoded->header.size, encoded->bytes.size());
    const Status decoded = decoder.Decode(encoded->header, std::string_view(encoded->bytes).substr(kBatchHeaderSize));
    ASSERT_TRUE(decoded) << decoded.error().ToString();
    ASSERT_EQ(std::vector<std::string>(decoder.values().begin(), decoder.values().end()), values);
    ASSERT_EQ(std::vector<std::string>(decoder.keys().begin(), decoder.keys().end()), keys);
  }
}

TEST(BatchCodec, UncompressedValuesAreReadInPlace) {
  const std::vector<std::string_view> values = {"in place"};
  const auto encoded = EncodeBatch({.values = values}, Compression::kNone, 1 << 20);
  ASSERT_TRUE(encoded);
  BatchDecoder decoder;
  ASSERT_TRUE(decoder.Decode(encoded->header, std::string_view(encoded->bytes).substr(kBatchHeaderSize)));
  EXPECT_EQ(decoder.values()[0].data(), encoded->bytes.data() + kBatchHeaderSize + 4);
}

TEST(BatchCodec, WhatDoesNotCompressIsStoredAsItIs) {
  runtime::Random random(1);
  std::string noise(10'000, '\0');
  for (char& c : noise) c = static_cast<char>(random.Next());
  const std::vector<std::string_view> values = {noise};
  for (const Compression compression : {Compression::kLz4, Compression::kZstd}) {
    const auto encoded = EncodeBatch({.values = values}, compression, 1 << 20);
    ASSERT_TRUE(encoded);
    EXPECT_EQ(encoded->header.codec, Compression::kNone);
  }
}

TEST(BatchCodec, LyingHeadersAreRefusedWithoutTakingTheMemory) {
  const std::string text(5000, 'x');
  const std::vector<std::string_view> values = {text};
  for (const Compression compression : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
    const auto encoded = EncodeBatch({.values = values}, compression, 1 << 20);
    ASSERT_TRUE(encoded);
    const std::string_view content = std::string_view(encoded->bytes).substr(kBatchHeaderSize);
    BatchDecoder decoder;
    for (const std::uint32_t raw_size : {0U, 1U, 5003U, 5005U, 100'000'000U, kBatchBytesMax}) {
      BatchHeader header = encoded->header;
      header.raw_size = raw_size;
      EXPECT_EQ(decoder.Decode(header, content).error().kind, ErrorKind::kCorruption) << raw_size;
    }
    for (const std::uint32_t count : {2U, 1250U, 5000U, 0xffffffffU}) {
      BatchHeader header = encoded->header;
      header.count = count;
      EXPECT_FALSE(decoder.Decode(header, content)) << count;
    }
  }
}

TEST(SegmentName, SaysOffsetAndIdAndNothingElseIsOne) {
  const SegmentName name{.base = Offset(42), .id = 0x0123456789abcdef};
  EXPECT_EQ(name.LogFile(), "00000000000000000042-0123456789abcdef.log");
  EXPECT_EQ(SegmentName::Parse(name.LogFile(), ".log"), name);
  for (const std::string_view other : {"", ".log", "00000000000000000042-0123456789abcdeg.log", "0000000000000000004x-0123456789abcdef.log",
                                       "-0000000000000000042-0123456789abcdef.log", "00000000000000000042_0123456789abcdef.log",
                                       "00000000000000000042-0123456789abcdef.meta"}) {
    EXPECT_FALSE(SegmentName::Parse(other, ".log")) << other;
  }
}

}  // namespace
}  // namespace sightline::bus
