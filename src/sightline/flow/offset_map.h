#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sightline/model/ids.h"

namespace sightline::flow {

// Where the records of one partition lie in a log that they were moved to: runs that lie together on both sides. Not thread-safe.
class OffsetMap {
 public:
  // `start`: the first offset that the old log still had; `begin`: where reading begins in the new one.
  explicit OffsetMap(Offset start = Offset(0), Offset begin = Offset(0)) : start_(start), begin_(begin) {}

  // The record at `from` lies at `to` now. Both rise from call to call.
  void Add(Offset from, Offset to);

  // Nothing when it was not moved: retention had removed it, or it was given up.
  std::optional<Offset> RecordAt(Offset from) const;
  // Where a reader goes on that stood at `position`: behind the last record before it.
  Offset PositionAt(Offset position) const;
  // Where something began. What the old log had lost of it is missing in the new one, too: it then lies before `begin`.
  Offset OriginAt(Offset origin) const { return origin < start_ ? Offset(0) : PositionAt(origin); }
  Offset start() const { return start_; }
  std::uint64_t records() const { return records_; }

 private:
  struct Run {
    Offset from;
    Offset to;
    std::int64_t count = 0;
  };
  // The last run that begins at or before `from`; null: none.
  const Run* RunAt(Offset from) const;

  Offset start_;
  Offset begin_;
  std::vector<Run> runs_;  // ascending
  std::uint64_t records_ = 0;
};

using OffsetMaps = std::map<TopicPartition, OffsetMap>;

// The name under which records of a topic are known from then on that were not moved: no other record is taken for them.
std::string GoneTopic(const std::string& topic);

}  // namespace sightline::flow
