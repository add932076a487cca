#include "sightline/governance/contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <sstream>

#include "sightline/governance/pattern.h"

namespace sightline::governance {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

constexpr std::string_view kTop =
    "apiVersion: v3.2.0\nkind: DataContract\nid: test\nversion: 1.2.3\nstatus: active\nschema:\n  - name: events\n";

// A contract around the lines of one property, each indented as it must be.
std::string WithProperty(const std::string& lines, const std::string& object = "") {
  std::string yaml = std::string(kTop) + object + "    properties:\n";
  std::istringstream in(lines);
  std::string line;
  bool first = true;
  while (std::getline(in, line)) {
    yaml += (first ? "      - " : "        ") + line + "\n";
    first = false;
  }
  return yaml;
}

Contract Parsed(const std::string& yaml) {
  auto contract = ParseContract(yaml, "test.yaml");
  EXPECT_TRUE(contract) << contract.error().message << "\n" << yaml;
  return contract ? std::move(*contract) : Contract{};
}

std::string Mistake(const std::string& yaml) {
  const auto contract = ParseContract(yaml, "test.yaml");
  EXPECT_FALSE(contract) << yaml;
  if (contract) return "";
  EXPECT_EQ(contract.error().kind, ErrorKind::kInvalidArgument);
  return contract.error().message;
}

TEST(Contract, ShippedCameraEvents) {
  const Contract contract = Parsed(Read("presets/top-items/contracts/camera_events.odcs.yaml"));
  EXPECT_EQ(contract.name, "camera_events");
  EXPECT_EQ(contract.version, "1.0.0");
  ASSERT_EQ(contract.schema.fields.size(), 5U);
  const std::string names[] = {"geographical_location_oid", "video_camera_oid", "detection_oid", "item_name", "timestamp_detected"};
  for (std::size_t f = 0; f < 5; ++f) {
    const Field& field = contract.schema.fields[f];
    EXPECT_EQ(field.name, names[f]);
    EXPECT_EQ(field.type, f == 3 ? FieldType::kString : FieldType::kInt64);
    EXPECT_EQ(field.identifier, f < 3);
    EXPECT_FALSE(field.nullable);
    EXPECT_TRUE(contract.rules[f].required);
    EXPECT_EQ(contract.rules[f].protobuf_number, f + 1);
  }
  EXPECT_EQ(contract.rules[3].max_length, 5000U);
  EXPECT_FALSE(contract.rules[3].min_length);
  EXPECT_FALSE(contract.rules[0].min_int64);
  EXPECT_EQ(contract.event_time, 4);
  EXPECT_THAT(contract.key, ElementsAre(2));
  EXPECT_FALSE(contract.closed);
}

TEST(Contract, ShippedLocations) {
  const Contract contract = Parsed(Read("presets/top-items/contracts/locations.odcs.yaml"));
  EXPECT_EQ(contract.name, "locations");
  ASSERT_EQ(contract.schema.fields.size(), 5U);
  EXPECT_TRUE(contract.schema.fields[0].identifier);
  EXPECT_EQ(contract.schema.fields[1].name, "geographical_location");
  EXPECT_EQ(contract.schema.fields[2].type, FieldType::kDouble);
  EXPECT_EQ(contract.rules[2].min_double, -90);
  EXPECT_EQ(contract.rules[3].max_double, 180);
  EXPECT_TRUE(contract.schema.fields[4].nullable);
  EXPECT_EQ(contract.event_time, -1);
  EXPECT_THAT(contract.key, ElementsAre(0));
}

TEST(Contract, RulesOfIntegers) {
  const auto rule = [](const std::string& options) {
    return Parsed(WithProperty("name: a\nlogicalType: integer\nlogicalTypeOptions: {" + options + "}")).rules[0];
  };
  EXPECT_EQ(rule("minimum: 1, maximum: 5").min_int64, 1);
  EXPECT_EQ(rule("minimum: 1, maximum: 5").max_int64, 5);
  EXPECT_EQ(rule("exclusiveMinimum: 1").min_int64, 2);
  EXPECT_EQ(rule("exclusiveMaximum: -1").max_int64, -2);
  EXPECT_EQ(rule("minimum: 3, exclusiveMinimum: 1").min_int64, 3);
  EXPECT_EQ(rule("minimum: -9223372036854775808").min_int64, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(rule("maximum: 9223372036854775807").max_int64, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(rule("format: u8").max_int64, 255);
  EXPECT_EQ(rule("format: u8").min_int64, 0);
  EXPECT_EQ(rule("format: i32, maximum: 7").max_int64, 7);
  EXPECT_FALSE(rule("format: i64").min_int64);
}

TEST(Contract, RulesOfNumbersStringsAndLists) {
  FieldRule rule = Parsed(WithProperty("name: a\nlogicalType: number\nlogicalTypeOptions: {minimum: -0.5, exclusiveMaximum: 1}")).rules[0];
  EXPECT_EQ(rule.min_double, -0.5);
  EXPECT_LT(rule.max_double, 1.0);
  EXPECT_GT(rule.max_double, 0.999999);
  rule = Parsed(WithProperty("name: a\nlogicalType: string\nlogicalTypeOptions: {minLength: 0, maxLength: 7, pattern: '[a-z]+'}")).rules[0];
  EXPECT_EQ(rule.min_length, 0U);
  EXPECT_EQ(rule.max_length, 7U);
  EXPECT_EQ(rule.pattern, "[a-z]+");
  rule = Parsed(WithProperty("name: a\nlogicalType: string\nenum:\n  - value: red\n  - value: 'no'\n    label: No")).rules[0];
  EXPECT_THAT(rule.one_of, ElementsAre("red", "no"));
  rule = Parsed(WithProperty("name: a\nlogicalType: integer\nenum: [{value: 3}, {value: -1}]")).rules[0];
  EXPECT_THAT(rule.one_of_int64, ElementsAre(3, -1));
}

TEST(Contract, TimestampsAreEpochMilliseconds) {
  const Contract contract =
      Parsed(WithProperty("name: at\nlogicalType: timestamp\nlogicalTypeOptions: {format: epoch_ms}\nrequired: true\ncustomProperties:\n  "
                          "- {property: eventTime, value: true}"));
  EXPECT_EQ(contract.schema.fields[0].type, FieldType::kInt64);
  EXPECT_EQ(contract.event_time, 0);
  EXPECT_THAT(Mistake(WithProperty("name: at\nlogicalType: timestamp")), HasSubstr("format: epoch_ms"));
  EXPECT_THAT(Mistake(WithProperty("name: at\nlogicalType: timestamp\nlogicalTypeOptions: {format: yyyy-MM-dd}")),
              HasSubstr("format: epoch_ms"));
  EXPECT_THAT(Mistake(WithProperty("name: at\nlogicalType: timestamp\nlogicalTypeOptions: {format: epoch_ms, minimum: '2020-01-01'}")),
              HasSubstr("unknown key `minimum`"));
}

TEST(Contract, ClosedObjectsAndOthersCustomProperties) {
  const std::string a = "name: a\nlogicalType: boolean";
  EXPECT_TRUE(Parsed(WithProperty(a, "    customProperties: [{property: closed, value: true}]\n")).closed);
  EXPECT_FALSE(Parsed(WithProperty(a, "    customProperties: [{property: closed, value: false}]\n")).closed);
  EXPECT_FALSE(Parsed(WithProperty(a, "    customProperties: [{property: retentionClass, value: {x: 1}}]\n")).closed);
  EXPECT_FALSE(Parsed(WithProperty(a, "    customProperties: [{property: closed, value: true, vendor: other}]\n")).closed);
}

TEST(Contract, KeysFollowTheirPositions) {
  const Contract contract = Parsed(std::string(kTop) +
                                   "    properties:\n"
                                   "      - {name: a, logicalType: string, required: true, primaryKey: true, primaryKeyPosition: 2}\n"
                                   "      - {name: b, logicalType: string}\n"
                                   "      - {name: c, logicalType: string, required: true, primaryKey: true, primaryKeyPosition: 1}\n");
  EXPECT_THAT(contract.key, ElementsAre(2, 0));
}

TEST(Contract, MistakesSayWhereAndWhat) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "test.yaml"},
      {"a: [", "this is not YAML"},
      {"a: 1\n---\nb: 2\n", "one YAML document"},
      {"[]", "the contract must be a mapping"},
      {"apiVersion: v3.2.0\nkind: DataContract\nid: x\nversion: 1.0.0\n", "`schema` must be a list with one object"},
      {"apiVersion: v2.2.0\nkind: DataContract\nid: x\nversion: 1.0.0\n", "test.yaml:1:13: `apiVersion` v2.2.0 is not read"},
      {"kind: Contract\nid: x\nversion: 1.0.0\napiVersion: v3.2.0\n", "test.yaml:1:7: `kind` must be DataContract"},
      {"kind: DataContract\nid: x\nversion: 1.0\napiVersion: v3.2.0\n", "test.yaml:3:10: `version` must be a string; put it in quotes"},
      {"kind: DataContract\nid: x\nversion: 1.0.0\napiVersion: v3.2.0\nshema: []\n",
       "test.yaml:5:1: unknown key `shema` in the contract; did you mean `schema`?"},
      {"kind: DataContract\nid: x\nid: y\nversion: 1.0.0\napiVersion: v3.2.0\n", "test.yaml:3:1: key `id` appears twice"},
      {WithProperty("logicalType: string"), "test.yaml:9:9: a property needs a `name`"},
      {WithProperty("name: a"), "a needs a `logicalType`"},
      {WithProperty("name: ''\nlogicalType: string"), "must not be empty"},
      {WithProperty("name: 'a\"b'\nlogicalType: string"), "must not be empty nor hold quotes"},
      {WithProperty("name: a\nlogicalType: int"), "test.yaml:10:22: logicalType `int` of a cannot be read from a record"},
      {WithProperty("name: a\nlogicalType: object"), "logicalType `object`"},
      {WithProperty("name: a\nlogicalType: date"), "logicalType `date`"},
      {WithProperty("name: a\nlogicalType: strings"), "did you mean `string`?"},
      {WithProperty("name: a\nlogicalType: string\nrequired: 'true'"), "`required` of a must be true or false"},
      {WithProperty("name: a\nlogicalType: string\nrequierd: true"),
       "test.yaml:11:9: unknown key `requierd` in a property; did you mean `required`?"},
      {WithProperty("name: a\nlogicalType: string\nlogicalTypeOptions: {maxLenght: 5}"), "did you mean `maxLength`?"},
      {WithProperty("name: a\nlogicalType: string\nlogicalTypeOptions: {format: email}"), "unknown key `format`"},
      {WithProperty("name: a\nlogicalType: string\nlogicalTypeOptions: {maxLength: -1}"), "must be from 0"},
      {WithProperty("name: a\nlogicalType: string\nlogicalTypeOptions: {minLength: 3, maxLength: 2}"), "above its `maxLength`"},
      {WithProperty("name: a\nlogicalType: string\nlogicalTypeOptions: {pattern: '['}"), "is not a pattern"},
      {WithProperty("name: a\nlogicalType: string\nlogicalTypeOptions: {pattern: '(a)\\1'}"), "no back references"},
      {WithProperty("name: a\nlogicalType: integer\nlogicalTypeOptions: {minimum: 1.5}"), "must be a whole number"},
      {WithProperty("name: a\nlogicalType: integer\nlogicalTypeOptions: {maximum: 9223372036854775808}"), "must be a whole number"},
      {WithProperty("name: a\nlogicalType: integer\nlogicalTypeOptions: {multipleOf: 5}"), "unknown key `multipleOf`"},
      {WithProperty("name: a\nlogicalType: integer\nlogicalTypeOptions: {format: u64}"), "must be i8, i16"},
      {WithProperty("name: a\nlogicalType: integer\nlogicalTypeOptions: {minimum: 5, maximum: 4}"), "no value can be within"},
      {WithProperty("name: a\nlogicalType: number\nlogicalTypeOptions: {minimum: high}"), "must be a number"},
      {WithProperty("name: a\nlogicalType: number\nenum: [{value: 1.5}]"), "strings and integers only"},
      {WithProperty("name: a\nlogicalType: string\nenum: [red]"), "must be a mapping"},
      {WithProperty("name: a\nlogicalType: string\nenum: [{value: 5}]"), "put it in quotes"},
      {WithProperty("name: a\nlogicalType: string\nunique: true"), "is not enforced"},
      {WithProperty("name: a\nlogicalType: string\nquality: [{metric: nullValues, mustBe: 0}]"), "is not enforced"},
      {WithProperty("name: a\nlogicalType: string\nphysicalName: b"), "records are read by `name`"},
      {WithProperty("name: a\nlogicalType: string\nprimaryKey: true"), "must be `required: true`"},
      {WithProperty("name: a\nlogicalType: integer\ncustomProperties: [{property: eventTime, value: true}]"), "must be `required: true`"},
      {WithProperty("name: a\nlogicalType: string\nrequired: true\ncustomProperties: [{property: eventTime, value: true}]"),
       "must be an integer"},
      {WithProperty("name: a\nlogicalType: boolean\ncustomProperties: [{property: identifier, value: true}]"),
       "must be an integer or a string"},
      {WithProperty("name: a\nlogicalType: string\ncustomProperties: [{property: eventime, value: true}]"), "did you mean `eventTime`?"},
      {WithProperty("name: a\nlogicalType: string\ncustomProperties: [{property: foo, value: 1, vendor: sightline}]"),
       "unknown custom property `foo`"},
      {WithProperty("name: a\nlogicalType: string\ncustomProperties: [{property: protobufNumber, value: 0}]"), "must be from 1 to"},
      {WithProperty("name: a\nlogicalType: string\ncustomProperties: [{property: protobufNumber, value: 19000}]"), "reserves"},
      {std::string(kTop) + "    properties:\n      - {name: a, logicalType: string}\n      - {name: a, logicalType: string}\n",
       "test.yaml:10:9: two properties are named a"},
      {std::string(kTop) + "    properties: []\n", "needs a list of 1 to 1024 `properties`"},
  };
  for (const auto& [yaml, what] : cases) EXPECT_THAT(Mistake(yaml), HasSubstr(what)) << yaml;
}

TEST(Contract, AllMistakesAreListed) {
  const std::string message =
      Mistake(WithProperty("name: a\nlogicalType: integer\nrequired: yes\nlogicalTypeOptions: {minimum: x, maximun: 5}\nunique: true"));
  EXPECT_THAT(message, HasSubstr("`required` of a must be true or false"));
  EXPECT_THAT(message, HasSubstr("`minimum` of a must be a whole number"));
  EXPECT_THAT(message, HasSubstr("unknown key `maximun`"));
  EXPECT_THAT(message, HasSubstr("not enforced"));
  EXPECT_EQ(std::ranges::count(message, '\n'), 3);
}

TEST(Contract, BytesThatAreNotUtf8AreRefused) {
  EXPECT_THAT(Mistake(WithProperty("name: \xff\nlogicalType: string")), HasSubstr("not valid UTF-8"));
}

TEST(Pattern, MatchesTheWholeInLinearTime) {
  const auto pattern = Pattern::Compile("(a+)+");
  ASSERT_TRUE(pattern);
  EXPECT_TRUE(pattern->Matches("aaa"));
  EXPECT_FALSE(pattern->Matches("aaab"));
  EXPECT_FALSE(pattern->Matches("baaa"));
  // A backtracking matcher would take 2^100000 steps.
  EXPECT_FALSE(pattern->Matches(std::string(100'000, 'a') + "b"));
  EXPECT_TRUE(Pattern::Compile(".")->Matches("\xe6\x98\xbc"));
  EXPECT_FALSE(Pattern::Compile("(a){10000}"));
}

}  // namespace
}  // namespace sightline::governance
