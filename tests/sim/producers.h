#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightline/runtime/random.h"
#include "tests/sim/world.h"

namespace sightline::sim {

// A record as it was made: its bytes, which name its post, so that no two are equal, and what they mean.
struct Offered {
  std::string value;
  Verdict verdict = Verdict::kCounted;  // malformed and invalid ones were made so
  flow::testing::Event event{};
};

// One append as its producer knows it: the part of a request that goes to one partition.
struct Post {
  Partition partition;
  std::vector<Offered> records;
  std::uint64_t producer = 0;       // with a sequence; else it has a tag
  std::uint64_t sequence = 0;
  std::optional<bus::IdempotencyTag> tag = std::nullopt;
  bool acknowledged = false;                         // and the producer heard it
  std::optional<std::int64_t> base = std::nullopt;   // what the log answered, heard or not
};

// Producers, and a network that loses, doubles and reorders what they send and what they are answered. A producer sends again until
// it is answered: by Idempotency-Key (a request split over partitions), or by sequence within a partition, a few at a time.
class Producers {
 public:
  Producers(World& world, const Scenario& scenario, Checks& checks, Trace& trace, runtime::Random& random);

  void Send();
  // Brings one message of those under way, not in their order.
  void Deliver();
  // From here on the network is kind: sends all that is unanswered and brings all; true when nothing is unanswered.
  bool Settle();
  const std::vector<Post>& posts() const { return posts_; }
  std::size_t unanswered() const;
  std::int64_t newest_event() const { return newest_event_; }

 private:
  void SendTagged();
  void SendInSequence();
  void Put(std::size_t post);
  void Transmit(std::size_t post);
  void Answered(std::size_t post, const Result<bus::Appended>& appended);
  Offered NewRecord(std::size_t post, std::size_t index, std::int64_t location);
  Offered Valid(const flow::testing::Event& event, const std::string& mark);

  World& world_;
  const Scenario& scenario_;
  Checks& checks_;
  Trace& trace_;
  runtime::Random& random_;
  std::vector<Post> posts_;
  std::vector<std::size_t> under_way_;
  std::vector<flow::testing::Event> recent_;
  std::map<std::pair<std::uint64_t, std::int32_t>, std::uint64_t> sequences_;
  std::int64_t born_ns_;
  std::int64_t born_ms_;
  std::int64_t newest_event_ = INT64_MIN;
  bool kind_ = false;
};

}  // namespace sightline::sim
