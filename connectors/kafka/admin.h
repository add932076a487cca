#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "connectors/kafka/client.h"
#include "connectors/kafka/consumer.h"
#include "connectors/kafka/transaction.h"

namespace sightline::kafka {

struct Broker {
  std::int32_t id = 0;
  std::string address;
};
struct PartitionLeader {
  std::int32_t leader = -1;  // -1: nobody
  std::int32_t replicas = 0;
  std::int32_t in_step = 0;
};
struct ClusterInfo {
  std::vector<Broker> brokers;
  std::map<std::string, std::vector<PartitionLeader>> topics;
};
struct ConfigValue {
  std::string value;
  bool set_on_topic = false;  // not inherited from broker or default
};
using TopicConfigs = std::map<std::string, ConfigValue, std::less<>>;

struct NewTopic {
  std::string name;
  std::int32_t partitions = 1;
  std::int32_t replication = 1;
  std::map<std::string, std::string> configs;
};

// What is asked of a cluster beside reading and writing. Calls block, `request_timeout` at most. Thread-safe. Errors beside those listed:
// kUnavailable and kDeadlineExceeded (retry is safe), kUnauthenticated, kPermissionDenied.
class Admin {
 public:
  static Result<std::unique_ptr<Admin>> Make(const ClientOptions& client);
  Status Reach(std::chrono::milliseconds timeout) { return handle_->Reach(timeout); }

  // All topics, or the one named (missing in the answer when it does not exist).
  Result<ClusterInfo> Cluster(const std::optional<std::string>& topic = std::nullopt);
  Result<std::string> ClusterId();
  // On trial the cluster says whether it would do it, and does not.
  enum class Trial : std::uint8_t { kNo, kYes };
  // kAlreadyExists.
  Status CreateTopic(const NewTopic& topic, Trial trial = Trial::kNo);
  // kNotFound.
  Status DeleteTopic(const std::string& topic);
  Result<TopicConfigs> DescribeTopic(const std::string& topic);
  Result<TopicConfigs> DescribeBroker(std::int32_t broker);
  // Keeps what else is set on the topic.
  Status AlterTopic(const std::string& topic, const std::map<std::string, std::string>& changes);
  // Gives up what lies before the offsets.
  Status DeleteRecords(std::span<const GroupOffset> before);

  // First offsets, and one past the last that a reader of this isolation sees; one a partition asked for. kNotFound.
  Result<std::vector<Offset>> Starts(std::span<const TopicPartition> partitions);
  Result<std::vector<Offset>> Ends(std::span<const TopicPartition> partitions, Isolation isolation);
  // The first record at or after `time` in each partition, or the end.
  Result<std::vector<Offset>> OffsetsAt(std::span<const TopicPartition> partitions, AppendTime time);

  // kNotFound; kFailedPrecondition while it has members.
  Status DeleteGroup(const std::string& group);
  const std::shared_ptr<Handle>& handle() const { return handle_; }

 private:
  Admin() = default;
  Result<std::vector<Offset>> ListOffsets(rd_kafka_s* client, std::span<const TopicPartition> partitions, std::int64_t time) const;
  Result<TopicConfigs> Describe(int resource, const std::string& name);

  std::shared_ptr<Handle> handle_;     // sees everything
  std::shared_ptr<Handle> committed_;  // sees what was committed
};

}  // namespace sightline::kafka
