#pragma once

#include <memory>

#include "sightline/base/result.h"
#include "sightline/flow/task.h"

namespace sightline::flink {

// Brings home what a job on Flink made of one pipeline: reads a partition of flink.PIPELINE and, for the pipeline that reads a dataset, of
// flink.PIPELINE.late, and writes the same partition of the pipeline's results topic, and of its dead letters. What was read and what was
// written are one commit, as everywhere: nothing comes twice, whoever is killed. Both topics of Flink must be there.
//
// A result is complete when its message is: Flink gathers the rows of a group when its window closes (ARRAY_AGG over the window), so that
// no message has to be waited for. All results of a group come from one task of the job into one partition, in order.
Result<std::unique_ptr<flow::Task>> OpenHomeTask(const flow::TaskContext& context, int pipeline, Partition partition);

}  // namespace sightline::flink
