#include "sightline/flow/aggregates.h"

#include <bit>
#include <limits>

namespace sightline::flow {
namespace {

std::uint64_t DistinctWord(const Column& input, std::uint32_t row, StringDictionary& texts) {
  switch (input.type) {
    case FieldType::kInt64:
    case FieldType::kBool: return static_cast<std::uint64_t>(input.int64s[row]);
    case FieldType::kDouble: return std::bit_cast<std::uint64_t>(input.doubles[row] == 0 ? 0.0 : input.doubles[row]);
    case FieldType::kString: return texts.Intern(input.strings[row]);
  }
  return 0;
}

}  // namespace

AggregateColumn::AggregateColumn(const Aggregate& aggregate, std::pmr::memory_resource* memory)
    : aggregate_(aggregate), memory_(memory), counts_(memory), sums_(memory), values_(memory), double_sums_(memory) {
  if (aggregate.kind == AggregateKind::kCountDistinct) sets_ = std::make_unique<Sets>(memory);
}

std::size_t AggregateColumn::width() const {
  switch (aggregate_.kind) {
    case AggregateKind::kCount: return 0;
    case AggregateKind::kCountValues: return 8;
    case AggregateKind::kSum:
    case AggregateKind::kAvg: return Doubles() ? 16 : 24;
    case AggregateKind::kMin:
    case AggregateKind::kMax: return 16;
    case AggregateKind::kCountDistinct: return sizeof(std::pmr::unordered_set<std::uint64_t>);
  }
  return 0;
}

bool AggregateColumn::keeps_texts() const {
  const bool keeps =
      aggregate_.kind == AggregateKind::kMin || aggregate_.kind == AggregateKind::kMax || aggregate_.kind == AggregateKind::kCountDistinct;
  return keeps && Texts();
}

bool AggregateColumn::invertible() const {
  switch (aggregate_.kind) {
    case AggregateKind::kCount:
    case AggregateKind::kCountValues: return true;
    case AggregateKind::kSum:
    case AggregateKind::kAvg: return !Doubles();
    case AggregateKind::kMin:
    case AggregateKind::kMax:
    case AggregateKind::kCountDistinct: return false;
  }
  return false;
}

void AggregateColumn::Resize(std::size_t groups) {
  switch (aggregate_.kind) {
    case AggregateKind::kCount: return;
    case AggregateKind::kCountValues: break;
    case AggregateKind::kSum:
    case AggregateKind::kAvg:
      if (Doubles()) {
        double_sums_.resize(groups);
      } else {
        sums_.resize(groups);
      }
      break;
    case AggregateKind::kMin:
    case AggregateKind::kMax: values_.resize(groups); break;
    case AggregateKind::kCountDistinct: sets_->of.resize(groups); return;
  }
  counts_.resize(groups);
}

bool AggregateColumn::Less(std::int64_t a, std::int64_t b, const StringDictionary& texts) const {
  if (Doubles()) return std::bit_cast<double>(a) < std::bit_cast<double>(b);
  if (Texts()) return texts.at(static_cast<std::uint32_t>(a)) < texts.at(static_cast<std::uint32_t>(b));
  return a < b;
}

void AggregateColumn::Add(std::uint32_t group, const Column& input, std::uint32_t row, StringDictionary& texts) {
  if (input.IsNull(row)) return;
  switch (aggregate_.kind) {
    case AggregateKind::kCount: return;
    case AggregateKind::kCountValues: break;
    case AggregateKind::kSum:
    case AggregateKind::kAvg:
      if (Doubles()) {
        double_sums_[group] += input.doubles[row];
      } else {
        sums_[group] += input.int64s[row];
      }
      break;
    case AggregateKind::kMin:
    case AggregateKind::kMax: {
      const std::int64_t value = Texts()     ? static_cast<std::int64_t>(texts.Intern(input.strings[row]))
                                 : Doubles() ? std::bit_cast<std::int64_t>(input.doubles[row])
                                             : input.int64s[row];
      const bool better = aggregate_.kind == AggregateKind::kMin ? Less(value, values_[group], texts) : Less(values_[group], value, texts);
      if (counts_[group] == 0 || better) values_[group] = value;
      break;
    }
    case AggregateKind::kCountDistinct: sets_->of[group].insert(DistinctWord(input, row, texts)); return;
  }
  ++counts_[group];
}

void AggregateColumn::MergeGroup(std::uint32_t into, const AggregateColumn& other, std::uint32_t from, const StringDictionary& texts) {
  switch (aggregate_.kind) {
    case AggregateKind::kCount: return;
    case AggregateKind::kCountValues: break;
    case AggregateKind::kSum:
    case AggregateKind::kAvg:
      if (Doubles()) {
        double_sums_[into] += other.double_sums_[from];
      } else {
        sums_[into] += other.sums_[from];
      }
      break;
    case AggregateKind::kMin:
    case AggregateKind::kMax: {
      if (other.counts_[from] == 0) return;
      const std::int64_t value = other.values_[from];
      const bool better = aggregate_.kind == AggregateKind::kMin ? Less(value, values_[into], texts) : Less(values_[into], value, texts);
      if (counts_[into] == 0 || better) values_[into] = value;
      break;
    }
    case AggregateKind::kCountDistinct: sets_->of[into].insert(other.sets_->of[from].begin(), other.sets_->of[from].end()); return;
  }
  counts_[into] += other.counts_[from];
}

void AggregateColumn::Merge(const AggregateColumn& other, std::span<const std::uint32_t> groups, const StringDictionary& texts) {
  for (const std::uint32_t group : groups) MergeGroup(group, other, group, texts);
}

void AggregateColumn::Subtract(const AggregateColumn& other, std::span<const std::uint32_t> groups) {
  for (const std::uint32_t group : groups) {
    if (!other.counts_.empty()) counts_[group] -= other.counts_[group];
    if (!other.sums_.empty()) sums_[group] -= other.sums_[group];
  }
}

void AggregateColumn::Clear() {
  counts_.clear();
  sums_.clear();
  values_.clear();
  double_sums_.clear();
  if (sets_ != nullptr) sets_ = std::make_unique<Sets>(memory_);
}

void AggregateColumn::Materialise(std::span<const std::uint32_t> groups, const StringDictionary& texts, Column& into,
                                  std::vector<std::uint8_t>& overflow) const {
  const std::size_t n = groups.size();
  const auto set_null = [&](std::size_t i) {
    if (into.nulls.empty()) into.nulls.assign(n, 0);
    into.nulls[i] = 1;
  };
  into.type = aggregate_.type;
  into.nulls.clear();
  if (into.type == FieldType::kDouble) {
    into.doubles.assign(n, 0);
  } else if (into.type == FieldType::kString) {
    into.strings.assign(n, {});
  } else {
    into.int64s.assign(n, 0);
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t group = groups[i];
    switch (aggregate_.kind) {
      case AggregateKind::kCount: break;
      case AggregateKind::kCountValues: into.int64s[i] = static_cast<std::int64_t>(counts_[group]); break;
      case AggregateKind::kCountDistinct: into.int64s[i] = static_cast<std::int64_t>(sets_->of[group].size()); break;
      case AggregateKind::kSum:
        if (counts_[group] == 0) {
          set_null(i);
        } else if (Doubles()) {
          into.doubles[i] = double_sums_[group];
        } else if (sums_[group] > std::numeric_limits<std::int64_t>::max() || sums_[group] < std::numeric_limits<std::int64_t>::min()) {
          set_null(i);
          overflow[i] = 1;
        } else {
          into.int64s[i] = static_cast<std::int64_t>(sums_[group]);
        }
        break;
      case AggregateKind::kAvg:
        if (counts_[group] == 0) {
          set_null(i);
        } else {
          const double sum = Doubles() ? double_sums_[group] : static_cast<double>(sums_[group]);
          into.doubles[i] = sum / static_cast<double>(counts_[group]);
        }
        break;
      case AggregateKind::kMin:
      case AggregateKind::kMax:
        if (counts_[group] == 0) {
          set_null(i);
        } else if (Texts()) {
          into.strings[i] = texts.at(static_cast<std::uint32_t>(values_[group]));
        } else if (Doubles()) {
          into.doubles[i] = std::bit_cast<double>(values_[group]);
        } else {
          into.int64s[i] = values_[group];
        }
        break;
    }
  }
}

void AggregateColumn::Remap(const std::vector<std::uint32_t>& moved, std::size_t groups) {
  if (aggregate_.kind == AggregateKind::kCount) return;  // keeps nothing of its own
  AggregateColumn fresh(aggregate_, memory_);
  fresh.Resize(groups);
  for (std::size_t group = 0; group < moved.size(); ++group) {
    const std::uint32_t to = moved[group];
    if (to == 0xffffffffU) continue;
    if (group < counts_.size()) fresh.counts_[to] = counts_[group];
    if (group < sums_.size()) fresh.sums_[to] = sums_[group];
    if (group < values_.size()) fresh.values_[to] = values_[group];
    if (group < double_sums_.size()) fresh.double_sums_[to] = double_sums_[group];
    if (sets_ != nullptr && group < sets_->of.size()) fresh.sets_->of[to] = sets_->of[group];
  }
  *this = std::move(fresh);
}

void AggregateColumn::RenumberTexts(const StringDictionary& from, StringDictionary& to) {
  const auto renumber = [&](std::uint64_t text) { return std::uint64_t{to.Intern(from.at(static_cast<std::uint32_t>(text)))}; };
  for (std::size_t group = 0; group < values_.size(); ++group) {
    if (counts_[group] != 0) values_[group] = static_cast<std::int64_t>(renumber(static_cast<std::uint64_t>(values_[group])));
  }
  if (sets_ == nullptr) return;
  auto fresh = std::make_unique<Sets>(memory_);
  fresh->of.resize(sets_->of.size());
  for (std::size_t group = 0; group < sets_->of.size(); ++group) {
    for (const std::uint64_t text : sets_->of[group]) fresh->of[group].insert(renumber(text));
  }
  sets_ = std::move(fresh);
}

std::size_t AggregateColumn::bytes() const {
  std::size_t total = counts_.size() * 8 + sums_.size() * 16 + values_.size() * 8 + double_sums_.size() * 8;
  if (sets_ == nullptr) return total;
  for (const auto& set : sets_->of) total += sizeof set + set.size() * 24;
  return total;
}

void AggregateColumn::Save(std::uint32_t group, ByteWriter& out, const StringDictionary& texts) const {
  if (aggregate_.kind == AggregateKind::kCount) return;
  if (aggregate_.kind == AggregateKind::kCountDistinct) {
    out.PutVarint(sets_->of[group].size());
    for (std::uint64_t value : sets_->of[group]) {
      if (Texts()) {
        out.PutString(texts.at(static_cast<std::uint32_t>(value)));
      } else {
        out.Put(value);
      }
    }
    return;
  }
  out.PutVarint(counts_[group]);
  if (!sums_.empty()) {
    out.Put(static_cast<std::uint64_t>(sums_[group]));
    out.Put(static_cast<std::int64_t>(sums_[group] >> 64));
  }
  if (!double_sums_.empty()) out.Put(double_sums_[group]);
  if (!values_.empty()) {
    if (Texts()) {
      out.PutString(counts_[group] == 0 ? std::string_view() : texts.at(static_cast<std::uint32_t>(values_[group])));
    } else {
      out.Put(values_[group]);
    }
  }
}

void AggregateColumn::Load(std::uint32_t group, ByteReader& in, StringDictionary& texts) {
  if (aggregate_.kind == AggregateKind::kCount) return;
  if (aggregate_.kind == AggregateKind::kCountDistinct) {
    const std::uint64_t size = in.GetVarint();
    for (std::uint64_t i = 0; i < size && in.ok(); ++i) {
      sets_->of[group].insert(Texts() ? texts.Intern(in.GetString()) : in.Get<std::uint64_t>());
    }
    return;
  }
  counts_[group] = in.GetVarint();
  if (!sums_.empty()) {
    const auto low = in.Get<std::uint64_t>();
    sums_[group] = static_cast<Int128>(in.Get<std::int64_t>()) << 64 | low;
  }
  if (!double_sums_.empty()) double_sums_[group] = in.Get<double>();
  if (!values_.empty()) {
    values_[group] = Texts() ? static_cast<std::int64_t>(texts.Intern(in.GetString())) : in.Get<std::int64_t>();
  }
}

}  // namespace sightline::flow
