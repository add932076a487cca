#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "sightline/base/bytes.h"
#include "sightline/flow/offset_map.h"
#include "sightline/model/ids.h"

namespace sightline::flow {

// A set of records by their place, kept as ranges: letters of a topic are mostly taken in a row. Not thread-safe.
class OffsetSet {
 public:
  // False if it is in already.
  bool Insert(const TopicPartition& partition, Offset offset);
  bool Contains(const TopicPartition& partition, Offset offset) const;
  std::uint64_t size() const { return size_; }
  // The set after its topics were moved to another log. What is no longer there stays in it, under GoneTopic.
  OffsetSet Moved(const OffsetMaps& maps) const;

  void Save(ByteWriter& out) const;
  // False when the bytes are no such set.
  bool Load(ByteReader& in);

 private:
  using Ranges = std::map<std::int64_t, std::int64_t>;  // begin -> end, none touching another
  std::map<TopicPartition, Ranges> sets_;
  std::uint64_t size_ = 0;
};

}  // namespace sightline::flow
