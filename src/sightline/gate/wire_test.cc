// Confluent's wire format in the three languages of its schemas. libavro writes what the Avro decoder reads.
#include <avro.h>
#include <gtest/gtest.h>

#include <cstring>

#include <map>

#include "sightline/base/testing/rounds.h"
#include "sightline/gate/decoder.h"
#include "sightline/gate/wire_schema.h"
#include "sightline/runtime/random.h"

namespace sightline::gate {
namespace {

class Schemas final : public SchemaSource {
 public:
  Result<WriterSchema> Find(std::uint32_t id) override {
    ++asked;
    if (down) return Fail(ErrorKind::kUnavailable, "the registry does not answer");
    const auto found = known.find(id);
    if (found == known.end()) return Fail(ErrorKind::kNotFound, "no such schema");
    return found->second;
  }
  std::map<std::uint32_t, WriterSchema> known;
  bool down = false;
  int asked = 0;
};

governance::Contract EventContract() {
  governance::Contract contract;
  contract.name = "events";
  const auto add = [&](const char* name, FieldType type, bool required) {
    contract.schema.fields.push_back({.name = name, .type = type, .nullable = !required});
    governance::FieldRule rule;
    rule.required = required;
    rule.protobuf_number = static_cast<std::uint32_t>(contract.rules.size() + 1);
    contract.rules.push_back(rule);
  };
  add("id", FieldType::kInt64, true);
  add("item", FieldType::kString, true);
  add("score", FieldType::kDouble, false);
  add("seen", FieldType::kBool, false);
  add("at", FieldType::kInt64, true);
  contract.rules[1].max_length = 20;
  contract.event_time = 4;
  return contract;
}

constexpr const char* kAvro = R"({"type":"record","name":"Event","namespace":"x","fields":[
  {"name":"note","type":["null","string"]},
  {"name":"at","type":"long"},
  {"name":"item","type":{"type":"enum","name":"Item","symbols":["person","car"]}},
  {"name":"tags","type":{"type":"map","values":{"type":"array","items":"int"}}},
  {"name":"id","type":"int"},
  {"name":"score","type":["null","float"]},
  {"name":"place","type":{"type":"record","name":"Place","fields":[{"name":"lat","type":"double"},{"name":"raw","type":{"type":"fixed","name":"F","size":3}}]}},
  {"name":"seen","type":"boolean"}]})";

// A value of a schema, filled with setters of libavro.
class AvroValue {
 public:
  explicit AvroValue(const char* schema) {
    EXPECT_EQ(avro_schema_from_json_length(schema, std::strlen(schema), &schema_), 0) << avro_strerror();
    face_ = avro_generic_class_from_schema(schema_);
    avro_generic_value_new(face_, &value_);
  }
  AvroValue(const AvroValue&) = delete;
  AvroValue& operator=(const AvroValue&) = delete;
  ~AvroValue() {
    avro_value_decref(&value_);
    avro_value_iface_decref(face_);
    avro_schema_decref(schema_);
  }
  avro_value_t Field(const char* name) {
    avro_value_t field;
    EXPECT_EQ(avro_value_get_by_name(&value_, name, &field, nullptr), 0) << name;
    return field;
  }
  avro_value_t Branch(const char* name, int branch) {
    avro_value_t field = Field(name);
    avro_value_t chosen;
    avro_value_set_branch(&field, branch, &chosen);
    return chosen;
  }
  std::string Bytes() {
    std::size_t size = 0;
    avro_value_sizeof(&value_, &size);
    std::string bytes(size, '\0');
    avro_writer_t writer = avro_writer_memory(bytes.data(), static_cast<std::int64_t>(size));
    EXPECT_EQ(avro_value_write(writer, &value_), 0) << avro_strerror();
    avro_writer_free(writer);
    return bytes;
  }

 private:
  avro_schema_t schema_ = nullptr;
  avro_value_iface_t* face_ = nullptr;
  avro_value_t value_{};
};

std::string EventBytes(std::int32_t id, std::int64_t at, int item, std::optional<float> score, bool seen, int tags) {
  AvroValue event(kAvro);
  avro_value_t field = event.Branch("note", tags % 2);
  if (tags % 2 == 1) avro_value_set_string(&field, "noted");
  field = event.Field("at");
  avro_value_set_long(&field, at);
  field = event.Field("item");
  avro_value_set_enum(&field, item);
  field = event.Field("tags");
  for (int t = 0; t < tags; ++t) {
    avro_value_t list;
    avro_value_add(&field, ("tag" + std::to_string(t)).c_str(), &list, nullptr, nullptr);
    for (int i = 0; i < t; ++i) {
      avro_value_t number;
      avro_value_append(&list, &number, nullptr);
      avro_value_set_int(&number, i * 1000 - 1);
    }
  }
  field = event.Field("id");
  avro_value_set_int(&field, id);
  field = event.Branch("score", score ? 1 : 0);
  if (score) avro_value_set_float(&field, *score);
  avro_value_t place = event.Field("place");
  avro_value_t lat;
  avro_value_get_by_name(&place, "lat", &lat, nullptr);
  avro_value_set_double(&lat, 1.25);
  avro_value_t raw;
  avro_value_get_by_name(&place, "raw", &raw, nullptr);
  char three[] = "abc";
  avro_value_set_fixed(&raw, three, 3);
  field = event.Field("seen");
  avro_value_set_boolean(&field, seen ? 1 : 0);
  return event.Bytes();
}

std::string Wire(std::uint32_t id, std::string_view payload) {
  std::string value(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) value += static_cast<char>(id >> shift);
  return value.append(payload);
}

class WireTest : public ::testing::Test {
 protected:
  void Decode(const std::vector<std::string>& values) {
    kept_ = values;
    const std::vector<std::string_view> views(kept_.begin(), kept_.end());
    const Status decoded = decoder_.DecodeWire(views, schemas_, decoded_);
    ASSERT_TRUE(decoded) << decoded.error().ToString();
  }
  governance::Contract contract_ = EventContract();
  Schemas schemas_;
  Decoder decoder_{contract_, {}};
  Decoded decoded_;
  std::vector<std::string> kept_;
};

TEST_F(WireTest, AvroFieldsGoToTheContractsByName) {
  schemas_.known[7] = {SchemaFormat::kAvro, kAvro, {}, {}};
  Decode(
      {Wire(7, EventBytes(-5, 1'700'000'000'000, 1, 0.5F, true, 3)), Wire(7, EventBytes(6, 1'700'000'000'001, 0, std::nullopt, false, 0))});
  ASSERT_EQ(decoded_.rows.rows, 2U) << decoded_.rejects.at(0).cause;
  const auto& columns = decoded_.rows.columns;
  EXPECT_EQ(columns[0].int64s[0], -5);
  EXPECT_EQ(columns[0].int64s[1], 6);
  EXPECT_EQ(columns[1].strings[0], "car");
  EXPECT_EQ(columns[1].strings[1], "person");
  EXPECT_EQ(columns[2].doubles[0], 0.5);
  EXPECT_TRUE(columns[2].IsNull(1));
  EXPECT_EQ(columns[3].int64s[0], 1);
  EXPECT_EQ(columns[4].int64s[1], 1'700'000'000'001);
  EXPECT_EQ(decoded_.extra_fields, 6U);
  EXPECT_EQ(decoded_.records[0], kept_[0]) << "with its header";
  EXPECT_EQ(schemas_.asked, 1);
}

TEST_F(WireTest, EveryBeginningOfARecordIsMalformed) {
  schemas_.known[7] = {SchemaFormat::kAvro, kAvro, {}, {}};
  const std::string whole = Wire(7, EventBytes(1, 1'700'000'000'000, 1, 0.5F, true, 4));
  std::vector<std::string> cut;
  for (std::size_t size = 0; size < whole.size(); ++size) cut.push_back(whole.substr(0, size));
  cut.push_back(whole + "x");
  Decode(cut);
  EXPECT_EQ(decoded_.rows.rows, 0U);
  ASSERT_EQ(decoded_.rejects.size(), cut.size());
  for (const Reject& reject : decoded_.rejects) EXPECT_EQ(reject.verdict, Verdict::kMalformed) << reject.cause;
  EXPECT_NE(decoded_.rejects.back().cause.find("left over"), std::string::npos) << decoded_.rejects.back().cause;
}

TEST_F(WireTest, HostileBytesEndSoonAndNeverAreARow) {
  schemas_.known[7] = {SchemaFormat::kAvro, kAvro, {}, {}};
  schemas_.known[8] = {
      SchemaFormat::kAvro,
      R"({"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]},{"name":"nulls","type":{"type":"array","items":"null"}}]})",
      {},
      {}};
  // A list linked to itself a million times, and a list of 2^62 nulls.
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += '\x02';
  const std::string many = std::string("\x00", 1) + "\xfe\xff\xff\xff\xff\xff\xff\xff\x7f";
  Decode({Wire(8, deep), Wire(8, many)});
  ASSERT_EQ(decoded_.rejects.size(), 2U);
  for (const Reject& reject : decoded_.rejects) EXPECT_EQ(reject.verdict, Verdict::kMalformed) << reject.cause;
  // Changed bytes: whatever they say, they are judged.
  const std::string whole = EventBytes(1, 1'700'000'000'000, 1, 0.5F, true, 4);
  runtime::Random random(5);
  for (std::uint64_t round = 0; round < OneThreadRounds(20'000); ++round) {
    std::string changed = whole;
    for (std::uint64_t i = 0; i <= random.Below(4); ++i) changed[random.Below(changed.size())] = static_cast<char>(random.Below(256));
    Decode({Wire(7, changed)});
    ASSERT_EQ(decoded_.rows.rows + decoded_.rejects.size(), 1U);
  }
}

TEST_F(WireTest, TheContractJudgesAvroAsEverythingElse) {
  schemas_.known[1] = {
      SchemaFormat::kAvro,
      R"({"type":"record","name":"E","fields":[{"name":"id","type":["null","long","string"]},{"name":"item","type":"string"},{"name":"at","type":"long"}]})",
      {},
      {}};
  const auto event = [](int branch, const std::string& id, const std::string& item) {
    return Wire(1, std::string(1, static_cast<char>(branch * 2)) + id + static_cast<char>(item.size() * 2) + item + "\x02");
  };
  Decode(
      {event(1, "\x02", "a"), event(0, "", "a"), event(2, "\x02x", "a"), event(1, "\x02", std::string(21, 'a')), event(1, "\x02", "\xff")});
  EXPECT_EQ(decoded_.rows.rows, 1U);
  ASSERT_EQ(decoded_.rejects.size(), 4U);
  EXPECT_EQ(decoded_.rejects[0].cause, "`id` is missing; wanted is a 64-bit integer");
  EXPECT_EQ(decoded_.rejects[1].cause, "`id` is of Avro's type string; wanted is a 64-bit integer");
  EXPECT_EQ(decoded_.rejects[2].field, "item");
  EXPECT_EQ(decoded_.rejects[2].verdict, Verdict::kInvalid);
  EXPECT_EQ(decoded_.rejects[3].verdict, Verdict::kMalformed);
}

TEST_F(WireTest, JsonAndProtobufPayloadsBehindTheirHeaders) {
  schemas_.known[1] = {SchemaFormat::kJson, "{}", {}, {}};
  schemas_.known[2] = {SchemaFormat::kProtobuf, "", {{0}, {1, 2}}, {}};
  const std::string message =
      "\x08\x05\x12\x01"
      "a"
      "\x28\x07";
  Decode({Wire(1, R"({"id":1,"item":"b","at":2})"), Wire(2, std::string(1, '\0') + message), Wire(2, "\x04\x02\x04" + message),
          Wire(2, "\x02\x02" + message), Wire(2, ""), Wire(1, "{")});
  ASSERT_EQ(decoded_.rows.rows, 3U);
  EXPECT_EQ(decoded_.rows.columns[0].int64s[1], 5);
  EXPECT_EQ(decoded_.rows.columns[4].int64s[2], 7);
  ASSERT_EQ(decoded_.rejects.size(), 3U);
  EXPECT_NE(decoded_.rejects[0].cause.find("another message"), std::string::npos) << decoded_.rejects[0].cause;
  EXPECT_EQ(decoded_.rejects[0].bytes, kept_[3]);
}

TEST_F(WireTest, UnknownIdsAreMalformedAndAskedForAgain) {
  Decode({Wire(77, "x"), "no header", ""});
  ASSERT_EQ(decoded_.rejects.size(), 3U);
  EXPECT_EQ(decoded_.rejects[0].cause, "cannot be parsed: the registry has no schema with the id 77");
  EXPECT_NE(decoded_.rejects[1].cause.find("wire format"), std::string::npos);
  schemas_.known[77] = {SchemaFormat::kJson, "{}", {}, {}};
  Decode({Wire(77, R"({"id":1,"item":"b","at":2})")});
  EXPECT_EQ(decoded_.rows.rows, 1U);
}

TEST_F(WireTest, WithoutTheRegistryNothingIsJudged) {
  schemas_.down = true;
  const std::vector<std::string> values = {Wire(1, "{}")};
  const std::vector<std::string_view> views(values.begin(), values.end());
  const Status decoded = decoder_.DecodeWire(views, schemas_, decoded_);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().kind, ErrorKind::kUnavailable);
}

TEST(CompareAvro, NamesFieldAndBothTypes) {
  const governance::Contract contract = EventContract();
  EXPECT_TRUE(CompareAvro(contract, kAvro)->empty());
  const auto conflicts = CompareAvro(
      contract,
      R"({"type":"record","name":"E","fields":[{"name":"id","type":["null","string"]},{"name":"at","type":"long"},{"name":"seen","type":"int"}]})");
  ASSERT_TRUE(conflicts);
  ASSERT_EQ(conflicts->size(), 3U);
  EXPECT_EQ((*conflicts)[0].field, "id");
  EXPECT_EQ((*conflicts)[0].contract, "int64, required");
  EXPECT_EQ((*conflicts)[0].schema, "null or string");
  EXPECT_EQ((*conflicts)[1].schema, "missing");
  EXPECT_EQ((*conflicts)[2].field, "seen");
  EXPECT_FALSE(CompareAvro(contract, "\"long\""));
  EXPECT_FALSE(CompareAvro(contract, "{"));
}

}  // namespace
}  // namespace sightline::gate
