#include "sightline/flow/window_store.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace sightline::flow {
namespace {

constexpr std::size_t kFetchAhead = 12;  // records: about as long as memory takes
constexpr std::size_t kSparesMax = 2;
constexpr std::uint32_t kCompactFactor = 4;  // groups for each that lives: many of those that went will come again
constexpr std::uint32_t kRenumberMin = 1024;
constexpr std::uint32_t kRenumberMax = 1U << 22;  // beyond, the copies that it makes on the way would be large

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

// Visits groups whose counts lie anywhere in two arrays, which are called into the cache some groups before they are needed.
template <typename Visit>
void VisitAhead(std::span<const std::uint32_t> groups, const std::uint64_t* from, const std::uint64_t* to, Visit visit) {
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i + kFetchAhead < groups.size()) {
      __builtin_prefetch(to + groups[i + kFetchAhead], 1);
      __builtin_prefetch(from + groups[i + kFetchAhead]);
    }
    visit(groups[i]);
  }
}

// Close steps have inserted columns into the rows of the window before, so that types have moved: only what is in the buffer of the type
// will be written over.
void MakeRoomFor(FieldType type, Column& column) {
  column.type = type;
  column.nulls.clear();
  if (type != FieldType::kInt64 && type != FieldType::kBool) column.int64s.clear();
  if (type != FieldType::kDouble) column.doubles.clear();
  if (type != FieldType::kString) column.strings.clear();
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
      overlapping_(size_ != pane_ms_),
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
  running_.listed = false;  // what is taken away from it would have to leave the list
  merged_ = MakePane(0);
}

WindowStore::Pane WindowStore::MakePane(std::int64_t start) const {
  Pane pane(memory_);
  pane.start = start;
  pane.listed = overlapping_;
  for (const Aggregate& aggregate : plan_.aggregates) pane.columns.emplace_back(aggregate, memory_);
  return pane;
}

// A new pane, in the memory of one that is gone where there is such.
WindowStore::Pane WindowStore::TakePane(std::int64_t start) {
  if (spares_.empty()) return MakePane(start);
  Pane pane = std::move(spares_.back());
  spares_.pop_back();
  pane.start = start;
  return pane;
}

void WindowStore::KeepSpare(Pane pane) {
  if (spares_.size() >= kSparesMax) return;
  Reset(pane);
  spares_.push_back(std::move(pane));
}

// Empty again, with the room it has.
void WindowStore::Reset(Pane& pane) const {
  pane.in_running = false;
  if (pane.listed) {
    for (const std::uint32_t group : pane.present) pane.events[group] = 0;
    pane.present.clear();
  } else {
    std::ranges::fill(pane.events, 0);
  }
  for (AggregateColumn& column : pane.columns) {
    column.Clear();
    if (!plain_count_) column.Resize(pane.events.size());
  }
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
  // Mostly there is a pane for each step of time: then its place is known.
  auto at = panes_.begin();
  if (!panes_.empty() && start > at->start) at += std::min<std::ptrdiff_t>((start - at->start) / pane_ms_, std::ssize(panes_) - 1);
  if (at == panes_.end() || at->start != start) {
    at = std::lower_bound(panes_.begin(), panes_.end(), start, [](const Pane& pane, std::int64_t s) { return pane.start < s; });
    if (at == panes_.end() || at->start != start) at = panes_.insert(at, TakePane(start));
  }
  last_pane_ = static_cast<std::size_t>(at - panes_.begin());
  Fit(*at);
  return *at;
}

void WindowStore::Fit(Pane& pane) {
  if (pane.events.size() >= index_.size()) return;
  const std::size_t room = std::max<std::size_t>(index_.size() + index_.size() / 4, 1024);
  pane.events.resize(room);
  if (&pane == &running_) running_bits_.resize(room / 64 + 1);
  for (AggregateColumn& column : pane.columns) column.Resize(room);
}

// The only place where counts grow: a group that was not there is put down in the pane's list.
inline void WindowStore::Take(Pane& pane, std::uint32_t group, std::uint64_t events) {
  if (pane.events[group] == 0 && pane.listed) pane.present.push_back(group);
  if (&pane == &running_) running_bits_[group / 64] |= std::uint64_t{1} << group % 64;
  pane.events[group] += events;
}

inline void WindowStore::AddTo(Pane& pane, const ColumnBatch& batch, std::uint32_t row, std::uint32_t group) {
  if (group >= pane.events.size()) [[unlikely]]
    Fit(pane);
  Take(pane, group, 1);
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
  Pane* pane = nullptr;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (pane == nullptr || times[i] < pane->start || times[i] >= pane->start + pane_ms_) pane = &PaneAt(times[i]);
    // The next records are mostly in this pane, too, and their counts lie anywhere in it. A prefetch of nothing does no harm.
    if (i + kFetchAhead < rows.size()) {
      __builtin_prefetch(pane->events.data() + group_of_[i + kFetchAhead], 1);
      if (!plain_count_) {
        for (const AggregateColumn& column : pane->columns) column.Fetch(group_of_[i + kFetchAhead]);
      }
    }
    AddTo(*pane, batch, rows[i], group_of_[i]);
    if (pane->in_running) AddTo(running_, batch, rows[i], group_of_[i]);
    if (track_ || pane->start < correctable_below_) Note(*pane, group_of_[i]);
  }
  return group_of_;
}

// A pane lies as a whole in each window that it lies in.
void WindowStore::Note(const Pane& pane, std::uint32_t group) {
  const std::uint32_t family = index_.FamilyOf(group);
  if (!overlapping_) return NoteIn(pane.start, family);
  for (std::int64_t window = FirstWindowOf(pane.start); window <= LastWindowOf(pane.start); window += every_) NoteIn(window, family);
}

inline void WindowStore::NoteIn(std::int64_t window, std::uint32_t family) {
  if (window < first_kept_) return;
  if (window < first_open_) {
    corrected_[window].Insert(family);
  } else if (track_) {
    touched_[window].Insert(family);
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

void WindowStore::FitLike(Pane& total, const Pane& pane) {
  Fit(total);
  if (total.events.size() >= pane.events.size()) return;
  total.events.resize(pane.events.size());
  if (&total == &running_) running_bits_.resize(pane.events.size() / 64 + 1);
  for (AggregateColumn& column : total.columns) column.Resize(pane.events.size());
}

void WindowStore::MergeInto(Pane& total, const Pane& pane) {
  FitLike(total, pane);
  VisitAhead(pane.present, pane.events.data(), total.events.data(), [&](std::uint32_t group) { Take(total, group, pane.events[group]); });
  if (plain_count_) return;
  for (std::size_t a = 0; a < total.columns.size(); ++a) total.columns[a].Merge(pane.columns[a], pane.present, texts_);
}

void WindowStore::Subtract(const Pane& pane) {
  FitLike(running_, pane);
  VisitAhead(pane.present, pane.events.data(), running_.events.data(), [&](std::uint32_t group) {
    running_.events[group] -= pane.events[group];
    if (running_.events[group] == 0) running_bits_[group / 64] &= ~(std::uint64_t{1} << group % 64);
  });
  if (plain_count_) return;
  for (std::size_t a = 0; a < running_.columns.size(); ++a) running_.columns[a].Subtract(pane.columns[a], pane.present);
}

void WindowStore::MoveRunning(std::int64_t start) {
  for (Pane& pane : panes_) {
    const bool wanted = pane.start >= start && pane.start < start + size_;
    if (wanted == pane.in_running) continue;
    if (wanted) {
      MergeInto(running_, pane);
    } else {
      Subtract(pane);
    }
    pane.in_running = wanted;
  }
  running_.start = start;
}

WindowStore::Pane* WindowStore::Window(std::int64_t start, bool may_move) {
  if (!overlapping_) {
    for (Pane& pane : panes_) {
      if (pane.start == start) return &pane;
    }
    return nullptr;
  }
  if (use_running_ && may_move) {
    MoveRunning(start);
    return &running_;
  }
  Reset(merged_);
  merged_.start = start;
  for (const Pane& pane : panes_) {
    if (pane.start >= start && pane.start < start + size_) MergeInto(merged_, pane);
  }
  return &merged_;
}

void WindowStore::Emit(std::int64_t start, ColumnBatch& rows) {
  MaybeRenumber();
  Pane* window = Window(start, true);
  if (window == nullptr) return FillRows(merged_, {}, rows);
  Fit(*window);
  FillRows(*window, window == &running_ ? RunningGroups() : GroupsOf(*window), rows);
}

std::span<const std::uint32_t> WindowStore::GroupsOf(const Pane& window) {
  const std::span<const std::uint32_t> sorted = index_.Sorted();
  if (present_.size() < sorted.size()) present_.resize(sorted.size());
  std::size_t found = 0;
  for (const std::uint32_t group : sorted) {  // without a branch: which groups are there follows no pattern
    present_[found] = group;
    found += window.events[group] != 0 ? 1 : 0;
  }
  return std::span(present_).first(found);
}

// Most groups are numbered in the canonical order: their bits, from the first to the last, are the list. The others take their places in
// it.
std::span<const std::uint32_t> WindowStore::RunningGroups() {
  const std::span<const GroupIndex::TailGroup> tail = index_.Tail();
  if (present_.size() < index_.size()) present_.resize(index_.size());
  std::uint32_t* to = present_.data();
  auto next = tail.begin();
  const auto put = [&](std::uint32_t group) {
    *to = group;
    to += running_bits_[group / 64] >> group % 64 & 1;
  };
  const std::uint32_t in_order = index_.in_order();
  for (std::uint32_t begin = 0; begin < in_order; begin += 64) {
    std::uint64_t bits = running_bits_[begin / 64];
    if (in_order - begin < 64) bits &= (std::uint64_t{1} << (in_order - begin)) - 1;
    const bool others = next != tail.end() && next->before < begin + 64;  // few: mostly the bits alone are the list
    for (; bits != 0; bits &= bits - 1) {
      const std::uint32_t group = begin + static_cast<std::uint32_t>(std::countr_zero(bits));
      if (others) {
        for (; next != tail.end() && next->before <= group; ++next) put(next->group);
      }
      *to++ = group;
    }
  }
  for (; next != tail.end(); ++next) put(next->group);
  return std::span(present_.data(), to);
}

void WindowStore::EmitFamilies(std::int64_t start, const FamilySet& families, GroupIndex::Order order, ColumnBatch& rows) {
  const std::vector<std::uint32_t> groups = index_.MembersOf(families, order);
  Pane* window = Window(start, false);
  present_.clear();
  if (window != nullptr) {
    Fit(*window);
    for (std::uint32_t group : groups) {
      if (window->events[group] != 0) present_.push_back(group);
    }
  }
  FillRows(window != nullptr ? *window : merged_, present_, rows);
}

void WindowStore::FillRows(const Pane& window, std::span<const std::uint32_t> groups, ColumnBatch& rows) {
  const std::size_t keys = plan_.group_by.size();
  rows.rows = groups.size();
  rows.columns.resize(keys + plan_.aggregates.size() + (has_overflow_ ? 1 : 0));
  for (std::size_t k = 0; k < keys; ++k) MakeRoomFor(index_.type(k), rows.columns[k]);
  for (std::size_t a = 0; a < plan_.aggregates.size(); ++a) MakeRoomFor(plan_.aggregates[a].type, rows.columns[keys + a]);
  if (has_overflow_) MakeRoomFor(FieldType::kBool, rows.columns.back());
  for (std::size_t k = 0; k < keys; ++k) index_.Materialise(k, groups, rows.columns[k]);
  if (!plain_count_) overflow_.assign(groups.size(), 0);
  for (std::size_t a = 0; a < plan_.aggregates.size(); ++a) {
    Column& into = rows.columns[keys + a];
    if (plan_.aggregates[a].kind == AggregateKind::kCount) {
      into.int64s.resize(groups.size());
      for (std::size_t i = 0; i < groups.size(); ++i) into.int64s[i] = static_cast<std::int64_t>(window.events[groups[i]]);
    } else {
      window.columns[a].Materialise(groups, texts_, into, overflow_);
    }
  }
  if (!has_overflow_) return;
  Column& flag = rows.columns.back();
  flag.int64s.assign(overflow_.begin(), overflow_.end());
}

void WindowStore::Advance(std::int64_t watermark) {
  // At the end of a bounded input everything is final and nothing is kept.
  if (watermark == INT64_MAX) {
    panes_.clear();
    spares_.clear();
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
    if (panes_.front().in_running) Subtract(panes_.front());
    KeepSpare(std::move(panes_.front()));
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
  spares_.clear();
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
  compact_at_ = std::max<std::uint32_t>(1U << 16, living * kCompactFactor);
  if (forced ? living == index_.size() : index_.size() < compact_at_) return;
  const std::vector<std::uint32_t> moved = index_.Compact(alive);
  Renumbered(moved);
}

// New groups come behind those in order. Where windows overlap each group is walked many times, so that order pays.
void WindowStore::MaybeRenumber() {
  if (!overlapping_ || index_.size() < kRenumberMin || index_.size() > kRenumberMax ||
      index_.size() - index_.in_order() < index_.in_order() / 2)
    return;
  Renumbered(index_.Renumber());
}

void WindowStore::Renumbered(const std::vector<std::uint32_t>& moved) {
  ++numbering_;
  const auto remap = [&](Pane& pane) {
    std::pmr::vector<std::uint64_t> events(index_.size(), memory_);
    for (std::size_t group = 0; group < std::min(moved.size(), pane.events.size()); ++group) {
      if (moved[group] != GroupIndex::kGone) events[moved[group]] = pane.events[group];
    }
    pane.events = std::move(events);
    for (std::uint32_t& group : pane.present) group = moved[group];
    for (AggregateColumn& column : pane.columns) column.Remap(moved, index_.size());
  };
  for (Pane& pane : panes_) remap(pane);
  remap(running_);
  running_bits_.assign(running_.events.size() / 64 + 1, 0);
  for (std::size_t group = 0; group < running_.events.size(); ++group) {
    if (running_.events[group] != 0) running_bits_[group / 64] |= std::uint64_t{1} << group % 64;
  }
  Reset(merged_);
  spares_.clear();
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
  if (overlapping_) growth += records * 2 * sizeof(std::uint32_t);  // lists of those present, which grow twofold
  // A pane begins; the newest and the sum of the open ones are fitted to the new groups.
  std::size_t fitted = 1;
  if (!panes_.empty() && panes_.back().events.size() < wanted) ++fitted;
  if (overlapping_ && (use_running_ ? running_ : merged_).events.size() < wanted) ++fitted;
  return growth + fitted * room * width;
}

std::size_t WindowStore::bytes() const {
  std::size_t total = index_.bytes() + texts_.bytes() + running_.events.size() * 8;
  for (const Pane& pane : spares_) total += pane.events.size() * 8;
  for (const Pane& pane : panes_) {
    total += pane.events.size() * 8 + pane.present.size() * 4;
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
    out.PutVarint(families.all().size());
    // A family is saved by one of its groups: numbers of families are not kept.
    for (const std::uint32_t family : families.all()) out.PutVarint(const_cast<GroupIndex&>(index_).Members(family).front());
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
      if (pane.listed) pane.present.push_back(static_cast<std::uint32_t>(group));
      for (AggregateColumn& column : pane.columns) column.Load(static_cast<std::uint32_t>(group), in, texts_);
    }
    panes_.push_back(std::move(pane));
  }
  const std::uint64_t corrected = in.GetVarint();
  for (std::uint64_t i = 0; i < corrected && in.ok(); ++i) {
    FamilySet& families = corrected_[in.Get<std::int64_t>()];
    const std::uint64_t count = in.GetVarint();
    for (std::uint64_t f = 0; f < count && in.ok(); ++f) {
      const std::uint64_t group = in.GetVarint();
      if (group >= index_.size()) return broken();
      families.Insert(index_.FamilyOf(static_cast<std::uint32_t>(group)));
    }
  }
  if (!in.ok()) return broken();
  return {};
}

}  // namespace sightline::flow
