#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sightline/runtime/random.h"

#include "apps/sightline/client.h"
#include "apps/sightline/event_batches.h"

namespace sightline::app {

struct SendOptions {
  std::string dataset;
  std::string run_id;                                             // the Idempotency-Key of a batch is "<run_id>-<number>"
  std::size_t in_flight = 4;                                      // requests sent before the first of them is answered
  std::chrono::milliseconds retry_for = std::chrono::minutes(1);  // how long without a good answer before giving up
  std::uint64_t seed = 1;                                         // of the jitter
};

struct SendReject {
  std::uint64_t line = 0;
  std::string verdict, field, cause;
};

struct SendSummary {
  std::uint64_t batches = 0;
  std::uint64_t bytes = 0;
  std::uint64_t received = 0;
  std::uint64_t accepted = 0;
  std::map<std::string, std::uint64_t> rejected;  // by verdict
  std::vector<SendReject> rejects;                // the first twenty, by line of the input
  std::uint64_t retries = 0;
  std::uint64_t all_rejected() const;
};

// Sends batches to POST /v1/datasets/{dataset}/events over one connection, several in flight, in order. A batch that was
// refused for now (429, 503) or whose connection broke is sent again with the same Idempotency-Key, so that it counts once
// however often it arrives; after a refusal one at a time goes until the server has room again. One thread; borrows the world.
class Sender {
 public:
  Sender(World& world, Client client, SendOptions options);
  // May wait for answers of earlier batches. An error ends the sending: what was not acknowledged says unacknowledged().
  Status Submit(EventBatch batch);
  // Waits for all answers.
  Status Finish();
  const SendSummary& summary() const { return summary_; }
  // Events of batches that are neither accepted nor rejected; the first line of them.
  std::uint64_t unacknowledged() const;
  std::uint64_t first_unacknowledged() const { return pending_.empty() ? 0 : pending_.front().batch.first; }

 private:
  struct Pending {
    EventBatch batch;
    std::uint64_t number = 0;
    int attempts = 0;
    bool sent = false;  // on the connection of now
  };
  // Sends what may be sent, then takes one answer.
  Status Step();
  Status SendUnsent();
  Status TakeAnswer();
  Status Account(const Pending& pending, const HttpResponse& response);
  // Waits before the next try; the error itself when the time is up.
  enum class Connection : std::uint8_t { kGood, kBroken };
  Status Backoff(Error error, Connection connection, std::string_view retry_after);

  World& world_;
  Client client_;
  SendOptions options_;
  runtime::Random random_;
  std::deque<Pending> pending_;        // in order of the input
  std::size_t window_;                 // how many may be in flight; 1 after a refusal, growing again
  std::int64_t trouble_since_ns_ = 0;  // of the first refusal or break since the last good answer; 0: none
  int tries_ = 0;
  std::uint64_t next_number_ = 0;
  SendSummary summary_;
};

}  // namespace sightline::app
