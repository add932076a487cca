#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "connectors/kafka/admin.h"
#include "connectors/kafka/claims.h"
#include "connectors/kafka/consumer.h"
#include "connectors/kafka/group_positions.h"
#include "connectors/kafka/producer.h"
#include "connectors/kafka/topic_settings.h"
#include "connectors/kafka/wakers.h"

namespace sightline::kafka {

struct KafkaBusOptions {
  ClientOptions client;
  // Before the name of every topic, group and transactional id of ours, so that several set-ups share a cluster.
  std::string prefix;
  TopicPolicy policy;
  ProducerOptions producer;
  ConsumerOptions consumer;
  std::chrono::milliseconds connect_timeout{10'000};
};

// The bus on a Kafka cluster: docs/connectors/kafka.md. Thread-safe. Acknowledged is what is on every replica in step (acks=all). Readers
// see what was committed.
//
// What is another than on the embedded log: offsets have gaps; each record has an append time of its own; records are not held for consumer
// groups (retention alone decides); a topic that a pipeline owns is written by transactions (transaction.h), not through OpenOwned; and a
// producer's own sequence numbers are refused, since Kafka keeps those of its clients.
class KafkaBus final : public bus::Bus {
 public:
  // Reaches the cluster: kUnavailable, kUnauthenticated, kInvalidArgument, each with broker, cause and remedy.
  static Result<std::unique_ptr<KafkaBus>> Open(KafkaBusOptions options);
  KafkaBus(const KafkaBus&) = delete;
  KafkaBus& operator=(const KafkaBus&) = delete;
  // Waits for what was appended to be acknowledged. Readers must be gone.
  ~KafkaBus() override;

  Status EnsureTopic(const bus::TopicSpec& spec) override;
  Result<std::vector<std::string>> Topics() override;
  Result<bus::TopicInfo> Describe(const std::string& topic) override;
  void Append(const TopicPartition& to, const bus::AppendBatch& batch, AppendDone done) override;
  Result<std::unique_ptr<bus::Reader>> OpenReader(const TopicPartition& from, Offset at) override;
  // kFailedPrecondition, always: an owned topic on Kafka is written by transactions.
  Result<std::unique_ptr<bus::OwnedPartition>> OpenOwned(const TopicPartition& partition) override;
  Status MakeDurable(const TopicPartition& partition, Offset end) override;
  Status CommitOffset(const std::string& group, const TopicPartition& partition, Offset offset) override;
  Result<std::optional<Offset>> CommittedOffset(const std::string& group, const TopicPartition& partition) override;
  Status DropGroup(const std::string& group) override;
  Result<std::shared_ptr<void>> Subscribe(const TopicPartition& partition, bus::Waker waker) override;

  // Makes requests known that another bus took, so that they are taken once although they are sent here again: claims.h.
  Status Adopt(std::span<const ClaimsLog::Known> requests);

  const KafkaBusOptions& options() const { return options_; }
  // The topic's or group's name in the cluster.
  std::string FullName(const std::string& name) const { return options_.prefix + name; }
  // Tells readers and wakers of this process that a partition goes at least to `end`, as whoever commits a transaction knows.
  void NoteEnd(const TopicPartition& partition, Offset end);
  Admin& admin() { return *admin_; }
  GroupPositions& positions() { return *positions_; }
  ConsumerPool& consumers() { return *consumers_; }

 private:
  struct Topic {
    bus::TopicSpec spec;
    std::uint64_t batch_bytes_max = 0;
    std::vector<std::shared_ptr<PartitionState>> partitions;
    std::chrono::steady_clock::time_point looked_at;
  };
  using TopicPtr = std::shared_ptr<const Topic>;
  struct Place {
    TopicPtr topic;
    std::shared_ptr<PartitionState> state;
  };
  explicit KafkaBus(KafkaBusOptions options) : options_(std::move(options)) {}
  Result<TopicPtr> FindTopic(const std::string& name);
  Result<TopicPtr> LoadTopic(const std::string& name);
  TopicPtr Keep(Topic topic);
  Result<Place> Find(const TopicPartition& name);
  std::unexpected<Error> UnknownTopic(const std::string& name);
  Status CheckExisting(const bus::TopicSpec& spec, const std::vector<PartitionLeader>& partitions);
  Status AwaitLeaders(const std::string& topic);
  Result<std::shared_ptr<Producer>> ProducerFor(const Topic& topic);
  Result<ClaimsLog*> Claims();
  void Watch();
  void Say(LogLevel level, const std::string& text) const;

  const KafkaBusOptions options_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<GroupPositions> positions_;
  std::unique_ptr<ConsumerPool> consumers_;
  mutable std::shared_mutex topics_mutex_;
  std::map<std::string, TopicPtr, std::less<>> topics_;
  std::map<std::string, bus::TopicSpec> ensured_;  // by this process; what Kafka does not keep of a spec stands here alone
  std::mutex producers_mutex_;
  std::map<std::uint64_t, std::shared_ptr<Producer>> producers_;  // by what their topics take in one piece
  std::mutex claims_mutex_;
  std::unique_ptr<ClaimsLog> claims_;  // made with the first tagged append
  std::mutex watch_mutex_;
  std::condition_variable watch_wake_;
  bool stopping_ = false;
  std::thread watch_thread_;
};

}  // namespace sightline::kafka
