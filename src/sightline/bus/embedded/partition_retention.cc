// How a partition gives up data: retention, limits, truncation, repair; and how readers find what is left.
#include <algorithm>

#include "sightline/base/text.h"
#include "sightline/bus/embedded/partition_log.h"

namespace sightline::bus {
namespace {

std::string Count(std::int64_t records) { return std::to_string(records) + (records == 1 ? " record" : " records"); }

}  // namespace

void PartitionLog::SetHold(Offset hold, std::string holder) {
  hold_ = hold;
  holder_ = std::move(holder);
}

// What is not published yet is needed by its owner.
Offset PartitionLog::Hold() const { return spec_.owned ? std::min(hold_, published_) : hold_; }

bool PartitionLog::Removable(const Segment& segment, Offset hold) const {
  // A damaged log has segments that recovery could not describe; their tags are remembered as long as this program runs.
  const bool tags_kept = segment.described || retries_.empty() || !recovery_.damages.empty();
  return segment.sealed() && segment.end() <= hold && segment.end() <= durable_ && tags_kept;
}

Status PartitionLog::Retain(WallTime now) {
  if (failed_) return Failed();
  const auto expired = [&](const Segment& segment) {
    return spec_.retain_time.count() > 0 && segment.last_append.value + spec_.retain_time.count() <= now.value;
  };
  if (Segment* last = active(); last != nullptr && last->used() > kSegmentHeaderSize && expired(*last) && Hold() >= end_) {
    SL_TRY(SealActive());
    SL_TRY(Sync());
  }
  std::uint64_t bytes = 0;
  for (const SegmentPtr& segment : segments_) bytes += segment->used();
  std::size_t count = 0;
  for (const SegmentPtr& segment : segments_) {
    const bool too_much = spec_.retain_bytes > 0 && bytes > spec_.retain_bytes;
    if (!(too_much || expired(*segment)) || !Removable(*segment, Hold())) break;
    bytes -= segment->used();
    ++count;
  }
  if (count > 0) SL_TRY(RemoveFront(count));
  CleanOrphans(now);
  return {};
}

// Keeps the partition below its limit by size, before `needed` bytes more.
Status PartitionLog::EnforceSize(std::uint64_t needed) {
  if (spec_.retain_bytes == 0) return {};
  std::uint64_t bytes = needed + (active() != nullptr ? staged_position_ - active()->used() : 0);
  for (const SegmentPtr& segment : segments_) bytes += segment->used();
  while (bytes > spec_.retain_bytes && !segments_.empty()) {
    const Segment& front = *segments_.front();
    if (!front.sealed()) return {};  // a single segment: it becomes removable when the next one begins
    const bool held = front.end() > Hold();
    if (held && (spec_.when_full == WhenFull::kRefuse || spec_.owned)) {
      return Fail(ErrorKind::kResourceExhausted, Where() + " is full: it holds its " + FormatBytes(spec_.retain_bytes) + " and " +
                                                     (holder_.empty() ? "its owner" : holder_) + " still needs offset " +
                                                     std::to_string(Hold().value) +
                                                     " on; let it catch up, drop it, or raise the limit. Retry is safe");
    }
    if (!Removable(front, held ? front.end() : Hold())) return {};  // being written; the next append finds it done
    bytes -= front.used();
    SL_TRY(RemoveFront(1));
  }
  return {};
}

// With WhenFull::kDrop, the oldest segment makes way on a full disk.
Status PartitionLog::MakeRoomOnDisk() {
  if (segments_.empty() || spec_.owned || !segments_.front()->sealed() || segments_.front()->end() > durable_) {
    return Fail(ErrorKind::kResourceExhausted, Where() + " has nothing old enough to drop");
  }
  return RemoveFront(1);
}

// The decision is durable before a file goes, so that no crash brings half of the old log back.
Status PartitionLog::RemoveFront(std::size_t count) {
  PartitionState next = state_;
  for (std::size_t i = 0; i < count; ++i) {
    const Segment& segment = *segments_[i];
    if (segment.end() > Hold()) next.dropped += static_cast<std::uint64_t>(segment.end() - std::max(Hold(), segment.base()));
  }
  next.start = count < segments_.size() ? segments_[count]->base() : end_;
  std::erase_if(next.skips, [&](const Skip& skip) { return skip.to <= next.start; });
  SL_TRY(runtime_.failpoints.Hit("bus.state.before_write"));
  Status saved = next.Save(runtime_.files, directory_);
  if (!saved && saved.error().kind == ErrorKind::kResourceExhausted) {
    // No room even for the decision. Without its first segment the log begins at the next one all the same.
    SL_TRY(runtime_.files.Remove(segments_.front()->path()));
    saved = next.Save(runtime_.files, directory_);
  }
  SL_TRY(saved);
  state_ = std::move(next);
  start_.store(state_.start.value, std::memory_order_release);
  SL_TRY(runtime_.failpoints.Hit("bus.retention.before_remove"));
  for (; count > 0; --count) {
    const SegmentPtr segment = segments_.front();
    segments_.pop_front();
    std::erase_if(sidecars_, [&](const SyncTicket::SidecarFile& sidecar) { return sidecar.segment == segment; });
    SL_TRY(runtime_.files.Remove(segment->path()));
    if (!segment->described) continue;
    // Its tags are kept for their 24 h; no tag in it is newer than its last batch.
    orphans_.push_back({.path = directory_ + "/" + segment->name().SidecarFile(), .newest = segment->last_append});
  }
  return {};
}

void PartitionLog::CleanOrphans(WallTime now) {
  // The newest sidecar knows the producers until a later one is written.
  const bool later = std::ranges::any_of(segments_, [](const SegmentPtr& segment) { return segment->described; });
  const std::int64_t kept_since = now.value - std::chrono::milliseconds(RetryTable::kTagsKept).count();
  for (std::size_t i = 0; i < orphans_.size();) {
    const bool newest = i + 1 == orphans_.size() && !later;
    // A file that cannot be removed now is found again at the next start.
    if (newest || orphans_[i].newest.value > kept_since || !runtime_.files.Remove(orphans_[i].path)) {
      ++i;
    } else {
      orphans_.erase(orphans_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

Result<bool> PartitionLog::IsBoundary(Offset offset) const {
  if (offset == end_ || offset == start()) return true;
  SL_ASSIGN_OR_RETURN(const LogPlace place, Locate(offset));
  SL_ASSIGN_OR_RETURN(const std::string_view view, place.segment->View());
  const auto header = LoadBatchHeader(view.substr(place.position, place.segment->used() - place.position));
  return header && header->base == offset;
}

Status PartitionLog::Publish(Offset end) {
  if (end < published_ || end > durable_) {
    return Fail(ErrorKind::kOutOfRange, Where() + " cannot be published up to " + std::to_string(end.value) + ": it is up to " +
                                            std::to_string(published_.value) + " and durable up to " + std::to_string(durable_.value));
  }
  SL_ASSIGN_OR_RETURN(const bool boundary, IsBoundary(end));
  if (!boundary) return Fail(ErrorKind::kInvalidArgument, Where() + ": offset " + std::to_string(end.value) + " lies inside a batch");
  published_ = end;
  UpdateVisible();
  return {};
}

Status PartitionLog::TruncateTo(Offset end) {
  if (end == end_) return {};
  if (end > end_) {
    return Fail(ErrorKind::kOutOfRange, Where() + " ends at " + std::to_string(end_.value) + ", and its owner committed up to " +
                                            std::to_string(end.value) + ": " + Count(end - end_) +
                                            " were lost by the disk; restore the partition from a copy");
  }
  if (end < published_ || end < start()) {
    return Fail(ErrorKind::kInvalidArgument,
                Where() + " is published up to " + std::to_string(published_.value) + " and cannot be cut at " + std::to_string(end.value));
  }
  SL_TRY(Sync());
  SL_ASSIGN_OR_RETURN(const bool boundary, IsBoundary(end));
  if (!boundary) return Fail(ErrorKind::kInvalidArgument, Where() + ": offset " + std::to_string(end.value) + " lies inside a batch");
  PartitionState next = state_;
  next.RaiseEpoch(end);
  SL_TRY(runtime_.failpoints.Hit("bus.state.before_write"));
  SL_TRY(next.Save(runtime_.files, directory_));
  state_ = std::move(next);
  SL_TRY(runtime_.failpoints.Hit("bus.truncate.before_cut"));
  if (auto removed = RemoveFromEnd(end); !removed) {
    Stop(removed.error().message);
    return Failed();
  }
  retries_.ForgetFrom(end);
  end_ = durable_ = end;
  return Sync();
}

// In an order in which a crash at any point leaves a log that recovery reads as shorter or longer, never as damaged: what
// promises more than there is goes first.
Status PartitionLog::RemoveFromEnd(Offset end) {
  const auto keeps = [&](const SegmentPtr& segment) { return segment->base() < end; };
  sidecars_.clear();
  for (const SegmentPtr& segment : segments_) {
    if (segment->sealed() && segment->end() <= end) continue;
    SL_TRY(runtime_.files.Remove(directory_ + "/" + segment->name().SidecarFile()));
    segment->described = false;
  }
  SL_TRY(runtime_.files.SyncDirectory(directory_));
  while (!segments_.empty() && !keeps(segments_.back())) {
    SL_TRY(runtime_.files.Remove(segments_.back()->path()));
    segments_.pop_back();
    SL_TRY(runtime_.files.SyncDirectory(directory_));
  }
  if (segments_.empty()) return {};
  Segment& last = *segments_.back();
  if (last.sealed() && last.end() <= end) return {};
  SL_ASSIGN_OR_RETURN(const LogPlace place, Locate(end));
  SL_TRY(last.Cut(place.position));
  // Readers may hold it with its old size: what comes next goes into a new segment.
  last.Seal(end);
  SL_TRY(last.Sync());
  last.dirty = false;
  for (const SegmentPtr& segment : segments_) {
    if (!segment->described) sidecars_.push_back({.segment = segment, .contents = SidecarContents(*segment, segment->end())});
  }
  return {};
}

std::optional<Skip> PartitionLog::SkipAt(Offset offset) const {
  for (const Skip& skip : state_.skips) {
    if (skip.from <= offset && offset < skip.to) return skip;
  }
  return std::nullopt;
}

Status PartitionLog::CheckPosition(Offset offset, std::optional<Epoch> epoch) const {
  if (offset < start()) {
    return Fail(ErrorKind::kOutOfRange, Where() + " begins at offset " + std::to_string(start().value) + ": " + Count(start() - offset) +
                                            " from offset " + std::to_string(offset.value) + " on were removed by retention");
  }
  if (epoch && *epoch > state_.epoch()) {
    return Fail(ErrorKind::kOutOfRange, Where() + " is in epoch " + std::to_string(state_.epoch().value) + ", and epoch " +
                                            std::to_string(epoch->value) + " was asked for: this is another or an older log");
  }
  if (epoch) {
    const auto newer = std::ranges::find_if(state_.epochs, [&](const EpochStart& start_of) { return start_of.epoch > *epoch; });
    if (newer != state_.epochs.end() && offset > newer->from) {
      return Fail(ErrorKind::kOutOfRange, Where() + " was cut at offset " + std::to_string(newer->from.value) + " in epoch " +
                                              std::to_string(newer->epoch.value) + ": " + Count(offset - newer->from) + " before offset " +
                                              std::to_string(offset.value) + ", read in epoch " + std::to_string(epoch->value) +
                                              ", are lost");
    }
  }
  if (offset > std::max(end_, visible())) {
    return Fail(ErrorKind::kOutOfRange, Where() + " ends at offset " + std::to_string(end_.value) + ": " + Count(offset - end_) +
                                            " before offset " + std::to_string(offset.value) + " are lost or never were");
  }
  return {};
}

Result<LogPlace> PartitionLog::Locate(Offset offset) const {
  SL_TRY(CheckPosition(offset, std::nullopt));
  if (offset >= end_) return Fail(ErrorKind::kOutOfRange, Where() + " has nothing at offset " + std::to_string(offset.value));
  const auto after = std::ranges::upper_bound(segments_, offset, {}, [](const SegmentPtr& segment) { return segment->base(); });
  SegmentPtr segment = *std::prev(after);
  SL_ASSIGN_OR_RETURN(std::string_view view, segment->View());
  const auto entry = std::ranges::upper_bound(segment->index, offset, {}, &Segment::IndexEntry::base);
  std::uint64_t position = std::prev(entry)->position;
  Offset next = std::prev(entry)->base;
  while (true) {
    // With its checksum: a damaged size would lead anywhere.
    const auto header = BatchAt(view.substr(0, segment->used()), segment->name().id, position);
    const bool whole = header && header->base == next;
    if (whole && offset < header->end()) return LogPlace{.segment = segment, .position = position};
    if (whole) {
      position += header->size;
      next = header->end();
      continue;
    }
    const auto skip = SkipAt(next);
    if (!skip) {
      // Damaged. What comes behind it can be read all the same.
      const auto onward = FindBatch(view.substr(0, segment->used()), segment->name().id, position + 1);
      if (!onward || onward->base > offset || onward->base < next) return LogPlace{.segment = segment, .position = position};
      position = onward->position;
      next = onward->base;
      continue;
    }
    if (skip->to > offset) return LogPlace{.segment = segment, .position = position};
    next = skip->to;
    position = skip->position;
    if (skip->segment == segment->base()) continue;
    const auto target = std::ranges::find(segments_, skip->segment, [](const SegmentPtr& s) { return s->base(); });
    if (target == segments_.end()) return LogPlace{.segment = segment, .position = position};
    segment = *target;
    SL_ASSIGN_OR_RETURN(view, segment->View());
  }
}

Status PartitionLog::SkipDamages(std::span<const Damage> damages) {
  PartitionState next = state_;
  for (const Damage& damage : damages) {
    if (damage.to <= start() || SkipAt(damage.from)) continue;
    next.skips.push_back(damage.around);
    next.dropped += static_cast<std::uint64_t>(damage.to - damage.from);
  }
  std::ranges::sort(next.skips, {}, &Skip::from);
  SL_TRY(next.Save(runtime_.files, directory_));
  state_ = std::move(next);
  recovery_.damages.clear();
  return {};
}

}  // namespace sightline::bus
