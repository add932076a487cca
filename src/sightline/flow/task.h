#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/flow/committed_partition.h"
#include "sightline/flow/merge_processor.h"
#include "sightline/flow/offset_set.h"
#include "sightline/flow/plan.h"
#include "sightline/flow/processor.h"
#include "sightline/flow/reference.h"
#include "sightline/runtime/runtime.h"

namespace sightline::flow {

// When a task commits. All are checked between two batches.
struct CommitPolicy {
  std::chrono::milliseconds interval{50};             // at most this long from putting out to being seen
  std::chrono::milliseconds snapshot_interval{10000};
  std::int64_t snapshot_records = 2'000'000;          // bounds what is processed again after a crash
};

// Where a pipeline that was changed begins to read, as a new generation beside the results of the old one.
struct StartAt {
  enum class Where : std::uint8_t { kNow, kEarliest, kTime };
  Where where = Where::kNow;
  AppendTime time;  // kTime: the first record that was appended then or later
};

// The world of the tasks; all must outlive them.
struct TaskContext {
  runtime::Runtime runtime;
  bus::Bus& bus;
  const Plan& plan;
  const ReferenceCatalog& references;
  ReferenceVersions versions;
  std::string directory;       // of the journals, where `commits` is null
  LiveSink* live = nullptr;
  CommitPolicy policy;
  gate::Decoder::Limits limits;
  std::uint64_t seed = 0;
  std::optional<StartAt> from = std::nullopt;  // where a changed pipeline begins; without it state of another plan is an error
  StateMemory* memory = nullptr;               // of all tasks; null: memory without a limit
  CommitLogs* commits = nullptr;               // null: journals and owned topics of the bus
};

// A reading of one task for metrics and the status page.
struct TaskStatus {
  std::string pipeline;        // the root's name
  std::int32_t partition = 0;
  Counters counters;           // of records; zero for a merge
  std::vector<MemberOutput> members;
  std::vector<std::string> member_names;
  std::vector<std::int64_t> positions;  // next offset of each input
  CommitPoint origin;          // where this generation began
  std::int64_t watermark = kWatermarkNone.value;
  std::size_t state_bytes = 0;
  std::size_t dedupe_ids = 0;
  std::size_t open_windows = 0;
  std::uint64_t commits = 0;
  std::optional<std::int64_t> restore_ms;  // from the opening until it was where it had been; none: it is not there yet
  std::shared_ptr<const OffsetSet> taken;  // dead letters that were offered again; null: none
  bool merge = false;
  std::string error;           // empty while it runs
};

// Adds the names and row counts of a state's members to a status; the records that they put out stay where they are.
void SetMembers(const Plan& plan, const PartitionState& state, TaskStatus& status);

// Work on one partition, in steps; the caller's thread does everything. After an error the task is dead: it must be opened
// anew, and goes on from its last commit. Step and the destructor belong to one thread at a time; status() to any.
class Task {
 public:
  virtual ~Task() = default;
  // Does a bounded piece of work: true if there may be more right now, false when it waits for input.
  virtual Result<bool> Step() = 0;
  // Commits what is put out; before a shutdown.
  virtual Status Finish() = 0;
  // The partitions it reads, to be woken by.
  virtual const std::vector<TopicPartition>& inputs() const = 0;
  virtual TaskStatus status() const = 0;
};

// Opens the commit point of a root pipeline's partition, with the processor that `factory` makes.
Result<std::unique_ptr<CommittedPartition>> OpenCommitted(const TaskContext& context, int root, CommittedPartition::Settings settings,
                                                          std::vector<std::int64_t> start, const CommittedPartition::Factory& factory);

// Opens the task of a root pipeline (one a partition of its dataset), or of a merge (partition 0 alone).
Result<std::unique_ptr<Task>> OpenRootTask(const TaskContext& context, int root, Partition partition);
Result<std::unique_ptr<Task>> OpenMergeTask(const TaskContext& context, int root);

// The topics that the pipelines of a plan own, to be made before any task is opened. Name, partitions, owner and retention by time
// come from the plan, the rest from `like`.
Status EnsureOwnedTopics(bus::Bus& bus, const Plan& plan, const bus::TopicSpec& like);
// Keeps an input from `start` on for a task that has no hold yet: before its state says where it reads, so that retention never comes
// between the two.
Status HoldFrom(bus::Bus& bus, const std::string& group, const TopicPartition& input, Offset start);
// How many partitions a pipeline's topics have: those of its dataset, or one behind a merge.
std::int32_t PartitionsOf(const Plan& plan, int pipeline);

}  // namespace sightline::flow
