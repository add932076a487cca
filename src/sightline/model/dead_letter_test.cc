#include "sightline/model/dead_letter.h"

#include <gtest/gtest.h>

#include <string>

namespace sightline {
namespace {

DeadLetter Sample() {
  DeadLetter letter;
  letter.reason = Verdict::kInvalid;
  letter.origin = DeadLetterOrigin::kTopic;
  letter.encoding = RecordEncoding::kProtobuf;
  letter.received = WallTime(1700000000123);
  letter.topic = "raw_camera_events";
  letter.partition = Partition(7);
  letter.offset = Offset(1234567890123);
  letter.field = "camera.oid";
  letter.cause = "must be an integer";
  letter.request_id = "r-1";
  letter.original = std::string_view("\x00\xff{\"a\":1", 8);
  letter.original_size = 8;
  return letter;
}

TEST(DeadLetter, RoundTrip) {
  std::string bytes;
  EncodeDeadLetter(Sample(), bytes);
  const auto back = DecodeDeadLetter(bytes);
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->reason, Verdict::kInvalid);
  EXPECT_EQ(back->origin, DeadLetterOrigin::kTopic);
  EXPECT_EQ(back->encoding, RecordEncoding::kProtobuf);
  EXPECT_EQ(back->received, WallTime(1700000000123));
  EXPECT_EQ(back->topic, "raw_camera_events");
  EXPECT_EQ(back->partition, Partition(7));
  EXPECT_EQ(back->offset, Offset(1234567890123));
  EXPECT_EQ(back->field, "camera.oid");
  EXPECT_EQ(back->cause, "must be an integer");
  EXPECT_EQ(back->request_id, "r-1");
  EXPECT_EQ(back->original, std::string_view("\x00\xff{\"a\":1", 8));
  EXPECT_FALSE(back->shortened());
}

// The bytes on disk, as docs/formats/dead_letter.md lists them.
TEST(DeadLetter, BytesAreThoseOfTheFormatPage) {
  DeadLetter letter;
  letter.reason = Verdict::kMalformed;
  letter.partition = Partition(-1);
  letter.offset = Offset(2);
  letter.received = WallTime(3);
  letter.topic = "d";
  letter.cause = "c";
  letter.original = "x";
  letter.original_size = 300;
  std::string bytes;
  EncodeDeadLetter(letter, bytes);
  const std::string expected(
      "\x01\x05\x00\x00"
      "\xff\xff\xff\xff"
      "\x02\0\0\0\0\0\0\0"
      "\x03\0\0\0\0\0\0\0"
      "\xac\x02"
      "\x01"
      "d"
      "\x00"
      "\x01"
      "c"
      "\x00"
      "\x01"
      "x",
      34);
  EXPECT_EQ(bytes, expected);
  EXPECT_TRUE(DecodeDeadLetter(bytes)->shortened());
}

TEST(DeadLetter, EveryTruncationAndTrailingByteIsCorruption) {
  std::string bytes;
  EncodeDeadLetter(Sample(), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = DecodeDeadLetter(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().kind, ErrorKind::kCorruption);
  }
  EXPECT_FALSE(DecodeDeadLetter(bytes + "x"));
}

TEST(DeadLetter, RefusesUnknownCodes) {
  std::string bytes;
  EncodeDeadLetter(Sample(), bytes);
  for (const auto& [at, value] : {std::pair{0, 2}, {1, 0}, {1, 1}, {1, 2}, {1, 8}, {2, 2}, {3, 3}}) {
    std::string changed = bytes;
    changed[static_cast<std::size_t>(at)] = static_cast<char>(value);
    EXPECT_FALSE(DecodeDeadLetter(changed)) << at << '=' << value;
  }
}

}  // namespace
}  // namespace sightline
