#include "sightline/flow/recount_windows.h"

namespace sightline::flow {

RecountWindows::RecountWindows(const PipelinePlan& plan, const std::set<std::int64_t>& starts, std::pmr::memory_resource* memory)
    : size_(plan.window.size.count()) {
  single_.rows = plan.rows;
  single_.group_by = plan.group_by;
  single_.aggregates = plan.aggregates;
  single_.shape = plan.shape;
  single_.family = plan.family;
  single_.window = {.size = plan.window.size, .every = plan.window.size, .allowed_lateness = std::chrono::milliseconds(0)};
  if (memory == nullptr) memory = std::pmr::get_default_resource();
  for (const std::int64_t start : starts) stores_[start] = std::make_unique<WindowStore>(single_, memory);
}

RecountWindows::Families RecountWindows::Add(const ColumnBatch& batch, std::span<const std::uint32_t> rows,
                                             std::span<const std::int64_t> times, std::int64_t kept_from) {
  Families touched;
  for (auto at = stores_.lower_bound(kept_from); at != stores_.end(); ++at) {
    inside_.clear();
    times_.clear();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (times[i] < at->first || times[i] - at->first >= size_) continue;
      inside_.push_back(rows[i]);
      times_.push_back(times[i] - at->first);
    }
    if (inside_.empty()) continue;
    for (const std::uint32_t group : at->second->Add(batch, inside_, times_)) {
      touched[at->first].Insert(at->second->groups().FamilyOf(group));
    }
  }
  return touched;
}

void RecountWindows::Emit(std::int64_t start, const FamilySet& families, ColumnBatch& rows) {
  stores_.at(start)->EmitFamilies(0, families, GroupIndex::Order::kCanonical, rows);
}

}  // namespace sightline::flow
