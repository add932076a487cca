// Reading a whole partition and checking every byte of it.
#include <algorithm>

#include "sightline/bus/embedded/partition_log.h"

namespace sightline::bus {
namespace {

class Verification {
 public:
  Verification(std::span<const SegmentPtr> segments, Offset start, Offset end, std::span<const Skip> skips)
      : segments_(segments), end_(end), next_(start), skips_(skips) {}

  Result<VerifyReport> Run() {
    for (current_ = 0; current_ < segments_.size() && next_ < end_; ++current_) {
      const Segment& segment = *segments_[current_];
      position_ = kSegmentHeaderSize;
      if (segment.base() < next_) continue;  // a damage reached over it
      SL_ASSIGN_OR_RETURN(view_, segments_[current_]->View());
      if (const auto header = LoadSegmentHeader(view_); !header || header->id != segment.name().id) {
        report_.remarks.push_back(segment.path() + ": the segment's header is damaged; no record is lost by that");
      }
      if (segment.base() > next_) Broken(segment.base(), segment.base(), kSegmentHeaderSize);
      ReadSegment(segment);
    }
    if (next_ < end_) Broken(end_, end_, kSegmentHeaderSize);
    return std::move(report_);
  }

 private:
  void ReadSegment(const Segment& segment) {
    const std::uint64_t used = segment.used();
    const std::string_view bytes = view_.substr(0, used);
    report_.bytes += used;
    while (position_ < used && next_ < end_) {
      const auto batch = BatchAt(bytes, segment.name().id, position_);
      if (batch && batch->base == next_) {
        const std::string_view content = bytes.substr(position_ + kBatchHeaderSize, batch->content_size());
        if (!decoder_.Decode(*batch, content)) {
          Broken(batch->end(), segment.base(), position_ + batch->size);
        } else {
          ++report_.batches;
          report_.records += batch->count;
          next_ = batch->end();
        }
        position_ += batch->size;
        continue;
      }
      auto onward = FindBatch(bytes, segment.name().id, position_);
      while (onward && onward->base < next_) onward = FindBatch(bytes, segment.name().id, onward->position + 1);
      if (!onward) return BrokenToTheEnd(segment);
      Broken(onward->base, segment.base(), onward->position);
      position_ = onward->position;
    }
    if (segment.sealed() && next_ < std::min(segment.end(), end_)) BrokenToTheEnd(segment);
  }

  // The records up to the next segment are lost.
  void BrokenToTheEnd(const Segment& segment) {
    const bool last = current_ + 1 == segments_.size();
    const Offset to = last ? end_ : std::max(segments_[current_ + 1]->base(), segment.base());
    if (to > next_) Broken(to, to, kSegmentHeaderSize);
  }

  void Broken(Offset to, Offset segment, std::uint64_t position) {
    const Skip around{.from = next_, .to = to, .segment = segment, .position = position};
    const bool known = std::ranges::any_of(skips_, [&](const Skip& skip) { return skip.from <= next_ && to <= skip.to; });
    if (known) {
      ++report_.repaired;
    } else {
      const std::size_t at = std::min(current_, segments_.size() - 1);
      report_.damages.push_back({.from = next_, .to = to, .file = segments_[at]->path(), .position = position_, .around = around});
    }
    next_ = to;
  }

  std::span<const SegmentPtr> segments_;
  Offset end_;
  Offset next_;
  std::span<const Skip> skips_;
  std::size_t current_ = 0;
  std::string_view view_;
  std::uint64_t position_ = kSegmentHeaderSize;
  BatchDecoder decoder_;
  VerifyReport report_;
};

}  // namespace

Result<VerifyReport> PartitionLog::Verify(std::span<const SegmentPtr> segments, Offset start, Offset end, std::span<const Skip> skips) {
  if (segments.empty()) return VerifyReport{};
  return Verification(segments, start, end, skips).Run();
}

}  // namespace sightline::bus
