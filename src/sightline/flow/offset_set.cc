#include "sightline/flow/offset_set.h"

#include <iterator>

namespace sightline::flow {

bool OffsetSet::Contains(const TopicPartition& partition, Offset offset) const {
  const auto set = sets_.find(partition);
  if (set == sets_.end()) return false;
  const auto after = set->second.upper_bound(offset.value);
  return after != set->second.begin() && std::prev(after)->second > offset.value;
}

bool OffsetSet::Insert(const TopicPartition& partition, Offset offset) {
  if (Contains(partition, offset)) return false;
  Ranges& ranges = sets_[partition];
  std::int64_t begin = offset.value;
  std::int64_t end = begin + 1;
  const auto after = ranges.upper_bound(begin);
  if (after != ranges.begin() && std::prev(after)->second == begin) {
    begin = std::prev(after)->first;
    ranges.erase(std::prev(after));
  }
  if (const auto next = ranges.find(end); next != ranges.end()) {
    end = next->second;
    ranges.erase(next);
  }
  ranges[begin] = end;
  ++size_;
  return true;
}

OffsetSet OffsetSet::Moved(const OffsetMaps& maps) const {
  OffsetSet moved;
  for (const auto& [partition, ranges] : sets_) {
    const auto map = maps.find(partition);
    const TopicPartition gone{GoneTopic(partition.topic), partition.partition};
    for (const auto& [begin, end] : ranges) {
      for (Offset offset(begin); offset.value < end; offset += 1) {
        const std::optional<Offset> there = map == maps.end() ? std::nullopt : map->second.RecordAt(offset);
        moved.Insert(there ? partition : gone, there.value_or(offset));
      }
    }
  }
  return moved;
}

void OffsetSet::Save(ByteWriter& out) const {
  out.PutVarint(sets_.size());
  for (const auto& [partition, ranges] : sets_) {
    out.PutString(partition.topic);
    out.Put(partition.partition.value);
    out.PutVarint(ranges.size());
    for (const auto& [begin, end] : ranges) {
      out.Put(begin);
      out.Put(end);
    }
  }
}

bool OffsetSet::Load(ByteReader& in) {
  sets_.clear();
  size_ = 0;
  const std::uint64_t sets = in.GetVarint();
  for (std::uint64_t s = 0; s < sets && in.ok(); ++s) {
    const std::string topic(in.GetString());
    Ranges& ranges = sets_[{topic, Partition(in.Get<std::int32_t>())}];
    const std::uint64_t count = in.GetVarint();
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
      const auto begin = in.Get<std::int64_t>();
      const auto end = in.Get<std::int64_t>();
      if (begin < 0 || end <= begin) return false;
      ranges[begin] = end;
      size_ += static_cast<std::uint64_t>(end - begin);
    }
  }
  return in.ok();
}

}  // namespace sightline::flow
