#pragma once

#include <cstdint>
#include <memory>

#include "sightline/bus/port.h"
#include "sightline/flow/commits/port.h"
#include "sightline/flow/plan.h"
#include "sightline/runtime/runtime.h"

namespace sightline::scenario {

struct Outcome;

// What a scenario runs on: a bus, a clock and a disk, and where its pipelines commit.
class Ground {
 public:
  virtual ~Ground() = default;
  virtual Status Open() = 0;
  // The power fails: nothing that is done from here on counts.
  virtual void CutPower() {}
  // It comes back: all that was in memory is gone, and what was not durable; Open comes next.
  virtual void PowerCycle() = 0;
  virtual bus::Bus& bus() = 0;
  virtual runtime::Runtime runtime() = 0;
  // Null: journals on the disk.
  virtual flow::CommitLogs* commits() { return nullptr; }
  // Appends as if it were that moment, in epoch ms; moments may go back.
  virtual Status Append(const TopicPartition& to, const bus::AppendBatch& batch, std::int64_t at) = 0;
  // Everything came out: what is to be true of this ground alone.
  virtual Status Examine(const flow::Plan&, const Outcome&) { return {}; }
};

// The embedded log on a simulated disk and clock.
std::unique_ptr<Ground> MakeSimulatedGround();

}  // namespace sightline::scenario
