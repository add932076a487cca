#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "connectors/kafka/consumer.h"
#include "connectors/kafka/transaction.h"

namespace sightline::kafka {

struct GroupOptions {
  std::string group;
  // A member that is not heard of for so long loses its partitions.
  std::chrono::milliseconds session_timeout{10'000};
  std::chrono::milliseconds heartbeat_interval{1'000};
  // A member that does not call Poll for so long leaves the group.
  std::chrono::milliseconds poll_interval_max{300'000};
  // How soon a new topic is found that a pattern names.
  std::chrono::milliseconds topics_refresh{2'000};
  ConsumerOptions consumer = {};
  Writers writers = Writers::kOurs;
  // Records are not fetched: who is a member for the partitions alone.
  bool paused = false;
};

// A member of a consumer group with cooperative-sticky rebalancing: partitions come and go one by one, the others are read on. Readers
// never say that they are at the end. Everything by one thread; the callbacks are called from within Poll and Close.
class GroupConsumer {
 public:
  struct Assigned {
    TopicPartition partition;
    // Where to begin; left empty: where the group stands, or at the beginning.
    std::optional<Offset> at = std::nullopt;
  };
  struct Events {
    // New partitions, already read by nobody else.
    std::function<void(std::vector<Assigned>& partitions)> assigned;
    // Partitions that go to somebody else once this returns: what is to be committed for them is committed now.
    std::function<void(const std::vector<TopicPartition>& partitions)> revoked;
    // Partitions that somebody else may have already: nothing may be committed for them.
    std::function<void(const std::vector<TopicPartition>& partitions)> lost;
    // Records came to a partition's empty queue; from a thread of the client, must return at once. May be empty.
    std::function<void(const TopicPartition& partition)> woken;
  };

  static Result<std::unique_ptr<GroupConsumer>> Make(const ClientOptions& client, const GroupOptions& options, Events events);
  GroupConsumer(const GroupConsumer&) = delete;
  GroupConsumer& operator=(const GroupConsumer&) = delete;
  // Closes.
  ~GroupConsumer();

  // Names of topics, or patterns (POSIX extended regular expressions) that begin with '^'.
  Status Subscribe(std::span<const std::string> topics);
  // Serves the group; records are not taken here. Errors are those of the group (authorization) and pass by themselves or not at all.
  Status Poll(std::chrono::milliseconds timeout);
  // The records of an assigned partition; null where it is not known yet where the group stands. Valid until Poll or Close takes the
  // partition away.
  RecordReader* Reader(const TopicPartition& partition);
  // Of an assigned partition: one past its last record, as the broker said with the last fetch, and one past what its reader was given or
  // has passed over, markers of transactions included. Nothing as long as it is not known. Neither asks anybody.
  std::optional<Offset> KnownEnd(const TopicPartition& partition) const;
  std::optional<Offset> Passed(const TopicPartition& partition) const;
  std::vector<TopicPartition> assignment() const;
  // For TransactionalProducer::SendOffsets: the broker fences a member that lost its partitions.
  GroupMetadata Metadata() const;
  Status Commit(std::span<const GroupOffset> offsets);
  // Leaves the group; partitions are revoked first.
  void Close();
  const std::shared_ptr<Handle>& handle() const { return handle_; }

 private:
  struct Source;
  GroupConsumer(Events events, const GroupOptions& options);
  static void Rebalanced(void* owner, rd_kafka_s* client, int code, void* partitions);
  void Assign(void* partitions);
  void Unassign(void* partitions);
  std::vector<Assigned> AskWaiting(std::chrono::milliseconds timeout);
  void TakeOver(const std::vector<Assigned>& partitions);

  Events events_;
  const Writers writers_;
  const bool paused_;
  std::shared_ptr<Handle> handle_;
  std::map<TopicPartition, std::unique_ptr<Source>> sources_;
  // Assigned, but where to begin is not known: a transaction that says so is open still, or nobody answers.
  std::vector<TopicPartition> waiting_;
  std::chrono::steady_clock::time_point ask_again_;
  std::optional<Error> failed_;
  bool closed_ = false;
};

}  // namespace sightline::kafka
