#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "sightline/bus/embedded/consumer_groups.h"
#include "sightline/bus/embedded/flusher.h"
#include "sightline/bus/embedded/log_partition.h"
#include "sightline/bus/port.h"

namespace sightline::bus {

// The bus of one machine: a durable log below <data>/log, owned by one process. Thread-safe. Formats: docs/formats/log.md.
//
//   <data>/log/lock                               held by the owner
//   <data>/log/groups/<group>.offsets             positions of a consumer group
//   <data>/log/topics/<topic>/topic               its settings
//   <data>/log/topics/<topic>/<partition>/        segments (.log), their sidecars (.meta), `state`
class LogBus final : public Bus {
 public:
  // Who syncs what was appended.
  enum class Flushing : std::uint8_t {
    kThreads,  // threads of the bus, by group commit
    kManual,   // FlushOnce and MakeDurable alone: for step-driven simulation; AppendAndWait would wait for ever
    kInline,   // each append, before it returns: for programs of one thread
  };
  struct Options {
    Flushing flushing = Flushing::kThreads;
    // Threads that sync. A disk takes several syncs at a time, and partitions do not wait for each other.
    int flush_threads = 4;
    std::chrono::microseconds cohort_wait{200};
    // How often retention looks, in kThreads. Zero: only ApplyRetention.
    std::chrono::milliseconds retention_interval{10'000};
    std::uint64_t disk_reserve_bytes = 0;
    std::uint64_t batch_bytes_max = 64ULL << 20;
    // Appends of a partition that may wait to become durable; beyond, they are refused with kResourceExhausted.
    std::uint64_t pending_bytes_max = 64ULL << 20;
    // Zero: from the operating system. Segment ids come from it; another value each time a log is opened.
    std::uint64_t seed = 0;
  };
  struct Recovered {
    TopicPartition partition;
    RecoveryReport report;
  };

  // Opens all topics below `data`, recovering what a crash left. kFailedPrecondition when another process owns it;
  // kPermissionDenied when it cannot be written.
  static Result<std::unique_ptr<LogBus>> Open(const runtime::Runtime& runtime, const std::string& data, Options options);
  LogBus(const LogBus&) = delete;
  LogBus& operator=(const LogBus&) = delete;
  ~LogBus() override;

  Status EnsureTopic(const TopicSpec& spec) override;
  Result<std::vector<std::string>> Topics() override;
  Result<TopicInfo> Describe(const std::string& topic) override;
  void Append(const TopicPartition& to, const AppendBatch& batch, AppendDone done) override;
  Result<std::unique_ptr<Reader>> OpenReader(const TopicPartition& from, Offset at) override;
  Result<std::unique_ptr<OwnedPartition>> OpenOwned(const TopicPartition& partition) override;
  Status MakeDurable(const TopicPartition& partition, Offset end) override;
  Status CommitOffset(const std::string& group, const TopicPartition& partition, Offset offset) override;
  Result<std::optional<Offset>> CommittedOffset(const std::string& group, const TopicPartition& partition) override;
  Status DropGroup(const std::string& group) override;
  Result<std::shared_ptr<void>> Subscribe(const TopicPartition& partition, Waker waker) override;

  // Syncs every partition and answers its producers; how many were answered.
  std::size_t FlushOnce();
  // Removes what retention allows now, in every partition; the first error, after trying all.
  Status ApplyRetention(WallTime now);
  // Reads all of a topic and checks it, a report for each partition.
  Result<std::vector<VerifyReport>> Verify(const std::string& topic);
  // Makes the readers of one partition go on behind whatever is damaged; the records lost count as dropped.
  Result<VerifyReport> Repair(const TopicPartition& partition);
  // The requests that a partition remembers, so that one that is sent again is answered.
  Result<std::vector<RetryTable::Tag>> Requests(const TopicPartition& partition) const;
  // What opening the log found in each partition.
  const std::vector<Recovered>& recovered() const { return recovered_; }
  std::vector<std::string> Groups() const { return groups_->Names(); }
  std::map<TopicPartition, ConsumerGroups::Position> GroupPositions(const std::string& group) const { return groups_->PositionsOf(group); }
  // Answers what waits, makes everything durable and ends. Also done by the destructor; later calls do nothing.
  Status Close();

 private:
  struct Topic {
    TopicSpec spec;
    std::vector<std::shared_ptr<LogPartition>> partitions;
  };
  class Owned;

  LogBus(const runtime::Runtime& runtime, const std::string& data, const Options& options);
  Status Prepare(const std::string& data);
  Status OpenTopic(const TopicSpec& spec, bool fresh);
  std::vector<Result<std::unique_ptr<PartitionLog>>> OpenLogs(const TopicSpec& spec, const LogLimits& limits) const;
  Status UpdateTopic(Topic& topic, const TopicSpec& spec);
  Result<std::shared_ptr<LogPartition>> Find(const TopicPartition& partition) const;
  std::unexpected<Error> UnknownTopic(const std::string& name) const;
  std::vector<std::shared_ptr<LogPartition>> AllPartitions() const;
  void UpdateHold(LogPartition& partition);
  void RunRetention();
  std::string TopicDirectory(const std::string& topic) const { return topics_directory_ + "/" + topic; }

  runtime::Runtime runtime_;
  const Options options_;
  const std::string log_directory_;
  const std::string topics_directory_;
  std::unique_ptr<runtime::DirectoryLock> lock_;
  std::unique_ptr<ConsumerGroups> groups_;
  std::vector<Recovered> recovered_;
  std::mutex change_mutex_;  // one change of topics at a time
  std::mutex hold_mutex_;
  mutable std::shared_mutex topics_mutex_;
  std::map<std::string, Topic, std::less<>> topics_;
  std::vector<std::unique_ptr<Flusher>> flushers_;
  std::size_t next_flusher_ = 0;
  std::uint64_t seed_ = 0;

  std::thread retention_thread_;
  std::mutex closing_mutex_;
  std::condition_variable closing_wake_;
  bool closing_ = false;
};

}  // namespace sightline::bus
