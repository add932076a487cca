#include "connectors/kafka/consumer.h"

#include <librdkafka/rdkafka.h>

namespace sightline::kafka {

// One librdkafka client and what it reads.
struct ConsumerPool::Partition::Client {
  std::shared_ptr<Handle> handle;
  std::mutex mutex;
  std::set<TopicPartition> reading;
};

Settings SettingsOf(const ConsumerOptions& options) {
  return {
      {"isolation.level", options.isolation == Isolation::kCommitted ? "read_committed" : "read_uncommitted"},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"enable.partition.eof", "true"},
      {"auto.offset.reset", "error"},
      {"allow.auto.create.topics", "false"},
      {"check.crcs", "true"},
      {"fetch.wait.max.ms", std::to_string(options.fetch_wait.count())},
      {"fetch.min.bytes", "1"},
      {"fetch.max.bytes", std::to_string(std::max(options.fetch_bytes_max, options.partition_bytes_max))},
      {"max.partition.fetch.bytes", std::to_string(options.partition_bytes_max)},
      {"fetch.error.backoff.ms", "50"},
      {"queued.max.messages.kbytes", std::to_string(std::max<std::uint64_t>(1, options.queue_bytes_max >> 10))},
      {"queued.min.messages", "200000"},
      // A full queue is emptied in a fraction of the second that the client would leave it alone by default.
      {"fetch.queue.backoff.ms", "5"},
  };
}

ConsumerPool::ConsumerPool(ClientOptions client, const ConsumerOptions& options) : client_(std::move(client)), options_(options) {}
ConsumerPool::~ConsumerPool() = default;

Result<std::shared_ptr<ConsumerPool::Partition::Client>> ConsumerPool::ClientFor(const TopicPartition& partition) {
  const std::lock_guard lock(mutex_);
  for (const auto& client : clients_) {
    const std::lock_guard inner(client->mutex);
    if (client->reading.insert(partition).second) return client;
  }
  auto made = std::make_shared<Partition::Client>();
  SL_ASSIGN_OR_RETURN(made->handle, Handle::Make(client_, Handle::Role::kConsumer, Handle::Serving::kThread, SettingsOf(options_), {}));
  made->reading.insert(partition);
  clients_.push_back(made);
  return made;
}

Result<std::unique_ptr<ConsumerPool::Partition>> ConsumerPool::Open(const TopicPartition& partition, Offset at,
                                                                    std::function<void()> waker) {
  SL_ASSIGN_OR_RETURN(auto client, ClientFor(partition));
  std::unique_ptr<Partition> made(new Partition());
  made->client_ = client;
  made->name_ = partition;
  made->topic_ = TopicRef(client->handle, partition.topic, std::nullopt);
  made->queue_ = rd_kafka_queue_new(client->handle->get());
  made->records_ = std::make_unique<RecordReader>(client->handle, made->queue_, partition, at);
  if (waker) {
    made->waker_ = std::move(waker);
    rd_kafka_queue_cb_event_enable(made->queue_, [](rd_kafka_t*, void* opaque) { static_cast<Partition*>(opaque)->waker_(); }, made.get());
  }
  if (rd_kafka_consume_start_queue(made->topic_.get(), partition.partition.value, at.value, made->queue_) != 0) {
    return std::unexpected(client->handle->Explain(rd_kafka_last_error(), "reading " + partition.topic));
  }
  return made;
}

ConsumerPool::Partition::~Partition() {
  if (queue_ == nullptr) return;
  rd_kafka_queue_cb_event_enable(queue_, nullptr, nullptr);
  rd_kafka_consume_stop(topic_.get(), name_.partition.value);
  records_.reset();
  rd_kafka_queue_destroy(queue_);
  topic_ = TopicRef();
  const std::lock_guard lock(client_->mutex);
  client_->reading.erase(name_);
}

Status ConsumerPool::Partition::Seek(Offset at) {
  constexpr int kSeekMs = 10'000;
  const rd_kafka_resp_err_t code = rd_kafka_seek(topic_.get(), name_.partition.value, at.value, kSeekMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return std::unexpected(client_->handle->Explain(code, "seeking in " + name_.topic + " to offset " + std::to_string(at.value)));
  }
  records_->Restart(at);
  return {};
}

}  // namespace sightline::kafka
