#include "apps/sightline/server/sharing.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sightline::app {
namespace {

using RootsByTopic = std::map<std::string, std::vector<int>>;

RootsByTopic RootsOf(const flow::Plan& plan) {
  RootsByTopic roots;
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    const flow::PipelinePlan& pipeline = plan.pipelines[i];
    if (pipeline.root != static_cast<int>(i)) continue;
    const bool merge = pipeline.kind == flow::PipelineKind::kMerge;
    roots[merge ? flow::Plan::ResultsTopic(pipeline.name) : plan.FindDataset(pipeline.from)->topic].push_back(static_cast<int>(i));
  }
  return roots;
}

}  // namespace

Result<std::unique_ptr<kafka::Membership>> SharePartitions(kafka::KafkaBus& bus, const flow::Plan& plan, PartitionEvents events,
                                                           const ops::Log& log) {
  const RootsByTopic roots = RootsOf(plan);
  kafka::Membership::Options options;
  options.group = "flow";
  for (const auto& [topic, of] : roots) options.topics.push_back(topic);
  const auto shared = std::make_shared<const PartitionEvents>(std::move(events));
  kafka::Membership::Events group;
  group.acquired = [shared, roots, log](const std::vector<TopicPartition>& partitions) {
    for (const TopicPartition& one : partitions) {
      log.Info("works on a partition", {{"topic", one.topic}, {"partition", one.partition.value}});
      for (const int root : roots.at(one.topic)) shared->acquired(root, one.partition);
    }
  };
  group.released = [shared, roots, log](const std::vector<TopicPartition>& partitions, bool lost) {
    for (const TopicPartition& one : partitions) {
      log.Info(lost ? "lost a partition: this process was not heard of in time" : "gives a partition away",
               {{"topic", one.topic}, {"partition", one.partition.value}});
      for (const int root : roots.at(one.topic)) shared->released(root, one.partition, lost);
    }
  };
  group.trouble = [log](const Error& error) { log.Warning("the workers' group can't be kept up", {{"error", error.ToString()}}); };
  return kafka::Membership::Join(bus, options, std::move(group));
}

}  // namespace sightline::app
