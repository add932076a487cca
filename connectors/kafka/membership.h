#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "connectors/kafka/group_consumer.h"
#include "connectors/kafka/kafka_bus.h"

namespace sightline::kafka {

// Shares the partitions of topics among the processes that are in a group, each partition with one of them. It reads nothing: who holds a
// partition reads it by a reader of the bus, from where its commits say. What is fenced by a transactional id is safe whoever holds it; the
// group sees to it that as a rule one does. Partitions stay where they are as long as they can (cooperative-sticky).
class Membership {
 public:
  struct Events {
    // Partitions that are ours now.
    std::function<void(const std::vector<TopicPartition>& partitions)> acquired;
    // Partitions that are ours no more. `lost`: somebody else may hold them already, nothing may be committed for them. Otherwise they are
    // given away when this returns.
    std::function<void(const std::vector<TopicPartition>& partitions, bool lost)> released;
    std::function<void(const Error& error)> trouble;
  };
  struct Options {
    std::string group;  // without the bus's prefix
    std::vector<std::string> topics;  // without it, too
    std::chrono::milliseconds session_timeout{6'000};  // the least that brokers allow unless told otherwise
  };
  // Joins; `bus` must outlive the object. The events come from a thread of the object's.
  static Result<std::unique_ptr<Membership>> Join(KafkaBus& bus, const Options& options, Events events);
  // Leaves: what is held is released first.
  ~Membership();
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

 private:
  Membership(std::string prefix, Events events) : prefix_(std::move(prefix)), events_(std::move(events)) {}
  std::vector<TopicPartition> WithoutPrefix(const std::vector<TopicPartition>& partitions) const;
  void Run();

  const std::string prefix_;
  Events events_;
  std::unique_ptr<GroupConsumer> consumer_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace sightline::kafka
