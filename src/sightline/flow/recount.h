#pragma once

#include <optional>
#include <vector>

#include "sightline/flow/offset_map.h"
#include "sightline/flow/task.h"

namespace sightline::flow {

// A look at what the pipelines of a plan have committed. It changes nothing: what was committed is read, not recovered.
// `context.references` and `context.live` are not used.

// Lets readers of the owned topics see up to each newest commit, as the engine would. For journals alone, while no engine runs.
Status PublishCommitted(const TaskContext& context);

// The status that the task of this partition had at its newest commit: its newest snapshot, and the input since then processed
// again. All zero where nothing is committed yet. Not for merges. kFailedPrecondition when the state belongs to another plan,
// kCorruption when processing again gives other outputs than were committed.
Result<TaskStatus> Recount(const TaskContext& context, int root, Partition partition);

// kFailedPrecondition when a task's state is of another plan.
Status CheckPlans(const TaskContext& context);

// What a task had committed, as it is to be committed in a log that its topics were moved to.
struct MovedState {
  CommitPlace place;
  Snapshot snapshot;               // as of the newest commit
  std::vector<KeptIdRun> id_runs;  // of the snapshot that was found, oldest first; to be read by `read_ids`
  ReadIdRun read_ids;
  IdRun new_ids;                   // that came with the input since that snapshot
  std::int64_t watermark = kWatermarkNone.value;
  Counters counters;               // zero for a merge
};

// Nothing where nothing is committed yet; errors as Recount's. For merges, too. The owned topics' outputs stay what they were: they count
// records since the pipeline's beginning.
Result<std::optional<MovedState>> MoveState(const TaskContext& context, int root, Partition partition, const OffsetMaps& maps);
// What the state of a root's snapshot has counted.
Result<Counters> CountersOf(const Plan& plan, int root, const Snapshot& snapshot);

}  // namespace sightline::flow
