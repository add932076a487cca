#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/runtime/random.h"
#include "tests/sim/world.h"

namespace sightline::sim {

struct SeenRecord {
  bus::BatchType type = bus::BatchType::kData;
  bus::Encoding encoding = bus::Encoding::kJson;
  std::int64_t append_time = 0;
  std::string value;
  friend bool operator==(const SeenRecord&, const SeenRecord&) = default;
};

// Reads one partition from its first offset on and remembers every record that it was ever shown: what a reader saw must stay.
class Follower {
 public:
  Follower(World& world, Checks& checks, TopicPartition from) : world_(world), checks_(checks), from_(std::move(from)) {}

  // Reads at most `batches` from `next()` on; the number of records read.
  std::size_t Read(std::size_t batches);
  // The reader is gone with its process; the next one begins at `next`.
  void Restart(std::int64_t next);
  // Reads all there is once more, and compares it with what was seen.
  void Recheck();
  // Records that only the page cache had are gone with the power: forgets those past the end of the log.
  void ForgetLost();

  const TopicPartition& from() const { return from_; }
  std::int64_t next() const { return next_; }
  const std::vector<SeenRecord>& seen() const { return seen_; }

 private:
  bool Take(const bus::Batch& batch);
  World& world_;
  Checks& checks_;
  TopicPartition from_;
  std::unique_ptr<bus::Reader> reader_;
  std::int64_t next_ = 0;
  std::vector<SeenRecord> seen_;
};

// Readers of everything that pipelines own, as the statistics sink is one: rows and the offset behind them change in one transaction,
// the hold on the bus follows later, and a crash loses what was gathered.
class Sinks {
 public:
  Sinks(World& world, const Scenario& scenario, Checks& checks, runtime::Random& random);

  // One of them reads, perhaps applies, perhaps moves its hold.
  void Step();
  // All of them read and apply everything; true if there was anything.
  bool Drain();
  // After a boot: readers begin at the stored offsets.
  void Restart();

  struct Sink {
    Follower follower;
    std::vector<std::string> gathered;  // read, not applied
    std::vector<std::string> rows;      // the store: rows.size() is the stored offset
    std::int64_t held = -1;
  };
  const std::vector<Sink>& sinks() const { return sinks_; }
  std::vector<Sink>& sinks() { return sinks_; }
  const Sink* Find(const std::string& topic, std::int32_t partition) const;

 private:
  void Gather(Sink& sink, std::size_t batches);
  void Apply(Sink& sink);
  void Hold(Sink& sink);
  World& world_;
  runtime::Random& random_;
  std::vector<Sink> sinks_;
};

}  // namespace sightline::sim
