#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddJobs(CommandLine& line);

// `plan --engine flink`: prints the job of the pipelines, or submits it.
struct FlinkPlanOptions {
  std::string config;
  std::vector<std::string> pipelines;
  std::string submit;  // a gateway's URL; "configured": that of drivers.flink; empty: print
};
Result<Exit> PlanOnFlink(Context& context, const FlinkPlanOptions& options);

}  // namespace sightline::app
