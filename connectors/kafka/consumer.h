#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "connectors/kafka/client.h"
#include "connectors/kafka/record_reader.h"

namespace sightline::kafka {

enum class Isolation : std::uint8_t {
  kCommitted,    // records of transactions that were committed; nothing past the first open one (the last stable offset)
  kUncommitted,  // everything on all replicas in step (the high watermark)
};

struct ConsumerOptions {
  Isolation isolation = Isolation::kCommitted;
  // How long a broker may hold a fetch while nothing new comes; also how soon the end of a partition is known for sure. Records that come
  // meanwhile end the wait at once.
  std::chrono::milliseconds fetch_wait{20};
  std::uint64_t fetch_bytes_max = 8ULL << 20;  // of one answer
  std::uint64_t partition_bytes_max = 1ULL << 20;  // of one partition in it
  std::uint64_t queue_bytes_max = 16ULL << 20;  // of one partition, waiting in this process
};
// The settings of librdkafka that these are.
Settings SettingsOf(const ConsumerOptions& options);

// Consumers whose partitions are chosen and positioned by hand. A librdkafka client reads a partition in one place only; the pool has as
// many clients as one partition has readers. Thread-safe.
class ConsumerPool {
 public:
  // A partition being read; stops when destroyed. One thread at a time.
  class Partition {
   public:
    Partition(const Partition&) = delete;
    Partition& operator=(const Partition&) = delete;
    ~Partition();
    RecordReader& records() { return *records_; }
    Status Seek(Offset at);

   private:
    friend class ConsumerPool;
    Partition() = default;
    struct Client;
    std::shared_ptr<Client> client_;
    TopicPartition name_;
    TopicRef topic_;
    rd_kafka_queue_s* queue_ = nullptr;
    std::function<void()> waker_;
    std::unique_ptr<RecordReader> records_;
  };

  ConsumerPool(ClientOptions client, const ConsumerOptions& options);
  ~ConsumerPool();
  // Begins to read; records come as soon as the broker answers. `waker` (may be empty) is called from a thread of the client when records
  // came to an empty queue; it must return at once.
  Result<std::unique_ptr<Partition>> Open(const TopicPartition& partition, Offset at, std::function<void()> waker);

 private:
  Result<std::shared_ptr<Partition::Client>> ClientFor(const TopicPartition& partition);

  const ClientOptions client_;
  const ConsumerOptions options_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Partition::Client>> clients_;
};

}  // namespace sightline::kafka
