#pragma once

#include <vector>

#include "apps/sightline/examination.h"
#include "connectors/kafka/kafka_bus.h"
#include "connectors/registry/client.h"
#include "sightline/config/config.h"
#include "sightline/ops/log.h"

namespace sightline::app {

// A Kafka bus as `drivers.bus` describes it; its client's lines go to `log`.
kafka::KafkaBusOptions KafkaOptions(const config::BusConfig& bus, const ops::Log& log);

registry::RegistryOptions RegistryOptions(const config::RegistryConfig& config);

// What `doctor` says of the cluster, of its registry if it has one, and of the topics that the configuration's datasets have there.
std::vector<Finding> ExamineKafkaBus(const config::Config& config, const World& world);

}  // namespace sightline::app
