#include "sightline/bus/embedded/partition_log.h"

#include <algorithm>
#include <utility>

#include "sightline/base/bytes.h"
#include "sightline/base/text.h"

namespace sightline::bus {
namespace {

// Batches smaller than this are copied side by side and written at once.
constexpr std::size_t kJoinBelow = 64 << 10;
constexpr std::size_t kJoinedMax = 1 << 20;
// A clock that is set back by less than this does not make append times fall; by more, the earlier time was the mistake.
constexpr std::int64_t kClockBackMaxMs = 3'600'000;
constexpr std::string_view kFullDiskRemedy =
    "; make room on that disk or keep less (datasets.NAME.retain), then send it again: nothing that was accepted is lost";

}  // namespace

Result<std::unique_ptr<PartitionLog>> PartitionLog::Open(const runtime::Runtime& runtime, std::string directory, TopicPartition name,
                                                         const TopicSpec& spec, const LogLimits& limits) {
  const bool readers_see_unsynced = !spec.owned && spec.durability != Durability::kFsync;
  auto recovered = Recover(
      {.runtime = runtime, .directory = directory, .raise_when_unclean = readers_see_unsynced, .segment_bytes = spec.segment_bytes});
  if (!recovered) {
    return std::unexpected(std::move(recovered).error().In("topic " + name.topic + " partition " + std::to_string(name.partition.value)));
  }
  return std::unique_ptr<PartitionLog>(
      new PartitionLog(runtime, std::move(directory), std::move(name), spec, limits, std::move(*recovered)));
}

PartitionLog::PartitionLog(const runtime::Runtime& runtime, std::string directory, TopicPartition name, const TopicSpec& spec,
                           const LogLimits& limits, RecoveredLog recovered)
    : runtime_(runtime),
      directory_(std::move(directory)),
      name_(std::move(name)),
      spec_(spec),
      limits_(limits),
      segment_ids_(limits.segment_id_seed ^ Hash64(directory_)),
      state_(std::move(recovered.state)),
      segments_(std::move(recovered.segments)),
      retries_(std::move(recovered.retries)),
      orphans_(std::move(recovered.orphans)),
      recovery_(std::move(recovered.report)),
      end_(recovered.end),
      durable_(recovered.end),
      published_(recovered.published),
      last_append_(recovered.last_append) {
  start_ = segments_.empty() ? end_.value : segments_.front()->base().value;
  for (const SegmentPtr& segment : segments_) {
    if (segment->sealed() && !segment->described && recovery_.damages.empty()) {
      sidecars_.push_back({.segment = segment, .contents = SidecarContents(*segment, segment->end())});
    }
  }
  if (active() != nullptr) staged_position_ = active()->used();
  UpdateVisible();
}

std::string PartitionLog::Where() const { return "topic " + name_.topic + " partition " + std::to_string(name_.partition.value); }

Status PartitionLog::Failed() const {
  return Fail(ErrorKind::kIo, Where() + " takes nothing more until the program is started again: " + failure_);
}

void PartitionLog::Stop(std::string why) {
  if (std::exchange(failed_, true)) return;
  failure_ = std::move(why);
}

// A small limit by size means small segments, since only whole ones are removed.
std::uint64_t PartitionLog::SegmentBytes() const {
  constexpr std::uint64_t kSmallest = 4096;
  if (spec_.retain_bytes == 0) return std::max(spec_.segment_bytes, kSmallest);
  return std::max(std::min(spec_.segment_bytes, spec_.retain_bytes / 4), kSmallest);
}

AppendTime PartitionLog::NextAppendTime() const {
  const AppendTime now(runtime_.clock.Now().value);
  const bool set_back = now < last_append_ && last_append_ - now < kClockBackMaxMs;
  return set_back ? last_append_ : now;
}

void PartitionLog::Append(std::span<PendingAppend* const> group) {
  group_ = group;
  const AppendTime now = NextAppendTime();
  for (PendingAppend* append : group) {
    append->result = Appended{};
    append->result = Admit(*append, now);
  }
  static_cast<void>(WriteStaged());  // what it says stands in the results
  group_ = {};
  UpdateVisible();
}

Result<Appended> PartitionLog::Admit(PendingAppend& append, AppendTime now) {
  if (failed_) return std::unexpected(Failed().error());
  BatchHeader& header = append.batch.header;
  SL_ASSIGN_OR_RETURN(const std::optional<Appended> known, retries_.Find(header, now));
  if (known) return *known;
  SL_TRY(EnforceSize(header.size));
  if (active() == nullptr || staged_position_ + header.size > active()->capacity()) SL_TRY(Roll(header.size));
  header.segment_id = active()->name().id;
  header.position = staged_position_;
  header.base = end_;
  header.append_time = now;
  header.durable_upto = durable_;
  header.published_upto = published_;
  header.epoch = state_.epoch();
  StoreBatchHeader(header, append.batch.content_crc, append.batch.bytes.data());
  staged_.push_back(&append.batch);
  staged_position_ += header.size;
  end_ += header.count;
  retries_.Remember(header);
  return Appended{.base = header.base, .count = header.count};
}

Status PartitionLog::WriteStaged() {
  if (staged_.empty()) return {};
  Status written = runtime_.failpoints.Hit("bus.append.before_write");
  if (written) written = WriteBatches();
  while (!written && written.error().kind == ErrorKind::kResourceExhausted && spec_.when_full == WhenFull::kDrop) {
    if (!MakeRoomOnDisk()) break;
    written = WriteBatches();
  }
  if (written) written = runtime_.failpoints.Hit("bus.append.after_write");
  if (!written) {
    TakeBack(written.error());
    return written;
  }
  for (const EncodedBatch* batch : staged_) active()->Advance(batch->header);
  last_append_ = staged_.back()->header.append_time;
  staged_.clear();
  return {};
}

Status PartitionLog::WriteBatches() {
  joined_.clear();
  std::uint64_t joined_at = 0;
  const auto write_joined = [&]() -> Status {
    if (joined_.empty()) return {};
    SL_TRY(active()->Write(joined_at, joined_, limits_.disk_reserve_bytes));
    joined_.clear();
    return {};
  };
  for (const EncodedBatch* batch : staged_) {
    const bool alone = batch->bytes.size() >= kJoinBelow || staged_.size() == 1;
    if (alone || joined_.size() + batch->bytes.size() > kJoinedMax) SL_TRY(write_joined());
    if (alone) {
      SL_TRY(active()->Write(batch->header.position, batch->bytes, limits_.disk_reserve_bytes));
      continue;
    }
    if (joined_.empty()) joined_at = batch->header.position;
    joined_ += batch->bytes;
  }
  return write_joined();
}

// The staged batches did not make it: everything is as before them, and they are answered with the error.
void PartitionLog::TakeBack(const Error& error) {
  const Offset from = staged_.front()->header.base;
  staged_.clear();
  end_ = from;
  staged_position_ = active()->used();
  retries_.ForgetFrom(from);
  Error answer{error.kind, Where() + ": " + error.message};
  if (error.kind == ErrorKind::kResourceExhausted) {
    answer.message += kFullDiskRemedy;
    // Half a batch may stand behind the last whole one.
    if (auto cut = active()->Cut(active()->used()); !cut) Stop(cut.error().message);
  } else {
    answer.kind = ErrorKind::kIo;
    Stop(error.message);
  }
  for (PendingAppend* append : group_) {
    // Repeated ones among them pointed at batches that are no more.
    if (append->result && append->result->count > 0 && append->result->base >= from) append->result = std::unexpected(answer);
  }
}

Result<SegmentPtr> PartitionLog::CreateSegment(std::uint64_t needed) {
  const SegmentHeader header{.id = segment_ids_.Next(),
                             .base = end_,
                             .epoch = state_.epoch(),
                             .partition = name_.partition,
                             .created = runtime_.clock.Now(),
                             .topic_hash = Hash64(name_.topic)};
  const std::uint64_t capacity = std::max(SegmentBytes(), kSegmentHeaderSize + needed);
  return Segment::Create(runtime_.files, directory_, header, capacity, limits_.disk_reserve_bytes);
}

// A new segment that has room for `needed` bytes at least.
Status PartitionLog::Roll(std::uint64_t needed) {
  SL_TRY(WriteStaged());
  if (Segment* full = active(); full != nullptr) {
    if (full->used() > kSegmentHeaderSize) {
      SL_TRY(SealActive());
    } else {
      SL_TRY(runtime_.files.Remove(full->path()));  // empty, and too small for what comes
      segments_.pop_back();
    }
  }
  auto created = CreateSegment(needed);
  while (!created && created.error().kind == ErrorKind::kResourceExhausted && spec_.when_full == WhenFull::kDrop) {
    if (!MakeRoomOnDisk()) break;
    created = CreateSegment(needed);
  }
  if (!created) {
    Error error = std::move(created).error().In(Where());
    if (error.kind == ErrorKind::kResourceExhausted) {
      error.message += kFullDiskRemedy;
    } else {
      Stop(error.message);
    }
    return std::unexpected(std::move(error));
  }
  segments_.push_back(std::move(*created));
  staged_position_ = kSegmentHeaderSize;
  names_changed_ = true;
  return runtime_.failpoints.Hit("bus.segment.created");
}

Status PartitionLog::SealActive() {
  Segment& full = *active();
  if (auto cut = full.Cut(full.used()); !cut) {
    Stop(cut.error().message);
    return Failed();
  }
  sidecars_.push_back({.segment = segments_.back(), .contents = SidecarContents(full, end_)});
  newly_sealed_ = true;
  full.described = false;  // one of a clean close may be there, and says less
  full.Seal(end_);
  return {};
}

std::string PartitionLog::SidecarContents(const Segment& segment, Offset end) const {
  Sidecar sidecar{.segment = segment.name(),
                  .used = segment.used(),
                  .end = end,
                  .last_append = segment.last_append,
                  .epoch = segment.last_epoch,
                  .published = published_,
                  .index = segment.index,
                  .tags = retries_.TagsFrom(segment.base()),
                  .producers = {}};
  std::erase_if(sidecar.tags, [end](const RetryTable::Tag& tag) { return tag.base >= end; });
  ByteWriter producers(sidecar.producers);
  retries_.SaveProducers(producers);
  return sidecar.Encode();
}

std::optional<SyncTicket> PartitionLog::BeginSync() {
  SyncTicket ticket{.end = end_, .segments = {}, .names = names_changed_, .sidecars = {}};
  for (const SegmentPtr& segment : segments_) {
    if (std::exchange(segment->dirty, false)) ticket.segments.push_back(segment);
  }
  ticket.sidecars = std::exchange(sidecars_, {});
  names_changed_ = newly_sealed_ = false;
  if (ticket.segments.empty() && !ticket.names && ticket.sidecars.empty() && durable_ == end_) return std::nullopt;
  return ticket;
}

Status PartitionLog::RunSync(const SyncTicket& ticket) const {
  SL_TRY(runtime_.failpoints.Hit("bus.flush.before_sync"));
  for (const SegmentPtr& segment : ticket.segments) SL_TRY(segment->Sync());
  if (ticket.names) SL_TRY(runtime_.files.SyncDirectory(directory_));
  return runtime_.failpoints.Hit("bus.flush.after_sync");
}

Status PartitionLog::FinishSync(const SyncTicket& ticket, const Status& outcome) {
  if (!outcome) Stop(outcome.error().message);
  if (failed_) return Failed();
  durable_ = std::max(durable_, ticket.end);
  UpdateVisible();
  return {};
}

void PartitionLog::WriteSidecars(SyncTicket& ticket) const {
  for (SyncTicket::SidecarFile& sidecar : ticket.sidecars) {
    const std::string path = directory_ + "/" + sidecar.segment->name().SidecarFile();
    sidecar.written = runtime_.failpoints.Hit("bus.flush.before_sidecar").has_value() &&
                      runtime::WriteFileAtomically(runtime_.files, path, sidecar.contents).has_value();
  }
}

void PartitionLog::FinishSidecars(SyncTicket& ticket) {
  for (SyncTicket::SidecarFile& sidecar : ticket.sidecars) {
    sidecar.segment->described = sidecar.written;
    if (!sidecar.written) sidecars_.push_back(std::move(sidecar));
  }
}

Status PartitionLog::Sync() {
  if (failed_) return Failed();
  auto ticket = BeginSync();
  if (!ticket) return {};
  SL_TRY(FinishSync(*ticket, RunSync(*ticket)));
  WriteSidecars(*ticket);
  FinishSidecars(*ticket);
  return {};
}

void PartitionLog::UpdateVisible() {
  const Offset now = spec_.owned ? published_ : spec_.durability == Durability::kFsync ? durable_ : end_;
  visible_.store(std::max(visible_.load(std::memory_order_relaxed), now.value), std::memory_order_release);
}

Status PartitionLog::Close() {
  if (failed_) return Failed();
  SL_TRY(Sync());
  Segment* last = active();
  if (last == nullptr) return {};
  SL_TRY(last->Cut(last->used()));
  sidecars_.push_back({.segment = segments_.back(), .contents = SidecarContents(*last, end_)});
  return Sync();
}

std::int64_t PartitionLog::DueNs() const { return runtime_.clock.MonotonicNs() + std::chrono::nanoseconds(spec_.interval).count(); }

void PartitionLog::SetSpec(const TopicSpec& spec) {
  spec_ = spec;
  UpdateVisible();
}

TopicInfo::PartitionInfo PartitionLog::Describe() const {
  std::uint64_t bytes = 0;
  for (const SegmentPtr& segment : segments_) bytes += segment->used();
  return {.start = start(),
          .end = end_,
          .visible = visible(),
          .durable = durable_,
          .epoch = state_.epoch(),
          .bytes = bytes,
          .segments = static_cast<std::int32_t>(segments_.size()),
          .dropped = state_.dropped};
}

}  // namespace sightline::bus
