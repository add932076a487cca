#include "connectors/flink/result_messages.h"

#include <gtest/gtest.h>

namespace sightline::flink {
namespace {

// A pipeline of its own on a dataset that nobody looks at: location, item, n, level, ordered by location and item.
class ResultMessagesTest : public ::testing::Test {
 protected:
  ResultMessagesTest() {
    flow::PipelinePlan pipeline;
    pipeline.name = "counts";
    pipeline.rows.fields = {{.name = "location"}, {.name = "item", .type = FieldType::kString, .nullable = true}};
    pipeline.group_by = {0, 1};
    pipeline.shape.pipeline = "counts";
    pipeline.shape.schema.fields = {{.name = "location"},
                                    {.name = "item", .type = FieldType::kString, .nullable = true},
                                    {.name = "n"},
                                    {.name = "level", .type = FieldType::kDouble, .nullable = true}};
    pipeline.shape.group = {0};
    pipeline.fingerprint = 42;
    plan_.pipelines.push_back(std::move(pipeline));
  }
  Result<std::size_t> Encode(const std::string& message) {
    bytes_.clear();
    return ResultMessages(plan_, plan_.pipelines[0]).Encode(message, bytes_);
  }
  ResultRecord Decoded() {
    ResultRecord record;
    const Status decoded = DecodeResult(bytes_, plan_.pipelines[0].shape.schema, record);
    EXPECT_TRUE(decoded) << decoded.error().message;
    return record;
  }

  flow::Plan plan_;
  std::string bytes_;
};

TEST_F(ResultMessagesTest, AMessageIsAResult) {
  ASSERT_EQ(Encode(R"({"window_start":"1970-01-01T00:01:00","window_end":"1970-01-01T00:02:00.5","location":7,"run":0,"result_rows":[
      {"location":7,"item":null,"n":1,"level":null},{"location":7,"item":"b","n":9223372036854775807,"level":0.5},{"location":7,"item":"","n":-1,"level":"NaN"}]})")
                .value(),
            3U);
  const ResultRecord record = Decoded();
  EXPECT_EQ(record.header.generation, 42U);
  EXPECT_EQ(record.header.revision, 0U);
  EXPECT_EQ(record.header.state, ResultState::kFinal);
  EXPECT_EQ(record.header.window_start, EventTime(60'000));
  EXPECT_EQ(record.header.window_end, EventTime(120'500));
  ASSERT_EQ(record.rows.rows, 3U);
  // In the order of the group's texts, null last.
  EXPECT_EQ(record.rows.columns[1].strings[0], "");
  EXPECT_EQ(record.rows.columns[1].strings[1], "b");
  EXPECT_TRUE(record.rows.columns[1].IsNull(2));
  EXPECT_EQ(record.rows.columns[2].int64s[1], INT64_MAX);
  EXPECT_TRUE(record.rows.columns[3].IsNull(2));
}

TEST_F(ResultMessagesTest, ALaterRunCorrects) {
  ASSERT_TRUE(Encode(
      R"({"window_start":"1970-01-01T00:01:00","window_end":"1970-01-01T00:02:00","run":2,"result_rows":[{"location":7,"item":"b","n":1,"level":1}]})"));
  EXPECT_EQ(Decoded().header.revision, 2U);
  EXPECT_EQ(Decoded().header.state, ResultState::kCorrected);
}

TEST_F(ResultMessagesTest, WhatNoJobWroteIsRefused) {
  for (
      const char* message :
      {"", "[]", R"({"window_start":"x"})",
       R"({"window_start":"1970-01-01T00:01:00","window_end":"1970-01-01T00:02:00","run":0,"result_rows":[]})",
       R"({"window_start":"1970-01-01T00:01:00","window_end":"1970-01-01T00:02:00","run":0,"result_rows":[{"location":7}]})",
       R"({"window_start":"1970-01-01T00:01:00","window_end":"1970-01-01T00:02:00","run":0,"result_rows":[{"location":"7","item":"b","n":1,"level":1}]})",
       R"({"window_start":"1970-01-01T00:01:00","window_end":"1970-01-01T00:02:00","run":0,"result_rows":[{"location":1.5,"item":"b","n":1,"level":1}]})"}) {
    const Result<std::size_t> refused = Encode(message);
    ASSERT_FALSE(refused) << message;
    EXPECT_EQ(refused.error().kind, ErrorKind::kCorruption);
  }
}

TEST(FlinkTimes, AreThoseOfUtc) {
  EXPECT_EQ(ParseFlinkTime("1970-01-01T00:00:00").value(), EventTime(0));
  EXPECT_EQ(ParseFlinkTime("1969-12-31 23:59:59.9").value(), EventTime(-100));
  EXPECT_EQ(ParseFlinkTime("0001-01-01T00:00:00Z").value(), kEventTimeMin);
  EXPECT_EQ(ParseFlinkTime("9999-12-31T23:59:59.999").value(), kEventTimeMax);
  EXPECT_EQ(ParseFlinkTime("+10000-01-01T00:00:00").value(), EventTime(kEventTimeMax.value + 1));
  EXPECT_EQ(ParseFlinkTime("0000-12-31T00:00:00").value(), EventTime(kEventTimeMin.value - 86'400'000));
  for (const char* text : {"", "12", "1970-13-01T00:00:00", "1970-01-01", "1970-02-30T00:00:00"})
    EXPECT_FALSE(ParseFlinkTime(text)) << text;
}

TEST(LateMessages, SayWhichRecordAndWhy) {
  const LateMessage late = ParseLateMessage(R"({"kafka_partition":3,"kafka_offset":12,"reason":"future"})").value();
  EXPECT_EQ(late.partition, Partition(3));
  EXPECT_EQ(late.offset, Offset(12));
  EXPECT_EQ(late.reason, sightline::Verdict::kFuture);
  for (const char* text :
       {"", "{}", R"({"kafka_partition":3,"kafka_offset":12,"reason":"lazy"})", R"({"kafka_partition":3,"reason":"late"})"}) {
    EXPECT_FALSE(ParseLateMessage(text)) << text;
  }
}

}  // namespace
}  // namespace sightline::flink
