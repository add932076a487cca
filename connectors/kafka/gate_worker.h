#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "connectors/kafka/kafka_bus.h"
#include "sightline/gate/record_judge.h"
#include "sightline/ops/log.h"
#include "sightline/runtime/clock.h"

namespace sightline::kafka {

// A dataset whose events others write to topics of the cluster. Names of ours are without the prefix.
struct GateDataset {
  std::string name;
  std::string from;  // one topic of others, or a pattern with '*': as the cluster calls them
  // How to judge; the contract must outlive the worker, and so must the registry's schemas.
  gate::RecordJudge::Settings judge;
  std::string topic;  // of accepted events; must be there
  bus::Compression compression = bus::Compression::kNone;
  bus::TopicSpec dead_letters;  // made when missing
  // Asked before the first record of a topic is judged. kFailedPrecondition: its registered schema contradicts the contract; its records
  // stay where they are, and it is asked again from time to time. Any other error: not now. Empty: all topics are taken.
  std::function<Status(const std::string& topic)> admit;
};

// Where a transaction stands when a test looks at it.
enum class GateStep : std::uint8_t { kProduced, kOffsetsSent, kCommitted };

struct GateOptions {
  std::string instance = {};  // tells the processes of a gate apart
  std::uint64_t batch_bytes_max = 4ULL << 20;  // of a transaction's values
  std::chrono::milliseconds session_timeout{10'000};
  std::chrono::milliseconds transaction_timeout{10'000};
  std::chrono::milliseconds topics_refresh{2'000};  // how soon new topics are found
  std::chrono::milliseconds retry_wait{1'000};      // after something that may mend by itself
  // For tests: an error ends the session there and then, as the end of the process would.
  std::function<Status(GateStep step)> step = {};
};

// What one process has judged since it started, as far as it was committed, and where it stands.
struct GateStatus {
  std::string dataset;
  std::string from;
  std::uint64_t in = 0;  // accepted, malformed and invalid together
  std::uint64_t accepted = 0;
  std::uint64_t malformed = 0;
  std::uint64_t invalid = 0;
  std::uint64_t lost = 0;  // offsets that retention had removed before they were read
  std::uint64_t transactions = 0;
  std::size_t partitions = 0;  // of others that this process reads
  std::int64_t lag = 0;        // records in them that are not judged yet
  bool registry_answers = true;
  std::string error;  // what is wrong now; empty: nothing
};

struct GateShared;

// Takes over what others write for one dataset: judges each record once and writes it to the topic of accepted events, in the partition
// that its `partition_by` field gives, or to the dead letters. Any number of processes share the partitions of the topics by a consumer
// group.
//
// Exactly once: a transaction holds accepted records, dead letters and the group's offsets, which the broker takes from a member alone that
// has its partitions still. The order within a partition of others is kept. Nothing is judged that cannot be (a registry that does not
// answer), and nothing is dropped.
//
// Thread-safe; has a thread of its own.
class GateWorker {
 public:
  // Bus, clock and what `dataset` points to must outlive the worker. kFailedPrecondition when a topic that is there has a schema that
  // contradicts the contract, kInvalidArgument for a dataset that cannot be, and errors of the cluster. A registry that does not answer
  // is no reason not to start.
  static Result<std::unique_ptr<GateWorker>> Start(KafkaBus& bus, const runtime::Clock& clock, GateDataset dataset, GateOptions options,
                                                   const ops::Log& log);
  GateWorker(const GateWorker&) = delete;
  GateWorker& operator=(const GateWorker&) = delete;
  ~GateWorker();
  // Ends what is under way and leaves the group. What was not committed is judged by whoever gets its partitions.
  void Stop();
  GateStatus status() const;

 private:
  explicit GateWorker(std::unique_ptr<GateShared> shared);
  Status AdmitTopics();
  void Run();
  Status Serve();

  const std::unique_ptr<GateShared> shared_;
  std::thread thread_;
};

}  // namespace sightline::kafka
