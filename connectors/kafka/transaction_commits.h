#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>

#include "connectors/kafka/kafka_bus.h"
#include "sightline/flow/commits/port.h"
#include "sightline/runtime/failpoints.h"
#include "sightline/stores/objects/port.h"

namespace sightline::kafka {

// Commits as transactions: results, dead letters, what was noted (ticks, references) and the offsets of the input are seen together or not
// at all. The state behind them is the newest snapshot in the object store, whose name stands beside the offsets, plus the input read
// since: docs/formats/transactions.md.
//
// A task's transactional id is that of its pipeline and partition: opening its log fences whoever had it before at once, whatever became of
// him.
class TransactionCommitLogs final : public flow::CommitLogs {
 public:
  struct Settings {
    std::string prefix = "flow";  // of the objects
    std::chrono::milliseconds transaction_timeout{10'000};
    std::chrono::milliseconds takeover_timeout{30'000};  // until the predecessor's transaction must be over
  };
  // All must outlive the object and what it opens.
  TransactionCommitLogs(KafkaBus& bus, stores::ObjectStore& objects, runtime::Failpoints& failpoints, Settings settings)
      : bus_(bus), objects_(objects), failpoints_(failpoints), settings_(std::move(settings)) {}
  Result<std::unique_ptr<flow::CommitLog>> Open(const flow::CommitPlace& place) override;
  Result<std::optional<flow::CommittedState>> Read(const flow::CommitPlace& place) override;
  // Commits a state that was committed elsewhere, in the place of whatever is committed here, as one commit with a snapshot: `runs` of ids,
  // oldest first, and `run`, newer than they. The owned topics must hold what `snapshot` says that was put out. The same again comes to the
  // same.
  Status Install(const flow::CommitPlace& place, const flow::Snapshot& snapshot, std::span<const flow::KeptIdRun> runs,
                 const flow::ReadIdRun& read, const flow::IdRun& run, std::int64_t watermark);

 private:
  KafkaBus& bus_;
  stores::ObjectStore& objects_;
  runtime::Failpoints& failpoints_;
  const Settings settings_;
};

// The topic in which ticks and versions of references are noted, beside those that a pipeline's results go to.
std::string ProgressTopic(const std::string& pipeline);

}  // namespace sightline::kafka
