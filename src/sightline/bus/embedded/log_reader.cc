#include "sightline/bus/embedded/log_reader.h"

#include <algorithm>

namespace sightline::bus {

Status LogReader::Seek(Offset offset, std::optional<Epoch> epoch) {
  SL_TRY(partition_->CheckPosition(offset, epoch));
  next_ = offset;
  segment_ = nullptr;
  return {};
}

Status LogReader::FindPlace() {
  SL_TRY(partition_->CheckPosition(next_, std::nullopt));
  SL_ASSIGN_OR_RETURN(LogPlace place, partition_->Locate(next_));
  segment_ = std::move(place.segment);
  position_ = place.position;
  SL_ASSIGN_OR_RETURN(view_, segment_->View());
  return {};
}

// The batch that should hold `next_` is not there: goes on behind it, if repair said so.
Result<bool> LogReader::JumpDamage() {
  const auto skip = partition_->SkipAt(next_);
  if (!skip) return false;
  next_ = skip->to;
  segment_ = nullptr;
  return true;
}

Result<std::optional<Batch>> LogReader::Next() {
  while (true) {
    const Offset visible = partition_->visible();
    if (next_ >= visible) return std::nullopt;
    if (segment_ == nullptr || (segment_->sealed() && position_ >= segment_->used())) SL_TRY(FindPlace());
    const std::uint64_t used = segment_->used();
    const auto header = BatchAt(view_.substr(0, used), segment_->name().id, std::min(position_, used));
    if (header && header->base <= next_ && next_ < header->end() &&
        decoder_.Decode(*header, view_.substr(position_ + kBatchHeaderSize, header->content_size()))) {
      return Present(*header, visible);
    }
    SL_ASSIGN_OR_RETURN(const bool jumped, JumpDamage());
    if (jumped) continue;
    const std::string topic = partition_->name().topic;
    const std::string number = std::to_string(partition_->name().partition.value);
    const std::string path = segment_->path();
    segment_ = nullptr;  // after a repair, the next call looks anew
    return Fail(ErrorKind::kCorruption, "topic " + topic + " partition " + number + " is damaged at offset " + std::to_string(next_.value) +
                                            ", byte " + std::to_string(position_) + " of " + path + "; `sightline topic verify " + topic +
                                            "` says how much is lost, `sightline topic " + "repair " + topic + " --partition " + number +
                                            "` makes readers go on behind it");
  }
}

Batch LogReader::Present(const BatchHeader& header, Offset visible) {
  const auto skipped = static_cast<std::size_t>(next_ - header.base);
  const Offset end = std::min(header.end(), visible);
  const auto count = static_cast<std::size_t>(end - next_);
  Batch batch{.type = header.type,
              .encoding = header.encoding,
              .base = next_,
              .append_time = header.append_time,
              .values = decoder_.values().subspan(skipped, count),
              .keys = {}};
  if (header.has_keys()) batch.keys = decoder_.keys().subspan(skipped, count);
  next_ = end;
  if (end == header.end()) position_ += header.size;
  return batch;
}

}  // namespace sightline::bus
