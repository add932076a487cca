#include "sightline/model/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace sightline {
namespace {

using ::testing::HasSubstr;

Schema AllTypes() {
  return {{{"oid", FieldType::kInt64, false, true},
           {"name", FieldType::kString, true, false},
           {"share", FieldType::kDouble, true, false},
           {"flagged", FieldType::kBool, false, false}}};
}

ColumnBatch ThreeRows() {
  ColumnBatch batch;
  batch.Reset(AllTypes(), 3);
  batch.rows = 3;
  batch.columns[0].int64s = {std::numeric_limits<std::int64_t>::min(), 7, std::numeric_limits<std::int64_t>::max()};
  batch.columns[1].strings = {"person", "left over from another row", "\xe6\x98\xbc"};
  batch.columns[1].nulls = {0, 1, 0};
  batch.columns[2].doubles = {0.25, -1e300, 0};
  batch.columns[3].int64s = {1, 0, 1};
  return batch;
}

ResultHeader SomeHeader() {
  return {.generation = 0xfeedfacecafebeefULL,
          .revision = 3,
          .state = ResultState::kCorrected,
          .window_start = EventTime(-60'000),
          .window_end = EventTime(0),
          .reference_version = 42};
}

std::string Encoded(std::size_t begin, std::size_t end) {
  std::string bytes;
  EncodeResult(SomeHeader(), AllTypes(), ThreeRows(), begin, end, bytes);
  return bytes;
}

TEST(Result, ReadsBackWhatWasWritten) {
  const std::string bytes = Encoded(0, 3);
  ResultRecord record;
  ASSERT_TRUE(DecodeResult(bytes, AllTypes(), record));
  EXPECT_FALSE(record.closed);
  EXPECT_EQ(record.header.generation, 0xfeedfacecafebeefULL);
  EXPECT_EQ(record.header.revision, 3U);
  EXPECT_EQ(record.header.state, ResultState::kCorrected);
  EXPECT_EQ(record.header.window_start, EventTime(-60'000));
  EXPECT_EQ(record.header.window_end, EventTime(0));
  EXPECT_EQ(record.header.reference_version, 42U);
  ASSERT_EQ(record.rows.rows, 3U);
  const ColumnBatch wanted = ThreeRows();
  EXPECT_EQ(record.rows.columns[0].int64s, wanted.columns[0].int64s);
  EXPECT_EQ(record.rows.columns[1].strings[0], "person");
  EXPECT_TRUE(record.rows.columns[1].IsNull(1));
  EXPECT_FALSE(record.rows.columns[1].IsNull(2));
  EXPECT_EQ(record.rows.columns[1].strings[2], "\xe6\x98\xbc");
  EXPECT_EQ(record.rows.columns[2].doubles, wanted.columns[2].doubles);
  EXPECT_TRUE(record.rows.columns[2].nulls.empty());
  EXPECT_EQ(record.rows.columns[3].int64s, wanted.columns[3].int64s);
}

TEST(Result, StringsAreViewsIntoTheBytes) {
  const std::string bytes = Encoded(0, 1);
  ResultRecord record;
  ASSERT_TRUE(DecodeResult(bytes, AllTypes(), record));
  const char* at = record.rows.columns[1].strings[0].data();
  EXPECT_GE(at, bytes.data());
  EXPECT_LT(at, bytes.data() + bytes.size());
}

TEST(Result, WritesTheAskedRowsAfterWhatIsThere) {
  std::string bytes = "before";
  EncodeResult(SomeHeader(), AllTypes(), ThreeRows(), 2, 3, bytes);
  ASSERT_EQ(bytes.substr(0, 6), "before");
  ResultRecord record;
  ASSERT_TRUE(DecodeResult(std::string_view(bytes).substr(6), AllTypes(), record));
  ASSERT_EQ(record.rows.rows, 1U);
  EXPECT_EQ(record.rows.columns[0].int64s[0], std::numeric_limits<std::int64_t>::max());
  // The only null lies outside the written rows: the column is written without nulls.
  EXPECT_TRUE(record.rows.columns[1].nulls.empty());
}

TEST(Result, AValueUnderANullDoesNotReachTheBytes) {
  ColumnBatch other = ThreeRows();
  other.columns[1].strings[1] = "something else";
  std::string bytes;
  EncodeResult(SomeHeader(), AllTypes(), other, 0, 3, bytes);
  EXPECT_EQ(bytes, Encoded(0, 3));
}

TEST(Result, EmptyGroupAndClosedMark) {
  ResultRecord record;
  ASSERT_TRUE(DecodeResult(Encoded(0, 3), AllTypes(), record));  // leftovers that the next decodes must clear
  ASSERT_TRUE(DecodeResult(Encoded(1, 1), AllTypes(), record));
  EXPECT_EQ(record.rows.rows, 0U);
  EXPECT_FALSE(record.closed);
  std::string bytes;
  EncodeClosed(SomeHeader(), bytes);
  ASSERT_TRUE(DecodeResult(bytes, AllTypes(), record));
  EXPECT_TRUE(record.closed);
  EXPECT_EQ(record.rows.rows, 0U);
  EXPECT_EQ(record.header.window_end, EventTime(0));
}

ResultShape ByName() { return {.pipeline = "p", .schema = AllTypes(), .group = {1}, .windowed = true}; }

TEST(Result, AnEmptiedGroupHasItsKeyAndNoRows) {
  for (const std::size_t row : {0, 1, 2}) {
    std::string bytes;
    EncodeEmptied(SomeHeader(), ByName(), ThreeRows(), row, bytes);
    ResultRecord record;
    ASSERT_TRUE(DecodeResult(Encoded(0, 3), AllTypes(), record));  // leftovers
    ASSERT_TRUE(DecodeResult(bytes, AllTypes(), record));
    EXPECT_TRUE(record.emptied);
    EXPECT_FALSE(record.closed);
    EXPECT_EQ(record.header.revision, 3U);
    EXPECT_EQ(record.rows.rows, 0U);
    const Column& key = record.rows.columns[1];
    EXPECT_EQ(key.IsNull(0), row == 1);
    EXPECT_EQ(key.strings[0], row == 1 ? "" : ThreeRows().columns[1].strings[row]);
    for (const std::size_t other : {0, 2, 3}) EXPECT_TRUE(record.rows.columns[other].IsNull(0)) << other;
    const Result<ResultMark> mark = DecodeResultMark(bytes);
    ASSERT_TRUE(mark);
    EXPECT_TRUE(mark->emptied);
    ASSERT_TRUE(DecodeResult(Encoded(0, 3), AllTypes(), record));
    EXPECT_FALSE(record.emptied);
    EXPECT_EQ(record.rows.rows, 3U);
  }
}

TEST(Result, EveryCutOfAnEmptiedGroupIsCorruption) {
  std::string bytes;
  EncodeEmptied(SomeHeader(), ByName(), ThreeRows(), 0, bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ResultRecord record;
    EXPECT_FALSE(DecodeResult(std::string_view(bytes).substr(0, size), AllTypes(), record)) << size;
  }
}

TEST(Result, ReusedRecordKeepsNoNulls) {
  const std::string with_nulls = Encoded(0, 3);
  const std::string without = Encoded(0, 1);
  ResultRecord record;
  ASSERT_TRUE(DecodeResult(with_nulls, AllTypes(), record));
  ASSERT_TRUE(DecodeResult(without, AllTypes(), record));
  EXPECT_FALSE(record.rows.columns[1].IsNull(0));
}

TEST(Result, EveryCutIsCorruption) {
  const std::string bytes = Encoded(0, 3);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ResultRecord record;
    const auto status = DecodeResult(std::string_view(bytes).substr(0, size), AllTypes(), record);
    ASSERT_FALSE(status) << size;
    EXPECT_EQ(status.error().kind, ErrorKind::kCorruption) << size;
  }
}

TEST(Result, RefusesWhatIsNotSuchARecord) {
  const auto refused = [](std::string bytes, const Schema& schema, std::string_view reason) {
    ResultRecord record;
    const auto status = DecodeResult(bytes, schema, record);
    ASSERT_FALSE(status) << reason;
    EXPECT_THAT(status.error().message, HasSubstr(reason));
  };
  const std::string good = Encoded(0, 3);
  const auto changed = [&](std::size_t at, char to) {
    std::string bytes = good;
    bytes[at] = to;
    return bytes;
  };
  refused(good + "x", AllTypes(), "after the last column");
  refused(changed(0, 2), AllTypes(), "version 2");
  refused(changed(1, 2), AllTypes(), "3 keys of one emptied group");
  refused(changed(1, 3), AllTypes(), "flags");
  refused(changed(1, 4), AllTypes(), "flags");
  refused(changed(2, 3), AllTypes(), "state");
  refused(changed(1, 1), AllTypes(), "closed");
  refused(changed(43, '\x7f'), AllTypes(), "more rows than bytes");
  refused(changed(48, 1), AllTypes(), "oid is not of type int64");
  refused(changed(good.size() - 1, 2), AllTypes(), "flagged");
  Schema narrower = AllTypes();
  narrower.fields.pop_back();
  refused(good, narrower, "4 columns where the pipeline has 3");
}

// The bytes of version 1, as docs/formats/result.md lays them out. They never change: a new layout is a new version.
TEST(Result, BytesOfVersion1) {
  static constexpr unsigned char kBytes[] = {1,    0,    2,    0,                                   // version, flags, state, reserved
                                             3,    0,    0,    0,                                   // revision
                                             0xef, 0xbe, 0xfe, 0xca, 0xce, 0xfa, 0xed, 0xfe,        // generation
                                             0xa0, 0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,        // window_start
                                             0,    0,    0,    0,    0,    0,    0,    0,           // window_end
                                             42,   0,    0,    0,    0,    0,    0,    0,           // reference_version
                                             1,    0,    0,    0,    4,    0,    0,    0,           // rows, columns
                                             0,    0,    0,    0,    0,    0,    0,    0,    0x80,  // int64
                                             3,    6,    0,    0,    0,    'p',  'e',  'r',  's',  'o', 'n',  // string
                                             1,    0,    0,    0,    0,    0,    0,    0xd0, 0x3f,  // double
                                             2,    1};                                              // bool
  const std::string bytes = Encoded(0, 1);
  EXPECT_EQ(bytes, std::string(reinterpret_cast<const char*>(kBytes), sizeof(kBytes)));
}

// The same for a group that was emptied: its key is the second column, and every other value is null.
TEST(Result, BytesOfAnEmptiedGroup) {
  static constexpr unsigned char kBytes[] = {1,    2,    2,    0,  // version, flags, state, reserved
                                             3,    0,    0,    0,  // revision
                                             0xef, 0xbe, 0xfe, 0xca, 0xce, 0xfa, 0xed, 0xfe,  // generation
                                             0xa0, 0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  // window_start
                                             0,    0,    0,    0,    0,    0,    0,    0,  // window_end
                                             42,   0,    0,    0,    0,    0,    0,    0,  // reference_version
                                             1,    0,    0,    0,    4,    0,    0,    0,  // rows, columns
                                             0x80, 1,    0,    0,    0,    0,    0,    0,    0,   0,  // int64, null
                                             3,    6,    0,    0,    0,    'p',  'e',  'r',  's', 'o', 'n',  // string
                                             0x81, 1,    0,    0,    0,    0,    0,    0,    0,   0,  // double, null
                                             0x82, 1,    0};  // bool, null
  std::string bytes;
  EncodeEmptied(SomeHeader(), ByName(), ThreeRows(), 0, bytes);
  EXPECT_EQ(bytes, std::string(reinterpret_cast<const char*>(kBytes), sizeof(kBytes)));
}

TEST(Result, NamesOfStates) {
  EXPECT_EQ(ResultStateName(ResultState::kOpen), "open");
  EXPECT_EQ(ResultStateName(ResultState::kFinal), "final");
  EXPECT_EQ(ResultStateName(ResultState::kCorrected), "corrected");
}

}  // namespace
}  // namespace sightline
