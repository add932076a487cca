#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "connectors/kafka/gate_worker.h"
#include "connectors/kafka/group_consumer.h"
#include "connectors/kafka/patient_registry.h"
#include "connectors/kafka/transaction.h"

namespace sightline::kafka {

// What a gate's worker and its sessions, one after the other, have in common.
struct GateShared {
  GateShared(KafkaBus& its_bus, const runtime::Clock& its_clock, GateDataset its_dataset, GateOptions its_options, ops::Log its_log)
      : bus(its_bus),
        clock(its_clock),
        dataset(std::move(its_dataset)),
        options(std::move(its_options)),
        log(std::move(its_log)),
        registry(dataset.judge.schemas, dataset.admit, options.retry_wait) {}

  std::string group() const { return bus.FullName("gate." + dataset.name); }
  // Waits until records came, something was asked of the worker, or the time is up.
  void Wait(std::chrono::milliseconds time);
  void Wake();

  KafkaBus& bus;
  const runtime::Clock& clock;
  const GateDataset dataset;
  const GateOptions options;
  const ops::Log log;
  PatientRegistry registry;
  std::optional<gate::RecordJudge> judge;
  // Where partitions begin whose next records retention has removed.
  std::map<TopicPartition, Offset> restarts;

  std::atomic<bool> stopping = false;
  std::mutex wake_mutex;
  std::condition_variable wake;
  bool woken = false;

  mutable std::mutex status_mutex;
  GateStatus status;
};

// One membership in the group, with the transactions that take over what it gives: as long as nothing happens after which only the group's
// committed offsets tell what was taken. One thread.
class GateSession {
 public:
  // Takes over the transactional id, which ends what an earlier session of the process left open, and joins the group.
  static Result<std::unique_ptr<GateSession>> Open(GateShared& shared);
  GateSession(const GateSession&) = delete;
  GateSession& operator=(const GateSession&) = delete;
  // Leaves the group.
  ~GateSession();

  // Serves the group, then takes over what is there, in one transaction at most. Whether there was one. After an error the session is over.
  Result<bool> Step();

 private:
  // A partition of others. Its reader's last batch is held until all of it is committed, so that an aborted transaction costs no seek.
  struct Source {
    std::optional<bus::Batch> held;
    std::size_t done = 0;  // of the batch: committed
    std::size_t taken = 0;  // of the batch: in the transaction under way
    std::string trouble;
    bool halted = false;  // nothing is read any more
  };
  using Sources = std::map<TopicPartition, Source>;
  // Records of one partition that go into a transaction.
  struct Slice {
    const TopicPartition& partition;
    const Source& source;
    const RecordReader& reader;
    WallTime now;
  };
  struct Counts {
    std::uint64_t accepted = 0, malformed = 0, invalid = 0;
  };

  explicit GateSession(GateShared& shared) : shared_(shared) {}
  Status LookAtTopics();
  Status Join();
  void Assigned(std::vector<GroupConsumer::Assigned>& partitions);
  void Gone(const std::vector<TopicPartition>& partitions);
  void NoteGroupTrouble(const Error& error);
  Status Fill();
  Status NoteReadError(const TopicPartition& partition, Source& source, const Error& error);
  TransactionStatus Move();
  TransactionStatus Take(const TopicPartition& partition, Source& source, std::uint64_t& bytes);
  TransactionStatus Accept(const Slice& slice, const gate::AcceptedRecord& record);
  TransactionStatus Refuse(const Slice& slice, const gate::Reject& reject);
  TransactionStatus Finish();
  TransactionStatus Pass(GateStep step) const;
  Status Recover(TransactionError failed);
  void Settle();
  void TellReaders();
  void Publish();
  template <typename Call>
  TransactionStatus Again(Call call) const;

  GateShared& shared_;
  std::string accepted_topic_, letters_topic_;  // full names
  std::uint64_t accepted_bytes_max_ = 0, letter_bytes_max_ = 0;  // of a record
  Sources sources_;
  TopicPartition first_;  // whose turn it is
  bool begun_ = false;
  Counts pending_;
  std::string group_trouble_;
  std::chrono::steady_clock::time_point group_trouble_until_;
  std::chrono::steady_clock::time_point pause_until_;
  std::chrono::steady_clock::time_point published_;
  std::string append_time_, letter_;
  std::vector<RecordHeader> headers_;
  std::unique_ptr<TransactionalProducer> producer_;
  std::unique_ptr<GroupConsumer> consumer_;  // last: it gives partitions back while it goes
};

}  // namespace sightline::kafka
