#pragma once

#include <atomic>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "connectors/kafka/client.h"

struct rd_kafka_consumer_group_metadata_s;

namespace sightline::kafka {

// What a transaction that failed allows next.
enum class Fault : std::uint8_t {
  kRetriable,  // the same call again
  kAbortable,  // Abort, then everything since Begin again
  kFenced,     // another producer has the transactional id: end, nothing of this transaction is or will be seen
  kFatal,      // this producer can do nothing more: make a new one
};
struct TransactionError {
  Fault fault = Fault::kFatal;
  Error error;
};
using TransactionStatus = std::expected<void, TransactionError>;

// Where a group goes on in a partition, with a text of its own for each (4 KiB at most on a broker with the usual settings).
struct GroupOffset {
  TopicPartition partition;
  Offset next;
  std::string metadata;
};

// Who commits offsets within a transaction: a group by its name, or a member of it, which the broker fences when it is one no more.
class GroupMetadata {
 public:
  static GroupMetadata OfGroup(const std::string& group);
  explicit GroupMetadata(rd_kafka_consumer_group_metadata_s* metadata) : metadata_(metadata) {}
  GroupMetadata(GroupMetadata&& other) noexcept : metadata_(std::exchange(other.metadata_, nullptr)) {}
  GroupMetadata& operator=(GroupMetadata&& other) noexcept {
    std::swap(metadata_, other.metadata_);
    return *this;
  }
  ~GroupMetadata();
  const rd_kafka_consumer_group_metadata_s* get() const { return metadata_; }

 private:
  rd_kafka_consumer_group_metadata_s* metadata_;
};

struct TransactionOptions {
  std::string transactional_id;
  // A transaction that is open longer is aborted by the broker; readers wait for it no longer than this.
  std::chrono::milliseconds transaction_timeout{10'000};
  // Records that go together in one piece; a topic's max.message.bytes must allow it.
  std::uint64_t batch_bytes = 1'000'000;
};

// A producer whose records are seen together or not at all, with the offsets of the input they come from:
//   Init, then { Begin, Produce…, SendOffsets, Commit or Abort }…
// One thread at a time. Init fences whoever used the transactional id before: its open transaction is aborted, its next call fails with
// kFenced.
class TransactionalProducer {
 public:
  static Result<std::unique_ptr<TransactionalProducer>> Make(const ClientOptions& client, const TransactionOptions& options);
  TransactionalProducer(const TransactionalProducer&) = delete;
  TransactionalProducer& operator=(const TransactionalProducer&) = delete;
  // An open transaction is left to its time-out or to the next Init.
  ~TransactionalProducer();

  TransactionStatus Init(std::chrono::milliseconds timeout);
  TransactionStatus Begin();
  // Where records came to lie: the first offset of those that were produced with it. Must live until they are flushed.
  class Trace {
   public:
    // Nothing before the first is acknowledged.
    std::optional<Offset> first() const {
      const std::int64_t known = first_;
      return known == INT64_MAX ? std::nullopt : std::optional(Offset(known));
    }

   private:
    friend class TransactionalProducer;
    std::atomic<std::int64_t> first_ = INT64_MAX;
    void* lane_ = nullptr;
  };
  // Copies the record. kRetriable while the client's queue is full.
  TransactionStatus Produce(const std::string& topic, Partition partition, const OutRecord& record,
                            std::optional<Codec> compression = std::nullopt, Trace* trace = nullptr);
  TransactionStatus SendOffsets(std::span<const GroupOffset> offsets, const GroupMetadata& group, std::chrono::milliseconds timeout);
  // Flushes, too. After kRetriable (a time-out) the outcome is open: call it again.
  TransactionStatus Commit(std::chrono::milliseconds timeout);
  TransactionStatus Abort(std::chrono::milliseconds timeout);
  // Waits until everything produced is acknowledged, so that Ends is whole before Commit.
  TransactionStatus Flush(std::chrono::milliseconds timeout);
  // One past the last acknowledged record of each partition since the producer was made.
  std::map<TopicPartition, Offset> Ends() const;
  // Why a record of the last transactions was not taken, if one was not.
  std::optional<Error> last_failure() const;
  const std::shared_ptr<Handle>& handle() const { return handle_; }

 private:
  struct Lane;
  TransactionalProducer() = default;
  static void Delivered(void* owner, int code, int persisted, std::int64_t offset, void* opaque);
  TransactionError Failed(rd_kafka_error_s* error, std::string_view what) const;
  TransactionStatus Check(rd_kafka_error_s* error, std::string_view what) const;

  std::shared_ptr<Handle> handle_;
  std::string id_;
  std::map<TopicPartition, std::unique_ptr<Lane>> lanes_;
  std::atomic<int> failure_ = 0;
};

// Does again what the client asks to be done again, until the time is up. The error also says why a record was not taken.
template <typename Call>
Status Insist(const TransactionalProducer& producer, std::chrono::milliseconds timeout, Call call) {
  constexpr std::chrono::milliseconds kWait{2};
  const auto give_up = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    TransactionStatus done = call();
    if (done) return {};
    if (done.error().fault != Fault::kRetriable || std::chrono::steady_clock::now() >= give_up) {
      Error error = std::move(done.error().error);
      if (const std::optional<Error> cause = producer.last_failure()) error.message += "; " + cause->message;
      return std::unexpected(std::move(error));
    }
    std::this_thread::sleep_for(kWait);
  }
}

}  // namespace sightline::kafka
