#include "sightline/flow/due_notes.h"

#include <algorithm>

namespace sightline::flow {

std::int64_t DueNotes::next() const {
  const std::int64_t tick = next_tick_ < ticks_.size() ? ticks_[next_tick_].input : INT64_MAX;
  return next_activation_ < activations_.size() ? std::min(tick, activations_[next_activation_].input) : tick;
}

bool DueNotes::TickIsNext(std::size_t activation, std::size_t tick) const {
  if (tick == ticks_.size()) return false;
  if (activation == activations_.size()) return true;
  return ticks_[tick].after <= activation && ticks_[tick].input <= activations_[activation].input;
}

Result<std::optional<AppendTime>> DueNotes::Take(std::int64_t position, PartitionState& processor) {
  while (next() <= position) {
    if (TickIsNext(next_activation_, next_tick_)) return ticks_[next_tick_++].at;
    const ReferenceActivation& due = activations_[next_activation_++];
    SL_ASSIGN_OR_RETURN(ReferenceHandle table, versions_(due.name, due.version));
    processor.Activate(std::move(table));
  }
  return std::nullopt;
}

Status DueNotes::NoteLeft(CommitLog& log) const {
  for (std::size_t a = next_activation_, t = next_tick_; a < activations_.size() || t < ticks_.size();) {
    SL_TRY(TickIsNext(a, t) ? log.NoteTick(ticks_[t++]) : log.NoteActivation(activations_[a++]));
  }
  return {};
}

}  // namespace sightline::flow
