#include "apps/sightline/fleet.h"

#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sightline::app {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000;

TEST(Fleet, MakesTheSharesItWasAskedFor) {
  Fleet fleet({.locations = 100, .cameras = 3, .seed = 5});
  std::string lines;
  constexpr std::uint64_t kEvents = 200'000;
  fleet.Append(kNow, kEvents, lines);
  std::istringstream in(lines);
  std::set<std::int64_t> ids;
  std::map<std::string, int> items;
  std::uint64_t seen = 0, broken = 0, repeated = 0, late = 0, disordered = 0;
  for (std::string line; std::getline(in, line);) {
    ++seen;
    const auto event = nlohmann::json::parse(line, nullptr, false);
    if (event.is_discarded()) {
      ++broken;
      continue;
    }
    ASSERT_EQ(event.size(), 5U);
    const std::int64_t location = event["geographical_location_oid"], camera = event["video_camera_oid"],
                       age = kNow - event["timestamp_detected"].get<std::int64_t>();
    EXPECT_TRUE(location >= 0 && location < 100 && camera / 3 == location);
    EXPECT_GE(age, 0);
    const bool first = ids.insert(event["detection_oid"].get<std::int64_t>()).second;
    if (!first) {
      ++repeated;
      continue;
    }
    if (age >= 3'600'000) {
      ++late;
    } else if (age > 0) {
      EXPECT_LT(age, 25'000);
      ++disordered;
    }
    ++items[event["item_name"]];
  }
  EXPECT_EQ(seen, kEvents);
  EXPECT_EQ(fleet.made().events, kEvents);
  EXPECT_EQ(broken, fleet.made().broken);
  EXPECT_NEAR(static_cast<double>(broken) / kEvents, 0.0005, 0.0003);
  EXPECT_NEAR(static_cast<double>(repeated) / kEvents, 0.1, 0.005);
  EXPECT_NEAR(static_cast<double>(disordered) / kEvents, 0.05 * 0.9, 0.004);
  EXPECT_NEAR(static_cast<double>(late) / kEvents, 0.001 * 0.9, 0.0004);
  EXPECT_GT(items["person"], 10 * items["scooter"]);  // Zipf: the first of 200 against the twentieth
}

TEST(Fleet, IsTheSameForTheSameSeedAndAnotherForAnother) {
  std::string a, b, c;
  Fleet first({.seed = 1}), same({.seed = 1}), other({.seed = 2});
  first.Append(kNow, 1000, a);
  same.Append(kNow, 400, b);
  same.Append(kNow, 600, b);
  other.Append(kNow, 1000, c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

}  // namespace
}  // namespace sightline::app
