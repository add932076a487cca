#include "connectors/kafka/producer.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>

#include "connectors/kafka/produce_internal.h"

namespace sightline::kafka {
namespace {

constexpr std::uint64_t kBatchBytes = 1'000'000;

}  // namespace

// The records of one Send that are under way.
struct Producer::Pending {
  Producer* producer;
  std::string topic;
  std::int32_t partition;
  std::uint64_t bytes;
  std::size_t records;
  std::atomic<std::size_t> left;
  std::atomic<std::int64_t> first = INT64_MAX;
  std::atomic<int> failed = 0;
  std::atomic<std::size_t> lost = 0;      // certainly not there
  std::atomic<std::size_t> unknown = 0;
  Done done;
};

// One partition: senders take turns, so that the records of one stay together.
struct Producer::Lane {
  TopicRef topic;
  std::mutex turn;
};

Result<std::unique_ptr<Producer>> Producer::Make(const ClientOptions& client, const ProducerOptions& options) {
  std::unique_ptr<Producer> producer(new Producer(options));
  const std::uint64_t message_max = std::min(client.message_bytes_max, options.batch_bytes_max);
  const Settings settings = {
      {"enable.idempotence", "true"},
      {"acks", "all"},
      {"max.in.flight.requests.per.connection", "5"},
      {"linger.ms", std::to_string(static_cast<double>(client.linger.count()) / 1000)},
      {"compression.codec", std::string(CodecName(client.compression))},
      {"message.max.bytes", std::to_string(std::max<std::uint64_t>(message_max, 1000))},
      {"batch.size", std::to_string(std::min(message_max, kBatchBytes))},
      {"batch.num.messages", "100000"},
      {"message.timeout.ms", std::to_string(client.delivery_timeout.count())},
      {"request.timeout.ms", std::to_string(std::min(client.request_timeout, client.delivery_timeout).count())},
      {"queue.buffering.max.messages", "10000000"},  // our own limits stand before it
      {"queue.buffering.max.kbytes", "2097151"},
      {"retry.backoff.ms", "50"},
  };
  SL_ASSIGN_OR_RETURN(producer->handle_, Handle::Make(client, Handle::Role::kProducer, Handle::Serving::kThread, settings,
                                                      {.delivered = &Producer::Delivered, .rebalanced = nullptr, .owner = producer.get()}));
  return producer;
}

Producer::~Producer() {
  if (handle_ == nullptr) return;
  rd_kafka_flush(handle_->get(), static_cast<int>(handle_->options().delivery_timeout.count()));
  if (pending_records_ > 0) {
    rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(handle_->get(), 1000);
  }
  lanes_.clear();
}

Status Producer::health() const {
  char text[256];
  const rd_kafka_resp_err_t code = rd_kafka_fatal_error(handle_->get(), text, sizeof(text));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return Fail(ErrorKind::kFailedPrecondition, std::string("the Kafka producer cannot go on: ") + text);
}

Result<std::shared_ptr<Producer::Lane>> Producer::LaneOf(const std::string& topic, Partition partition, std::optional<Codec> compression) {
  const std::lock_guard lock(lanes_mutex_);
  auto& lane = lanes_[{topic, partition.value}];
  if (lane != nullptr) return lane;
  auto made = std::make_shared<Lane>();
  made->topic = TopicRef(handle_, topic, compression);
  if (made->topic.get() == nullptr) return std::unexpected(handle_->Explain(rd_kafka_last_error(), "topic " + topic));
  lane = std::move(made);
  return lane;
}

Status Producer::CheckSizes(const std::string& topic, std::span<const OutRecord> records) const {
  const std::uint64_t client_max = handle_->options().message_bytes_max;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::uint64_t size = records[i].size();
    if (size <= std::min(client_max, options_.batch_bytes_max)) continue;
    const bool ours = client_max < options_.batch_bytes_max;
    return Fail(ErrorKind::kInvalidArgument, "record " + std::to_string(i) + " takes " + std::to_string(size) + " bytes; topic " + topic +
                                                 (ours ? " is sent at most " : " takes at most ") +
                                                 std::to_string(std::min(client_max, options_.batch_bytes_max)) +
                                                 (ours ? " (drivers.bus.message_max)" : " (max.message.bytes of the topic)"));
  }
  return {};
}

// Takes room for the records, or says why not.
Status Producer::Admit(const std::string& topic, std::span<const OutRecord> records, std::uint64_t bytes) {
  SL_TRY(CheckSizes(topic, records));
  SL_TRY(health());
  const std::uint64_t all_bytes = pending_bytes_.fetch_add(bytes) + bytes;
  const std::uint64_t all_records = pending_records_.fetch_add(records.size()) + records.size();
  // What is larger than the limit by itself goes alone.
  if (all_bytes == bytes || (all_bytes <= options_.pending_bytes_max && all_records <= options_.pending_records_max)) return {};
  pending_bytes_ -= bytes;
  pending_records_ -= records.size();
  return Fail(ErrorKind::kResourceExhausted, "too much waits to be acknowledged by Kafka; send again later");
}

void Producer::Send(const std::string& topic, Partition partition, std::span<const OutRecord> records, std::optional<Codec> compression,
                    Done done) {
  std::uint64_t bytes = 0;
  for (const OutRecord& record : records) bytes += record.size();
  if (Status admitted = Admit(topic, records, bytes); !admitted) return done(std::unexpected(std::move(admitted).error()));
  auto lane = LaneOf(topic, partition, compression);
  if (!lane) {
    pending_bytes_ -= bytes;
    pending_records_ -= records.size();
    return done(std::unexpected(std::move(lane).error()));
  }
  auto* pending = new Pending{.producer = this,
                              .topic = topic,
                              .partition = partition.value,
                              .bytes = bytes,
                              .records = records.size(),
                              .left = records.size(),
                              .done = std::move(done)};
  std::size_t refused = 0;
  {
    const std::lock_guard turn((*lane)->turn);
    for (std::size_t i = 0; i < records.size(); ++i) {
      const int code = Produce(handle_->get(), (*lane)->topic.get(), partition.value, records[i], Copying::kNo, pending);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
      // Those behind it must not come without it.
      refused = records.size() - i;
      pending->failed = code;
      pending->lost += refused;
      break;
    }
  }
  if (refused != 0 && pending->left.fetch_sub(refused) == refused) Finish(pending);
}

void Producer::Delivered(void*, int code, int persisted, std::int64_t offset, void* opaque) {
  auto* pending = static_cast<Pending*>(opaque);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    std::int64_t first = pending->first;
    while (offset < first && !pending->first.compare_exchange_weak(first, offset)) {
    }
  } else {
    pending->failed = code;
    (persisted == RD_KAFKA_MSG_STATUS_NOT_PERSISTED ? pending->lost : pending->unknown) += 1;
  }
  if (pending->left.fetch_sub(1) == 1) pending->producer->Finish(pending);
}

void Producer::Finish(Pending* raw) {
  const std::unique_ptr<Pending> pending(raw);
  pending_bytes_ -= pending->bytes;
  pending_records_ -= pending->records;
  int code = pending->failed;
  if (code == 0) return pending->done(pending->first.load());
  // What waits when a producer can send nothing more is thrown out: the reason is the producer's.
  if (code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
    std::array<char, 256> text{};
    if (const int fatal = rd_kafka_fatal_error(handle_->get(), text.data(), text.size()); fatal != 0) code = fatal;
  }
  Error error = handle_->Explain(code, "appending to " + pending->topic + "/" + std::to_string(pending->partition));
  if (pending->lost == pending->records) {
    // Nothing of it is there.
    if (error.kind == ErrorKind::kDeadlineExceeded) error.kind = ErrorKind::kUnavailable;
  } else {
    error.kind = ErrorKind::kDeadlineExceeded;
    error.message += "; whether its records are there is not known";
  }
  pending->done(std::unexpected(std::move(error)));
}

}  // namespace sightline::kafka
