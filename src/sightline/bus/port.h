#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/hash.h"
#include "sightline/base/result.h"
#include "sightline/model/ids.h"
#include "sightline/model/time.h"

namespace sightline::bus {

// What "acknowledged" means on a topic.
enum class Durability : std::uint8_t {
  kFsync,     // on disk before the answer; consumers see only such batches
  kInterval,  // in the page cache before the answer, on disk within the interval
  kOs,        // in the page cache; the operating system writes it when it likes
};
enum class WhenFull : std::uint8_t { kRefuse, kDrop };
enum class Compression : std::uint8_t { kNone, kLz4, kZstd };

// How the values of a batch are encoded.
enum class Encoding : std::uint8_t { kJson = 0, kProtobuf = 1, kBinary = 2 };
// A tick is one record without value, written when a partition stays idle: its append time moves the watermark. A replay holds
// dead letters that are offered again: values are the originals, keys say which letters they were (model/replay.h).
enum class BatchType : std::uint8_t { kData = 0, kTick = 1, kReplay = 2 };

struct TopicSpec {
  std::string name;
  std::int32_t partitions = 1;
  Durability durability = Durability::kFsync;
  std::chrono::milliseconds interval{100};          // for kInterval
  std::chrono::milliseconds retain_time{0};         // 0: no limit by time
  std::uint64_t retain_bytes = 0;                   // a partition's; 0: no limit by size
  WhenFull when_full = WhenFull::kRefuse;
  Compression compression = Compression::kNone;
  std::uint64_t segment_bytes = 256ULL << 20;
  // A topic that a pipeline owns: readers see only up to what was published by a commit.
  bool owned = false;
};

struct TopicInfo {
  TopicSpec spec;
  struct PartitionInfo {
    Offset start;        // first offset still there
    Offset end;          // one past the last appended
    Offset visible;      // one past the last that readers see
    Offset durable;      // one past the last on disk
    Epoch epoch;
    std::uint64_t bytes = 0;
    std::int32_t segments = 0;
    std::uint64_t dropped = 0;  // records given up under WhenFull::kDrop or by repair
  };
  std::vector<PartitionInfo> partitions;
};

// Ties an append to a request that may be sent again: (hash of the key, part) is appended once within 24 h.
struct IdempotencyTag {
  Hash128 key;
  std::uint32_t part = 0;
  std::uint32_t digest = 0;  // CRC-32C of the request; another digest under the same key is kAlreadyExists
};

// What one producer appends to one partition, all or nothing. The views must live until the append is answered.
struct AppendBatch {
  BatchType type = BatchType::kData;
  Encoding encoding = Encoding::kJson;
  std::span<const std::string_view> values = {};
  std::span<const std::string_view> keys = {};  // empty, or one a value
  std::uint64_t producer = 0;              // 0: none; else (producer, sequence) is appended once
  // Rises by one a batch within a producer and partition. A producer that a partition does not know may begin anywhere: its
  // first batch must be answered before the second is sent.
  std::uint64_t sequence = 0;
  std::optional<IdempotencyTag> idempotency = std::nullopt;  // not together with a producer
};

struct Appended {
  Offset base;             // of the first record
  std::uint32_t count = 0;
  bool repeated = false;   // it was there already, by producer sequence or idempotency tag
};

// A batch as a reader sees it. Views are valid until the reader's next call.
struct Batch {
  BatchType type = BatchType::kData;
  Encoding encoding = Encoding::kJson;
  Offset base;
  AppendTime append_time;
  std::span<const std::string_view> values;
  std::span<const std::string_view> keys;  // empty, or one a value
  // A log with gaps (Kafka's transaction markers and compaction) says where each record lies, one with a time of its own for each record
  // when it came. Empty, or one a value: offsets ascend without gaps from `base`, and each record came at `append_time`. `base` and
  // `append_time` are the first record's in either case.
  std::span<const Offset> offsets = {};
  std::span<const AppendTime> append_times = {};

  Offset offset(std::size_t i) const { return offsets.empty() ? base + static_cast<std::int64_t>(i) : offsets[i]; }
  AppendTime time(std::size_t i) const { return append_times.empty() ? append_time : append_times[i]; }
  // One past the last record.
  Offset end() const { return offsets.empty() ? base + static_cast<std::int64_t>(values.size()) : offsets.back() + 1; }
  // How many of the records lie before `offset`.
  std::size_t CountBefore(Offset offset) const;
};

// Reads one partition in order. One thread at a time.
class Reader {
 public:
  virtual ~Reader() = default;
  // The next batch that readers may see, or nothing at the visible end. A batch that holds the position in its middle is
  // cut to begin there. kCorruption at damaged bytes (says where); kOutOfRange when retention passed the position.
  virtual Result<std::optional<Batch>> Next() = 0;
  // Where the next record lies, or later: at the visible end also past gaps behind the last one.
  virtual Offset position() const = 0;
  // kOutOfRange, saying what was lost, when `offset` lies before the start or past the end, or `epoch` is older than the
  // partition's and the offset lies past the truncation.
  virtual Status Seek(Offset offset, std::optional<Epoch> epoch) = 0;
};

// The single writer of a partition of an owned topic: what it appends stays unseen until published by a commit. After a
// restart readers see no more than was published before, and perhaps less, until the owner publishes again.
class OwnedPartition {
 public:
  virtual ~OwnedPartition() = default;
  virtual Result<Appended> Append(const AppendBatch& batch) = 0;
  // Makes everything appended durable.
  virtual Status Sync() = 0;
  // Lets readers see up to `end`; durable already by Sync. Never goes back.
  virtual Status Publish(Offset end) = 0;
  // Recovery: removes what lies at and past `end`, which no reader has seen; raises the epoch if anything was removed.
  virtual Status TruncateTo(Offset end) = 0;
  virtual Offset end() const = 0;
};

// Called when something new became visible in a partition, from a thread of the bus; must return at once.
using Waker = std::function<void()>;

// The durable event bus. Thread-safe. Errors: kNotFound for an unknown topic or partition (the message lists near names),
// kResourceExhausted when the log is full or can't keep up (retry is safe), kIo after which the partition refuses appends
// until the process is restarted, kCorruption when stored bytes are damaged.
class Bus {
 public:
  using AppendDone = std::function<void(Result<Appended>)>;

  virtual ~Bus() = default;
  // Makes the topic, or checks that the one there has the same partitions and owner; other settings are taken over.
  virtual Status EnsureTopic(const TopicSpec& spec) = 0;
  virtual Result<std::vector<std::string>> Topics() = 0;
  virtual Result<TopicInfo> Describe(const std::string& topic) = 0;

  // Appends and calls `done` once, when the batch is as durable as the topic promises; from a thread of the bus or from
  // within the call. After an error the batch is not there, except kIo and kDeadlineExceeded: unknown, a retry with the same
  // tag or sequence is safe.
  virtual void Append(const TopicPartition& to, const AppendBatch& batch, AppendDone done) = 0;
  virtual Result<std::unique_ptr<Reader>> OpenReader(const TopicPartition& from, Offset at) = 0;
  virtual Result<std::unique_ptr<OwnedPartition>> OpenOwned(const TopicPartition& partition) = 0;
  // Blocks until everything before `end` is on disk, whatever the topic's durability.
  virtual Status MakeDurable(const TopicPartition& partition, Offset end) = 0;

  // The position of a consumer group, durable when the call returns. The log is not deleted from there on while the
  // group exists (a hold).
  virtual Status CommitOffset(const std::string& group, const TopicPartition& partition, Offset offset) = 0;
  virtual Result<std::optional<Offset>> CommittedOffset(const std::string& group, const TopicPartition& partition) = 0;
  virtual Status DropGroup(const std::string& group) = 0;

  // Keeps a waker until `subscription` is destroyed.
  virtual Result<std::shared_ptr<void>> Subscribe(const TopicPartition& partition, Waker waker) = 0;
};

// Topics and groups are named with [a-z0-9_.-], 1 to 200 of them, so that a name is a file's name everywhere. `what` is
// for the message.
Status CheckName(std::string_view what, std::string_view name);
// kInvalidArgument for a spec that nobody can mean.
Status CheckSpec(const TopicSpec& spec);
// kInvalidArgument for a batch that no bus takes: no records, a tick with a value, keys and values that differ in number.
Status CheckBatch(const AppendBatch& batch);

// Append for callers that may block.
Result<Appended> AppendAndWait(Bus& bus, const TopicPartition& to, const AppendBatch& batch);

}  // namespace sightline::bus
