#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "sightline/base/bytes.h"
#include "sightline/gate/decoder.h"
#include "sightline/gate/testing/contracts.h"
#include "sightline/gate/testing/protobuf_oracle.h"

namespace sightline::gate {
namespace {

using ::testing::HasSubstr;

// Writes the wire format, right or wrong.
class Wire {
 public:
  Wire& Tag(std::uint64_t number, std::uint64_t type) { return Varint(number << 3 | type); }
  Wire& Varint(std::uint64_t value) {
    ByteWriter(bytes_).PutVarint(value);
    return *this;
  }
  Wire& Int(std::uint64_t number, std::int64_t value) { return Tag(number, 0).Varint(static_cast<std::uint64_t>(value)); }
  Wire& Text(std::uint64_t number, std::string_view text) {
    Tag(number, 2);
    ByteWriter(bytes_).PutString(text);
    return *this;
  }
  Wire& Double(std::uint64_t number, double value) {
    Tag(number, 1);
    ByteWriter(bytes_).Put(value);
    return *this;
  }
  Wire& Raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  Wire& Raw(const Wire& other) { return Raw(other.bytes_); }
  operator std::string() const { return bytes_; }  // NOLINT(google-explicit-constructor): cases are lists of strings

 private:
  std::string bytes_;
};

Wire Event() { return Wire().Int(1, 0).Int(2, 123).Int(3, 2654435761).Text(4, "person").Int(5, 1'700'000'000'000); }

Decoded Decode(const governance::Contract& contract, const std::string& record, Decoder::Limits limits = {}) {
  Decoder decoder(contract, limits);
  Decoded decoded;
  const std::string_view records[] = {record};
  decoder.DecodeRecords(bus::Encoding::kProtobuf, records, decoded);
  EXPECT_EQ(decoded.seen, 1U);
  return decoded;
}

TEST(ProtobufDecoder, ReadsAnEvent) {
  const std::string record = Event();
  const Decoded decoded = Decode(CameraEvents(), record);
  ASSERT_EQ(decoded.rows.rows, 1U);
  EXPECT_EQ(decoded.rows.columns[0].int64s[0], 0);
  EXPECT_EQ(decoded.rows.columns[1].int64s[0], 123);
  EXPECT_EQ(decoded.rows.columns[2].int64s[0], 2654435761);
  EXPECT_EQ(decoded.rows.columns[3].strings[0], "person");
  EXPECT_EQ(decoded.rows.columns[4].int64s[0], 1'700'000'000'000);
}

TEST(ProtobufDecoder, EdgesAndRepeatedFields) {
  const governance::Contract contract = CameraEvents();
  const std::string record =
      Event().Int(3, std::numeric_limits<std::int64_t>::min()).Int(2, std::numeric_limits<std::int64_t>::max()).Int(1, -1).Text(4, "");
  const Decoded decoded = Decode(contract, record);
  ASSERT_EQ(decoded.rows.rows, 1U);
  EXPECT_EQ(decoded.rows.columns[0].int64s[0], -1);
  EXPECT_EQ(decoded.rows.columns[1].int64s[0], std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(decoded.rows.columns[2].int64s[0], std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(decoded.rows.columns[3].strings[0], "");
  EXPECT_EQ(decoded.extra_fields, 0U);
  // An earlier value does not count, not even for the rules.
  EXPECT_EQ(Decode(contract, Wire().Text(4, std::string(6000, 'x')).Raw(Event())).rows.rows, 1U);
}

TEST(ProtobufDecoder, UnknownFieldsAreSkippedAndCounted) {
  const std::string record = Wire().Int(99, 1).Text(6, "\xff\x00").Double(7, 1).Tag(8, 5).Raw("abcd").Raw(Event()).Int(536'870'911, 1);
  Decoded decoded = Decode(CameraEvents(), record);
  EXPECT_EQ(decoded.rows.rows, 1U);
  EXPECT_EQ(decoded.extra_fields, 5U);
  governance::Contract closed = CameraEvents();
  closed.closed = true;
  decoded = Decode(closed, record);
  ASSERT_EQ(decoded.rejects.size(), 1U);
  EXPECT_EQ(decoded.rejects[0].verdict, Verdict::kInvalid);
  EXPECT_THAT(decoded.rejects[0].cause, HasSubstr("field number 99"));
}

TEST(ProtobufDecoder, MalformedRecords) {
  const std::string event = Event();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {event.substr(0, event.size() - 1), "ends inside a varint"},
      {std::string("\x80", 1), "ends inside a varint"},
      {Wire().Tag(1, 0), "ends inside a varint"},
      {Wire().Tag(1, 0).Raw("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "more than 64 bits"},
      {Wire().Tag(1, 0).Raw("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01"), "more than 64 bits"},
      {std::string("\0", 1), "field number"},
      {Wire().Tag(0, 2).Varint(0), "field number"},
      {Wire().Varint((1ULL << 32) | 8).Varint(1), "field number"},
      {std::string("\x88\x80\x80\x80\x80\x00\x01", 7), "field number"},
      {Wire().Tag(4, 2).Varint(5).Raw("abcd"), "longer than the message"},
      {Wire().Tag(4, 2).Varint(~0ULL), "longer than the message"},
      {Wire().Tag(4, 2).Raw(std::string("\x80\x80\x80\x80\x80\x00", 6)), "longer than the message"},
      {Wire().Text(4, "\xff"), "not valid UTF-8"},
      {Wire().Text(4, "\xed\xa0\x80"), "not valid UTF-8"},
      {Wire().Raw(Event()).Text(4, "\xc3"), "not valid UTF-8"},
      {Wire().Text(1, "1"), "another wire type"},
      {Wire().Double(1, 1), "another wire type"},
      {Wire().Tag(1, 5).Raw("abcd"), "another wire type"},
      {Wire().Int(4, 1), "another wire type"},
      {Wire().Tag(9, 3).Tag(9, 4), "a group"},
      {Wire().Tag(9, 4), "a group"},
      {Wire().Tag(9, 6), "wire type"},
      {Wire().Tag(9, 7), "wire type"},
      {Wire().Tag(9, 1).Raw("1234567"), "64-bit field"},
      {Wire().Tag(9, 5).Raw("123"), "32-bit field"},
      {R"({"geographical_location_oid":12})", ""},
  };
  for (const auto& [record, cause] : cases) {
    const Decoded decoded = Decode(CameraEvents(), record);
    ASSERT_EQ(decoded.rejects.size(), 1U) << testing::PrintToString(record);
    EXPECT_EQ(decoded.rejects[0].verdict, Verdict::kMalformed) << testing::PrintToString(record);
    EXPECT_THAT(decoded.rejects[0].cause, HasSubstr(cause));
    EXPECT_EQ(decoded.rejects[0].bytes, record);
  }
}

TEST(ProtobufDecoder, InvalidRecords) {
  struct Case {
    std::string record;
    std::string field;
    std::string cause;
  };
  const std::vector<Case> cases = {
      {"", "geographical_location_oid", "is missing"},
      {Wire().Int(1, 1).Int(2, 1).Int(3, 1).Text(4, "a"), "timestamp_detected", "is missing"},
      {Event().Int(5, 253'402'300'800'000), "timestamp_detected", "within the years 1 to 9999"},
      {Event().Int(5, -62'135'596'800'001), "timestamp_detected", "is the number -62135596800001"},
      {Event().Text(4, std::string(5001, 'x')), "item_name", "of at most 5000 characters"},
      {Event().Text(4, std::string_view("a\0b", 3)), "item_name", "U+0000"},
  };
  for (const Case& c : cases) {
    const Decoded decoded = Decode(CameraEvents(), c.record);
    ASSERT_EQ(decoded.rejects.size(), 1U) << c.cause;
    EXPECT_EQ(decoded.rejects[0].verdict, Verdict::kInvalid);
    EXPECT_EQ(decoded.rejects[0].field, c.field);
    EXPECT_THAT(decoded.rejects[0].cause, HasSubstr(c.cause));
  }
}

TEST(ProtobufDecoder, RulesAndNullsOfEveryType) {
  const governance::Contract contract = EveryRule();
  const Wire id = Wire().Int(1, 7);
  const auto judged = [&](const Wire& more) {
    const Decoded decoded = Decode(contract, Wire(id).Raw(more));
    return decoded.rejects.empty() ? std::string() : decoded.rejects[0].field;
  };
  EXPECT_EQ(judged(Wire().Int(2, 6)), "level");
  EXPECT_EQ(judged(Wire().Int(3, 11)), "grade");
  EXPECT_EQ(judged(Wire().Double(4, 1.5)), "ratio");
  EXPECT_EQ(judged(Wire().Double(4, std::numeric_limits<double>::quiet_NaN())), "ratio");
  EXPECT_EQ(judged(Wire().Double(4, -std::numeric_limits<double>::infinity())), "ratio");
  EXPECT_EQ(judged(Wire().Text(6, "a")), "code");
  EXPECT_EQ(judged(Wire().Text(7, "AB1")), "plate");
  EXPECT_EQ(judged(Wire().Text(8, "blue")), "colour");
  const Decoded decoded = Decode(contract, Wire(id).Int(5, 2).Double(4, -0.25));
  ASSERT_EQ(decoded.rows.rows, 1U);
  EXPECT_EQ(decoded.rows.columns[3].doubles[0], -0.25);
  EXPECT_EQ(decoded.rows.columns[4].int64s[0], 1);
  EXPECT_TRUE(decoded.rows.columns[1].IsNull(0));
  EXPECT_TRUE(decoded.rows.columns[8].IsNull(0));
  EXPECT_FALSE(decoded.rows.columns[0].IsNull(0));
}

TEST(ProtobufDecoder, LimitsOnFieldsAndSize) {
  Wire many = Event();
  for (int i = 0; i < 1019; ++i) many.Int(100, i);
  EXPECT_EQ(Decode(CameraEvents(), many).rows.rows, 1U);
  EXPECT_THAT(Decode(CameraEvents(), many.Int(100, 0)).rejects.at(0).cause, HasSubstr("more fields"));
  const std::string event = Event();
  EXPECT_THAT(Decode(CameraEvents(), event, {.record_bytes_max = 10}).rejects.at(0).cause, HasSubstr("longer than the limit"));
}

// Random edits of good messages: the Protobuf library must agree on what parses and on every value.
TEST(ProtobufDecoder, AgreesWithTheLibrary) {
  governance::Contract contracts[] = {CameraEvents(), EveryRule()};
  contracts[1].rules[6].pattern.clear();  // compiling it would take most of the time
  const std::string seeds[] = {
      Event(),
      Wire().Int(1, -5).Int(2, 3).Int(3, 10).Double(4, 0.5).Int(5, 1).Text(6, "abc").Text(7, "AB-1").Text(8, "red").Text(9, "\xc3\xa9"),
      Wire().Text(6, "x").Int(1, 1).Double(90, 2).Tag(91, 5).Raw("abcd")};
  std::mt19937_64 random(11);
  for (int round = 0; round < 10'000; ++round) {
    std::string record = seeds[random() % std::size(seeds)];
    for (std::size_t edits = random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % (record.size() + 1);
      switch (random() % 4) {
        case 0: record.insert(at, 1, static_cast<char>(random())); break;
        case 1: record.erase(at, 1 + random() % 3); break;
        case 2: record.insert(at, seeds[random() % std::size(seeds)]); break;
        default:
          if (at < record.size()) record[at] = static_cast<char>(random());
      }
    }
    for (const governance::Contract& contract : contracts) {
      ASSERT_EQ(DisagreementWithProtobuf(contract, record), "") << testing::PrintToString(record);
    }
  }
}

// The .proto that ships and the contract that ships say the same.
TEST(ProtobufDecoder, ShippedProtoFitsTheShippedContract) {
  std::ifstream file("presets/top-items/contracts/camera_events.odcs.yaml");
  std::stringstream yaml;
  yaml << file.rdbuf();
  const auto contract = governance::ParseContract(yaml.str(), "camera_events.odcs.yaml");
  ASSERT_TRUE(contract) << contract.error().message;
  std::FILE* const compiler = ::popen("protoc --proto_path=presets/top-items --descriptor_set_out=/dev/stdout camera_event.proto", "r");
  ASSERT_NE(compiler, nullptr);
  std::string compiled;
  for (int byte = std::fgetc(compiler); byte != EOF; byte = std::fgetc(compiler)) compiled.push_back(static_cast<char>(byte));
  ASSERT_EQ(::pclose(compiler), 0);
  google::protobuf::FileDescriptorSet set;
  ASSERT_TRUE(set.ParseFromString(compiled));
  google::protobuf::DescriptorPool pool;
  const auto* const proto = pool.BuildFile(set.file(0));
  ASSERT_NE(proto, nullptr);
  const auto* const message = proto->FindMessageTypeByName("CameraEvent");
  ASSERT_NE(message, nullptr);
  ASSERT_EQ(static_cast<std::size_t>(message->field_count()), contract->schema.fields.size());
  for (int i = 0; i < message->field_count(); ++i) {
    const auto* const field = message->field(i);
    const int f = contract->schema.Find(field->name());
    ASSERT_GE(f, 0) << field->name();
    EXPECT_EQ(static_cast<std::uint32_t>(field->number()), contract->rules[static_cast<std::size_t>(f)].protobuf_number);
    EXPECT_TRUE(field->has_presence()) << field->name();
    EXPECT_EQ(field->type() == google::protobuf::FieldDescriptor::TYPE_INT64,
              contract->schema.fields[static_cast<std::size_t>(f)].type == FieldType::kInt64);
  }
}

}  // namespace
}  // namespace sightline::gate
