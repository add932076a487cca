#include "apps/sightline/server/hot_partitions.h"

#include <algorithm>

namespace sightline::app {
namespace {

constexpr std::int64_t kRecordsMin = 10'000;  // less is read within milliseconds
constexpr std::int64_t kTimesOthers = 10;
constexpr int kGrowingLooks = 3;

}  // namespace

std::vector<HotPartitions::Change> HotPartitions::Look(const std::string& pipeline, const std::vector<Lag>& lags) {
  std::vector<Change> changes;
  if (lags.empty()) return changes;
  std::vector<std::int64_t> sorted;
  for (const Lag& lag : lags) sorted.push_back(lag.records);
  std::ranges::sort(sorted);
  const std::int64_t others = sorted[(sorted.size() - 1) / 2];
  const std::lock_guard lock(mutex_);
  for (const Lag& lag : lags) {
    Seen& seen = seen_[{pipeline, lag.partition}];
    seen.grown = lag.records > seen.records ? seen.grown + 1 : 0;
    seen.records = lag.records;
    const bool alone = lags.size() > 1 && lag.records >= kRecordsMin && lag.records / kTimesOthers >= others;
    const bool hot = alone && (seen.hot || seen.grown >= kGrowingLooks);
    if (hot != seen.hot) changes.push_back({.lag = lag, .hot = hot, .others_records = others});
    seen.hot = hot;
  }
  return changes;
}

bool HotPartitions::Hot(const std::string& pipeline, std::int32_t partition) const {
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find({pipeline, partition});
  return found != seen_.end() && found->second.hot;
}

}  // namespace sightline::app
