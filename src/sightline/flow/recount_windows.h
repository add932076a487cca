#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "sightline/flow/plan.h"
#include "sightline/flow/window_store.h"

namespace sightline::flow {

// Single windows of a root pipeline that are counted anew, because records that were late for them are offered again and their state
// is gone. Each window is counted on its own: which records it holds depends on when it was closed. Not thread-safe.
class RecountWindows {
 public:
  // `memory`: where they live, which must outlive them; null: the default.
  RecountWindows(const PipelinePlan& plan, const std::set<std::int64_t>& starts, std::pmr::memory_resource* memory = nullptr);

  bool Has(std::int64_t start) const { return stores_.contains(start); }
  // Families whose records were added, by window.
  using Families = WindowStore::Families;
  // Adds rows[i] (event time times[i]) to each of the windows that it lies in and that begins at or after `kept_from`; others were
  // closed when it came.
  Families Add(const ColumnBatch& batch, std::span<const std::uint32_t> rows, std::span<const std::int64_t> times, std::int64_t kept_from);
  // As WindowStore::EmitFamilies.
  void Emit(std::int64_t start, const FamilySet& families, ColumnBatch& rows);

 private:
  PipelinePlan single_;  // the pipeline's keys and aggregates over one window that begins at 0
  std::int64_t size_;
  std::map<std::int64_t, std::unique_ptr<WindowStore>> stores_;  // event times less the start
  std::vector<std::uint32_t> inside_;
  std::vector<std::int64_t> times_;
};

}  // namespace sightline::flow
