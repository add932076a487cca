#pragma once

#include <vector>

#include "sightline/flow/task.h"

namespace sightline::flow {

// A look at what the pipelines of a plan have committed. Both change nothing: what was committed is read, not recovered.
// `context.references` and `context.live` are not used.

// Lets readers of the owned topics see up to each newest commit, as the engine would. For journals alone, while no engine runs.
Status PublishCommitted(const TaskContext& context);

// The status that the task of this partition had at its newest commit: its newest snapshot, and the input since then processed
// again. All zero where nothing is committed yet. Not for merges. kFailedPrecondition when the state belongs to another plan,
// kCorruption when processing again gives other outputs than were committed.
Result<TaskStatus> Recount(const TaskContext& context, int root, Partition partition);

}  // namespace sightline::flow
