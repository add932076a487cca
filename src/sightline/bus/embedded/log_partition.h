#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "sightline/bus/embedded/partition_log.h"

namespace sightline::bus {

class Flusher;

// Calls the wakers of one partition. Thread-safe.
class WakerList {
 public:
  // The waker stays until the returned object is gone; when its destructor has returned, no call is under way.
  std::shared_ptr<void> Add(Waker waker);
  void WakeAll();

 private:
  struct Entry {
    std::mutex mutex;
    Waker waker;
  };
  std::mutex mutex_;
  std::vector<std::weak_ptr<Entry>> entries_;
};

// A PartitionLog for many threads. Appends of several producers that meet are written together by the one that came first;
// a sync answers all that were written before it. No lock is held while a file is written to disk or an answer is given.
//
// Locks, in the order in which they may be taken: cut (no truncation under a verification), sync (one at a time), log, queue.
class LogPartition {
 public:
  // `flusher`: null when syncs come from outside (Flush), or with `sync_each`, within each append.
  LogPartition(std::unique_ptr<PartitionLog> log, Flusher* flusher, bool sync_each, const LogLimits& limits,
               std::uint64_t pending_bytes_max);
  LogPartition(const LogPartition&) = delete;
  LogPartition& operator=(const LogPartition&) = delete;

  void Append(const AppendBatch& batch, Bus::AppendDone done);
  // Writes what waits, syncs, answers. How many appends were answered.
  std::size_t Flush();
  Status MakeDurable(Offset end);

  bool is_owned_topic() const { return owned_topic_; }
  // For the single owner of an owned partition.
  bool Own() { return !owned_.exchange(true); }
  void Disown() { owned_ = false; }
  Result<Appended> AppendOwned(const AppendBatch& batch);
  Status Publish(Offset end);
  Status TruncateTo(Offset end);

  void SetHold(Offset hold, std::string holder);
  void SetSpec(const TopicSpec& spec);
  Status Retain(WallTime now);
  Result<VerifyReport> Verify();
  // Makes readers jump over every damage there is; says which.
  Result<VerifyReport> Repair();
  // Nothing is appended afterwards.
  Status Close();

  Offset start() const { return log_->start(); }
  Offset visible() const { return log_->visible(); }
  Offset end() const;
  Epoch epoch() const;
  TopicInfo::PartitionInfo Describe() const;
  const TopicPartition& name() const { return log_->name(); }
  RecoveryReport recovery() const;
  std::vector<RetryTable::Tag> Requests() const;
  Result<LogPlace> Locate(Offset offset) const;
  std::optional<Skip> SkipAt(Offset offset) const;
  Status CheckPosition(Offset offset, std::optional<Epoch> epoch) const;
  std::shared_ptr<void> Subscribe(Waker waker) { return wakers_.Add(std::move(waker)); }

  // For the flusher: when, on the monotonic clock, the oldest unsynced append of an interval topic has waited long enough;
  // 0 when there is none.
  std::int64_t flush_due_ns() const { return flush_due_ns_; }

 private:
  struct Waiting {
    PendingAppend append;
    Bus::AppendDone done;
  };
  struct Answer {
    Bus::AppendDone done;
    Result<Appended> result;
  };
  struct Unsynced {
    Offset end;
    std::uint64_t bytes = 0;
    Answer answer;
  };

  void WriteQueue();
  void WriteGroup(std::vector<std::unique_ptr<Waiting>> group);
  Status SyncLog(std::vector<Answer>& answers);
  void CollectAnswers(std::vector<Answer>& answers);
  void Give(std::vector<Answer>& answers);
  void ReleaseBytes(std::uint64_t bytes);
  void WakeIfNew();

  const std::unique_ptr<PartitionLog> log_;
  Flusher* const flusher_;
  const bool sync_each_;
  const bool owned_topic_;
  const std::uint64_t batch_bytes_max_;
  const std::uint64_t pending_bytes_max_;
  std::atomic<Compression> compression_;
  std::atomic<bool> owned_{false};
  std::atomic<std::int64_t> flush_due_ns_{0};
  std::atomic<std::int64_t> woken_at_{0};
  WakerList wakers_;

  std::shared_mutex cut_mutex_;
  std::mutex sync_mutex_;
  mutable std::mutex log_mutex_;  // guards log_ and unsynced_
  std::deque<Unsynced> unsynced_;

  std::mutex queue_mutex_;  // guards the rest
  std::vector<std::unique_ptr<Waiting>> queue_;
  std::uint64_t pending_bytes_ = 0;
  bool writing_ = false;  // a thread is in WriteQueue
  std::condition_variable queue_idle_;
  bool closed_ = false;
};

}  // namespace sightline::bus
