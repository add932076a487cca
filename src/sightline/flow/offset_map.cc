#include "sightline/flow/offset_map.h"

#include <algorithm>

namespace sightline::flow {

void OffsetMap::Add(Offset from, Offset to) {
  ++records_;
  if (!runs_.empty()) {
    Run& last = runs_.back();
    if (last.from + last.count == from && last.to + last.count == to) {
      ++last.count;
      return;
    }
  }
  runs_.push_back({.from = from, .to = to, .count = 1});
}

const OffsetMap::Run* OffsetMap::RunAt(Offset from) const {
  const auto after = std::ranges::upper_bound(runs_, from, {}, &Run::from);
  return after == runs_.begin() ? nullptr : &*(after - 1);
}

std::optional<Offset> OffsetMap::RecordAt(Offset from) const {
  const Run* run = RunAt(from);
  if (run == nullptr || from - run->from >= run->count) return std::nullopt;
  return run->to + (from - run->from);
}

Offset OffsetMap::PositionAt(Offset position) const {
  const Run* run = RunAt(position - 1);
  if (run == nullptr) return begin_;
  return run->to + std::min(position - run->from, run->count);
}

std::string GoneTopic(const std::string& topic) { return topic + "@gone"; }

}  // namespace sightline::flow
