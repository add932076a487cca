#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/bus/port.h"
#include "sightline/model/result.h"
#include "sightline/runtime/runtime.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/stores/statistics/result_batch.h"

namespace sightline::stores {

struct ResultsSinkOptions {
  std::string topic{};                         // results.<pipeline>
  std::string group{};                         // holds the topic's data until it is applied; empty: statistics.<pipeline>
  std::size_t rows_max = 10'000;               // a transaction is closed when it has as many
  std::chrono::milliseconds gather_max{1000};  // or when the transaction before is as old,
  std::chrono::milliseconds quiet{100};        // or when no more has come for so long: results come in bursts, when windows close
  bool all = true;                             // all partitions; else those that Acquire names
  std::chrono::milliseconds hold_every{5000};  // how often positions without rows, and holds on the bus, are written
  // A new generation takes the place of the one before when this says so, and the results that were there are applied. Null: then.
  std::function<bool()> may_activate{};
  std::chrono::milliseconds backoff_min{100};
  std::chrono::milliseconds backoff_max{10'000};
};

// Of the partitions that the sink works on.
struct ResultsSinkMetrics {
  std::int64_t offset = 0;  // records that are applied
  std::int64_t end = 0;     // records that can be read; equal to offset when nothing is left
  std::uint64_t rows = 0;   // written since the start
  std::uint64_t groups = 0;
  std::uint64_t outdated = 0;
  std::uint64_t other_generation = 0;  // records of another plan, left out
  std::uint64_t transactions = 0;
  std::optional<std::string> error{};  // while the last try failed
  ErrorKind error_kind = ErrorKind::kInternal;
};

// Carries a results topic into the statistics store: reads all its partitions from the positions that the store has, gathers what
// is there, and applies it in transactions of rows_max rows, or of what came until it was quiet again. After a quiet time the first results
// go in at once. What was applied is there once, whatever fails in between, since the positions are the store's; the bus only holds the
// data until then. A generation takes over from the one before when it has caught up with the topic as it was when it began.
//
// After an error everything that was gathered is forgotten, and read again from the stored positions after a pause that doubles up
// to backoff_max: a store or topic that fails holds up this sink alone. Several processes may share the partitions: should two work on
// one for a while, the positions of the store let only one of them apply what comes next. Step is called by one thread; the others by any.
class ResultsSink {
 public:
  ResultsSink(bus::Bus& bus, StatisticsStore& store, const runtime::Runtime& runtime, ResultShape shape, std::uint64_t generation,
              ResultsSinkOptions options);

  // Does what there is to do, at most one transaction, and says how long nothing else will be to do unless new records
  // arrive: zero when there may be more at once.
  std::chrono::milliseconds Step();
  // Before a clean end: one more transaction of what is there, and the holds, if it can. What is left is read after the next start.
  void Finish();
  // Works on a partition from the next step on, or no more.
  void Acquire(Partition partition);
  void GiveUp(Partition partition);
  ResultsSinkMetrics metrics() const;
  const std::string& topic() const { return options_.topic; }

 private:
  struct Source {
    std::unique_ptr<bus::Reader> reader;
    Offset next;  // gathered up to here
    Offset stored;  // applied up to here
    Offset held;  // what the bus knows
    Offset begin;  // of the topic when the sink opened it
    Offset goal;  // the end when the sink began: caught up when stored is there
  };

  Status Open();
  Status Gather();
  Status Take(std::int32_t partition, Source& source, const bus::Batch& batch);
  Status ApplyGathered();
  Status CommitHolds();
  bool Advanced() const;
  bool Works(std::int32_t partition) const;
  std::chrono::nanoseconds SinceApplied() const;
  std::chrono::nanoseconds Wait() const;
  Result<std::chrono::milliseconds> TryStep();
  std::chrono::milliseconds Failed(Error error);

  bus::Bus& bus_;
  StatisticsStore& store_;
  const runtime::Runtime runtime_;
  const ResultShape shape_;
  const std::uint64_t generation_;
  const ResultsSinkOptions options_;

  bool open_ = false;
  bool activated_ = false;
  bool more_ = false;  // the topic had more than was gathered
  std::map<std::int32_t, Source> sources_;
  ResultBatch batch_;
  ResultRecord record_;
  std::optional<std::int64_t> applied_at_ns_;
  std::int64_t gathered_at_ns_ = 0;  // when the newest of what waits came
  std::optional<std::int64_t> held_at_ns_;
  std::chrono::milliseconds backoff_{0};
  std::int64_t retry_at_ns_ = 0;

  mutable std::mutex metrics_mutex_;
  std::set<std::int32_t> wanted_;
  bool wanted_changed_ = false;
  ResultsSinkMetrics metrics_;
  std::map<std::int32_t, Offset> applied_to_;
};

// Runs a sink on a thread of its own, woken by the topic. Destroying it finishes the sink.
class ResultsSinkThread {
 public:
  ResultsSinkThread(bus::Bus& bus, std::unique_ptr<ResultsSink> sink);
  ~ResultsSinkThread();
  ResultsSinkMetrics metrics() const { return sink_->metrics(); }
  void Acquire(Partition partition);
  void GiveUp(Partition partition);

 private:
  class Shell;
  std::unique_ptr<ResultsSink> sink_;
  std::unique_ptr<Shell> shell_;
};

}  // namespace sightline::stores
