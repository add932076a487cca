#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "sightline/model/column_batch.h"
#include "sightline/model/result.h"

namespace sightline {

// Messages a second that one client may ask for; beyond it there is only "every change".
inline constexpr std::int64_t kLiveRateMax = 100;

// One group of a window as it stands now, on its way to the live board. It replaces the former state of the same window and
// key as a unit. Row `begin` of `rows` must exist and hold the group's key columns even when the group has become empty
// (begin == end), which removes it from the board. A window that becomes final with no row of a group that it may have shown is published
// so once more, still as open: the results do not name the group.
struct LiveGroup {
  ResultHeader header;                // state kOpen for a window that still takes events
  const ColumnBatch* rows = nullptr;  // columns of ResultShape::schema; names from references attached already
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Takes results to people who watch. Publish copies what it needs before it returns, never waits for a client and never
// fails. Thread-safe: every worker of flow calls it after a micro-batch with the groups that changed, in the order of their
// changes; one group is always published by the same worker. An open group that arrives after the final one of its window is
// ignored, so that open windows (from flow) and final ones (from the results topic) may come by different ways.
class LiveSink {
 public:
  virtual ~LiveSink() = default;
  virtual void Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) = 0;
};

}  // namespace sightline
