#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connectors/kafka/admin.h"

namespace sightline::kafka {

// What we ask of a cluster for topics of our own.
struct TopicPolicy {
  std::int32_t replication = 3;
  // Replicas that must have a record before it is acknowledged.
  std::int32_t min_insync = 2;
};

NewTopic TopicFor(const std::string& full_name, const bus::TopicSpec& spec, const TopicPolicy& policy);

// A setting under which records that were acknowledged, or are still needed, can be lost.
struct TopicRisk {
  enum class Weight : std::uint8_t {
    kRefused,  // the topic cannot be used so
    kWarning,  // it can, and something may be lost one day
  };
  Weight weight = Weight::kWarning;
  std::string what;
  std::string remedy;
};

// What is to be changed on a topic that is there, so that it is what `spec` asks for. Empty: nothing.
std::map<std::string, std::string> ChangesFor(const bus::TopicSpec& spec, const TopicPolicy& policy, const TopicConfigs& configs);
// Looks at an existing topic of ours.
std::vector<TopicRisk> RisksOf(const bus::TopicSpec& spec, const TopicPolicy& policy, const TopicConfigs& configs,
                               const std::vector<PartitionLeader>& partitions);
// The spec as the topic's settings say it; `name` without prefix.
bus::TopicSpec SpecOf(const std::string& name, const TopicConfigs& configs, std::size_t partitions);
// How records of a topic are compressed; nothing: as the driver says.
std::optional<Codec> CodecOf(bus::Compression compression);
// What the topic takes in one piece.
std::uint64_t BatchBytesMax(const TopicConfigs& configs);

}  // namespace sightline::kafka
