#include "sightline/flow/window_store.h"

#include <algorithm>
#include <numeric>

namespace sightline::flow {
namespace {

std::int64_t FloorTo(std::int64_t value, std::int64_t step) {
  std::int64_t rest = value % step;
  if (rest < 0) rest += step;
  return value - rest;
}

// The shape's group columns, as positions in group_by; found by name since enrich moves columns.
std::vector<int> ResultGroupOf(const PipelinePlan& plan) {
  std::vector<int> group;
  for (int column : plan.shape.group) {
    const std::string& name = plan.shape.schema.fields[static_cast<std::size_t>(column)].name;
    for (std::size_t k = 0; k < plan.group_by.size(); ++k) {
      if (plan.rows.fields[static_cast<std::size_t>(plan.group_by[k])].name == name) group.push_back(static_cast<int>(k));
    }
  }
  return group;
}

}  // namespace

WindowStore::WindowStore(const PipelinePlan& plan, std::pmr::memory_resource* memory)
    : plan_(plan),
      memory_(memory),
      size_(plan.window.size.count()),
      every_(plan.window.every.count()),
      lateness_(plan.window.allowed_lateness.count()),
      pane_ms_(std::gcd(size_, every_)),
      use_running_(size_ != pane_ms_),
      plain_count_(true),
      index_(plan.rows, plan.group_by, ResultGroupOf(plan), plan.family, memory),
      texts_(memory),
      running_(memory),
      merged_(memory) {
  for (const Aggregate& aggregate : plan.aggregates) {
    const AggregateColumn column(aggregate);
    use_running_ = use_running_ && column.invertible();
    plain_count_ = plain_count_ && aggregate.kind == AggregateKind::kCount;
    has_overflow_ = has_overflow_ || (aggregate.kind == AggregateKind::kSum && aggregate.type == FieldType::kInt64);
  }
  running_ = MakePane(0);
  merged_ = MakePane(0);
}

WindowStore::Pane WindowStore::MakePane(std::int64_t start) const {
  Pane pane(memory_);
  pane.start = start;
  for (const Aggregate& aggregate : plan_.aggregates) pane.columns.emplace_back(aggregate, memory_);
  return pane;
}

std::int64_t WindowStore::FirstWindowOf(std::int64_t time) const { return FloorTo(time - size_, every_) + every_; }
std::int64_t WindowStore::LastWindowOf(std::int64_t time) const { return FloorTo(time, every_); }

std::int64_t WindowStore::Boundary() const {
  if (first_open_ == INT64_MIN) return INT64_MIN;
  return std::min(first_open_ + size_, first_kept_ + size_ + lateness_);
}

WindowStore::Pane& WindowStore::PaneAt(std::int64_t time) {
  if (last_pane_ < panes_.size()) {
    Pane& last = panes_[last_pane_];
    if (time >= last.start && time < last.start + pane_ms_) return last;
  }
  const std::int64_t start = FloorTo(time, pane_ms_);
  auto at = std::lower_bound(panes_.begin(), panes_.end(), start, [](const Pane& pane, std::int64_t s) { return pane.start < s; });
  if (at == panes_.end() || at->start != start) at = panes_.insert(at, MakePane(start));
  last_pane_ = static_cast<std::size_t>(at - panes_.begin());
  Fit(*at);
  return *at;
}

void WindowStore::Fit(Pane& pane) const {
  if (pane.events.size() >= index_.size()) return;
  const std::size_t room = std::max<std::size_t>(index_.size() + index_.size() / 4, 1024);
  pane.events.resize(room);
  for (AggregateColumn& column : pane.columns) column.Resize(room);
}

void WindowStore::AddTo(Pane& pane, const ColumnBatch& batch, std::uint32_t row, std::uint32_t group) {
  if (group >= pane.events.size()) [[unlikely]]
    Fit(pane);
  ++pane.events[group];
  if (plain_count_) return;
  for (std::size_t a = 0; a < pane.columns.size(); ++a) {
    const int input = plan_.aggregates[a].input;
    if (input >= 0) pane.columns[a].Add(group, batch.columns[static_cast<std::size_t>(input)], row, texts_);
  }
}

std::span<const std::uint32_t> WindowStore::Add(const ColumnBatch& batch, std::span<const std::uint32_t> rows,
                                                std::span<const std::int64_t> times) {
  group_of_.resize(rows.size());
  index_.Assign(batch, rows, group_of_);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Pane& pane = PaneAt(times[i]);
    AddTo(pane, batch, rows[i], group_of_[i]);
    if (pane.in_running) AddTo(running_, batch, rows[i], group_of_[i]);
    if (track_ || pane.start < correctable_below_) Note(times[i], group_of_[i]);
  }
  return group_of_;
}

void WindowStore::Note(std::int64_t time, std::uint32_t group) {
  const std::uint32_t family = index_.FamilyOf(group);
  for (std::int64_t window = FirstWindowOf(time); window <= LastWindowOf(time); window += every_) {
    if (window < first_kept_) continue;
    if (window < first_open_) {
      corrected_[window].insert(family);
    } else if (track_) {
      touched_[window].insert(family);
    }
  }
}

// A pane below it belongs to a window that was emitted and may still be corrected.
void WindowStore::FindCorrectable() {
  const bool any = lateness_ > 0 && first_open_ != INT64_MIN;
  correctable_below_ = any ? first_open_ - every_ + size_ : INT64_MIN;
}

std::int64_t WindowStore::NextToEmit(std::int64_t watermark) const {
  std::int64_t next = kNone;
  for (const Pane& pane : panes_) {
    std::int64_t window = FirstWindowOf(pane.start);
    if (window < emitted_) window = std::max(FloorTo(emitted_, every_), window);
    if (window <= LastWindowOf(pane.start)) next = std::min(next, window);
  }
  return next != kNone && next + size_ <= watermark ? next : kNone;
}

void WindowStore::FitLike(Pane& total, const Pane& pane) const {
  Fit(total);
  if (total.events.size() >= pane.events.size()) return;
  total.events.resize(pane.events.size());
  for (AggregateColumn& column : total.columns) column.Resize(pane.events.size());
}

void WindowStore::MergeInto(Pane& total, const Pane& pane) const {
  FitLike(total, pane);
  for (std::size_t group = 0; group < pane.events.size(); ++group) total.events[group] += pane.events[group];
  if (plain_count_) return;
  for (std::size_t a = 0; a < total.columns.size(); ++a) total.columns[a].Merge(pane.columns[a], texts_);
}

void WindowStore::Subtract(Pane& total, const Pane& pane) const {
  FitLike(total, pane);
  for (std::size_t group = 0; group < pane.events.size(); ++group) total.events[group] -= pane.events[group];
  if (plain_count_) return;
  for (std::size_t a = 0; a < total.columns.size(); ++a) total.columns[a].Subtract(pane.columns[a]);
}

void WindowStore::MoveRunning(std::int64_t start) {
  for (Pane& pane : panes_) {
    const bool wanted = pane.start >= start && pane.start < start + size_;
    if (wanted == pane.in_running) continue;
    if (wanted) {
      MergeInto(running_, pane);
    } else {
      Subtract(running_, pane);
    }
    pane.in_running = wanted;
  }
  running_.start = start;
}

WindowStore::Pane* WindowStore::Window(std::int64_t start, bool may_move) {
  if (pane_ms_ == size_) {
    for (Pane& pane : panes_) {
      if (pane.start == start) return &pane;
    }
    return nullptr;
  }
  if (use_running_ && may_move) {
    MoveRunning(start);
    return &running_;
  }
  merged_ = MakePane(start);
  for (const Pane& pane : panes_) {
    if (pane.start >= start && pane.start < start + size_) MergeInto(merged_, pane);
  }
  return &merged_;
}

void WindowStore::Emit(std::int64_t start, ColumnBatch& rows, std::vector<std::uint64_t>& events) {
  Pane* window = Window(start, true);
  present_.clear();
  if (window != nullptr) {
    Fit(*window);
    for (std::uint32_t group : index_.Sorted()) {
      if (window->events[group] != 0) present_.push_back(group);
    }
    FillRows(*window, present_, rows, events);
  } else {
    FillRows(merged_, present_, rows, events);
  }
}

void WindowStore::EmitFamilies(std::int64_t start, const std::set<std::uint32_t>& families, GroupIndex::Order order, ColumnBatch& rows,
                               std::vector<std::uint64_t>& events) {
  const std::vector<std::uint32_t> groups = index_.MembersOf(families, order);
  Pane* window = Window(start, false);
  present_.clear();
  if (window != nullptr) {
    Fit(*window);
    for (std::uint32_t group : groups) {
      if (window->events[group] != 0) present_.push_back(group);
    }
  }
  FillRows(window != nullptr ? *window : merged_, present_, rows, events);
}

void WindowStore::FillRows(const Pane& window, std::span<const std::uint32_t> groups, ColumnBatch& rows,
                           std::vector<std::uint64_t>& events) {
  const std::size_t keys = plan_.group_by.size();
  rows.rows = groups.size();
  // Anew: close steps have inserted columns into the rows of the window before, so that types have moved.
  rows.columns.assign(keys + plan_.aggregates.size() + (has_overflow_ ? 1 : 0), Column{});
  for (std::size_t k = 0; k < keys; ++k) index_.Materialise(k, groups, rows.columns[k]);
  events.resize(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) events[i] = window.events[groups[i]];
  overflow_.assign(groups.size(), 0);
  for (std::size_t a = 0; a < plan_.aggregates.size(); ++a) {
    Column& into = rows.columns[keys + a];
    if (plan_.aggregates[a].kind == AggregateKind::kCount) {
      into.type = FieldType::kInt64;
      into.nulls.clear();
      into.int64s.assign(events.begin(), events.end());
    } else {
      window.columns[a].Materialise(groups, texts_, into, overflow_);
    }
  }
  if (!has_overflow_) return;
  Column& flag = rows.columns.back();
  flag.type = FieldType::kBool;
  flag.nulls.clear();
  flag.int64s.assign(overflow_.begin(), overflow_.end());
}

void WindowStore::Advance(std::int64_t watermark) {
  // At the end of a bounded input everything is final and nothing is kept.
  if (watermark == INT64_MAX) {
    panes_.clear();
    last_pane_ = SIZE_MAX;
    first_open_ = first_kept_ = emitted_ = INT64_MAX - size_ - lateness_;
    return;
  }
  first_open_ = std::max(first_open_, FirstWindowOf(watermark));
  first_kept_ = std::max(first_kept_, FirstWindowOf(watermark - lateness_));
  emitted_ = std::max(emitted_, first_open_);
  FindCorrectable();
  bool dropped = false;
  while (!panes_.empty() && LastWindowOf(panes_.front().start) < first_kept_) {
    if (panes_.front().in_running) Subtract(running_, panes_.front());
    panes_.pop_front();
    dropped = true;
  }
  last_pane_ = SIZE_MAX;
  dropped_ = dropped_ || dropped;
  if (dropped) MaybeCompact(false);
}

void WindowStore::Compact() {
  // Pending notes hold family numbers of this numbering: wait until they are taken.
  if (!dropped_ || !corrected_.empty() || !touched_.empty()) return;
  dropped_ = false;
  MaybeCompact(true);
}

void WindowStore::MaybeCompact(bool forced) {
  if (forced || texts_.size() >= texts_compact_at_) CompactTexts();
  if (index_.size() < compact_at_ && !forced) return;
  std::vector<std::uint8_t> alive(index_.size(), 0);
  for (const Pane& pane : panes_) {
    for (std::size_t group = 0; group < std::min<std::size_t>(alive.size(), pane.events.size()); ++group) {
      alive[group] |= static_cast<std::uint8_t>(pane.events[group] != 0);
    }
  }
  // Pending notes hold family numbers of this numbering: wait until they are taken.
  if (!corrected_.empty() || !touched_.empty()) return;
  const auto living = static_cast<std::uint32_t>(std::count(alive.begin(), alive.end(), 1));
  compact_at_ = std::max<std::uint32_t>(1U << 16, living * 2);
  if (forced ? living == index_.size() : index_.size() < compact_at_) return;
  const std::vector<std::uint32_t> moved = index_.Compact(alive);
  ++numbering_;
  const auto remap = [&](Pane& pane) {
    std::pmr::vector<std::uint64_t> events(index_.size(), memory_);
    for (std::size_t group = 0; group < std::min(moved.size(), pane.events.size()); ++group) {
      if (moved[group] != GroupIndex::kGone) events[moved[group]] = pane.events[group];
    }
    pane.events = std::move(events);
    for (AggregateColumn& column : pane.columns) column.Remap(moved, index_.size());
  };
  for (Pane& pane : panes_) remap(pane);
  remap(running_);
}

// A dictionary of those that panes still hold. What else held texts is scratch and made anew before it is used.
void WindowStore::CompactTexts() {
  const bool any = std::ranges::any_of(running_.columns, &AggregateColumn::keeps_texts);
  if (!any) return;
  StringDictionary fresh(memory_);
  merged_ = MakePane(0);
  for (Pane& pane : panes_) {
    for (AggregateColumn& column : pane.columns) {
      if (column.keeps_texts()) column.RenumberTexts(texts_, fresh);
    }
  }
  texts_ = std::move(fresh);
  texts_compact_at_ = std::max<std::uint32_t>(1U << 16, texts_.size() * 2);
}

std::size_t WindowStore::GrowthFor(std::size_t records) const {
  const std::size_t wanted = index_.size() + records;
  const std::size_t room = std::max<std::size_t>(wanted + wanted / 4, 1024);
  std::size_t width = sizeof(std::uint64_t);
  std::size_t growth = index_.GrowthFor(records);
  bool texts = false;
  for (const AggregateColumn& column : running_.columns) {
    width += column.width();
    texts = texts || column.keeps_texts();
  }
  for (const Aggregate& aggregate : plan_.aggregates) {
    if (aggregate.kind == AggregateKind::kCountDistinct) growth += records * 64;
  }
  if (texts) growth += texts_.GrowthFor(records);
  // A pane begins; the newest and the sum of the open ones are fitted to the new groups.
  std::size_t fitted = 1;
  if (!panes_.empty() && panes_.back().events.size() < wanted) ++fitted;
  if (pane_ms_ != size_ && (use_running_ ? running_ : merged_).events.size() < wanted) ++fitted;
  return growth + fitted * room * width;
}

std::size_t WindowStore::bytes() const {
  std::size_t total = index_.bytes() + texts_.bytes() + running_.events.size() * 8;
  for (const Pane& pane : panes_) {
    total += pane.events.size() * 8;
    for (const AggregateColumn& column : pane.columns) total += column.bytes();
  }
  return total;
}

void WindowStore::Save(ByteWriter& out) const {
  out.Put(first_open_);
  out.Put(first_kept_);
  out.Put(emitted_);
  index_.Save(out);
  out.PutVarint(panes_.size());
  for (const Pane& pane : panes_) {
    out.Put(pane.start);
    std::uint64_t present = 0;
    for (std::uint64_t events : pane.events) present += events != 0 ? 1 : 0;
    out.PutVarint(present);
    for (std::uint32_t group = 0; group < pane.events.size(); ++group) {
      if (pane.events[group] == 0) continue;
      out.PutVarint(group);
      out.PutVarint(pane.events[group]);
      for (const AggregateColumn& column : pane.columns) column.Save(group, out, texts_);
    }
  }
  out.PutVarint(corrected_.size());
  for (const auto& [window, families] : corrected_) {
    out.Put(window);
    out.PutVarint(families.size());
    // A family is saved by one of its groups: numbers of families are not kept.
    for (std::uint32_t family : families) out.PutVarint(const_cast<GroupIndex&>(index_).Members(family).front());
  }
}

Status WindowStore::Load(ByteReader& in) {
  first_open_ = in.Get<std::int64_t>();
  first_kept_ = in.Get<std::int64_t>();
  emitted_ = in.Get<std::int64_t>();
  FindCorrectable();
  SL_TRY(index_.Load(in));
  const auto broken = [] {
    return Fail(ErrorKind::kCorruption, "the windows in a snapshot are cut off or name a group that is not there");
  };
  const std::uint64_t panes = in.GetVarint();
  for (std::uint64_t p = 0; p < panes && in.ok(); ++p) {
    Pane pane = MakePane(in.Get<std::int64_t>());
    Fit(pane);
    const std::uint64_t present = in.GetVarint();
    for (std::uint64_t i = 0; i < present && in.ok(); ++i) {
      const std::uint64_t group = in.GetVarint();
      if (group >= index_.size()) return broken();
      pane.events[group] = in.GetVarint();
      for (AggregateColumn& column : pane.columns) column.Load(static_cast<std::uint32_t>(group), in, texts_);
    }
    panes_.push_back(std::move(pane));
  }
  const std::uint64_t corrected = in.GetVarint();
  for (std::uint64_t i = 0; i < corrected && in.ok(); ++i) {
    std::set<std::uint32_t>& families = corrected_[in.Get<std::int64_t>()];
    const std::uint64_t count = in.GetVarint();
    for (std::uint64_t f = 0; f < count && in.ok(); ++f) {
      const std::uint64_t group = in.GetVarint();
      if (group >= index_.size()) return broken();
      families.insert(index_.FamilyOf(static_cast<std::uint32_t>(group)));
    }
  }
  if (!in.ok()) return broken();
  return {};
}

}  // namespace sightline::flow
