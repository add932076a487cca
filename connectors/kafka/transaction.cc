#include "connectors/kafka/transaction.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>

#include "connectors/kafka/partition_list_internal.h"
#include "connectors/kafka/produce_internal.h"

namespace sightline::kafka {
namespace {

bool IsFenced(int code) {
  return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH || code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

int Milliseconds(std::chrono::milliseconds time) { return static_cast<int>(time.count()); }

}  // namespace

GroupMetadata GroupMetadata::OfGroup(const std::string& group) {
  return GroupMetadata(rd_kafka_consumer_group_metadata_new(group.c_str()));
}

GroupMetadata::~GroupMetadata() {
  if (metadata_ != nullptr) rd_kafka_consumer_group_metadata_destroy(metadata_);
}

struct TransactionalProducer::Lane {
  TopicRef topic;
  std::atomic<std::int64_t> end = 0;
  Trace own;  // of records that nobody traces
};

Result<std::unique_ptr<TransactionalProducer>> TransactionalProducer::Make(const ClientOptions& client, const TransactionOptions& options) {
  std::unique_ptr<TransactionalProducer> producer(new TransactionalProducer());
  producer->id_ = options.transactional_id;
  const Settings settings = {
      {"transactional.id", options.transactional_id},
      {"transaction.timeout.ms", std::to_string(options.transaction_timeout.count())},
      // A request must not outlive the transaction.
      {"socket.timeout.ms", std::to_string(std::min(client.request_timeout, options.transaction_timeout).count())},
      {"linger.ms", std::to_string(static_cast<double>(client.linger.count()) / 1000)},
      {"compression.codec", std::string(CodecName(client.compression))},
      {"message.max.bytes", std::to_string(std::max<std::uint64_t>(client.message_bytes_max, 1000))},
      {"batch.size", std::to_string(std::min(client.message_bytes_max, options.batch_bytes))},
      {"batch.num.messages", "100000"},
      {"message.timeout.ms", std::to_string(std::min(client.delivery_timeout, options.transaction_timeout).count())},
      {"queue.buffering.max.messages", "1000000"},
      {"queue.buffering.max.kbytes", "262144"},
      {"retry.backoff.ms", "50"},
  };
  SL_ASSIGN_OR_RETURN(producer->handle_,
                      Handle::Make(client, Handle::Role::kProducer, Handle::Serving::kThread, settings,
                                   {.delivered = &TransactionalProducer::Delivered, .rebalanced = nullptr, .owner = producer.get()}));
  return producer;
}

TransactionalProducer::~TransactionalProducer() {
  if (handle_ == nullptr) return;
  rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  rd_kafka_flush(handle_->get(), 1000);
  // Its thread must not report to lanes that are gone.
  std::map<TopicPartition, std::unique_ptr<Lane>> lanes = std::move(lanes_);
  for (auto& [partition, lane] : lanes) lane->topic = TopicRef();
  handle_.reset();
}

void TransactionalProducer::Delivered(void* owner, int code, int, std::int64_t offset, void* opaque) {
  // A record that failed makes the transaction abortable: Commit says so.
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    static_cast<TransactionalProducer*>(owner)->failure_ = code;
    return;
  }
  auto* trace = static_cast<Trace*>(opaque);
  auto* lane = static_cast<Lane*>(trace->lane_);
  std::int64_t first = trace->first_;
  while (offset < first && !trace->first_.compare_exchange_weak(first, offset)) {
  }
  std::int64_t end = lane->end;
  while (end < offset + 1 && !lane->end.compare_exchange_weak(end, offset + 1)) {
  }
}

TransactionError TransactionalProducer::Failed(rd_kafka_error_s* error, std::string_view what) const {
  const int code = rd_kafka_error_code(error);
  char text[256];
  const int fatal = rd_kafka_fatal_error(handle_->get(), text, sizeof(text));
  TransactionError failed;
  if (IsFenced(code) || IsFenced(fatal)) {
    failed.fault = Fault::kFenced;
  } else if (rd_kafka_error_is_fatal(error) != 0 || fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
    failed.fault = Fault::kFatal;
  } else if (rd_kafka_error_txn_requires_abort(error) != 0) {
    failed.fault = Fault::kAbortable;
  } else if (rd_kafka_error_is_retriable(error) != 0) {
    failed.fault = Fault::kRetriable;
  }
  failed.error = handle_->Explain(error, std::string(what) + " (transactional id " + id_ + ")");
  if (failed.fault == Fault::kFenced) failed.error.kind = ErrorKind::kFailedPrecondition;
  return failed;
}

TransactionStatus TransactionalProducer::Check(rd_kafka_error_s* error, std::string_view what) const {
  if (error == nullptr) {
    handle_->NoteSuccess();
    return {};
  }
  return std::unexpected(Failed(error, what));
}

TransactionStatus TransactionalProducer::Init(std::chrono::milliseconds timeout) {
  return Check(rd_kafka_init_transactions(handle_->get(), Milliseconds(timeout)), "taking over the transactional id");
}

TransactionStatus TransactionalProducer::Begin() {
  failure_ = 0;
  return Check(rd_kafka_begin_transaction(handle_->get()), "beginning a transaction");
}

TransactionStatus TransactionalProducer::Produce(const std::string& topic, Partition partition, const OutRecord& record,
                                                 std::optional<Codec> compression, Trace* trace) {
  std::unique_ptr<Lane>& lane = lanes_[{topic, partition}];
  if (lane == nullptr) {
    lane = std::make_unique<Lane>();
    lane->topic = TopicRef(handle_, topic, compression);
    lane->own.lane_ = lane.get();
  }
  if (trace == nullptr) trace = &lane->own;
  trace->lane_ = lane.get();
  const int code = sightline::kafka::Produce(handle_->get(), lane->topic.get(), partition.value, record, Copying::kYes, trace);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  TransactionError failed;
  failed.fault = code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? Fault::kRetriable : Fault::kAbortable;
  char text[256];
  const int fatal = rd_kafka_fatal_error(handle_->get(), text, sizeof(text));
  if (IsFenced(code) || IsFenced(fatal)) {
    failed.fault = Fault::kFenced;
  } else if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
    failed.fault = Fault::kFatal;
  }
  failed.error =
      handle_->Explain(code, "producing to " + topic + "/" + std::to_string(partition.value) + " (transactional id " + id_ + ")");
  return std::unexpected(std::move(failed));
}

TransactionStatus TransactionalProducer::SendOffsets(std::span<const GroupOffset> offsets, const GroupMetadata& group,
                                                     std::chrono::milliseconds timeout) {
  const PartitionList list(offsets);
  return Check(rd_kafka_send_offsets_to_transaction(handle_->get(), list.get(), group.get(), Milliseconds(timeout)),
               "sending offsets to the transaction");
}

TransactionStatus TransactionalProducer::Commit(std::chrono::milliseconds timeout) {
  return Check(rd_kafka_commit_transaction(handle_->get(), Milliseconds(timeout)), "committing a transaction");
}

TransactionStatus TransactionalProducer::Abort(std::chrono::milliseconds timeout) {
  return Check(rd_kafka_abort_transaction(handle_->get(), Milliseconds(timeout)), "aborting a transaction");
}

TransactionStatus TransactionalProducer::Flush(std::chrono::milliseconds timeout) {
  const rd_kafka_resp_err_t code = rd_kafka_flush(handle_->get(), Milliseconds(timeout));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return std::unexpected(
      TransactionError{Fault::kRetriable, handle_->Explain(code, "flushing a transaction (transactional id " + id_ + ")")});
}

std::optional<Error> TransactionalProducer::last_failure() const {
  if (failure_ == 0) return std::nullopt;
  return handle_->Explain(failure_, "producing (transactional id " + id_ + ")");
}

std::map<TopicPartition, Offset> TransactionalProducer::Ends() const {
  std::map<TopicPartition, Offset> ends;
  for (const auto& [partition, lane] : lanes_) ends[partition] = Offset(lane->end.load());
  return ends;
}

}  // namespace sightline::kafka
