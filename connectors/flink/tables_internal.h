#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connectors/flink/job.h"
#include "sightline/flow/plan.h"

namespace sightline::flink {

// The tables of a job: what it reads and what it writes.

// The dataset's accepted events. Beside the contract's fields it has event_time, arrival, kafka_partition, kafka_offset and, where events
// may lie ahead of the clock, is_ahead.
Statement SourceTable(const flow::DatasetPlan& dataset, const std::string& root, const JobSettings& settings);
bool JudgesAhead(const flow::DatasetPlan& dataset);

Statement ReferenceTable(const flow::ReferencePlan& reference, const ReferenceSource& source, const JobSettings& settings);

// A sink and the INSERT into it.
struct Sink {
  Statement table;
  Statement insert;
};
// Records of a view that are not counted.
struct DeadLetters {
  std::string from;
  std::string reason;     // a verdict's name
  std::string condition;
};
// Where they go: their place in the dataset's topic, and the reason.
Sink LateSink(const std::string& root, const std::vector<DeadLetters>& letters, const JobSettings& settings);
// The results, a message a window and group with all its rows: what we bring home.
Sink ResultsSink(const flow::PipelinePlan& pipeline, const JobSettings& settings);
Sink UpsertSink(const flow::PipelinePlan& pipeline, const JobSettings& settings);
Sink FilesSink(const flow::PipelinePlan& pipeline, const JobSettings& settings);
Sink JdbcSink(const flow::PipelinePlan& pipeline, const JobSettings& settings);

// Columns that tell one row of the results from another, besides the window's start.
std::vector<std::string> RowKey(const flow::PipelinePlan& pipeline);

}  // namespace sightline::flink
