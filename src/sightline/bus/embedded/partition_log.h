#pragma once

#include <atomic>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sightline/bus/embedded/batch_codec.h"
#include "sightline/bus/embedded/recovery.h"
#include "sightline/runtime/random.h"

namespace sightline::bus {

// What holds for every partition of a log, beyond its topic's settings.
struct LogLimits {
  std::uint64_t batch_bytes_max = 64ULL << 20;
  // Room that the log leaves free on its disk, so that the rest of the machine, and our own clean-up, can go on.
  std::uint64_t disk_reserve_bytes = 0;
  std::uint64_t segment_id_seed = 0;  // another one each time the log is opened
};

// An append on its way into the log.
struct PendingAppend {
  EncodedBatch batch;
  Result<Appended> result;
};

// What one sync is about. Filled under the partition's lock, carried out without it.
struct SyncTicket {
  struct SidecarFile {
    SegmentPtr segment;
    std::string contents;
    bool written = false;
  };
  Offset end;  // durable when it succeeds
  std::vector<SegmentPtr> segments;
  bool names = false;  // files were made since the last one
  std::vector<SidecarFile> sidecars;
};

// Where a batch stands; for an offset that nobody can find because of damage, where the finding stopped.
struct LogPlace {
  SegmentPtr segment;
  std::uint64_t position = 0;
};

struct VerifyReport {
  std::uint64_t batches = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t repaired = 0;           // damaged places that repair made readers jump over
  std::vector<Damage> damages;
  std::vector<std::string> remarks;     // damaged headers of segments: no record is lost by them
};

// The log of one partition: appends, durability, truncation, retention. Does no more than it is told, from one thread at a
// time (visible() and start() may be read from any); LogPartition puts locks and threads around it, a simulation drives it
// step by step. Owns the partition's directory.
//
// Invariants: start <= published <= durable <= end for owned topics, start <= durable <= end for all; visible never goes
// back, and never passes what the topic's durability allows. After a failed sync or an I/O error the log takes nothing
// more until it is opened again: nobody knows what the disk holds.
class PartitionLog {
 public:
  static Result<std::unique_ptr<PartitionLog>> Open(const runtime::Runtime& runtime, std::string directory, TopicPartition name,
                                                    const TopicSpec& spec, const LogLimits& limits);
  PartitionLog(const PartitionLog&) = delete;
  PartitionLog& operator=(const PartitionLog&) = delete;

  // Appends each of the group, or says in its result why not, with as few writes as possible. What is appended is in the
  // page cache, and durable after the next sync.
  void Append(std::span<PendingAppend* const> group);

  // A sync in three steps: what there is to do, if anything; doing it, without touching the log; and what came out of it.
  std::optional<SyncTicket> BeginSync();
  Status RunSync(const SyncTicket& ticket) const;
  Status FinishSync(const SyncTicket& ticket, const Status& outcome);
  // Writes the sidecar files of segments that the sync made durable; those that fail are tried again with a later sync.
  void WriteSidecars(SyncTicket& ticket) const;
  void FinishSidecars(SyncTicket& ticket);
  // All of it.
  Status Sync();

  Status Publish(Offset end);
  Status TruncateTo(Offset end);

  // The smallest offset that somebody still needs, and who that is; nothing from there on is removed.
  void SetHold(Offset hold, std::string holder);
  // Removes whole segments that are too old or too much.
  Status Retain(WallTime now);
  void SetSpec(const TopicSpec& spec);
  // Makes everything durable and marks the log as closed in good order.
  Status Close();

  // For readers. kOutOfRange before the start and at the end.
  Result<LogPlace> Locate(Offset offset) const;
  std::optional<Skip> SkipAt(Offset offset) const;
  // kOutOfRange, saying what was lost, when a reader that was at `offset` in `epoch` cannot go on there.
  Status CheckPosition(Offset offset, std::optional<Epoch> epoch) const;

  // Reads everything below `end()` and checks it. `segments`: as taken by segments() under the lock.
  static Result<VerifyReport> Verify(std::span<const SegmentPtr> segments, Offset start, Offset end, std::span<const Skip> skips);
  // Makes readers jump over these from now on.
  Status SkipDamages(std::span<const Damage> damages);

  const TopicPartition& name() const { return name_; }
  const TopicSpec& spec() const { return spec_; }
  const RecoveryReport& recovery() const { return recovery_; }
  // Idempotency tags of the last 24 h, oldest first.
  std::vector<RetryTable::Tag> Requests() const { return retries_.TagsFrom(Offset(0)); }
  const std::deque<SegmentPtr>& segments() const { return segments_; }
  const PartitionState& state() const { return state_; }
  Offset start() const { return Offset(start_.load(std::memory_order_acquire)); }
  Offset visible() const { return Offset(visible_.load(std::memory_order_acquire)); }
  Offset end() const { return end_; }
  Offset durable() const { return durable_; }
  Offset published() const { return published_; }
  Epoch epoch() const { return state_.epoch(); }
  bool failed() const { return failed_; }
  // kIo when failed.
  Status CheckAlive() const { return failed_ ? Failed() : Status(); }
  // A sealed segment waits for its sidecar: sync soon, whatever the durability.
  bool wants_sync() const { return newly_sealed_; }
  // When, on the monotonic clock, an append made now is due to be synced by its topic's interval.
  std::int64_t DueNs() const;
  TopicInfo::PartitionInfo Describe() const;

 private:
  PartitionLog(const runtime::Runtime& runtime, std::string directory, TopicPartition name, const TopicSpec& spec, const LogLimits& limits,
               RecoveredLog recovered);

  Result<Appended> Admit(PendingAppend& append, AppendTime now);
  Status WriteStaged();
  Status WriteBatches();
  void TakeBack(const Error& error);
  Status Roll(std::uint64_t needed);
  Result<SegmentPtr> CreateSegment(std::uint64_t needed);
  Status SealActive();
  Status EnforceSize(std::uint64_t needed);
  Status MakeRoomOnDisk();
  Status RemoveFront(std::size_t count);
  Status RemoveFromEnd(Offset end);
  bool Removable(const Segment& segment, Offset hold) const;
  std::string SidecarContents(const Segment& segment, Offset end) const;
  void CleanOrphans(WallTime now);
  Result<bool> IsBoundary(Offset offset) const;
  Status Failed() const;
  void Stop(std::string why);
  void UpdateVisible();
  Segment* active() const { return segments_.empty() || segments_.back()->sealed() ? nullptr : segments_.back().get(); }
  std::uint64_t SegmentBytes() const;
  Offset Hold() const;
  AppendTime NextAppendTime() const;
  std::string Where() const;

  runtime::Runtime runtime_;
  std::string directory_;
  TopicPartition name_;
  TopicSpec spec_;
  LogLimits limits_;
  runtime::Random segment_ids_;
  PartitionState state_;
  std::deque<SegmentPtr> segments_;
  RetryTable retries_;
  std::vector<OrphanSidecar> orphans_;
  RecoveryReport recovery_;

  Offset end_;  // staged batches included
  Offset durable_;
  Offset published_;
  std::atomic<std::int64_t> start_{0};
  std::atomic<std::int64_t> visible_{0};
  AppendTime last_append_;
  Offset hold_{std::numeric_limits<std::int64_t>::max()};
  std::string holder_;

  std::span<PendingAppend* const> group_;  // while Append runs
  std::vector<EncodedBatch*> staged_;      // admitted, not written
  std::uint64_t staged_position_ = 0;      // where the next one goes
  std::string joined_;                     // small batches side by side
  std::vector<SyncTicket::SidecarFile> sidecars_;
  bool names_changed_ = false;
  bool newly_sealed_ = false;
  bool failed_ = false;
  std::string failure_;
};

}  // namespace sightline::bus
