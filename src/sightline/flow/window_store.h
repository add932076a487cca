#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory_resource>
#include <span>
#include <utility>
#include <vector>

#include "sightline/base/bytes.h"
#include "sightline/flow/aggregates.h"
#include "sightline/flow/group_index.h"
#include "sightline/flow/plan.h"

namespace sightline::flow {

// The open windows of one pipeline in one partition.
//
// Event time is cut into panes of gcd(size, every) ms; a record enters one pane, a window is the sum of its panes. For
// overlapping windows whose aggregates can be subtracted, a running sum moves from window to window: a pane is added once and
// taken away once. Windows are [k * every, k * every + size), aligned to the epoch. Not thread-safe.
class WindowStore {
 public:
  // `plan` is a root pipeline's; `memory` is where the store lives. Both must outlive it.
  explicit WindowStore(const PipelinePlan& plan, std::pmr::memory_resource* memory = std::pmr::get_default_resource());

  // Adds rows[i] (event time times[i], not late for all its windows); returns the group number of each, valid until the next
  // call. The watermark must not cross a Boundary() between the rows.
  std::span<const std::uint32_t> Add(const ColumnBatch& batch, std::span<const std::uint32_t> rows, std::span<const std::int64_t> times);

  // A record at `time` belongs to windows FirstWindowOf(time), + every, …, LastWindowOf(time).
  std::int64_t FirstWindowOf(std::int64_t time) const;
  std::int64_t LastWindowOf(std::int64_t time) const;
  // The watermark at which the next window becomes final or is forgotten.
  std::int64_t Boundary() const;
  // First window that is not final yet, and the first that still takes records (as a correction).
  std::int64_t first_open() const { return first_open_; }
  std::int64_t first_kept() const { return first_kept_; }

  // Start of the oldest window which holds a record and is final at `watermark`, but not emitted yet; kNone if there is none.
  static constexpr std::int64_t kNone = INT64_MAX;
  std::int64_t NextToEmit(std::int64_t watermark) const;
  // The rows of a window, in canonical order: key columns, aggregates, then `overflow` where the plan has it.
  // `families`: of these alone.
  void Emit(std::int64_t start, ColumnBatch& rows);
  void EmitFamilies(std::int64_t start, const FamilySet& families, GroupIndex::Order order, ColumnBatch& rows);
  // The window is emitted; its later changes are corrections.
  void MarkEmitted(std::int64_t start) { emitted_ = start + every_; }
  // After everything final at `watermark` was emitted: forgets what no window needs any more.
  void Advance(std::int64_t watermark);

  // Families with records added to already emitted windows since the last call, by window.
  using Families = std::map<std::int64_t, FamilySet>;
  Families TakeCorrected() { return std::exchange(corrected_, {}); }
  // Families with records added to open windows since the last call; kept only while tracking is on.
  void TrackTouched(bool on) { track_ = on; }
  Families TakeTouched() { return std::exchange(touched_, {}); }

  GroupIndex& groups() { return index_; }
  // Changes whenever groups are numbered anew.
  std::uint64_t numbering() const { return numbering_; }
  std::size_t open_panes() const { return panes_.size(); }
  std::size_t bytes() const;
  // Bytes taken at most when `records` come that are all in new groups, and a pane begins.
  std::size_t GrowthFor(std::size_t records) const;
  // Forgets groups and texts that no window needs any more, however few. Changes nothing that is put out.
  void Compact();
  void Save(ByteWriter& out) const;
  Status Load(ByteReader& in);

 private:
  struct Pane {
    explicit Pane(std::pmr::memory_resource* memory) : events(memory), present(memory) {}
    std::int64_t start = 0;
    bool in_running = false;
    std::pmr::vector<std::uint64_t> events;  // a group
    std::vector<AggregateColumn> columns;  // one an aggregate
    // The groups with events, in order of arrival, where `listed`: where windows overlap, panes are small beside the groups of all
    // windows, and are added up and taken away by this list.
    std::pmr::vector<std::uint32_t> present;
    bool listed = false;
  };
  Pane MakePane(std::int64_t start) const;
  Pane TakePane(std::int64_t start);
  void KeepSpare(Pane pane);
  void Reset(Pane& pane) const;
  Pane& PaneAt(std::int64_t time);
  void Fit(Pane& pane);
  void FitLike(Pane& total, const Pane& pane);
  void Take(Pane& pane, std::uint32_t group, std::uint64_t events);
  void AddTo(Pane& pane, const ColumnBatch& batch, std::uint32_t row, std::uint32_t group);
  void Note(const Pane& pane, std::uint32_t group);
  void NoteIn(std::int64_t window, std::uint32_t family);
  void MergeInto(Pane& total, const Pane& pane);
  void Subtract(const Pane& pane);
  // The window's values: its only pane, the running sum, or a merge of its panes; null when it holds nothing.
  Pane* Window(std::int64_t start, bool may_move);
  void FindCorrectable();
  void MoveRunning(std::int64_t start);
  std::span<const std::uint32_t> RunningGroups();
  std::span<const std::uint32_t> GroupsOf(const Pane& window);
  void MaybeCompact(bool forced);
  void MaybeRenumber();
  void Renumbered(const std::vector<std::uint32_t>& moved);
  void CompactTexts();
  void FillRows(const Pane& window, std::span<const std::uint32_t> groups, ColumnBatch& rows);

  const PipelinePlan& plan_;
  std::pmr::memory_resource* memory_;
  std::int64_t size_, every_, lateness_, pane_ms_;
  bool use_running_;
  bool has_overflow_ = false;
  bool plain_count_;                   // every aggregate is count(): nothing but `events` is kept
  bool overlapping_;                   // a record is in several windows: panes are added up
  bool track_ = false;
  GroupIndex index_;
  StringDictionary texts_;             // values of min, max and count_distinct over texts
  std::deque<Pane> panes_;             // by start
  std::size_t last_pane_ = SIZE_MAX;   // where the record before went
  std::int64_t first_open_ = INT64_MIN;
  std::int64_t first_kept_ = INT64_MIN;
  std::int64_t correctable_below_ = INT64_MIN;
  std::int64_t emitted_ = INT64_MIN;   // windows that start before it were emitted, or were empty
  Pane running_;                       // the sum of panes with in_running
  std::vector<std::uint64_t> running_bits_;  // a bit a group: is it in running_?
  Pane merged_;
  std::vector<Pane> spares_;           // cleared, with room for the groups: the next pane takes one
  Families corrected_, touched_;
  std::uint32_t compact_at_ = 1U << 16;
  std::uint32_t texts_compact_at_ = 1U << 16;
  bool dropped_ = false;               // a pane, since groups were last looked through
  std::uint64_t numbering_ = 1;
  std::vector<std::uint32_t> group_of_, present_;
  std::vector<std::uint8_t> overflow_;
};

}  // namespace sightline::flow
