#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sightline/flow/commits/port.h"
#include "sightline/flow/due_notes.h"
#include "sightline/flow/partition_state.h"
#include "sightline/flow/plan.h"

namespace sightline::flow {

// One partition of a root pipeline (or one merge over all partitions of another): the processor and where it commits.
//
// Used in turns of: feed the processor, Advance, and now and then Commit. After an error it must be thrown away and opened anew:
// what was not committed is then processed again. Not thread-safe.
class CommittedPartition {
 public:
  struct Settings {
    Partition partition;
    std::vector<TopicPartition> inputs;
    std::string only;               // put out the results of this pipeline alone; empty: of all members
    std::uint64_t seed = 0;         // of hashed keys, when there is no state yet
    bool replace = false;           // state of another plan gives way to a new generation that begins at `start`
  };
  // Makes the processor, given the seed that belongs to its state.
  using Factory = std::function<std::unique_ptr<PartitionState>(std::uint64_t seed)>;

  // The owned topics of a root pipeline, as a commit log is opened for them: results in the order of its members, then dead letters.
  static std::vector<std::string> TopicsOf(const Plan& plan, int root, const std::string& only);

  // Recovers: loads the newest snapshot, cuts the owned topics back to the newest commit. `start` is where a new state begins to
  // read, one an input partition. kFailedPrecondition when there is state of another plan, unless it is to be replaced. Input from
  // positions() on must then be fed; up to the newest commit it was processed before and its outputs are suppressed, which needs a single
  // input (several are not read in the same order again: their tasks take a snapshot with every commit).
  static Result<std::unique_ptr<CommittedPartition>> Open(CommitLogs& logs, const Plan& plan, int root, const Settings& settings,
                                                          std::vector<std::int64_t> start, const ReferenceVersions& versions,
                                                          const Factory& factory);

  PartitionState& processor() { return *processor_; }
  // Next input positions, as of the last Advance.
  const std::vector<std::int64_t>& positions() const { return positions_; }
  std::int64_t replay_end() const { return replay_end_; }
  bool replaying() const { return positions_[0] < replay_end_ || next_due() <= positions_[0]; }
  // Something took effect at this input position the first time (during replay); INT64_MAX: nothing more did.
  std::int64_t next_due() const { return due_.next(); }
  // Lets take effect what is due here. A tick is handed out, to be given to the processor before the next call; none: nothing is left.
  Result<std::optional<AppendTime>> TakeDue();
  // Takes up a new version here, durably, before any record after it.
  Status Activate(const ReferenceHandle& table);
  // Whether idle time is to be noted here, since the input's log does not do it.
  bool keeps_ticks() const { return log_->keeps_ticks(); }
  // Notes a tick here; the processor is given it by the caller.
  Status NoteTick(AppendTime at);

  // After the processor was fed up to `position` of an input: appends its outputs to the owned topics.
  Status Advance(std::size_t input, std::int64_t position);
  // True when something was put out that readers do not see yet.
  bool uncommitted() const { return uncommitted_; }
  std::int64_t since_snapshot() const { return positions_[0] - snapshot_positions_[0]; }
  Status Commit();
  // A commit that carries the whole state.
  Status TakeSnapshot();
  const std::vector<std::int64_t>& snapshot_positions() const { return snapshot_positions_; }
  // Where this generation began; outputs in the order of members, dead letters last.
  const CommitPoint& origin() const { return origin_; }
  std::uint64_t commits() const { return log_->commits(); }

 private:
  struct Output {
    int member = -1;  // index in PartitionState::members(), -1: dead letters
    std::int64_t end = 0;  // records put out since the beginning
    std::int64_t suppress_to = 0;  // those below are there already
  };
  CommittedPartition() = default;
  void MakeOutputs(const Plan& plan, const Settings& settings);
  Status Begin(const std::optional<Recovered>& before, std::vector<std::int64_t> start);
  Status Recover(const Recovered& recovered, const ReferenceVersions& versions);
  Status Put(std::size_t topic, EncodedRecords& records);
  CommitPoint Point() const;
  Status CheckReplay() const;

  std::unique_ptr<PartitionState> processor_;
  std::unique_ptr<CommitLog> log_;
  std::vector<std::string> topics_;
  std::vector<Output> outputs_;  // in the order of topics_
  DueNotes due_;
  CommitPoint last_;
  CommitPoint origin_;
  std::vector<std::int64_t> positions_;
  std::int64_t replay_end_ = 0;
  std::vector<std::int64_t> snapshot_positions_;
  std::uint64_t seed_ = 0;
  bool uncommitted_ = false;
  std::string name_;
  std::vector<std::string_view> scratch_;
};

// Brings a processor into the state of a snapshot: its state without the seed at its head, references, dedupe ids.
Status LoadSnapshot(PartitionState& into, const Recovered& recovered, const ReadIdRun& read, const ReferenceVersions& versions);
// The seed of hashed keys stands at the head of the state: it must outlive restarts. kCorruption when there is none.
Result<std::uint64_t> SeedOf(const Snapshot& snapshot);

// A fingerprint of a root pipeline and all that hang on it.
std::uint64_t FamilyFingerprint(const Plan& plan, int root);

}  // namespace sightline::flow
