#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "sightline/flow/commits/port.h"
#include "sightline/flow/partition_state.h"
#include "sightline/flow/reference.h"

namespace sightline::flow {

// What was noted between the records of an input when it was processed for the first time, to take effect at the same places again. Not
// thread-safe.
class DueNotes {
 public:
  DueNotes() = default;
  DueNotes(const Recovered& recovered, ReferenceVersions versions)
      : activations_(recovered.activations), ticks_(recovered.ticks), versions_(std::move(versions)) {}

  // Before the record at this offset something takes effect; INT64_MAX when nothing is left.
  std::int64_t next() const;
  // Brings what is due before the record at `position` into the processor, up to and without the next tick, whose time it gives: the
  // caller lets it pass and calls again. Nothing when nothing is due any more.
  Result<std::optional<AppendTime>> Take(std::int64_t position, PartitionState& processor);
  // Notes in `log` what is left, in its order.
  Status NoteLeft(CommitLog& log) const;

 private:
  // Whether, of the activation and the tick at these places, the tick is first.
  bool TickIsNext(std::size_t activation, std::size_t tick) const;

  std::vector<ReferenceActivation> activations_;
  std::vector<IdleTick> ticks_;
  std::size_t next_activation_ = 0, next_tick_ = 0;
  ReferenceVersions versions_;
};

}  // namespace sightline::flow
