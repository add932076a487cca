#pragma once

#include <cstdint>

#include "sightline/flow/plan.h"
#include "sightline/ops/log.h"
#include "sightline/runtime/clock.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::app {

// Removes old windows of each pipeline from the statistics store. How old a window is says event time: the newest window that the
// pipeline has, or the clock where that is earlier, so that neither a replay of an old file nor an event from far ahead empties the
// store. Called in turns; one thread; everything given must outlive it.
class StatisticsRetention {
 public:
  StatisticsRetention(stores::StatisticsStore& store, const flow::Plan& plan, const runtime::Clock& clock, ops::Log log)
      : store_(store), plan_(plan), clock_(clock), log_(std::move(log)) {}

  // Cheap until it is time. A failure is logged and tried again the next time.
  void Step();
  // Now: the number of rows removed. The first error, after trying all.
  Result<std::uint64_t> Apply();

 private:
  Result<std::uint64_t> ApplyTo(const flow::PipelinePlan& pipeline);

  stores::StatisticsStore& store_;
  const flow::Plan& plan_;
  const runtime::Clock& clock_;
  const ops::Log log_;
  std::int64_t next_ns_ = 0;
};

}  // namespace sightline::app
