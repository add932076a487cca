#include "sightline/base/glob.h"

#include <gtest/gtest.h>

#include <string>

namespace sightline {
namespace {

TEST(Glob, MatchesTheWholeText) {
  EXPECT_TRUE(MatchesGlob("raw_camera_events", "raw_camera_events"));
  EXPECT_FALSE(MatchesGlob("raw_camera_events", "raw_camera_events_1"));
  EXPECT_FALSE(MatchesGlob("raw", "a_raw"));
  EXPECT_FALSE(MatchesGlob("raw", ""));
  EXPECT_TRUE(MatchesGlob("", ""));
  EXPECT_FALSE(MatchesGlob("", "a"));
}

TEST(Glob, AStarIsAnythingAndNothing) {
  EXPECT_TRUE(MatchesGlob("raw_*", "raw_"));
  EXPECT_TRUE(MatchesGlob("raw_*", "raw_lobby.east-1"));
  EXPECT_FALSE(MatchesGlob("raw_*", "raw"));
  EXPECT_TRUE(MatchesGlob("*", ""));
  EXPECT_TRUE(MatchesGlob("*_events", "camera_events"));
  EXPECT_FALSE(MatchesGlob("*_events", "camera_events_old"));
  EXPECT_TRUE(MatchesGlob("a*b*c", "aXbYbZc"));
  EXPECT_TRUE(MatchesGlob("a**c", "ac"));
  EXPECT_FALSE(MatchesGlob("a*b*c", "aXcYb"));
}

TEST(Glob, OtherSignsStandForThemselves) {
  EXPECT_FALSE(MatchesGlob("a.c", "abc"));
  EXPECT_FALSE(MatchesGlob("a?c", "abc"));
  EXPECT_TRUE(MatchesGlob("a.c*", "a.cd"));
}

TEST(Glob, ManyStarsTakeNoForever) {
  const std::string text(10'000, 'a');
  EXPECT_FALSE(MatchesGlob("*a*a*a*a*a*a*a*a*a*a*b", text));
}

}  // namespace
}  // namespace sightline
