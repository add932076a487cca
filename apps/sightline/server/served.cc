#include "apps/sightline/server/served.h"

#include "sightline/model/dead_letter.h"

namespace sightline::app {

std::vector<serve::PipelineInfo> PipelineInfosOf(const flow::Plan& plan) {
  std::vector<serve::PipelineInfo> infos;
  for (const flow::PipelinePlan& pipeline : plan.pipelines) {
    const flow::PipelinePlan& root = plan.pipelines[static_cast<std::size_t>(pipeline.root)];
    std::vector<std::string> letters = {flow::Plan::DeadLetterTopic(root.name)};
    if (root.kind == flow::PipelineKind::kRoot) letters.push_back(DeadLetterTopic(root.from));
    infos.push_back({.name = pipeline.name,
                     .from = pipeline.from,
                     .shape = std::make_shared<const ResultShape>(pipeline.shape),
                     .window_size = pipeline.window.size,
                     .window_every = pipeline.window.every,
                     .ranked = pipeline.ranked,
                     .live = pipeline.to_live,
                     .statistics = pipeline.to_statistics,
                     .dead_letter_topics = std::move(letters)});
  }
  return infos;
}

stores::SqlOptions SqlOptionsOf(const config::SqlLimits& limits) {
  stores::SqlOptions options;
  options.time_max = limits.time_max;
  options.memory_bytes_max = limits.memory_max;
  options.rows_max = static_cast<std::uint64_t>(limits.rows_max);
  return options;
}

}  // namespace sightline::app
