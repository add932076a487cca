#include "apps/sightline/server/statistics_retention.h"

#include <algorithm>

namespace sightline::app {
namespace {

constexpr std::int64_t kBetweenNs = 300'000'000'000;

}  // namespace

void StatisticsRetention::Step() {
  const std::int64_t now_ns = clock_.MonotonicNs();
  if (now_ns < next_ns_) return;
  next_ns_ = now_ns + kBetweenNs;
  if (const auto removed = Apply(); !removed)
    log_.Warning("old results can't be removed; tried again later", {{"error", removed.error().message}});
}

Result<std::uint64_t> StatisticsRetention::Apply() {
  std::uint64_t removed = 0;
  Status first;
  for (const flow::PipelinePlan& pipeline : plan_.pipelines) {
    if (!pipeline.to_statistics || pipeline.retain.statistics.count() == 0) continue;
    const Result<std::uint64_t> rows = ApplyTo(pipeline);
    if (!rows && first) first = std::unexpected(rows.error());
    if (!rows || *rows == 0) continue;
    removed += *rows;
    log_.Info("old results removed", {{"pipeline", pipeline.name}, {"rows", *rows}});
  }
  SL_TRY(first);
  return removed;
}

Result<std::uint64_t> StatisticsRetention::ApplyTo(const flow::PipelinePlan& pipeline) {
  stores::RowQuery newest;
  newest.pipeline = pipeline.name;
  newest.columns = {"window_end"};
  newest.order = stores::RowQuery::Order::kDescending;
  newest.limit = 1;
  SL_ASSIGN_OR_RETURN(const auto stream, store_.Select(newest));
  ColumnBatch row;
  SL_ASSIGN_OR_RETURN(const bool any, stream->Next(row));
  if (!any || row.rows == 0) return std::uint64_t{0};
  const std::int64_t reached = std::min(row.columns[0].int64s[0], clock_.Now().value);
  return store_.DeleteBefore(pipeline.name, EventTime(reached - pipeline.retain.statistics.count()));
}

}  // namespace sightline::app
