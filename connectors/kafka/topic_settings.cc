#include "connectors/kafka/topic_settings.h"

#include <algorithm>

#include "sightline/base/text.h"

namespace sightline::kafka {
namespace {

constexpr std::int64_t kSegmentMin = 1 << 20;   // Kafka takes no smaller segments
constexpr std::int64_t kSegmentMax = INT32_MAX;
constexpr std::uint64_t kBatchBytesDefault = 1'048'588;

std::string Retention(std::chrono::milliseconds time) { return std::to_string(time.count() == 0 ? -1 : time.count()); }
std::string RetentionBytes(std::uint64_t bytes) { return bytes == 0 ? "-1" : std::to_string(bytes); }

std::string_view ValueOf(const TopicConfigs& configs, std::string_view name) {
  const auto found = configs.find(name);
  return found == configs.end() ? std::string_view() : std::string_view(found->second.value);
}

std::int64_t NumberOf(const TopicConfigs& configs, std::string_view name, std::int64_t otherwise) {
  return ParseInt64(ValueOf(configs, name)).value_or(otherwise);
}

std::string Days(std::int64_t ms) { return ms < 0 ? std::string("no limit") : FormatDuration(std::chrono::milliseconds(ms)); }

}  // namespace

NewTopic TopicFor(const std::string& full_name, const bus::TopicSpec& spec, const TopicPolicy& policy) {
  NewTopic topic;
  topic.name = full_name;
  topic.partitions = spec.partitions;
  topic.replication = policy.replication;
  topic.configs = {
      {"cleanup.policy", "delete"},
      {"message.timestamp.type", "LogAppendTime"},
      {"min.insync.replicas", std::to_string(policy.min_insync)},
      {"unclean.leader.election.enable", "false"},
      {"retention.ms", Retention(spec.retain_time)},
      {"retention.bytes", RetentionBytes(spec.retain_bytes)},
      {"segment.bytes", std::to_string(std::clamp(static_cast<std::int64_t>(spec.segment_bytes), kSegmentMin, kSegmentMax))},
  };
  return topic;
}

std::map<std::string, std::string> ChangesFor(const bus::TopicSpec& spec, const TopicPolicy& policy, const TopicConfigs& configs) {
  std::map<std::string, std::string> changes;
  const auto want = [&](const std::string& name, const std::string& value) {
    if (ValueOf(configs, name) != value) changes[name] = value;
  };
  want("retention.ms", Retention(spec.retain_time));
  want("retention.bytes", RetentionBytes(spec.retain_bytes));
  want("message.timestamp.type", "LogAppendTime");
  if (ValueOf(configs, "unclean.leader.election.enable") == "true") want("unclean.leader.election.enable", "false");
  if (NumberOf(configs, "min.insync.replicas", 1) < policy.min_insync) want("min.insync.replicas", std::to_string(policy.min_insync));
  return changes;
}

std::vector<TopicRisk> RisksOf(const bus::TopicSpec& spec, const TopicPolicy& policy, const TopicConfigs& configs,
                               const std::vector<PartitionLeader>& partitions) {
  std::vector<TopicRisk> risks;
  const auto add = [&](TopicRisk::Weight weight, std::string what, std::string remedy) {
    risks.push_back({weight, std::move(what), std::move(remedy)});
  };
  using enum TopicRisk::Weight;
  if (partitions.size() != static_cast<std::size_t>(spec.partitions)) {
    const bool few = partitions.size() < static_cast<std::size_t>(spec.partitions);
    add(kRefused,
        "has " + std::to_string(partitions.size()) + " partitions, " + std::to_string(spec.partitions) + " are asked for" +
            (few ? ": records of the missing ones would have no place" : ": records in the others would never be read"),
        "a topic's partitions are fixed while it holds records: use the number it has, or another topic");
  }
  if (ValueOf(configs, "cleanup.policy").find("compact") != std::string_view::npos) {
    add(kRefused, "is compacted: of records with the same key only the last would stay", "set cleanup.policy=delete, or use another topic");
  }
  const std::int64_t retention = NumberOf(configs, "retention.ms", -1);
  const std::int64_t needed = spec.retain_time.count() == 0 ? -1 : spec.retain_time.count();
  if (retention >= 0 && (needed < 0 || retention < needed)) {
    add(kWarning, "keeps records for " + Days(retention) + ", the configuration needs " + Days(needed),
        "set retention.ms=" + std::to_string(needed));
  }
  const std::int64_t bytes = NumberOf(configs, "retention.bytes", -1);
  if (bytes >= 0 && (spec.retain_bytes == 0 || bytes < static_cast<std::int64_t>(spec.retain_bytes))) {
    add(kWarning, "keeps " + FormatBytes(static_cast<std::uint64_t>(bytes)) + " a partition, less than the configuration says",
        "set retention.bytes=" + RetentionBytes(spec.retain_bytes));
  }
  const std::int64_t insync = NumberOf(configs, "min.insync.replicas", 1);
  if (insync < policy.min_insync) {
    add(kWarning, "acknowledges a record that is on " + std::to_string(insync) + " replica(s): losing that one loses it",
        "set min.insync.replicas=" + std::to_string(policy.min_insync));
  }
  if (ValueOf(configs, "unclean.leader.election.enable") == "true") {
    add(kWarning, "lets a replica lead that lacks acknowledged records (unclean.leader.election.enable)",
        "set unclean.leader.election.enable=false");
  }
  if (ValueOf(configs, "message.timestamp.type") == "CreateTime") {
    add(kWarning, "carries its producers' clocks as time of arrival (message.timestamp.type=CreateTime)",
        "set message.timestamp.type=LogAppendTime");
  }
  std::int32_t replicas = INT32_MAX;
  for (const PartitionLeader& partition : partitions) replicas = std::min(replicas, partition.replicas);
  if (!partitions.empty() && replicas < insync) {
    add(kRefused,
        "has " + std::to_string(replicas) + " replica(s) and min.insync.replicas=" + std::to_string(insync) + ": nothing can be written",
        "add replicas, or lower min.insync.replicas");
  } else if (!partitions.empty() && replicas < policy.replication) {
    add(kWarning, "has " + std::to_string(replicas) + " replica(s), drivers.bus.replication asks for " + std::to_string(policy.replication),
        "add replicas with kafka-reassign-partitions");
  }
  return risks;
}

bus::TopicSpec SpecOf(const std::string& name, const TopicConfigs& configs, std::size_t partitions) {
  bus::TopicSpec spec;
  spec.name = name;
  spec.partitions = static_cast<std::int32_t>(partitions);
  spec.retain_time = std::chrono::milliseconds(std::max<std::int64_t>(0, NumberOf(configs, "retention.ms", 0)));
  spec.retain_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, NumberOf(configs, "retention.bytes", 0)));
  spec.segment_bytes = static_cast<std::uint64_t>(NumberOf(configs, "segment.bytes", static_cast<std::int64_t>(spec.segment_bytes)));
  return spec;
}

std::optional<Codec> CodecOf(bus::Compression compression) {
  switch (compression) {
    case bus::Compression::kNone: return std::nullopt;
    case bus::Compression::kLz4: return Codec::kLz4;
    case bus::Compression::kZstd: return Codec::kZstd;
  }
  return std::nullopt;
}

std::uint64_t BatchBytesMax(const TopicConfigs& configs) {
  return static_cast<std::uint64_t>(NumberOf(configs, "max.message.bytes", kBatchBytesDefault));
}

}  // namespace sightline::kafka
