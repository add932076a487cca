#include "connectors/kafka/group_consumer.h"

#include <librdkafka/rdkafka.h>

#include "connectors/kafka/partition_list_internal.h"

namespace sightline::kafka {
namespace {

constexpr int kSeekMs = 10'000;
constexpr std::chrono::milliseconds kCommittedWait{10'000};
constexpr std::chrono::milliseconds kAskAgain{250};
constexpr std::chrono::milliseconds kAskAgainWait{1'000};

}  // namespace

struct GroupConsumer::Source {
  TopicPartition partition;
  const Events* events = nullptr;
  rd_kafka_queue_t* queue = nullptr;
  std::unique_ptr<RecordReader> records;

  ~Source() {
    if (queue == nullptr) return;
    rd_kafka_queue_cb_event_enable(queue, nullptr, nullptr);
    records.reset();
    rd_kafka_queue_destroy(queue);
  }
};

GroupConsumer::GroupConsumer(Events events, const GroupOptions& options)
    : events_(std::move(events)), writers_(options.writers), paused_(options.paused) {}

Result<std::unique_ptr<GroupConsumer>> GroupConsumer::Make(const ClientOptions& client, const GroupOptions& options, Events events) {
  std::unique_ptr<GroupConsumer> consumer(new GroupConsumer(std::move(events), options));
  Settings settings = SettingsOf(options.consumer);
  settings.insert(settings.end(),
                  {
                      {"group.id", options.group},
                      {"partition.assignment.strategy", "cooperative-sticky"},
                      {"session.timeout.ms", std::to_string(options.session_timeout.count())},
                      {"heartbeat.interval.ms", std::to_string(options.heartbeat_interval.count())},
                      {"max.poll.interval.ms", std::to_string(std::max(options.poll_interval_max, options.session_timeout).count())},
                      {"topic.metadata.refresh.interval.ms", std::to_string(options.topics_refresh.count())},
                      // The client takes the end of a partition for a record: where a rebalance pauses partitions that stay, it would go on
                      // one record behind their end.
                      {"enable.partition.eof", "false"},
                  });
  SL_ASSIGN_OR_RETURN(consumer->handle_,
                      Handle::Make(client, Handle::Role::kConsumer, Handle::Serving::kCaller, settings,
                                   {.delivered = nullptr, .rebalanced = &GroupConsumer::Rebalanced, .owner = consumer.get()}));
  rd_kafka_poll_set_consumer(consumer->handle_->get());
  return consumer;
}

GroupConsumer::~GroupConsumer() {
  if (handle_ != nullptr) Close();
}

Status GroupConsumer::Subscribe(std::span<const std::string> topics) {
  PartitionList list;
  for (const std::string& topic : topics) rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  const rd_kafka_resp_err_t code = rd_kafka_subscribe(handle_->get(), list.get());
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return std::unexpected(handle_->Explain(code, "subscribing to " + (topics.empty() ? std::string("nothing") : topics[0])));
}

Status GroupConsumer::Poll(std::chrono::milliseconds timeout) {
  if (!waiting_.empty() && std::chrono::steady_clock::now() >= ask_again_) {
    if (const std::vector<Assigned> known = AskWaiting(kAskAgainWait); !known.empty()) TakeOver(known);
  }
  rd_kafka_message_t* message = rd_kafka_consumer_poll(handle_->get(), static_cast<int>(timeout.count()));
  if (failed_) return std::unexpected(*std::exchange(failed_, std::nullopt));
  if (message == nullptr) return {};
  Status status;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    // It came before its partition had a queue of its own: that one begins with it.
    PartitionList list;
    list.Add({rd_kafka_topic_name(message->rkt), Partition(message->partition)}, message->offset);
    if (rd_kafka_error_t* error = rd_kafka_seek_partitions(handle_->get(), list.get(), kSeekMs); error != nullptr) {
      status = std::unexpected(handle_->Explain(error, "reading " + std::string(rd_kafka_topic_name(message->rkt))));
    }
  } else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    const char* text = rd_kafka_message_errstr(message);
    status = std::unexpected(handle_->Explain(message->err, "consumer group", text == nullptr ? "" : text));
  }
  rd_kafka_message_destroy(message);
  return status;
}

RecordReader* GroupConsumer::Reader(const TopicPartition& partition) {
  const auto found = sources_.find(partition);
  return found == sources_.end() ? nullptr : found->second->records.get();
}

std::optional<Offset> GroupConsumer::KnownEnd(const TopicPartition& partition) const {
  std::int64_t low = 0;
  std::int64_t high = 0;
  const rd_kafka_resp_err_t code =
      rd_kafka_get_watermark_offsets(handle_->get(), partition.topic.c_str(), partition.partition.value, &low, &high);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0) return std::nullopt;
  return Offset(high);
}

std::optional<Offset> GroupConsumer::Passed(const TopicPartition& partition) const {
  PartitionList list;
  rd_kafka_topic_partition_t* const element = list.Add(partition, RD_KAFKA_OFFSET_INVALID);
  if (rd_kafka_position(handle_->get(), list.get()) != RD_KAFKA_RESP_ERR_NO_ERROR || element->offset < 0) return std::nullopt;
  return Offset(element->offset);
}

std::vector<TopicPartition> GroupConsumer::assignment() const {
  std::vector<TopicPartition> all;
  for (const auto& [partition, source] : sources_) all.push_back(partition);
  return all;
}

GroupMetadata GroupConsumer::Metadata() const { return GroupMetadata(rd_kafka_consumer_group_metadata(handle_->get())); }

Status GroupConsumer::Commit(std::span<const GroupOffset> offsets) {
  const PartitionList list(offsets);
  const rd_kafka_resp_err_t code = rd_kafka_commit(handle_->get(), list.get(), 0);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return std::unexpected(handle_->Explain(code, "committing offsets"));
}

void GroupConsumer::Close() {
  if (std::exchange(closed_, true)) return;
  rd_kafka_consumer_close(handle_->get());
  sources_.clear();
}

void GroupConsumer::Rebalanced(void* owner, rd_kafka_s*, int code, void* partitions) {
  auto* self = static_cast<GroupConsumer*>(owner);
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    self->Assign(partitions);
  } else if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
    self->Unassign(partitions);
  } else {
    self->failed_ = self->handle_->Explain(code, "rebalancing the consumer group");
    rd_kafka_assign(self->handle_->get(), nullptr);
  }
}

void GroupConsumer::Assign(void* partitions) {
  auto* list = static_cast<rd_kafka_topic_partition_list_t*>(partitions);
  std::vector<Assigned> assigned;
  for (int i = 0; i < list->cnt; ++i) assigned.push_back({PartitionOf(list->elems[i]), std::nullopt});
  if (events_.assigned) events_.assigned(assigned);
  for (const Assigned& one : assigned) {
    if (!one.at) waiting_.push_back(one.partition);
  }
  std::erase_if(assigned, [](const Assigned& one) { return !one.at; });
  const std::vector<Assigned> known = AskWaiting(kCommittedWait);
  assigned.insert(assigned.end(), known.begin(), known.end());
  // The group waits for it, also where there is nothing to begin with yet.
  TakeOver(assigned);
}

// Those of the waiting partitions of which the broker says where the group stands. It does not while a transaction of an earlier member is
// open that holds positions; beginning anywhere else would take in again what was taken in.
std::vector<GroupConsumer::Assigned> GroupConsumer::AskWaiting(std::chrono::milliseconds timeout) {
  std::vector<Assigned> known;
  if (waiting_.empty()) return known;
  ask_again_ = std::chrono::steady_clock::now() + kAskAgain;
  const PartitionList asked(waiting_, RD_KAFKA_OFFSET_INVALID);
  const rd_kafka_resp_err_t code = rd_kafka_committed(handle_->get(), asked.get(), static_cast<int>(timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    failed_ = handle_->Explain(code, "asking where the group stands");
    return known;
  }
  for (const rd_kafka_topic_partition_t& element : asked.elements()) {
    if (element.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      known.push_back({PartitionOf(element), Offset(element.offset >= 0 ? element.offset : RD_KAFKA_OFFSET_BEGINNING)});
    } else if (element.err != RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT) {
      failed_ = handle_->Explain(element.err, "asking where the group stands in " + std::string(element.topic));
    }
  }
  for (const Assigned& one : known) std::erase(waiting_, one.partition);
  return known;
}

void GroupConsumer::TakeOver(const std::vector<Assigned>& partitions) {
  PartitionList starts;
  for (const Assigned& one : partitions) {
    const std::int64_t at = one.at->value;
    auto source = std::make_unique<Source>();
    source->partition = one.partition;
    source->events = &events_;
    source->queue = rd_kafka_queue_get_partition(handle_->get(), one.partition.topic.c_str(), one.partition.partition.value);
    rd_kafka_queue_forward(source->queue, nullptr);
    source->records = std::make_unique<RecordReader>(handle_, source->queue, one.partition, Offset(at >= 0 ? at : 0), writers_);
    if (events_.woken) {
      rd_kafka_queue_cb_event_enable(
          source->queue,
          [](rd_kafka_t*, void* opaque) {
            const auto* from = static_cast<const Source*>(opaque);
            from->events->woken(from->partition);
          },
          source.get());
    }
    starts.Add(one.partition, at);
    sources_[one.partition] = std::move(source);
  }
  if (rd_kafka_error_t* error = rd_kafka_incremental_assign(handle_->get(), starts.get()); error != nullptr) {
    failed_ = handle_->Explain(error, "taking over partitions");
    for (const Assigned& one : partitions) sources_.erase(one.partition);
    return;
  }
  if (paused_ && starts.get()->cnt > 0) rd_kafka_pause_partitions(handle_->get(), starts.get());
  for (const Assigned& one : partitions) rd_kafka_queue_forward(sources_[one.partition]->queue, nullptr);
}

void GroupConsumer::Unassign(void* partitions) {
  auto* list = static_cast<rd_kafka_topic_partition_list_t*>(partitions);
  std::vector<TopicPartition> gone;
  for (int i = 0; i < list->cnt; ++i) gone.push_back(PartitionOf(list->elems[i]));
  const bool lost = rd_kafka_assignment_lost(handle_->get()) != 0;
  if (lost && events_.lost) events_.lost(gone);
  if (!lost && events_.revoked) events_.revoked(gone);
  // What waits was never begun: the client knows nothing of it.
  PartitionList begun;
  for (const TopicPartition& partition : gone) {
    std::erase(waiting_, partition);
    if (sources_.erase(partition) > 0) begun.Add(partition, RD_KAFKA_OFFSET_INVALID);
  }
  if (rd_kafka_error_t* error = rd_kafka_incremental_unassign(handle_->get(), begun.get()); error != nullptr) {
    failed_ = handle_->Explain(error, "giving partitions up");
  }
}

}  // namespace sightline::kafka
