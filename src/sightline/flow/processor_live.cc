// Open windows on their way to the live board.

#include "sightline/flow/processor.h"

namespace sightline::flow {

void Processor::PublishLive() {
  for (const auto& [start, families] : windows_.TakeTouched()) {
    if (start < windows_.first_open()) continue;  // its final result is on the way
    const ResultHeader base{.generation = 0,
                            .revision = 0,
                            .state = ResultState::kOpen,
                            .window_start = EventTime(start),
                            .window_end = EventTime(start + root_.window.size.count()),
                            .reference_version = ReferenceVersion()};
    // `every`: without what close steps take out.
    std::vector<ColumnBatch> rows(members_.size()), every(members_.size());
    for (std::size_t m = 0; m < members_.size(); ++m) {
      const PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(members_[m])];
      if (m == 0) {
        rows[m] = FamilyRows(start, families, GroupIndex::Order::kAny);
        if (emptying_[m] != 0) every[m] = Borrow(rows[m]);
      } else {
        const auto parent = static_cast<std::size_t>(parents_[m]);
        rows[m] = Borrow(rows[parent]);
        if (emptying_[m] != 0) every[m] = Borrow(every[parent]);
      }
      ApplyCloseSteps(plan, references_, rows[m]);
      if (emptying_[m] != 0) ApplyCloseSteps(plan, references_, every[m], Keep::kAll);
      if (!plan.to_live) continue;
      std::vector<LiveGroup> groups;
      ResultHeader header = base;
      header.generation = plan.fingerprint;
      ForEachGroup(plan.shape, rows[m], [&](std::size_t begin, std::size_t end) { groups.push_back({header, &rows[m], begin, end}); });
      if (plan.may_empty) {
        ForEachEmptied(plan.shape, rows[m], every[m], [&](std::size_t row) { groups.push_back({header, &every[m], row, row}); });
      }
      if (!groups.empty()) options_.live->Publish(shapes_[m], groups);
    }
  }
}

// A window is final and a group has no rows in it. Nothing says so in the results, and what was shown of it while it was open must go.
void Processor::PublishEmptied(std::size_t member, ResultHeader header, const ColumnBatch& rows, const ColumnBatch& every) const {
  const PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(members_[member])];
  if (options_.live == nullptr || !plan.to_live || recovering_) return;
  header.state = ResultState::kOpen;
  std::vector<LiveGroup> groups;
  ForEachEmptied(plan.shape, rows, every, [&](std::size_t row) { groups.push_back({header, &every, row, row}); });
  if (!groups.empty()) options_.live->Publish(shapes_[member], groups);
}

}  // namespace sightline::flow
