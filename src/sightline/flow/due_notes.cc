#include "sightline/flow/due_notes.h"

#include <algorithm>

namespace sightline::flow {

std::int64_t DueNotes::next() const {
  const std::int64_t tick = next_tick_ < ticks_.size() ? ticks_[next_tick_].input : INT64_MAX;
  return next_activation_ < activations_.size() ? std::min(tick, activations_[next_activation_].input) : tick;
}

Result<std::optional<AppendTime>> DueNotes::Take(std::int64_t position, PartitionState& processor) {
  while (next() <= position) {
    const bool tick = next_tick_ < ticks_.size() && ticks_[next_tick_].input <= position;
    if (tick && ticks_[next_tick_].after <= next_activation_) return ticks_[next_tick_++].at;
    const ReferenceActivation& due = activations_[next_activation_++];
    SL_ASSIGN_OR_RETURN(ReferenceHandle table, versions_(due.name, due.version));
    processor.Activate(std::move(table));
  }
  return std::nullopt;
}

}  // namespace sightline::flow
