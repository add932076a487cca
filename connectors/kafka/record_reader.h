#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/kafka/client.h"

struct rd_kafka_queue_s;
struct rd_kafka_message_s;

namespace sightline::kafka {

// Names of the headers that we write. A record without them is data in JSON that came when the broker says.
inline constexpr std::string_view kTypeHeader = "sl-type";            // "tick", "replay"
inline constexpr std::string_view kEncodingHeader = "sl-enc";         // "json", "protobuf", "binary"
inline constexpr std::string_view kAppendTimeHeader = "sl-at";        // epoch ms in decimal, instead of the broker's time

// Whose records a topic holds.
enum class Writers : std::uint8_t {
  kOurs,    // our headers say what a record is, how it is encoded and when it came
  kOthers,  // all are data, whatever their headers are called; a value without data is a record that has none
};

// Turns what lies in a queue of one partition into batches. Views into librdkafka's buffers: nothing is copied, and nothing allocated a
// record beyond what librdkafka does. One thread at a time.
class RecordReader {
 public:
  // What a poll found: a batch, or that the end was reached, or neither in the time given.
  struct Polled {
    std::optional<bus::Batch> batch;
    bool at_end = false;  // the partition held nothing readable behind position() when the broker answered
  };

  // The queue must live as long as the reader.
  RecordReader(std::shared_ptr<Handle> handle, rd_kafka_queue_s* queue, TopicPartition partition, Offset at,
               Writers writers = Writers::kOurs);
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;
  ~RecordReader();

  // The next records, all of one type and encoding; waits for the first of them, `wait` at most. Errors: kOutOfRange when retention passed
  // the position, kCorruption, kNotFound, kPermissionDenied, kUnavailable.
  Result<Polled> Poll(std::chrono::milliseconds wait);
  // One past the last record that was handed out, or past the gap behind it.
  Offset position() const { return next_; }
  // A record of the batch that was handed out last, with all that the client knows of it.
  const rd_kafka_message_s& message(std::size_t i) const { return *of_batch_[i]; }
  // The queue was told to go on elsewhere: what is left of the old place is passed over.
  void Restart(Offset at);

 private:
  struct Kind {
    bus::BatchType type = bus::BatchType::kData;
    bus::Encoding encoding = bus::Encoding::kJson;
    friend bool operator==(const Kind&, const Kind&) = default;
  };
  void Release();
  bool Fill(std::chrono::milliseconds wait);
  Result<bool> TakeEvent(const rd_kafka_message_s& message);
  Kind ReadHeaders(const rd_kafka_message_s& message, AppendTime& time) const;
  void Add(const rd_kafka_message_s& message, AppendTime time);
  bus::Batch Present(Kind kind);

  std::shared_ptr<Handle> handle_;
  rd_kafka_queue_s* queue_;
  TopicPartition partition_;
  Offset next_;
  const Writers writers_;
  std::vector<rd_kafka_message_s*> messages_;  // of the last fill; those before taken_ were looked at
  std::size_t count_ = 0;
  std::size_t taken_ = 0;
  std::vector<std::string_view> values_;
  std::vector<std::string_view> keys_;
  std::vector<Offset> offsets_;
  std::vector<AppendTime> times_;
  std::vector<const rd_kafka_message_s*> of_batch_;
  bool has_keys_ = false, has_gaps_ = false, has_times_ = false;
};

}  // namespace sightline::kafka
