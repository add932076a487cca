#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "connectors/flink/cluster.h"
#include "connectors/flink/gateway.h"
#include "tests/scenario/scenario_run.h"

namespace sightline::equality {

// What is done to a job's text before it is run: a planted mistake.
using Change = std::function<void(flink::Job& job)>;

struct FlinkCluster {
  std::string gateway;  // URLs
  std::string rest;
};

// How records get to Flink.
enum class Gate : std::uint8_t {
  kJudged,  // the accepted ones alone, as from the gate
  kNone,    // all as they are, with Flink's own JSON to make of them what it can: a planted mistake
};

// Runs the scenario's pipelines as `sightline plan --engine flink --submit` would, over what the gate accepts of its records, to their end,
// brings the results home and reads them from their topics. Ticks, reloads and restarts do nothing here. The jobs' texts are kept in
// `texts`. kFailedPrecondition, with the reason, when a pipeline cannot be mapped.
Result<scenario::Outcome> RunOnFlink(const scenario::Scenario& scenario, const FlinkCluster& cluster, Gate gate, const Change& change,
                                     std::map<std::string, std::string>& texts);

}  // namespace sightline::equality
