#include "sightline/flow/group_index.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <ranges>

#include "sightline/base/hash.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

constexpr std::size_t kChunk = 128;

// One bit pattern a value: -0.0 and 0.0 are one group, and so are all NaNs.
std::uint64_t DoubleWord(double value) {
  if (value == 0) value = 0;
  if (value != value) return 0x7ff8000000000000ULL;
  return std::bit_cast<std::uint64_t>(value);
}

}  // namespace

GroupIndex::GroupIndex(const Schema& rows, std::vector<int> by, const std::vector<int>& first, std::vector<int> family,
                       std::pmr::memory_resource* memory)
    : by_(std::move(by)),
      family_(std::move(family)),
      seed_(runtime::SystemEntropy()),
      strings_(memory),
      memory_(memory),
      words_(memory),
      slots_(4096, memory),
      mask_(4095),
      ranks_(memory),
      sorted_(memory),
      tail_(memory),
      families_(std::make_unique<Families>(memory)) {
  for (int column : by_) {
    const Field& field = rows.fields[static_cast<std::size_t>(column)];
    types_.push_back(field.type);
    nullable_ = nullable_ || field.nullable;
  }
  stride_ = by_.size() + (nullable_ ? 1 : 0);
  for (int k : first) order_.push_back(static_cast<std::size_t>(k));
  for (std::size_t k = 0; k < by_.size(); ++k) {
    if (std::find(order_.begin(), order_.end(), k) == order_.end()) order_.push_back(k);
  }
}

// Key column `k` of the rows, a column at a time: one decision on its type for all of them.
void GroupIndex::KeyWords(const ColumnBatch& batch, std::span<const std::uint32_t> rows, std::size_t k, std::uint64_t* words) {
  const Column& column = batch.columns[static_cast<std::size_t>(by_[k])];
  const auto each = [&](auto value) {
    if (column.nulls.empty()) {
      for (std::size_t i = 0; i < rows.size(); ++i) words[i * stride_ + k] = value(rows[i]);
      return;
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const bool null = column.nulls[rows[i]] != 0;
      words[i * stride_ + k] = null ? 0 : value(rows[i]);
      if (null && nullable_) words[i * stride_ + by_.size()] |= std::uint64_t{1} << k;
    }
  };
  switch (types_[k]) {
    case FieldType::kInt64:
    case FieldType::kBool: each([&](std::uint32_t row) { return static_cast<std::uint64_t>(column.int64s[row]); }); break;
    case FieldType::kDouble: each([&](std::uint32_t row) { return DoubleWord(column.doubles[row]); }); break;
    case FieldType::kString: each([&](std::uint32_t row) -> std::uint64_t { return strings_.Intern(column.strings[row]); }); break;
  }
}

std::uint64_t GroupIndex::HashOf(const std::uint64_t* words) const {
  std::uint64_t hash = seed_;
  for (std::size_t k = 0; k < stride_; ++k) hash = Mix64(hash ^ words[k]);
  return hash;
}

void GroupIndex::Assign(const ColumnBatch& batch, std::span<const std::uint32_t> rows, std::span<std::uint32_t> groups) {
  scratch_words_.resize(kChunk * stride_);
  scratch_hashes_.resize(kChunk);
  for (std::size_t begin = 0; begin < rows.size(); begin += kChunk) {
    const std::size_t n = std::min(kChunk, rows.size() - begin);
    if (nullable_) std::ranges::fill(scratch_words_, 0);
    for (std::size_t k = 0; k < by_.size(); ++k) KeyWords(batch, rows.subspan(begin, n), k, scratch_words_.data());
    for (std::size_t i = 0; i < n; ++i) {
      scratch_hashes_[i] = HashOf(scratch_words_.data() + i * stride_);
      __builtin_prefetch(&slots_[scratch_hashes_[i] & mask_]);
    }
    // The slots are on their way or there; the keys that they stand for are the next to be waited for.
    for (std::size_t i = 0; i < n; ++i) {
      const Slot& slot = slots_[scratch_hashes_[i] & mask_];
      if (slot.group_plus_one != 0) __builtin_prefetch(words_.data() + (slot.group_plus_one - 1) * stride_);
    }
    for (std::size_t i = 0; i < n; ++i) {
      groups[begin + i] = FindOrAdd(scratch_hashes_[i], scratch_words_.data() + i * stride_);
    }
  }
}

std::uint32_t GroupIndex::FindOrAdd(std::uint64_t hash, const std::uint64_t* words) {
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  for (std::uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
    Slot& slot = slots_[at];
    if (slot.group_plus_one == 0) {
      slot = {tag, ++count_};
      words_.insert(words_.end(), words, words + stride_);
      if (count_ * 2ULL > slots_.size()) Grow();
      return count_ - 1;
    }
    if (slot.tag != tag) continue;
    const std::uint64_t* there = words_.data() + (slot.group_plus_one - 1) * stride_;
    std::size_t k = 0;
    while (k < stride_ && there[k] == words[k]) ++k;
    if (k == stride_) return slot.group_plus_one - 1;
  }
}

void GroupIndex::Grow() {
  slots_.assign(slots_.size() * 2, Slot{});
  mask_ = slots_.size() - 1;
  for (std::uint32_t group = 0; group < count_; ++group) {
    const std::uint64_t hash = HashOf(words_.data() + group * stride_);
    std::uint64_t at = hash & mask_;
    while (slots_[at].group_plus_one != 0) at = (at + 1) & mask_;
    slots_[at] = {static_cast<std::uint32_t>(hash >> 32), group + 1};
  }
}

int GroupIndex::Compare(std::uint32_t a, std::uint32_t b) const {
  for (std::size_t k : order_) {
    const bool a_null = IsNull(k, a);
    const bool b_null = IsNull(k, b);
    if (a_null || b_null) {
      if (a_null != b_null) return a_null ? 1 : -1;
      continue;
    }
    const std::uint64_t x = word(a, k);
    const std::uint64_t y = word(b, k);
    if (x == y) continue;
    switch (types_[k]) {
      case FieldType::kInt64:
      case FieldType::kBool: return static_cast<std::int64_t>(x) < static_cast<std::int64_t>(y) ? -1 : 1;
      case FieldType::kDouble: {
        const std::strong_ordering order = std::strong_order(std::bit_cast<double>(x), std::bit_cast<double>(y));
        return order < 0 ? -1 : 1;
      }
      case FieldType::kString: {
        if (x < ranks_.size() && y < ranks_.size()) return ranks_[x] < ranks_[y] ? -1 : 1;
        const int order = strings_.at(static_cast<std::uint32_t>(x)).compare(strings_.at(static_cast<std::uint32_t>(y)));
        return order < 0 ? -1 : 1;
      }
    }
  }
  return 0;
}

// Puts the texts known so far in order once, so that keys need not compare them again and again. Later ones change nothing in the
// order of these.
void GroupIndex::RankTexts() {
  if (ranks_.size() == strings_.size()) return;
  std::vector<std::uint32_t> ids(strings_.size());
  std::iota(ids.begin(), ids.end(), 0U);
  std::ranges::sort(ids, [this](std::uint32_t a, std::uint32_t b) { return strings_.at(a) < strings_.at(b); });
  ranks_.resize(ids.size());
  for (std::uint32_t rank = 0; rank < ids.size(); ++rank) ranks_[ids[rank]] = rank;
}

// A number that stands in the order of column `k`'s values; of a text without a rank, as far as its first bytes tell.
std::uint64_t GroupIndex::OrderWord(std::size_t k, std::uint32_t group) const {
  if (IsNull(k, group)) return ~std::uint64_t{0};
  const std::uint64_t value = word(group, k);
  switch (types_[k]) {
    case FieldType::kInt64:
    case FieldType::kBool: return value ^ (std::uint64_t{1} << 63);
    case FieldType::kDouble: return (value >> 63) != 0 ? ~value : value ^ (std::uint64_t{1} << 63);
    case FieldType::kString: break;
  }
  if (ranks_.size() == strings_.size()) return ranks_[value];
  const std::string_view text = strings_.at(static_cast<std::uint32_t>(value));
  char head[8] = {};
  std::memcpy(head, text.data(), std::min(text.size(), sizeof head));
  return __builtin_bswap64(LoadLe<std::uint64_t>(head));
}

// Sorts groups by what two numbers tell of them; where those are the same, by all of the key.
void GroupIndex::Sort(std::span<std::uint32_t> groups) {
  struct Item {
    std::uint64_t first, second;
    std::uint32_t group;
  };
  if (order_.empty()) return;
  // Worth its while where many groups share a text.
  if (strings_.size() * 4 <= groups.size()) RankTexts();
  // Equal numbers mean equal values only where nothing is cut off or stands for null.
  const bool exact = !nullable_ && (types_[order_[0]] != FieldType::kString || ranks_.size() == strings_.size());
  std::vector<Item> items(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    items[i] = {OrderWord(order_[0], groups[i]), exact && order_.size() > 1 ? OrderWord(order_[1], groups[i]) : 0, groups[i]};
  }
  std::sort(items.begin(), items.end(), [this](const Item& a, const Item& b) {
    if (a.first != b.first) return a.first < b.first;
    if (a.second != b.second) return a.second < b.second;
    return Compare(a.group, b.group) < 0;
  });
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = items[i].group;
}

std::span<const std::uint32_t> GroupIndex::Sorted() {
  if (sorted_.size() == count_) return sorted_;
  const std::span<const TailGroup> tail = Tail();
  sorted_.resize(count_);
  auto next = tail.begin();
  auto to = sorted_.begin();
  for (std::uint32_t group = 0; group < in_order_; ++group) {
    for (; next != tail.end() && next->before <= group; ++next) *to++ = next->group;
    *to++ = group;
  }
  for (; next != tail.end(); ++next) *to++ = next->group;
  return sorted_;
}

void GroupIndex::AssignFamilies() {
  std::string key;
  for (auto group = static_cast<std::uint32_t>(families_->of.size()); group < count_; ++group) {
    key.clear();
    ByteWriter writer(key);
    std::uint64_t nulls = 0;
    for (int k : family_) {
      writer.Put(word(group, static_cast<std::size_t>(k)));
      nulls = nulls << 1 | static_cast<std::uint64_t>(IsNull(static_cast<std::size_t>(k), group));
    }
    writer.Put(nulls);
    const auto [at, added] =
        families_->numbers.try_emplace(std::pmr::string(key, &families_->pool), static_cast<std::uint32_t>(families_->members.size()));
    if (added) {
      families_->members.emplace_back();
      families_->sorted.push_back(0);
    }
    families_->of.push_back(at->second);
    families_->members[at->second].push_back(group);
    families_->sorted[at->second] = 0;
  }
}

std::uint32_t GroupIndex::FamilyOf(std::uint32_t group) {
  if (families_->of.size() < count_) AssignFamilies();
  return families_->of[group];
}

std::span<const std::uint32_t> GroupIndex::Members(std::uint32_t family) {
  if (families_->of.size() < count_) AssignFamilies();
  std::pmr::vector<std::uint32_t>& members = families_->members[family];
  if (families_->sorted[family] == 0) {
    Sort(members);
    families_->sorted[family] = 1;
  }
  return members;
}

std::vector<std::uint32_t> GroupIndex::MembersOf(const FamilySet& families, Order order) {
  std::vector<std::uint32_t> groups;
  for (const std::uint32_t family : families.all()) {
    const std::span<const std::uint32_t> members = Members(family);
    groups.insert(groups.end(), members.begin(), members.end());
  }
  // Numbers of families depend on restarts: what is put out must not.
  if (order == Order::kCanonical) Sort(groups);
  return groups;
}

void GroupIndex::Materialise(std::size_t k, std::span<const std::uint32_t> groups, Column& into) const {
  into.type = types_[k];
  into.nulls.clear();
  const std::size_t n = groups.size();
  switch (types_[k]) {
    case FieldType::kInt64:
    case FieldType::kBool:
      into.int64s.resize(n);
      for (std::size_t i = 0; i < n; ++i) into.int64s[i] = Int64At(k, groups[i]);
      break;
    case FieldType::kDouble:
      into.doubles.resize(n);
      for (std::size_t i = 0; i < n; ++i) into.doubles[i] = std::bit_cast<double>(word(groups[i], k));
      break;
    case FieldType::kString:
      into.strings.resize(n);
      if (nullable_) {
        for (std::size_t i = 0; i < n; ++i) into.strings[i] = IsNull(k, groups[i]) ? std::string_view() : StringAt(k, groups[i]);
      } else {
        for (std::size_t i = 0; i < n; ++i) into.strings[i] = StringAt(k, groups[i]);
      }
      break;
  }
  if (!nullable_) return;
  for (std::size_t i = 0; i < n; ++i) {
    if (!IsNull(k, groups[i])) continue;
    if (into.nulls.empty()) into.nulls.assign(n, 0);
    into.nulls[i] = 1;
  }
}

std::size_t GroupIndex::bytes() const {
  return strings_.bytes() + words_.size() * 8 + slots_.size() * sizeof(Slot) + sorted_.size() * 4 + tail_.size() * sizeof(TailGroup);
}

std::size_t GroupIndex::GrowthFor(std::size_t groups) const {
  const std::size_t wanted = count_ + groups;
  std::size_t growth = strings_.GrowthFor(groups);
  std::size_t slots = slots_.size();
  while (wanted * 2 > slots) slots *= 2;
  if (slots != slots_.size()) growth += slots * sizeof(Slot);
  if (wanted * stride_ > words_.capacity()) growth += std::max(wanted * stride_, words_.capacity() * 2) * 8;
  if (wanted - in_order_ > tail_.capacity()) growth += std::max<std::size_t>(wanted - in_order_, tail_.capacity() * 2) * sizeof(TailGroup);
  if (wanted > sorted_.capacity()) growth += std::max(wanted, sorted_.capacity() * 2) * 4;
  return growth;
}

void GroupIndex::Save(ByteWriter& out) const {
  out.PutVarint(count_);
  for (std::uint32_t group = 0; group < count_; ++group) {
    if (nullable_) out.Put(word(group, by_.size()));
    for (std::size_t k = 0; k < by_.size(); ++k) {
      if (IsNull(k, group)) continue;
      if (types_[k] == FieldType::kString) {
        out.PutString(StringAt(k, group));
      } else {
        out.Put(word(group, k));
      }
    }
  }
}

Status GroupIndex::Load(ByteReader& in) {
  const std::uint64_t count = in.GetVarint();
  std::vector<std::uint64_t> words(stride_);
  for (std::uint64_t group = 0; group < count && in.ok(); ++group) {
    const std::uint64_t nulls = nullable_ ? in.Get<std::uint64_t>() : 0;
    for (std::size_t k = 0; k < by_.size(); ++k) {
      if ((nulls >> k & 1) != 0) {
        words[k] = 0;
      } else if (types_[k] == FieldType::kString) {
        words[k] = strings_.Intern(in.GetString());
      } else {
        words[k] = in.Get<std::uint64_t>();
      }
    }
    if (nullable_) words[by_.size()] = nulls;
    FindOrAdd(HashOf(words.data()), words.data());
  }
  if (!in.ok() || count_ != count) return Fail(ErrorKind::kCorruption, "the group index in a snapshot is cut off or holds a key twice");
  return {};
}

std::vector<std::uint32_t> GroupIndex::Compact(const std::vector<std::uint8_t>& alive) {
  GroupIndex fresh(Schema{}, {}, {}, {}, memory_);
  fresh.by_ = by_;
  fresh.family_ = family_;
  fresh.order_ = order_;
  fresh.types_ = types_;
  fresh.nullable_ = nullable_;
  fresh.stride_ = stride_;
  std::vector<std::uint32_t> moved(count_, kGone);
  std::vector<std::uint64_t> words(stride_);
  for (const std::uint32_t group : Sorted()) {
    if (alive[group] == 0) continue;
    for (std::size_t k = 0; k < stride_; ++k) words[k] = word(group, k);
    for (std::size_t k = 0; k < by_.size(); ++k) {
      if (types_[k] == FieldType::kString && !IsNull(k, group)) words[k] = fresh.strings_.Intern(StringAt(k, group));
    }
    moved[group] = fresh.FindOrAdd(fresh.HashOf(words.data()), words.data());
    fresh.sorted_.push_back(moved[group]);
  }
  fresh.in_order_ = fresh.count_;
  *this = std::move(fresh);
  return moved;
}

std::span<const GroupIndex::TailGroup> GroupIndex::Tail() {
  const std::size_t known = tail_.size();
  if (in_order_ + known == count_) return tail_;
  std::vector<std::uint32_t> added(count_ - in_order_ - known);
  std::iota(added.begin(), added.end(), static_cast<std::uint32_t>(in_order_ + known));
  if (strings_.size() * 4 <= count_ && strings_.size() > ranks_.size() + ranks_.size() / 4) RankTexts();
  Sort(added);
  // In steps that double from where the one before was found: so many lie close behind each other.
  std::uint32_t place = 0;
  for (const std::uint32_t group : added) {
    const auto before = [&](std::uint32_t other) { return Compare(other, group) < 0; };
    std::uint32_t step = 1;
    while (place + step <= in_order_ && before(place + step - 1)) {
      place += step;
      step *= 2;
    }
    const auto rest = std::views::iota(place, std::min(place + step - 1, in_order_));
    place += static_cast<std::uint32_t>(std::ranges::partition_point(rest, before) - rest.begin());
    tail_.push_back({place, group});
  }
  const auto less = [this](const TailGroup& a, const TailGroup& b) {
    return a.before != b.before ? a.before < b.before : Compare(a.group, b.group) < 0;
  };
  std::inplace_merge(tail_.begin(), tail_.begin() + static_cast<std::ptrdiff_t>(known), tail_.end(), less);
  return tail_;
}

std::vector<std::uint32_t> GroupIndex::Renumber() {
  Sorted();
  if (!families_->of.empty()) AssignFamilies();
  std::vector<std::uint32_t> moved(count_);
  const std::vector<std::uint64_t> words(words_.begin(), words_.end());
  for (std::uint32_t group = 0; group < count_; ++group) {
    moved[sorted_[group]] = group;
    std::copy_n(words.data() + sorted_[group] * stride_, stride_, words_.data() + group * stride_);
  }
  for (Slot& slot : slots_) {
    if (slot.group_plus_one != 0) slot.group_plus_one = moved[slot.group_plus_one - 1] + 1;
  }
  const std::vector<std::uint32_t> families(families_->of.begin(), families_->of.end());
  for (std::uint32_t group = 0; group < families.size(); ++group) families_->of[moved[group]] = families[group];
  for (std::pmr::vector<std::uint32_t>& members : families_->members) {
    for (std::uint32_t& group : members) group = moved[group];
  }
  std::iota(sorted_.begin(), sorted_.end(), 0U);
  in_order_ = count_;
  tail_.clear();
  return moved;
}

}  // namespace sightline::flow
