// Records of others: verdict, partition and bytes.
#include "sightline/gate/record_judge.h"

#include <gtest/gtest.h>

#include <map>

#include "sightline/gate/testing/contracts.h"
#include "sightline/gate/wire_schema.h"
#include "sightline/model/dead_letter.h"

namespace sightline::gate {
namespace {

constexpr std::int32_t kPartitions = 8;

class Schemas final : public SchemaSource {
 public:
  Result<WriterSchema> Find(std::uint32_t id) override {
    if (down) return Fail(ErrorKind::kUnavailable, "the registry does not answer");
    const auto found = known.find(id);
    if (found == known.end()) return Fail(ErrorKind::kNotFound, "no such schema");
    return found->second;
  }
  std::map<std::uint32_t, WriterSchema> known;
  bool down = false;
};

class RecordJudgeTest : public ::testing::Test {
 protected:
  RecordJudge Make(ValueFormat format, const std::string& partition_by = "geographical_location_oid", std::uint32_t bytes_max = 1U << 20) {
    auto judge = RecordJudge::Make({.contract = &contract_,
                                    .format = format,
                                    .limits = {.record_bytes_max = bytes_max},
                                    .partition_by = partition_by,
                                    .partitions = kPartitions,
                                    .schemas = &schemas_});
    EXPECT_TRUE(judge) << judge.error().ToString();
    return std::move(*judge);
  }
  static std::string Json(int location, const std::string& item = "person") {
    return R"({"geographical_location_oid":)" + std::to_string(location) + R"(,"video_camera_oid":2,"detection_oid":3,"item_name":")" +
           item + R"(","timestamp_detected":1700000000000})";
  }
  static std::string Framed(std::uint32_t id, std::string_view payload) {
    std::string value(1, '\0');
    for (int shift = 24; shift >= 0; shift -= 8) value += static_cast<char>(id >> shift);
    return value.append(payload);
  }
  static std::string Varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
    return bytes + static_cast<char>(value);
  }
  static std::string Zigzag(std::int64_t value) {
    return Varint(static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63));
  }

  const governance::Contract contract_ = CameraEvents();
  Schemas schemas_;
};

TEST_F(RecordJudgeTest, AcceptedRecordsKeepTheirBytesAndGoWhereIngestWouldPutThem) {
  RecordJudge judge = Make(ValueFormat::kJson);
  std::vector<std::string> records;
  for (int location = 0; location < 20; ++location) records.push_back(Json(location));
  const std::vector<std::string_view> values(records.begin(), records.end());
  ASSERT_TRUE(judge.Judge(values));
  ASSERT_EQ(judge.accepted().size(), 20U);
  EXPECT_TRUE(judge.rejects().empty());
  const Partitioner partitioner(kPartitions);
  for (const AcceptedRecord& one : judge.accepted()) {
    EXPECT_EQ(one.value, records[one.record]);
    EXPECT_EQ(one.encoding, bus::Encoding::kJson);
    EXPECT_EQ(one.partition, partitioner.OfInt64(one.record));
  }
  // docs/formats/partitioning.md
  EXPECT_EQ(judge.accepted()[1].partition, Partition(5));
  EXPECT_EQ(judge.accepted()[12].partition, Partition(4));
}

TEST_F(RecordJudgeTest, TextsGiveThePartitionToo) {
  RecordJudge judge = Make(ValueFormat::kJson, "item_name");
  const std::string one = Json(1, "dog");
  // An escape is no other name.
  const std::string two = Json(2, "\\u0064og");
  const std::vector<std::string_view> values = {one, two};
  ASSERT_TRUE(judge.Judge(values));
  ASSERT_EQ(judge.accepted().size(), 2U);
  EXPECT_EQ(judge.accepted()[0].partition, Partitioner(kPartitions).OfString("dog"));
  EXPECT_EQ(judge.accepted()[1].partition, judge.accepted()[0].partition);
  EXPECT_EQ(judge.accepted()[1].value, two);
}

TEST_F(RecordJudgeTest, RefusedRecordsBecomeDeadLettersWithTheirOrigin) {
  RecordJudge judge = Make(ValueFormat::kJson);
  const std::string good = Json(1);
  const std::string invalid = R"({"geographical_location_oid":"1"})";
  const std::vector<std::string_view> values = {"{", good, invalid};
  ASSERT_TRUE(judge.Judge(values));
  ASSERT_EQ(judge.accepted().size(), 1U);
  EXPECT_EQ(judge.accepted()[0].record, 1U);
  ASSERT_EQ(judge.rejects().size(), 2U);
  std::string bytes;
  judge.EncodeLetter(judge.rejects()[1], invalid, {"raw_lobby", Partition(3), Offset(42), AppendTime(99)}, 1'000, bytes);
  const auto letter = DecodeDeadLetter(bytes);
  ASSERT_TRUE(letter) << letter.error().ToString();
  EXPECT_EQ(letter->reason, Verdict::kInvalid);
  EXPECT_EQ(letter->origin, DeadLetterOrigin::kTopic);
  EXPECT_EQ(letter->encoding, RecordEncoding::kJson);
  EXPECT_EQ(letter->topic, "raw_lobby");
  EXPECT_EQ(letter->partition, Partition(3));
  EXPECT_EQ(letter->offset, Offset(42));
  EXPECT_EQ(letter->received, WallTime(99));
  EXPECT_EQ(letter->field, "geographical_location_oid");
  EXPECT_EQ(letter->original, invalid);
  EXPECT_FALSE(letter->shortened());

  bytes.clear();
  judge.EncodeLetter(judge.rejects()[1], invalid, {"raw_lobby", Partition(3), Offset(42), AppendTime(99)}, 10, bytes);
  const auto cut = DecodeDeadLetter(bytes);
  ASSERT_TRUE(cut);
  EXPECT_TRUE(cut->shortened());
  EXPECT_EQ(cut->original, invalid.substr(0, 10));
  EXPECT_EQ(cut->original_size, invalid.size());
}

TEST_F(RecordJudgeTest, ARecordWithoutValueIsMalformedInEveryFormat) {
  for (const ValueFormat format : {ValueFormat::kJson, ValueFormat::kProtobuf, ValueFormat::kConfluent}) {
    RecordJudge judge = Make(format);
    const std::vector<std::string_view> values = {std::string_view(), std::string_view("")};
    ASSERT_TRUE(judge.Judge(values));
    ASSERT_EQ(judge.rejects().size(), 2U);
    EXPECT_EQ(judge.rejects()[0].verdict, Verdict::kMalformed);
    EXPECT_NE(judge.rejects()[0].cause.find("has no value"), std::string::npos) << judge.rejects()[0].cause;
    EXPECT_EQ(judge.rejects()[1].cause.find("has no value"), std::string::npos) << "an empty value is a value";
    std::string bytes;
    judge.EncodeLetter(judge.rejects()[0], values[0], {"raw", Partition(0), Offset(0), AppendTime(1)}, 1'000, bytes);
    const auto letter = DecodeDeadLetter(bytes);
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter->original_size, 0U);
  }
}

TEST_F(RecordJudgeTest, FramesAreTakenOffAndAvroBecomesJson) {
  constexpr const char* kAvro = R"({"type":"record","name":"E","fields":[
    {"name":"geographical_location_oid","type":"long"},{"name":"video_camera_oid","type":"long"},{"name":"detection_oid","type":"long"},
    {"name":"item_name","type":"string"},{"name":"timestamp_detected","type":"long"},{"name":"note","type":"string"}]})";
  schemas_.known[1] = {.format = SchemaFormat::kJson, .text = "{}", .messages = {}, .unreadable = {}};
  schemas_.known[2] = {.format = SchemaFormat::kProtobuf, .text = "", .messages = {}, .unreadable = {}};
  schemas_.known[3] = {.format = SchemaFormat::kAvro, .text = kAvro, .messages = {}, .unreadable = {}};
  RecordJudge judge = Make(ValueFormat::kConfluent);
  const std::string protobuf =
      "\x08\x07\x10\x02\x18\x03\x22\x03"
      "cat\x28" +
      Varint(1'700'000'000'000ULL);
  const std::string avro =
      Zigzag(9) + Zigzag(-2) + Zigzag(3) + Zigzag(7) + "a\"b\\c\xc3\xa9" + Zigzag(1'700'000'000'000) + Zigzag(2) + "no";
  const std::vector<std::string> records = {
      Framed(1, Json(5)), Framed(2, std::string(1, '\0') + protobuf), Framed(3, avro), Framed(3, avro.substr(1)), Framed(77, "?"), Json(5)};
  const std::vector<std::string_view> values(records.begin(), records.end());
  const Status judged = judge.Judge(values);
  ASSERT_TRUE(judged) << judged.error().ToString();
  ASSERT_EQ(judge.accepted().size(), 3U) << judge.rejects()[0].cause;
  const Partitioner partitioner(kPartitions);
  EXPECT_EQ(judge.accepted()[0].encoding, bus::Encoding::kJson);
  EXPECT_EQ(judge.accepted()[0].value, Json(5));
  EXPECT_EQ(judge.accepted()[0].partition, partitioner.OfInt64(5));
  EXPECT_EQ(judge.accepted()[1].encoding, bus::Encoding::kProtobuf);
  EXPECT_EQ(judge.accepted()[1].value, protobuf);
  EXPECT_EQ(judge.accepted()[1].partition, partitioner.OfInt64(7));
  EXPECT_EQ(judge.accepted()[2].encoding, bus::Encoding::kJson);
  EXPECT_EQ(judge.accepted()[2].value,
            "{\"geographical_location_oid\":9,\"video_camera_oid\":-2,\"detection_oid\":3,\"item_name\":\"a\\\"b\\\\c\xc3\xa9\","
            "\"timestamp_detected\":1700000000000}");
  EXPECT_EQ(judge.accepted()[2].partition, partitioner.OfInt64(9));
  ASSERT_EQ(judge.rejects().size(), 3U);
  for (const Reject& reject : judge.rejects()) EXPECT_EQ(reject.verdict, Verdict::kMalformed) << reject.cause;
  EXPECT_NE(judge.rejects()[1].cause.find("77"), std::string::npos) << judge.rejects()[1].cause;
  // What is kept is the value as it came; it is no event by itself.
  std::string bytes;
  judge.EncodeLetter(judge.rejects()[1], values[4], {"raw", Partition(0), Offset(4), AppendTime(1)}, 1'000, bytes);
  const auto letter = DecodeDeadLetter(bytes);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->encoding, RecordEncoding::kBinary);
  EXPECT_EQ(letter->original, records[4]);
  // The accepted ones are events to everybody who reads the topic.
  Decoder decoder(contract_, {});
  Decoded decoded;
  for (const AcceptedRecord& one : judge.accepted()) {
    const std::vector<std::string_view> alone = {one.value};
    decoder.DecodeRecords(one.encoding, alone, decoded);
    EXPECT_EQ(decoded.rows.rows, 1U) << one.value;
  }
}

TEST_F(RecordJudgeTest, AvroOfEveryTypeComesBackAsItWas) {
  constexpr const char* kAvro = R"({"type":"record","name":"E","fields":[
    {"name":"id","type":"long"},{"name":"ratio","type":["null","double"]},{"name":"seen","type":["null","boolean"]},
    {"name":"free","type":["null","string"]}]})";
  const governance::Contract contract = EveryRule();
  schemas_.known[3] = {.format = SchemaFormat::kAvro, .text = kAvro, .messages = {}, .unreadable = {}};
  auto judge = RecordJudge::Make({.contract = &contract,
                                  .format = ValueFormat::kConfluent,
                                  .limits = {},
                                  .partition_by = "id",
                                  .partitions = 1,
                                  .schemas = &schemas_});
  ASSERT_TRUE(judge);
  const double ratio = 0.1;
  const std::string ratio_bytes(reinterpret_cast<const char*>(&ratio), sizeof ratio);
  const std::string full = Framed(3, Zigzag(INT64_MIN) + Zigzag(1) + ratio_bytes + Zigzag(1) + "\x01" + Zigzag(1) + Zigzag(2) + "\n\t");
  const std::string sparse = Framed(3, Zigzag(1) + Zigzag(0) + Zigzag(0) + Zigzag(0));
  const std::vector<std::string_view> values = {full, sparse};
  const Status judged = judge->Judge(values);
  ASSERT_TRUE(judged) << judged.error().ToString();
  ASSERT_EQ(judge->accepted().size(), 2U) << (judge->rejects().empty() ? "" : judge->rejects()[0].cause);
  EXPECT_EQ(judge->accepted()[1].value, R"({"id":1})");
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::vector<std::string_view> alone = {judge->accepted()[0].value};
  decoder.DecodeRecords(bus::Encoding::kJson, alone, decoded);
  ASSERT_EQ(decoded.rows.rows, 1U) << alone[0];
  const auto column = [&](std::string_view name) -> const Column& {
    return decoded.rows.columns[static_cast<std::size_t>(contract.schema.Find(name))];
  };
  EXPECT_EQ(column("id").int64s[0], INT64_MIN);
  EXPECT_EQ(column("ratio").doubles[0], ratio);
  EXPECT_EQ(column("seen").int64s[0], 1);
  EXPECT_EQ(column("free").strings[0], "\n\t");
}

TEST_F(RecordJudgeTest, AvroThatIsTooLongAsJsonIsRefusedWithItsPlaceInTheOrder) {
  constexpr const char* kAvro = R"({"type":"record","name":"E","fields":[
    {"name":"geographical_location_oid","type":"long"},{"name":"video_camera_oid","type":"long"},{"name":"detection_oid","type":"long"},
    {"name":"item_name","type":"string"},{"name":"timestamp_detected","type":"long"}]})";
  schemas_.known[3] = {.format = SchemaFormat::kAvro, .text = kAvro, .messages = {}, .unreadable = {}};
  RecordJudge judge = Make(ValueFormat::kConfluent, "geographical_location_oid", 150);
  const auto event = [](const std::string& item) {
    return Framed(3, Zigzag(1) + Zigzag(2) + Zigzag(3) + Zigzag(std::ssize(item)) + item + Zigzag(1'700'000'000'000));
  };
  const std::vector<std::string> records = {event("cat"), event(std::string(60, 'x')), event("dog"), "broken", event("cow")};
  const std::vector<std::string_view> values(records.begin(), records.end());
  ASSERT_TRUE(judge.Judge(values));
  ASSERT_EQ(judge.accepted().size(), 3U);
  EXPECT_NE(judge.accepted()[1].value.find("dog"), std::string_view::npos) << judge.accepted()[1].value;
  EXPECT_NE(judge.accepted()[2].value.find("cow"), std::string_view::npos) << judge.accepted()[2].value;
  ASSERT_EQ(judge.rejects().size(), 2U);
  EXPECT_EQ(judge.rejects()[0].record, 1U);
  EXPECT_NE(judge.rejects()[0].cause.find("limit of 150 bytes"), std::string::npos) << judge.rejects()[0].cause;
  EXPECT_EQ(judge.rejects()[1].record, 3U);
}

TEST_F(RecordJudgeTest, WithoutTheRegistryNothingIsJudgedAndLaterEverythingIs) {
  schemas_.known[1] = {.format = SchemaFormat::kJson, .text = "{}", .messages = {}, .unreadable = {}};
  RecordJudge judge = Make(ValueFormat::kConfluent);
  const std::string record = Framed(1, Json(5));
  const std::vector<std::string_view> values = {record, "broken"};
  schemas_.down = true;
  const Status refused = judge.Judge(values);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
  schemas_.down = false;
  ASSERT_TRUE(judge.Judge(values));
  EXPECT_EQ(judge.accepted().size(), 1U);
  EXPECT_EQ(judge.rejects().size(), 1U);
}

TEST_F(RecordJudgeTest, WhatIsMissingIsSaidAtOnce) {
  const auto no_field = RecordJudge::Make(
      {.contract = &contract_, .format = ValueFormat::kJson, .limits = {}, .partition_by = "place", .partitions = 1, .schemas = nullptr});
  ASSERT_FALSE(no_field);
  EXPECT_NE(no_field.error().message.find("'place'"), std::string::npos);
  EXPECT_FALSE(RecordJudge::Make({.contract = &contract_,
                                  .format = ValueFormat::kConfluent,
                                  .limits = {},
                                  .partition_by = "item_name",
                                  .partitions = 1,
                                  .schemas = nullptr}));
}

}  // namespace
}  // namespace sightline::gate
