#include "apps/sightline/plan_input.h"

namespace sightline::app {

flow::PlanInput PlanInputOf(const config::Config& config) {
  flow::PlanInput input;
  for (const config::DatasetConfig& dataset : config.datasets) {
    input.datasets.push_back({.name = dataset.name,
                              .topic = dataset.topic,
                              .contract = &dataset.contract,
                              .partitions = dataset.partitions,
                              .partition_by = dataset.contract.schema.Find(dataset.partition_by),
                              .implies_partition = dataset.ImpliesPartition(),
                              .watermark = dataset.watermark});
  }
  for (const config::ReferenceConfig& reference : config.references) {
    input.references.push_back(
        {.name = reference.name, .schema = reference.contract.schema, .key = reference.contract.schema.Find(reference.key)});
  }
  input.pipelines = config.pipelines;
  return input;
}

std::expected<flow::Plan, std::vector<config::Mistake>> CompilePlans(const config::Config& config) {
  auto plan = flow::CompilePlan(PlanInputOf(config));
  if (plan) return std::move(*plan);
  std::vector<config::Mistake> mistakes;
  for (flow::PlanProblem& problem : plan.error()) mistakes.push_back({std::move(problem.place), std::move(problem.message), ""});
  return std::unexpected(std::move(mistakes));
}

gate::Decoder::Limits DecoderLimitsOf(const config::IngestLimits& limits) {
  return {.record_bytes_max = static_cast<std::uint32_t>(limits.line_max),
          .depth_max = static_cast<std::uint32_t>(limits.depth_max),
          .fields_max = static_cast<std::uint32_t>(limits.fields_max)};
}

}  // namespace sightline::app
