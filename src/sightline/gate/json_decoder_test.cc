#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "sightline/gate/decoder.h"
#include "sightline/gate/testing/contracts.h"

namespace sightline::gate {
namespace {

using governance::Contract;
using ::testing::HasSubstr;

constexpr std::string_view kGood =
    R"({"geographical_location_oid":12,"video_camera_oid":123,"detection_oid":2654435761,"item_name":"person","timestamp_detected":1700000000000})";
constexpr std::string_view kGoodRule =
    R"({"id":1,"level":3,"grade":20,"ratio":0.5,"seen":true,"code":"abc","plate":"AB-12","colour":"red","free":"x"})";

std::string_view GoodFor(const Contract& contract) { return contract.name == "every_rule" ? kGoodRule : kGood; }

struct Judged {
  Verdict verdict = Verdict::kCounted;
  std::string field;
  std::string cause;
  friend bool operator==(const Judged&, const Judged&) = default;
};

Judged JudgedAt(const Decoded& decoded, std::uint32_t record) {
  for (const Reject& reject : decoded.rejects) {
    if (reject.record == record) return {reject.verdict, reject.field, reject.cause};
  }
  return {};
}

// Judges one record alone; behind and between good records, whose shape the decoder then expects; framed and as lines; at the very
// end of its memory. All have to agree.
Judged Judge(const Contract& contract, std::string_view record) {
  Decoder::Limits limits;
  const std::string exact(record);
  Decoded decoded;
  Decoder alone(contract, limits);
  const std::string_view one[] = {exact};
  alone.DecodeRecords(bus::Encoding::kJson, one, decoded);
  EXPECT_EQ(decoded.seen, 1U);
  const Judged judged = JudgedAt(decoded, 0);

  const std::string good(GoodFor(contract));
  const std::string_view framed[] = {good, good, exact, good, exact};
  Decoder between(contract, limits);
  between.DecodeRecords(bus::Encoding::kJson, framed, decoded);
  EXPECT_EQ(decoded.seen, 5U);
  EXPECT_EQ(JudgedAt(decoded, 2), judged) << record;
  EXPECT_EQ(JudgedAt(decoded, 4), judged) << record;
  EXPECT_EQ(JudgedAt(decoded, 3), Judged{}) << record;

  if (record.find('\n') != std::string_view::npos || record.find_first_not_of(" \t\r") == std::string_view::npos) return judged;
  const std::string lines = good + "\n" + exact + "\n" + good + "\n" + good + "\n" + exact;
  const std::vector<char> text(lines.begin(), lines.end());  // no terminator behind it
  Decoder by_line(contract, limits);
  const std::size_t consumed = by_line.DecodeLines({text.data(), text.size()}, true, 100, decoded);
  EXPECT_EQ(consumed, text.size());
  EXPECT_EQ(decoded.seen, 5U) << record;
  EXPECT_EQ(JudgedAt(decoded, 1), judged) << record;
  EXPECT_EQ(JudgedAt(decoded, 4), judged) << record;
  EXPECT_EQ(JudgedAt(decoded, 3), Judged{}) << record;
  return judged;
}

std::string Event(std::string_view oid, std::string_view item = "\"person\"", std::string_view time = "1700000000000") {
  return R"({"geographical_location_oid":12,"video_camera_oid":123,"detection_oid":)" + std::string(oid) + R"(,"item_name":)" +
         std::string(item) + R"(,"timestamp_detected":)" + std::string(time) + "}";
}

TEST(JsonDecoder, MalformedRecords) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {std::string(kGood.substr(0, 37)), "ends inside a string"},
      {std::string(kGood.substr(0, 32)), "ends inside an object"},
      {std::string(kGood.substr(0, kGood.size() - 1)), "ends inside an object"},
      {"{", "ends inside an object"},
      {"}", "no value"},
      {"", "empty"},
      {"   ", "empty"},
      {"nonsense", "no value"},
      {"nul", "no value"},
      {"nulll", "follows the record's end"},
      {"[1,2", "ends inside an array"},
      {"[1 2]", "comma or a closing bracket"},
      {"[1,]", "no value"},
      {"\xef\xbb\xbf" + std::string(kGood), "no value"},
      // trailing bytes
      {std::string(kGood) + "x", "follows the record's end"},
      {std::string(kGood) + "}", "follows the record's end"},
      {std::string(kGood) + std::string(kGood), "follows the record's end"},
      {std::string(kGood) + std::string(1, '\0'), "follows the record's end"},
      {std::string(kGood.substr(0, kGood.size() - 1)) + ",}", "name in quotes is missing"},
      {R"({"a":1,,"b":2})", "name in quotes is missing"},
      {R"({"a" 1})", "colon"},
      {R"({a:1})", "name in quotes"},
      {R"({'a':1})", "name in quotes"},
      {R"({"a":1 "b":2})", "comma or a closing brace"},
      {R"({"a":})", "no value"},
      {R"({"a":/*c*/1})", "no value"},
      // duplicate keys: of the contract, unknown, escaped, nested
      {R"({"detection_oid":1,)" + std::string(kGood.substr(1)), "two fields named \"detection_oid\""},
      {R"({"x":1,"x":2,)" + std::string(kGood.substr(1)), "two fields named \"x\""},
      {R"({"x":1,"\u0078":2,)" + std::string(kGood.substr(1)), "two fields named \"x\""},
      {R"({"detection\u005foid":1,)" + std::string(kGood.substr(1)), "two fields named \"detection_oid\""},
      {R"({"x":{"y":1,"y":1},)" + std::string(kGood.substr(1)), "two fields named \"y\""},
      {R"({"x":[{"y":1,"z":{"y":1},"y":1}],)" + std::string(kGood.substr(1)), "two fields named \"y\""},
      // strings
      {Event("1", R"("\ud800")"), "surrogate"},
      {Event("1", R"("\udc00")"), "surrogate"},
      {Event("1", R"("\ud83dx")"), "surrogate"},
      {Event("1", R"("\ud83d\u0041")"), "surrogate"},
      {Event("1", R"("\ud83d\ud83d")"), "surrogate"},
      {Event("1", R"("\u12g4")"), "four hexadecimal"},
      {Event("1", R"("\u+123")"), "four hexadecimal"},
      {Event("1", R"("\x41")"), "backslash"},
      {Event("1", R"("\')"), "backslash"},
      {Event("1", "\"a\tb\""), "control character"},
      {Event("1", std::string("\"a\0b\"", 5)), "control character"},
      {Event("1", "\"a\x1f\""), "control character"},
      {Event("1", "\"\xff\""), "not valid UTF-8"},
      {Event("1", "\"\xc0\x80\""), "not valid UTF-8"},
      {Event("1", "\"\xed\xa0\x80\""), "not valid UTF-8"},
      {Event("1", "\"\xf4\x90\x80\x80\""), "not valid UTF-8"},
      {Event("1", "\"ends early \xe6\x98\""), "not valid UTF-8"},
      {std::string(kGood.substr(0, 90)), "ends inside a string"},
      {R"({"extra":"\ud800",)" + std::string(kGood.substr(1)), "surrogate"},
      {"{\"extra\":\"\xff\"," + std::string(kGood.substr(1)), "not valid UTF-8"},
      {"{\"\xff\":1," + std::string(kGood.substr(1)), "not valid UTF-8"},
      {R"({"a\)", "ends inside a string"},
      {R"({"a\u00)", "ends inside a string"},
      {R"({"a\ud83d\u)", "surrogate"},
      // numbers
      {Event("01"), "comma or a closing brace"},
      {Event("-01"), "comma or a closing brace"},
      {Event("00"), "comma or a closing brace"},
      {Event("-"), "no value"},
      {Event("+1"), "no value"},
      {Event(".5"), "no value"},
      {Event("1."), "no value"},
      {Event("1e"), "no value"},
      {Event("1e+"), "no value"},
      {Event("0x10"), "comma or a closing brace"},
      {Event("NaN"), "no value"},
      {Event("Infinity"), "no value"},
      {Event("-Infinity"), "no value"},
      {Event("12abc"), "comma or a closing brace"},
      {Event("1_000"), "comma or a closing brace"},
      {Event("True"), "no value"},
  };
  const Contract contract = CameraEvents();
  for (const auto& [record, cause] : cases) {
    const Judged judged = Judge(contract, record);
    EXPECT_EQ(judged.verdict, Verdict::kMalformed) << record;
    EXPECT_THAT(judged.cause, HasSubstr(cause)) << record;
    EXPECT_THAT(judged.cause, HasSubstr("at byte")) << record;
  }
}

TEST(JsonDecoder, InvalidRecords) {
  struct Case {
    std::string record;
    std::string field;
    std::string cause;
  };
  const std::string five_thousand_one = "\"" + std::string(5001, 'n') + "\"";
  const std::vector<Case> cases = {
      {Event("\"1\""), "detection_oid", "`detection_oid` is the string \"1\"; wanted is a 64-bit integer"},
      {Event("1.5"), "detection_oid", "is the number 1.5; wanted is a 64-bit integer"},
      {Event("1.0"), "detection_oid", "is the number 1.0; wanted is a 64-bit integer"},
      {Event("1e3"), "detection_oid", "is the number 1e3; wanted is a 64-bit integer"},
      {Event("1E3"), "detection_oid", "is the number 1E3"},
      {Event("12345678901234567e0"), "detection_oid", "is the number 12345678901234567e0"},
      {Event("true"), "detection_oid", "is true; wanted is a 64-bit integer"},
      {Event("null"), "detection_oid", "is null; wanted is a 64-bit integer"},
      {Event("[1]"), "detection_oid", "is an array"},
      {Event(R"({"a":{}})"), "detection_oid", "is an object"},
      {Event("9223372036854775808"), "detection_oid", "is the number 9223372036854775808, outside the range of 64-bit integers"},
      {Event("-9223372036854775809"), "detection_oid", "outside the range of 64-bit integers"},
      {Event("10000000000000000000"), "detection_oid", "outside the range of 64-bit integers"},
      {Event("123456789012345678901234567890"), "detection_oid", "outside the range of 64-bit integers"},
      {Event("1", "5"), "item_name", "`item_name` is the number 5; wanted is a string of at most 5000 characters"},
      {Event("1", "null"), "item_name", "is null"},
      {Event("1", R"("a\u0000b")"), "item_name", "U+0000"},
      {Event("1", five_thousand_one), "item_name", "of at most 5000 characters"},
      {Event("1", "\"a\"", "253402300800000"), "timestamp_detected",
       "is the number 253402300800000; wanted is a time in epoch milliseconds"},
      {Event("1", "\"a\"", "-62135596800001"), "timestamp_detected", "within the years 1 to 9999"},
      {Event("1", "\"a\"", "\"2024-01-01T00:00:00Z\""), "timestamp_detected", "is the string \"2024-01-01T00:00:00Z\""},
      {R"({"geographical_location_oid":12,"video_camera_oid":123,"detection_oid":1,"item_name":"a"})", "timestamp_detected",
       "`timestamp_detected` is missing"},
      {"{}", "geographical_location_oid", "missing"},
      {"[]", "", "the record is an array; wanted is an object"},
      {"[1,{\"a\":null}]", "", "the record is an array"},
      {"null", "", "the record is null"},
      {"12", "", "the record is the number 12"},
      {"\"x\"", "", "the record is the string \"x\""},
      {" true ", "", "the record is true"},
  };
  const Contract contract = CameraEvents();
  for (const Case& c : cases) {
    const Judged judged = Judge(contract, c.record);
    EXPECT_EQ(judged.verdict, Verdict::kInvalid) << c.record;
    EXPECT_EQ(judged.field, c.field) << c.record;
    EXPECT_THAT(judged.cause, HasSubstr(c.cause)) << c.record;
  }
}

TEST(JsonDecoder, RulesOfEveryKind) {
  struct Case {
    std::string member;
    std::string cause;  // empty: accepted
  };
  const std::vector<Case> cases = {
      {R"("level":1)", ""},
      {R"("level":5)", ""},
      {R"("level":null)", ""},
      {R"("level":0)", "`level` is the number 0; wanted is an integer from 1 to 5"},
      {R"("level":6)", "wanted is an integer from 1 to 5"},
      {R"("level":-9223372036854775808)", "wanted is an integer from 1 to 5"},
      {R"("grade":30)", ""},
      {R"("grade":11)", "`grade` is the number 11; wanted is one of 10, 20, 30"},
      {R"("ratio":1)", ""},
      {R"("ratio":-1.0)", ""},
      {R"("ratio":-0)", ""},
      {R"("ratio":1e-400)", ""},
      {R"("ratio":0.1E1)", ""},
      {R"("ratio":1.0000000000000002)", "wanted is a number from -1 to 1"},
      {R"("ratio":-1e5)", "wanted is a number from -1 to 1"},
      {R"("ratio":1e999)", "outside the range of 64-bit floating point"},
      {R"("ratio":-1e999)", "outside the range of 64-bit floating point"},
      {R"("ratio":"1")", "is the string \"1\"; wanted is a number"},
      {R"("seen":false)", ""},
      {R"("seen":1)", "`seen` is the number 1; wanted is true or false"},
      {R"("seen":"true")", "is the string \"true\"; wanted is true or false"},
      {R"("code":"ab")", ""},
      {R"("code":"abcd")", ""},
      {R"("code":"a")", "`code` is the string \"a\"; wanted is a string from 2 to 4 characters"},
      {R"("code":"abcde")", "from 2 to 4 characters"},
      {R"("code":"")", "from 2 to 4 characters"},
      {"\"code\":\"\xe6\x98\xbc\xe9\xa3\x9f\xe6\x98\xbc\xe9\xa3\x9f\"", ""},  // 4 characters, 12 bytes
      {"\"code\":\"\xe6\x98\xbc\"", "from 2 to 4 characters"},                 // 1 character, 3 bytes
      {R"("code":"\ud83d\ude00\u00e9")", ""},
      {R"("code":"\ud83d\ude00")", "from 2 to 4 characters"},
      {R"("plate":"AB-1")", ""},
      {R"("plate":"xAB-1")", "wanted is a string that matches [A-Z]{2}-[0-9]+"},
      {R"("plate":"AB-1\n")", "that matches"},
      {R"("colour":"green")", ""},
      {R"("colour":"gr\u0065en")", ""},
      {R"("colour":"Red")", "wanted is one of \"red\", \"green\""},
      {R"("free":null)", ""},
      {R"("free":"")", ""},
  };
  const Contract contract = EveryRule();
  for (const Case& c : cases) {
    const Judged judged = Judge(contract, R"({"id":7,)" + c.member + "}");
    EXPECT_EQ(judged.verdict, c.cause.empty() ? Verdict::kCounted : Verdict::kInvalid) << c.member << " " << judged.cause;
    EXPECT_THAT(judged.cause, HasSubstr(c.cause)) << c.member;
  }
}

// The fast way must apply the rules too: the same members in the shape of the records around them.
TEST(JsonDecoder, RulesHoldWithinAKnownShape) {
  const Contract contract = EveryRule();
  const auto with = [](std::string_view from, std::string_view to) {
    std::string record(kGoodRule);
    record.replace(record.find(from), from.size(), to);
    return record;
  };
  EXPECT_EQ(Judge(contract, with("\"level\":3", "\"level\":6")).field, "level");
  EXPECT_EQ(Judge(contract, with("\"grade\":20", "\"grade\":21")).field, "grade");
  EXPECT_EQ(Judge(contract, with("0.5", "1.5")).field, "ratio");
  EXPECT_EQ(Judge(contract, with("0.5", "0.")).verdict, Verdict::kMalformed);
  EXPECT_EQ(Judge(contract, with("true", "null")).verdict, Verdict::kCounted);
  EXPECT_EQ(Judge(contract, with("true", "trve")).verdict, Verdict::kMalformed);
  EXPECT_EQ(Judge(contract, with("\"abc\"", "\"abcde\"")).field, "code");
  EXPECT_EQ(Judge(contract, with("\"AB-12\"", "\"AB12\"")).field, "plate");
  EXPECT_EQ(Judge(contract, with("\"red\"", "\"blue\"")).field, "colour");
  EXPECT_EQ(Judge(contract, with("\"x\"", "\"a\\u0000\"")).field, "free");
}

TEST(JsonDecoder, MalformedBeatsInvalid) {
  const Contract contract = CameraEvents();
  EXPECT_EQ(Judge(contract, R"({"detection_oid":"1","x":})").verdict, Verdict::kMalformed);
  EXPECT_EQ(Judge(contract, R"({"detection_oid":1.5})"
                            "x")
                .verdict,
            Verdict::kMalformed);
  EXPECT_EQ(Judge(contract, R"({"detection_oid":1.5,"detection_oid":1})").verdict, Verdict::kMalformed);
  EXPECT_EQ(Judge(contract, "[1,2]]").verdict, Verdict::kMalformed);
}

TEST(JsonDecoder, TheFirstBrokenRuleIsNamed) {
  const Contract contract = EveryRule();
  EXPECT_EQ(Judge(contract, R"({"seen":1,"level":9,"id":"a"})").field, "seen");
  EXPECT_EQ(Judge(contract, R"({"level":9})").field, "level");
}

TEST(JsonDecoder, ClosedContractRefusesExtraFields) {
  Contract contract = CameraEvents();
  const std::string record = R"({"oops":[1],)" + std::string(kGood.substr(1));
  EXPECT_EQ(Judge(contract, record), Judged{});
  contract.closed = true;
  const Judged judged = Judge(contract, record);
  EXPECT_EQ(judged.verdict, Verdict::kInvalid);
  EXPECT_EQ(judged.field, "oops");
  EXPECT_THAT(judged.cause, HasSubstr("`oops` is not in the contract"));
  EXPECT_EQ(Judge(contract, kGood), Judged{});
}

TEST(JsonDecoder, IntegersToTheEdge) {
  const Contract contract = CameraEvents();
  const std::vector<std::pair<std::string, std::int64_t>> cases = {{"0", 0},
                                                                   {"-0", 0},
                                                                   {"7", 7},
                                                                   {"-1", -1},
                                                                   {"12345678", 12345678},
                                                                   {"123456789", 123456789},
                                                                   {"99999999999999", 99999999999999},
                                                                   {"999999999999999", 999999999999999},
                                                                   {"1234567890123456", 1234567890123456},
                                                                   {"9007199254740993", 9007199254740993},
                                                                   {"12345678901234567", 12345678901234567},
                                                                   {"-12345678901234567", -12345678901234567},
                                                                   {"123456789012345678", 123456789012345678},
                                                                   {"1000000000000000000", 1000000000000000000},
                                                                   {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
                                                                   {"-9223372036854775807", -std::numeric_limits<std::int64_t>::max()},
                                                                   {"-9223372036854775808", std::numeric_limits<std::int64_t>::min()}};
  std::string lines;
  for (const auto& [text, value] : cases) lines += Event(text) + "\n";
  // Twice: once as the shape is being learnt, once as it is known.
  Decoder decoder(contract, {});
  Decoded decoded;
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(decoder.DecodeLines(lines, true, 100, decoded), lines.size());
    ASSERT_TRUE(decoded.rejects.empty());
    ASSERT_EQ(decoded.rows.rows, cases.size());
    for (std::size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(decoded.rows.columns[2].int64s[i], cases[i].second) << cases[i].first;
  }
}

TEST(JsonDecoder, TextIsStoredUnescaped) {
  const Contract contract = CameraEvents();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"("")", ""},
      {R"("person")", "person"},
      {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
      {R"("\u0041\u00e9\u6f22\ud83d\udE00\uFFFF")", "A\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80\xef\xbf\xbf"},
      {"\"\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80\x7f\"", "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80\x7f"},
      {"\"" + std::string(31, 'a') + "\\n" + std::string(40, 'b') + "\"", std::string(31, 'a') + "\n" + std::string(40, 'b')},
      {"\"" + std::string(5000, 'n') + "\"", std::string(5000, 'n')},
      {R"("a\u0001b")", std::string("a\x01"
                                    "b")},
  };
  Decoder decoder(contract, {});
  Decoded decoded;
  std::string lines;
  for (const auto& [json, text] : cases) lines += Event("1", json) + "\n";
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(decoder.DecodeLines(lines, true, 100, decoded), lines.size());
    ASSERT_TRUE(decoded.rejects.empty()) << decoded.rejects[0].cause;
    for (std::size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(decoded.rows.columns[3].strings[i], cases[i].second) << i;
  }
}

TEST(JsonDecoder, ValuesAndNullsOfEveryType) {
  const std::string lines =
      R"({"id":1,"level":3,"grade":20,"ratio":0.1,"seen":true,"code":"abc","plate":"AB-12","colour":"red","free":"x"})"
      "\n"
      R"({"id":2,"level":null,"grade":10,"ratio":-1e-5,"seen":false,"code":null,"plate":"AB-12","colour":"red","free":"x"})"
      "\n"
      R"({"id":3})"
      "\n"
      R"({"id":"no","level":null})"
      "\n"
      R"({"id":4,"level":3,"grade":20,"ratio":2.2250738585072014e-308,"seen":true,"code":"abc","plate":"AB-12","colour":"red","free":"x"})"
      "\n";
  const Contract contract = EveryRule();
  Decoder decoder(contract, {});
  Decoded decoded;
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(decoder.DecodeLines(lines, true, 100, decoded), lines.size());
    ASSERT_EQ(decoded.rows.rows, 4U);
    ASSERT_EQ(decoded.rejects.size(), 1U);
    const auto& columns = decoded.rows.columns;
    EXPECT_EQ(columns[0].int64s[3], 4);
    EXPECT_EQ(columns[1].int64s[0], 3);
    EXPECT_EQ(columns[3].doubles[0], 0.1);
    EXPECT_EQ(columns[3].doubles[1], -1e-5);
    EXPECT_EQ(columns[3].doubles[3], 2.2250738585072014e-308);
    EXPECT_EQ(columns[4].int64s[0], 1);
    EXPECT_EQ(columns[4].int64s[1], 0);
    EXPECT_EQ(columns[5].strings[0], "abc");
    const bool null_of[9][4] = {{false, false, false, false}, {false, true, true, false},  {false, false, true, false},
                                {false, false, true, false},  {false, false, true, false}, {false, true, true, false},
                                {false, false, true, false},  {false, false, true, false}, {false, false, true, false}};
    for (std::size_t f = 0; f < 9; ++f) {
      for (std::size_t row = 0; row < 4; ++row) EXPECT_EQ(columns[f].IsNull(row), null_of[f][row]) << f << " " << row;
    }
    EXPECT_TRUE(columns[0].nulls.empty());
  }
}

TEST(JsonDecoder, FieldsInAnyOrderWithSpacesAndExtraFields) {
  const Contract contract = CameraEvents();
  std::vector<std::string> members = {R"("geographical_location_oid" : 12)",
                                      R"("video_camera_oid":123)",
                                      "\"detection_oid\":\t2654435761",
                                      R"("item_name":"a \"b\"")",
                                      R"("timestamp_detected":1700000000000 )",
                                      R"("confidence":0.25)",
                                      R"("box":{"x":[1,2,{"y":null}],"z":"\u00e9"})"};
  std::sort(members.begin(), members.end());
  Decoder decoder(contract, {});
  Decoded decoded;
  std::string lines;
  std::size_t count = 0;
  do {
    lines += " {" + members[0];
    for (std::size_t i = 1; i < members.size(); ++i) lines += " , " + members[i];
    lines += "}\r\n";
    ++count;
  } while (std::next_permutation(members.begin(), members.end()));
  ASSERT_EQ(decoder.DecodeLines(lines, true, count, decoded), lines.size());
  ASSERT_TRUE(decoded.rejects.empty()) << decoded.rejects[0].cause;
  ASSERT_EQ(decoded.rows.rows, count);
  EXPECT_EQ(decoded.extra_fields, 2 * count);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(decoded.rows.columns[0].int64s[i], 12);
    ASSERT_EQ(decoded.rows.columns[1].int64s[i], 123);
    ASSERT_EQ(decoded.rows.columns[2].int64s[i], 2654435761);
    ASSERT_EQ(decoded.rows.columns[3].strings[i], "a \"b\"");
    ASSERT_EQ(decoded.rows.columns[4].int64s[i], 1700000000000);
  }
}

TEST(JsonDecoder, KeysThatLookLikeFieldsAreNot) {
  const Contract contract = CameraEvents();
  const std::string record = R"({"geographical_location_oid2":1,"geographical_location_oi":"x","Detection_oid":[],"":null,"item_namf":0,)" +
                             std::string(kGood.substr(1));
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string_view records[] = {record};
  decoder.DecodeRecords(bus::Encoding::kJson, records, decoded);
  ASSERT_EQ(decoded.rows.rows, 1U);
  EXPECT_EQ(decoded.extra_fields, 5U);
  EXPECT_EQ(decoded.rows.columns[0].int64s[0], 12);
}

TEST(JsonDecoder, NamesAlikeInLengthAndEndsAreToldApart) {
  Contract contract;
  contract.name = "alike";
  for (const char middle : {'1', '2', '3', '4', '5', '6', '7', '8'}) {
    contract.schema.fields.push_back({"prefix____" + std::string(30, middle) + "____suffix", FieldType::kInt64, false, false});
    contract.rules.emplace_back().required = true;
  }
  std::string record = "{";
  for (std::size_t f = 0; f < 8; ++f)
    record += (f == 0 ? "\"" : ",\"") + contract.schema.fields[7 - f].name + "\":" + std::to_string(7 - f);
  record += "}";
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string_view records[] = {record, record};
  decoder.DecodeRecords(bus::Encoding::kJson, records, decoded);
  ASSERT_EQ(decoded.rows.rows, 2U);
  for (std::size_t f = 0; f < 8; ++f) {
    EXPECT_EQ(decoded.rows.columns[f].int64s[0], static_cast<std::int64_t>(f));
    EXPECT_EQ(decoded.rows.columns[f].int64s[1], static_cast<std::int64_t>(f));
  }
}

TEST(JsonDecoder, LimitsOnDepthFieldsAndSize) {
  const Contract contract = CameraEvents();
  const auto judged = [&](const std::string& record, Decoder::Limits limits) {
    Decoder decoder(contract, limits);
    Decoded decoded;
    const std::string_view records[] = {record};
    decoder.DecodeRecords(bus::Encoding::kJson, records, decoded);
    return JudgedAt(decoded, 0);
  };
  const auto nested = [](std::size_t depth) {
    return R"({"x":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "," + std::string(kGood.substr(1));
  };
  EXPECT_EQ(judged(nested(64), {}), Judged{});
  EXPECT_THAT(judged(nested(65), {}).cause, HasSubstr("nested deeper"));
  EXPECT_EQ(judged(nested(100'000), {}).verdict, Verdict::kMalformed);
  std::string deep_objects;
  for (int i = 0; i < 100'000; ++i) deep_objects += "{\"a\":";
  EXPECT_EQ(judged(deep_objects, {}).verdict, Verdict::kMalformed);

  std::string many = "{";
  for (int i = 0; i < 1019; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_EQ(judged(many + std::string(kGood.substr(1)), {}), Judged{});
  EXPECT_THAT(judged(many + "\"one_more\":0," + std::string(kGood.substr(1)), {}).cause, HasSubstr("more fields"));
  EXPECT_THAT(judged(R"({"x":{"a":1,"b":2},"y":1})", {.fields_max = 3}).cause, HasSubstr("more fields"));

  const auto size = static_cast<std::uint32_t>(kGood.size());
  EXPECT_EQ(judged(std::string(kGood), {.record_bytes_max = size}), Judged{});
  EXPECT_THAT(judged(std::string(kGood), {.record_bytes_max = size - 1}).cause, HasSubstr("longer than the limit"));
}

TEST(JsonDecoder, OtherEncodingsAreRefusedOneByOne) {
  const Contract contract = CameraEvents();
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string_view records[] = {kGood, kGood};
  decoder.DecodeRecords(bus::Encoding::kBinary, records, decoded);
  EXPECT_EQ(decoded.seen, 2U);
  EXPECT_EQ(decoded.rows.rows, 0U);
  ASSERT_EQ(decoded.rejects.size(), 2U);
  EXPECT_EQ(decoded.rejects[1].record, 1U);
  EXPECT_EQ(decoded.rejects[1].bytes, kGood);
}

TEST(JsonDecoder, CausesStayShortAndAreUtf8) {
  const Contract contract = CameraEvents();
  std::string wide = "\"";
  for (int i = 0; i < 5001; ++i) wide += "\xe6\x98\xbc";
  const Judged judged = Judge(contract, Event("1", wide + "\""));
  EXPECT_EQ(judged.verdict, Verdict::kInvalid);
  EXPECT_LT(judged.cause.size(), 200U);
  EXPECT_THAT(judged.cause, HasSubstr("…"));
}

}  // namespace
}  // namespace sightline::gate
