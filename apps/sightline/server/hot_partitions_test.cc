#include "apps/sightline/server/hot_partitions.h"

#include <gtest/gtest.h>

namespace sightline::app {
namespace {

using Lags = std::vector<std::int64_t>;

class HotPartitionsTest : public ::testing::Test {
 protected:
  // Partitions that have become hot, or have ceased to be so, as their number or its negative less one.
  std::vector<int> Look(const Lags& lags) {
    std::vector<HotPartitions::Lag> all;
    for (std::size_t i = 0; i < lags.size(); ++i) all.push_back({.partition = static_cast<std::int32_t>(i), .records = lags[i]});
    std::vector<int> changed;
    for (const HotPartitions::Change& change : hot_.Look("p", all)) {
      changed.push_back(change.hot ? change.lag.partition : -1 - change.lag.partition);
      EXPECT_EQ(hot_.Hot("p", change.lag.partition), change.hot);
    }
    return changed;
  }
  HotPartitions hot_;
};

TEST_F(HotPartitionsTest, OneThatFallsBehindWhileOthersWaitIsSaidOnceUntilItHasCaughtUp) {
  EXPECT_EQ(Look({50'000, 0, 3}), std::vector<int>());
  EXPECT_EQ(Look({90'000, 5, 0}), std::vector<int>());
  EXPECT_EQ(Look({130'000, 0, 0}), std::vector<int>{0});
  EXPECT_EQ(Look({170'000, 0, 4}), std::vector<int>());
  EXPECT_FALSE(hot_.Hot("p", 1));
  EXPECT_FALSE(hot_.Hot("other", 0));
  EXPECT_EQ(Look({60'000, 0, 4}), std::vector<int>()) << "less, and still far behind";
  EXPECT_EQ(Look({9'000, 0, 4}), std::vector<int>{-1});
  EXPECT_EQ(Look({50'000, 0, 4}), std::vector<int>()) << "it has to grow for a while again";
}

TEST_F(HotPartitionsTest, APipelineThatIsBehindAsAWholeHasNone) {
  for (std::int64_t lag = 100'000; lag < 1'000'000; lag += 100'000) {
    EXPECT_EQ(Look({lag, lag / 2, lag / 3}), std::vector<int>());
  }
}

TEST_F(HotPartitionsTest, NeitherHasOneThatCatchesUpNorOneWithASinglePartitionNorOneOfFewRecords) {
  for (std::int64_t round = 1; round < 10; ++round) EXPECT_EQ(Look({1'000'000 - round * 50'000, 0}), std::vector<int>());
  for (std::int64_t round = 1; round < 10; ++round) EXPECT_EQ(Look({round * 1'000, 0}), std::vector<int>());
  HotPartitions alone;
  for (std::int64_t round = 1; round < 10; ++round) {
    EXPECT_TRUE(alone.Look("p", {{.partition = 0, .records = round * 100'000}}).empty());
  }
}

}  // namespace
}  // namespace sightline::app
