#pragma once

#include <functional>
#include <memory>

#include "connectors/kafka/membership.h"
#include "sightline/flow/plan.h"
#include "sightline/ops/log.h"

namespace sightline::app {

// What a process is told as partitions of root pipelines come and go.
struct PartitionEvents {
  std::function<void(int root, Partition partition)> acquired;
  // `lost`: another process may work on it already. Otherwise it is given away when this returns.
  std::function<void(int root, Partition partition, bool lost)> released;
};

// Joins those that run the same configuration on Kafka: they share the partitions of its datasets. What is done in one place over all
// partitions goes with the one partition of its results. Bus and plan must outlive what is returned, whose end leaves.
Result<std::unique_ptr<kafka::Membership>> SharePartitions(kafka::KafkaBus& bus, const flow::Plan& plan, PartitionEvents events,
                                                           const ops::Log& log);

}  // namespace sightline::app
