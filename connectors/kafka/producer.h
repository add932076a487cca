#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "connectors/kafka/client.h"

namespace sightline::kafka {

struct ProducerOptions {
  // Limits of what waits to be acknowledged; beyond, records are refused with kResourceExhausted.
  std::uint64_t pending_bytes_max = 64ULL << 20;
  std::uint64_t pending_records_max = 500'000;
  // What a topic takes in one piece (its max.message.bytes).
  std::uint64_t batch_bytes_max = 1'000'000;
};

// An idempotent producer with acks=all: what it acknowledged is on every replica in step, once and in the order of sending. Thread-safe.
class Producer {
 public:
  // The offset of the first record; from a thread of the client, or from within the call that sent.
  using Done = std::function<void(Result<std::int64_t> first)>;

  static Result<std::unique_ptr<Producer>> Make(const ClientOptions& client, const ProducerOptions& options);
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;
  // Waits until everything is acknowledged, `delivery_timeout` at most; what is not by then is answered with kCancelled.
  ~Producer();

  // Sends records to one partition, one behind the other: nothing of this producer comes between them. What the records point to must live
  // until `done`. After an error none of them is there, except with kDeadlineExceeded and kIo: some may be.
  // kInvalidArgument when a record is over a limit; kUnavailable when nothing was sent, a retry is safe.
  void Send(const std::string& topic, Partition partition, std::span<const OutRecord> records, std::optional<Codec> compression, Done done);
  // kInvalidArgument when a record is over a limit.
  Status CheckSizes(const std::string& topic, std::span<const OutRecord> records) const;
  Status Reach(std::chrono::milliseconds timeout) { return handle_->Reach(timeout); }
  // kFailedPrecondition once the producer can send nothing more and must be replaced.
  Status health() const;
  const std::shared_ptr<Handle>& handle() const { return handle_; }

 private:
  struct Pending;
  struct Lane;
  explicit Producer(const ProducerOptions& options) : options_(options) {}
  static void Delivered(void* owner, int code, int persisted, std::int64_t offset, void* opaque);
  Result<std::shared_ptr<Lane>> LaneOf(const std::string& topic, Partition partition, std::optional<Codec> compression);
  void Finish(Pending* pending);
  Status Admit(const std::string& topic, std::span<const OutRecord> records, std::uint64_t bytes);

  const ProducerOptions options_;
  std::shared_ptr<Handle> handle_;
  std::mutex lanes_mutex_;
  std::map<std::pair<std::string, std::int32_t>, std::shared_ptr<Lane>> lanes_;
  std::atomic<std::uint64_t> pending_bytes_ = 0;
  std::atomic<std::uint64_t> pending_records_ = 0;
};

}  // namespace sightline::kafka
