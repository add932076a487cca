#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/sightline/objects.h"
#include "connectors/flink/cluster.h"
#include "connectors/flink/gateway.h"
#include "connectors/flink/job.h"
#include "sightline/bus/port.h"
#include "sightline/config/config.h"
#include "sightline/flow/plan.h"
#include "sightline/model/column_batch.h"

namespace sightline::app {

// A pipeline's way onto a Flink cluster, from the configuration's words to a job that runs.

// A reference's rows as they are now, in a topic that is named after them.
struct PublishedReference {
  const config::ReferenceConfig* reference = nullptr;
  std::string topic;  // without the prefix
  ColumnBatch rows;
};

// What is submitted: the statements, what they name, and what has to be there before.
struct FlinkSubmission {
  flink::Job job;
  flink::JobSettings settings;
  flink::Secrets secrets;
  std::string root;  // the pipeline that reads the dataset
  std::vector<PublishedReference> references;
};

// Whether the job begins anew: then its results take the place of those of the runs before it.
struct FlinkStart {
  std::uint32_t run = 0;
  bool bounded = false;
};

// The job for `pipelines` and those that they read from whose results anybody asked for. What cannot be mapped is a kFailedPrecondition, a
// line each. Reads the references' sources.
Result<FlinkSubmission> PrepareFlinkJob(const config::Config& config, const flow::Plan& plan, const std::vector<std::string>& pipelines,
                                        const runtime::Runtime& runtime, Objects& objects, const FlinkStart& start);
// Pipelines that the configuration puts on Flink, those of one dataset's root.
std::vector<std::string> FlinkPipelines(const flow::Plan& plan, const std::string& root);

// The topics that a job writes, and those with its references.
Status MakeFlinkTopics(bus::Bus& bus, const config::Config& config, const flow::Plan& plan, const FlinkSubmission& submission);

// What was submitted, as the topic flink.jobs remembers it.
struct FlinkJobRecord {
  std::string root;
  std::vector<std::string> pipelines;
  std::string job;             // Flink's id
  std::uint32_t run = 0;
  std::string sql;             // the text, secrets left out
  std::string savepoint;       // it began from; empty: anew
  std::int64_t submitted_ms = 0;
  std::string stopped_at;      // the savepoint that it was stopped with
};
inline constexpr const char* kFlinkJobsTopic = "flink.jobs";
Status KeepFlinkJob(bus::Bus& bus, const FlinkJobRecord& record);
// The newest of each root.
Result<std::map<std::string, FlinkJobRecord>> KeptFlinkJobs(bus::Bus& bus);

flink::HttpOptions FlinkHttp(const config::FlinkConfig& flink, const std::string& url);

// What of the state of the job with the text `before` the text `after` cannot take over: a line each. Flink finds state by its place among
// the operators, so that any change of what is computed costs all of it.
std::vector<std::string> StateLost(const std::string& before, const std::string& after, const flow::Plan& plan, const std::string& root);

}  // namespace sightline::app
