#include <gtest/gtest.h>

#include <random>
#include <string>

#include "sightline/gate/testing/contracts.h"
#include "sightline/gate/testing/json_oracle.h"

namespace sightline::gate {
namespace {

// Random edits of records, good and bad, with the pieces that break parsers: simdjson must agree on every one.
TEST(JsonDecoder, AgreesWithSimdjson) {
  governance::Contract contracts[] = {CameraEvents(), EveryRule()};
  contracts[1].rules[6].pattern.clear();  // compiling it would take most of the time
  const std::string seeds[] = {
      R"({"geographical_location_oid":12,"video_camera_oid":123,"detection_oid":2654435761,"item_name":"person","timestamp_detected":1700000000000})",
      R"({"id":1,"level":3,"grade":20,"ratio":0.5,"seen":true,"code":"abc","plate":"AB-12","colour":"red","free":"x"})",
      R"( { "id" : -1 , "free" : "\u00e9\ud83d\ude00\n\"" , "x" : [ 1, {"y": null}, "z" ], "ratio" : -1.5e-3 } )",
      R"({"id":9223372036854775807,"level":null,"seen":false})", R"([1,"a",{"b":{}}])"};
  const std::string pieces[] = {"\"",      "\\",      "{",        "}",     "[",
                                "]",       ",",       ":",        "-",     "0",
                                "1",       "9",       ".",        "e",     "E",
                                "+",       "null",    "true",     "false", "\\u0000",
                                "\\ud800", "\\udc00", "\xc3\xa9", "\xff",  "\xed\xa0\x80",
                                "\t",      " ",       "\n",       "\\n",   "9223372036854775808",
                                "1e400",   "\"id\":", "\"x\":1,", "NaN"};
  std::mt19937_64 random(7);
  for (int round = 0; round < 10'000; ++round) {
    std::string record = seeds[random() % std::size(seeds)];
    for (std::size_t edits = random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % (record.size() + 1);
      switch (random() % 4) {
        case 0: record.erase(at, 1 + random() % 4); break;
        case 1:
          if (at < record.size()) record[at] = static_cast<char>(random());
          break;
        default: record.insert(at, pieces[random() % std::size(pieces)]);
      }
    }
    for (const governance::Contract& contract : contracts) {
      ASSERT_EQ(DisagreementWithSimdjson(contract, record), "") << record;
    }
  }
}

}  // namespace
}  // namespace sightline::gate
