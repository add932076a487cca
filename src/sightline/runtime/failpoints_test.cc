#include "sightline/runtime/failpoints.h"

#include <gtest/gtest.h>

#include <csignal>

namespace sightline::runtime {
namespace {

TEST(Failpoints, NothingIsArmedByItself) {
  Failpoints points;
  for (const std::string_view name : Failpoints::Names()) EXPECT_TRUE(points.Hit(name));
}

TEST(Failpoints, FailsAtTheHitThatWasAskedForAndAtNoOther) {
  Failpoints points;
  ASSERT_TRUE(Failpoints::Parse("bus.flush.before_sync=error@3,bus.append.before_write=error", points));
  EXPECT_TRUE(points.Hit("bus.flush.before_sync"));
  EXPECT_TRUE(points.Hit("bus.flush.before_sync"));
  EXPECT_EQ(points.Hit("bus.flush.before_sync").error().kind, ErrorKind::kIo);
  EXPECT_TRUE(points.Hit("bus.flush.before_sync"));
  EXPECT_FALSE(points.Hit("bus.append.before_write"));
  EXPECT_TRUE(points.Hit("bus.flush.after_sync"));
  ASSERT_TRUE(Failpoints::Parse("", points));
  EXPECT_TRUE(points.Hit("bus.append.before_write"));
}

TEST(FailpointsDeathTest, KillEndsTheProcessAtOnce) {
  Failpoints points;
  ASSERT_TRUE(Failpoints::Parse("bus.append.before_write=kill@2", points));
  EXPECT_TRUE(points.Hit("bus.append.before_write"));
  EXPECT_EXIT(static_cast<void>(points.Hit("bus.append.before_write")), ::testing::KilledBySignal(SIGKILL), "");
}

TEST(Failpoints, MistakesAreExplained) {
  Failpoints points;
  const auto misspelt = Failpoints::Parse("bus.flush.befor_sync=kill", points);
  ASSERT_FALSE(misspelt);
  EXPECT_NE(misspelt.error().message.find("bus.flush.before_sync"), std::string::npos) << misspelt.error().message;
  for (const char* wrong : {"bus.flush.before_sync", "bus.flush.before_sync=", "bus.flush.before_sync=die", "bus.flush.before_sync=kill@0",
                            "bus.flush.before_sync=kill@x", "bus.flush.before_sync=kill@3x"}) {
    const auto parsed = Failpoints::Parse(wrong, points);
    ASSERT_FALSE(parsed) << wrong;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kInvalidArgument) << wrong;
  }
}

}  // namespace
}  // namespace sightline::runtime
