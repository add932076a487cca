#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace sightline::vision {

struct DeliveryOptions {
  std::size_t events_max = 100'000;  // that wait; beyond it the oldest is dropped
  std::size_t batch_events_max = 500;
  std::chrono::milliseconds batch_wait{100};     // an event waits so long for company
  std::chrono::milliseconds backoff_first{250};  // after the first failure; twice as long after each further one
  std::chrono::milliseconds backoff_max{15'000};
};

struct DeliveryCounters {
  std::int64_t taken = 0;
  std::int64_t delivered = 0;
  std::int64_t refused = 0;   // by the server, for good
  std::int64_t dropped = 0;   // because the queue was full
  std::int64_t failures = 0;  // attempts that are to be repeated
};

// Events on their way to the server: gathered into batches, one batch under way at a time, and kept until the server has answered for them.
// A batch that is tried again has the same bytes and the same key, so that the server takes it once. Pure state: time comes in as
// monotonic nanoseconds, and whoever drives it does the sending. taken = delivered + refused + dropped + waiting, always. Not thread-safe.
class DeliveryQueue {
 public:
  struct Batch {
    std::string body;  // NDJSON
    std::string key;  // Idempotency-Key
    std::size_t events = 0;
  };
  enum class Outcome : std::uint8_t { kDelivered, kRefused, kTryAgain };

  // `key_prefix` must be unique among all queues that ever send to the same server.
  DeliveryQueue(DeliveryOptions options, std::string key_prefix);

  // `line` is one event with its line feed. False when another event had to be dropped for it.
  bool Add(std::string line, std::int64_t now_ns);
  // When the next attempt is due; nothing when no event waits.
  std::optional<std::int64_t> DueNs() const;
  // The batch to send now; nothing before DueNs, unless `flush` says not to wait for company. It stays the same one until it is settled.
  const Batch* Next(std::int64_t now_ns, bool flush);
  // What became of the batch under way. `delivered` of its events were taken (for kDelivered; the rest count as refused).
  // `retry_after` is the server's wish for kTryAgain.
  void Settle(Outcome outcome, std::size_t delivered, std::optional<std::chrono::milliseconds> retry_after, std::int64_t now_ns);

  std::size_t waiting() const { return waiting_.size() + batch_.events; }
  int failures_in_a_row() const { return failures_in_a_row_; }
  const DeliveryCounters& counters() const { return counters_; }

 private:
  struct Waiting {
    std::string line;
    std::int64_t since_ns = 0;
  };
  DeliveryOptions options_;
  std::string key_prefix_;
  std::int64_t next_key_ = 0;
  std::deque<Waiting> waiting_;
  Batch batch_;  // under way when it has events
  std::int64_t not_before_ns_ = 0;
  int failures_in_a_row_ = 0;
  DeliveryCounters counters_;
};

}  // namespace sightline::vision
