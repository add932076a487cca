#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sightline/base/strong.h"

namespace sightline {

// Position of a record in one partition of a topic: ascending, and in the embedded log without gaps: 0, 1, 2 …
using Offset = Strong<struct OffsetTag>;
// A partition's number within its topic.
using Partition = Strong<struct PartitionTag, std::int32_t>;
// Raised by each truncation of a partition: an offset is only meaningful with the epoch it was read in.
using Epoch = Strong<struct EpochTag, std::int32_t>;

struct TopicPartition {
  std::string topic;
  Partition partition;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

}  // namespace sightline

template <>
struct std::hash<sightline::TopicPartition> {
  std::size_t operator()(const sightline::TopicPartition& tp) const noexcept {
    return std::hash<std::string>{}(tp.topic) * 31 + static_cast<std::size_t>(tp.partition.value);
  }
};
