#include <algorithm>
#include <limits>

#include "sightline/gate/plan_internal.h"
#include "sightline/gate/scan_internal.h"
#include "sightline/model/time.h"

namespace sightline::gate {
namespace {

// Whether JSON writes the name as it is. Other names are not for byte-wise comparison; contracts cannot have them.
bool IsPlain(const std::string& name) {
  return std::ranges::none_of(name, [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; });
}

}  // namespace

void KeyTable::Build(const Schema& schema) {
  // A quarter full, so that nearly every key is found, or not, at its first place.
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(schema.fields.size() * 4, 16));
  shift_ = static_cast<std::uint32_t>(64 - std::countr_zero(size));
  mask_ = size - 1;
  entries_.assign(size, {});
  names_.clear();
  names_.reserve(schema.fields.size());
  for (std::size_t f = 0; f < schema.fields.size(); ++f) {
    if (!IsPlain(schema.fields[f].name)) continue;
    // Padded, because names are hashed and compared by wide loads.
    std::string& name = names_.emplace_back(schema.fields[f].name);
    const std::size_t length = name.size();
    name.append(kScanPadding, '\0');
    std::size_t at = Hash(name.data(), length) >> shift_;
    while (entries_[at].field >= 0) at = (at + 1) & mask_;
    Entry& entry = entries_[at];
    entry.name = name.data();
    entry.size = static_cast<std::uint32_t>(length);
    entry.field = static_cast<std::int32_t>(f);
    std::memcpy(entry.head.data(), name.data(), std::min<std::size_t>(length, entry.head.size()));
  }
}

void MemberTable::Build(const Schema& schema, const std::vector<FieldPlan>& fields) {
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(schema.fields.size() * 8, 32));
  shift_ = static_cast<std::uint32_t>(64 - std::countr_zero(size));
  entries_.assign(size, {});
  names_.clear();
  names_.reserve(schema.fields.size());
  // As many bytes as every member has: its name and the closing quote.
  std::size_t head = 8;
  for (const Field& field : schema.fields) head = std::min(head, field.name.size() + 1);
  head_mask_ = head == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (head * 8)) - 1;
  for (std::size_t f = 0; f < schema.fields.size(); ++f) {
    if (!IsPlain(schema.fields[f].name)) continue;
    std::string& name = names_.emplace_back(schema.fields[f].name + "\"");
    const std::size_t length = name.size();
    name.append(8, '\0');
    Entry& entry = entries_[((LoadLe<std::uint64_t>(name.data()) & head_mask_) * kFactor) >> shift_];
    if (entry.field >= 0 || length > kScanPadding) continue;
    entry.name = name.data();
    entry.size = static_cast<std::uint32_t>(length);
    entry.field = static_cast<std::int32_t>(f);
    entry.plan = &fields[f];
    std::memcpy(entry.bytes.data(), name.data(), std::min<std::size_t>(length, 32));
    std::memset(entry.mask.data(), 0xff, std::min<std::size_t>(length, 32));
  }
}

ContractPlan::ContractPlan(const governance::Contract& of) : contract(of), closed(of.closed) {
  by_small_number.fill(-1);
  fields.reserve(of.schema.fields.size());
  for (std::size_t f = 0; f < of.schema.fields.size(); ++f) {
    const governance::FieldRule& rule = of.rules[f];
    FieldPlan& plan = fields.emplace_back();
    plan.type = of.schema.fields[f].type;
    plan.required = rule.required;
    plan.event_time = static_cast<int>(f) == of.event_time;
    std::int64_t min = rule.min_int64.value_or(std::numeric_limits<std::int64_t>::min());
    std::int64_t max = rule.max_int64.value_or(std::numeric_limits<std::int64_t>::max());
    if (plan.event_time) {
      min = std::max(min, kEventTimeMin.value);
      max = std::min(max, kEventTimeMax.value);
    }
    plan.min = min;
    plan.span = static_cast<std::uint64_t>(max) - static_cast<std::uint64_t>(min);
    plan.min_double = rule.min_double.value_or(std::numeric_limits<double>::lowest());
    plan.max_double = rule.max_double.value_or(std::numeric_limits<double>::max());
    plan.min_length = rule.min_length.value_or(0);
    plan.length_span = rule.max_length.value_or(std::numeric_limits<std::uint32_t>::max()) - plan.min_length;
    plan.listed = !rule.one_of.empty() || !rule.one_of_int64.empty();
    plan.one_of.insert(rule.one_of.begin(), rule.one_of.end());
    plan.one_of_int64.insert(rule.one_of_int64.begin(), rule.one_of_int64.end());
    if (!rule.pattern.empty()) {
      // The contract's parser has compiled it before; a contract made by hand with a broken one lets nothing pass.
      auto compiled = governance::Pattern::Compile(rule.pattern);
      if (!compiled) compiled = governance::Pattern::Compile("[^\\x{0}-\\x{10ffff}]");
      plan.pattern = std::make_unique<governance::Pattern>(std::move(*compiled));
    }
    plan.ruled = plan.listed || plan.pattern != nullptr;
    if (rule.protobuf_number != 0) {
      by_number.emplace(rule.protobuf_number, static_cast<int>(f));
      if (rule.protobuf_number < by_small_number.size()) by_small_number[rule.protobuf_number] = static_cast<std::int16_t>(f);
    }
  }
  keys.Build(of.schema);
  members.Build(of.schema, fields);
}

void RowTarget::Attach(ColumnBatch& to, std::size_t rows_max) {
  batch = &to;
  row = 0;
  capacity = rows_max;
  values.clear();
  for (Column& column : to.columns) {
    switch (column.type) {
      case FieldType::kInt64:
      case FieldType::kBool: values.push_back(column.int64s.data()); break;
      case FieldType::kDouble: values.push_back(column.doubles.data()); break;
      case FieldType::kString: values.push_back(column.strings.data()); break;
    }
  }
}

void RowTarget::Widen(std::size_t rows_max) {
  for (Column& column : batch->columns) {
    switch (column.type) {
      case FieldType::kInt64:
      case FieldType::kBool: column.int64s.resize(rows_max); break;
      case FieldType::kDouble: column.doubles.resize(rows_max); break;
      case FieldType::kString: column.strings.resize(rows_max); break;
    }
    if (!column.nulls.empty()) column.nulls.resize(rows_max);
  }
  const std::size_t at = row;
  Attach(*batch, rows_max);
  row = at;
}

void RowTarget::SetNull(int field) {
  Column& column = batch->columns[static_cast<std::size_t>(field)];
  if (column.nulls.empty()) column.nulls.assign(capacity, 0);
  column.nulls[row] = 1;
  switch (column.type) {
    case FieldType::kInt64:
    case FieldType::kBool: column.int64s[row] = 0; break;
    case FieldType::kDouble: column.doubles[row] = 0; break;
    case FieldType::kString: column.strings[row] = {}; break;
  }
}

}  // namespace sightline::gate
