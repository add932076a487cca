#include "connectors/kafka/record_reader.h"

#include <librdkafka/rdkafka.h>

#include <charconv>

namespace sightline::kafka {
namespace {

constexpr std::size_t kMessages = 8192;

bool Is(std::string_view name, const char* header) { return name == header; }

}  // namespace

RecordReader::RecordReader(std::shared_ptr<Handle> handle, rd_kafka_queue_s* queue, TopicPartition partition, Offset at, Writers writers)
    : handle_(std::move(handle)), queue_(queue), partition_(std::move(partition)), next_(at), writers_(writers), messages_(kMessages) {}

RecordReader::~RecordReader() { Release(); }

void RecordReader::Release() {
  for (std::size_t i = 0; i < count_; ++i) rd_kafka_message_destroy(messages_[i]);
  count_ = taken_ = 0;
}

void RecordReader::Restart(Offset at) {
  Release();
  next_ = at;
}

bool RecordReader::Fill(std::chrono::milliseconds wait) {
  Release();
  ssize_t got = rd_kafka_consume_batch_queue(queue_, 0, messages_.data(), messages_.size());
  if (got <= 0 && wait.count() > 0) {
    // With more room it would wait until all of it is filled.
    got = rd_kafka_consume_batch_queue(queue_, static_cast<int>(wait.count()), messages_.data(), 1);
    if (got == 1) {
      const ssize_t more = rd_kafka_consume_batch_queue(queue_, 0, messages_.data() + 1, messages_.size() - 1);
      if (more > 0) got += more;
    }
  }
  count_ = got > 0 ? static_cast<std::size_t>(got) : 0;
  return count_ > 0;
}

// A message that is no record: true at the end of the partition.
Result<bool> RecordReader::TakeEvent(const rd_kafka_message_s& message) {
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    if (Offset(message.offset) < next_) return false;
    next_ = Offset(message.offset);
    return true;
  }
  const std::string where = "reading " + partition_.topic + "/" + std::to_string(partition_.partition.value);
  const char* detail = rd_kafka_message_errstr(&message);
  Error error = handle_->Explain(message.err, where, detail == nullptr ? "" : detail);
  if (error.kind == ErrorKind::kOutOfRange) {
    error.message = where + " at offset " + std::to_string(next_.value) +
                    ": the log does not hold it any more (retention removed it, or the "
                    "topic was made anew); what lay between is lost to this reader" +
                    (detail == nullptr ? "" : ": " + std::string(detail));
  }
  return std::unexpected(std::move(error));
}

void RecordReader::Add(const rd_kafka_message_s& message, AppendTime time) {
  const Offset offset(message.offset);
  values_.emplace_back(static_cast<const char*>(message.payload), message.payload == nullptr ? 0 : message.len);
  keys_.emplace_back(static_cast<const char*>(message.key), message.key == nullptr ? 0 : message.key_len);
  has_keys_ = has_keys_ || message.key != nullptr;
  if (!offsets_.empty()) {
    has_gaps_ = has_gaps_ || offset != offsets_.back() + 1;
    has_times_ = has_times_ || time != times_.front();
  }
  offsets_.push_back(offset);
  times_.push_back(time);
  of_batch_.push_back(&message);
}

// What our headers say of a record.
RecordReader::Kind RecordReader::ReadHeaders(const rd_kafka_message_s& message, AppendTime& time) const {
  Kind kind;
  rd_kafka_headers_t* headers = nullptr;
  if (writers_ == Writers::kOthers || rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return kind;
  const char* name = nullptr;
  const void* bytes = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &bytes, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    const std::string_view value(static_cast<const char*>(bytes), bytes == nullptr ? 0 : size);
    if (Is(kTypeHeader, name)) {
      if (value == "tick") kind.type = bus::BatchType::kTick;
      if (value == "replay") kind.type = bus::BatchType::kReplay;
    } else if (Is(kEncodingHeader, name)) {
      if (value == "protobuf") kind.encoding = bus::Encoding::kProtobuf;
      if (value == "binary") kind.encoding = bus::Encoding::kBinary;
    } else if (Is(kAppendTimeHeader, name)) {
      std::from_chars(value.data(), value.data() + value.size(), time.value);
    }
  }
  return kind;
}

bus::Batch RecordReader::Present(Kind kind) {
  bus::Batch batch{
      .type = kind.type, .encoding = kind.encoding, .base = offsets_.front(), .append_time = times_.front(), .values = values_, .keys = {}};
  if (has_keys_) batch.keys = keys_;
  if (has_gaps_) batch.offsets = offsets_;
  if (has_times_) batch.append_times = times_;
  next_ = batch.end();
  return batch;
}

Result<RecordReader::Polled> RecordReader::Poll(std::chrono::milliseconds wait) {
  Polled polled;
  if (taken_ >= count_ && !Fill(wait)) return polled;
  values_.clear();
  keys_.clear();
  offsets_.clear();
  times_.clear();
  of_batch_.clear();
  has_keys_ = has_gaps_ = has_times_ = false;
  Kind kind;
  for (; taken_ < count_; ++taken_) {
    const rd_kafka_message_t& message = *messages_[taken_];
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (!values_.empty()) break;  // first what came before it
      ++taken_;
      SL_ASSIGN_OR_RETURN(polled.at_end, TakeEvent(message));
      if (polled.at_end && taken_ >= count_) return polled;
      --taken_;
      continue;
    }
    if (Offset(message.offset) < next_) continue;  // of the place before a seek
    AppendTime time(rd_kafka_message_timestamp(&message, nullptr));
    const Kind its = ReadHeaders(message, time);
    if (values_.empty()) {
      kind = its;
    } else if (its != kind || kind.type == bus::BatchType::kTick) {
      break;  // a tick is a batch of its own
    }
    Add(message, time);
  }
  if (!values_.empty()) {
    polled.at_end = false;
    polled.batch = Present(kind);
  }
  return polled;
}

}  // namespace sightline::kafka
