#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "connectors/kafka/client.h"
#include "connectors/kafka/transaction.h"

namespace sightline::kafka {

// The positions of consumer groups, asked for and committed by somebody who is no member of them. Each group has a client of its own, made
// with the first question: it keeps track of the group's coordinator through restarts of brokers, where the admin requests for positions
// end the process (confluentinc/librdkafka#5040 and #5397). Calls block, `request_timeout` at most. Thread-safe. Errors beside those
// listed: kUnavailable and kDeadlineExceeded (retry is safe), kUnauthenticated, kPermissionDenied.
class GroupPositions {
 public:
  explicit GroupPositions(ClientOptions client) : client_(std::move(client)) {}

  // Partitions without a position are left out. Waits for open transactions that hold positions of the group.
  Result<std::vector<GroupOffset>> Committed(const std::string& group, std::span<const TopicPartition> partitions);
  // kFailedPrecondition while members of the group are there.
  Status Commit(const std::string& group, std::span<const GroupOffset> offsets);

 private:
  class Client;
  Result<std::shared_ptr<Client>> ClientOf(const std::string& group);

  const ClientOptions client_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Client>> clients_;
};

}  // namespace sightline::kafka
