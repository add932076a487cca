#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "sightline/base/text.h"
#include "sightline/gate/fault_internal.h"
#include "sightline/gate/json_record_internal.h"
#include "sightline/gate/plan_internal.h"

namespace sightline::gate {

inline ViolationKind CheckText(const FieldPlan& plan, std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return ViolationKind::kNul;
  if (!plan.LengthInBounds(CodePoints(text))) return ViolationKind::kLength;
  if (plan.listed && !plan.one_of.contains(text)) return ViolationKind::kNotListed;
  if (plan.pattern && !plan.pattern->Matches(text)) return ViolationKind::kPattern;
  return ViolationKind::kNone;
}

// One value of a row that was read from a binary form, which has the field's type.
inline ViolationKind JudgeValue(const FieldPlan& plan, RowTarget& target, int field, std::string& found) {
  switch (plan.type) {
    case FieldType::kBool: return ViolationKind::kNone;
    case FieldType::kInt64: {
      const std::int64_t value = target.Int64(field);
      const ViolationKind kind = CheckInt64(plan, value);
      if (kind != ViolationKind::kNone) [[unlikely]]
        found = "the number " + std::to_string(value);
      return kind;
    }
    case FieldType::kDouble: {
      const double value = target.Double(field);
      ViolationKind kind = ViolationKind::kNone;
      if (!std::isfinite(value)) {
        kind = ViolationKind::kOutOfDouble;
      } else if (value < plan.min_double || value > plan.max_double) {
        kind = ViolationKind::kOutOfBounds;
      }
      if (kind != ViolationKind::kNone) [[unlikely]]
        found = "the number " + std::to_string(value);
      return kind;
    }
    case FieldType::kString: {
      const std::string_view text = target.Text(field);
      const ViolationKind kind = CheckText(plan, text);
      if (kind != ViolationKind::kNone) [[unlikely]]
        found = DescribeText(text);
      return kind;
    }
  }
  return ViolationKind::kNone;
}

// Judges the values that count, in the contract's order; fields whose stamp in `seen` is another are missing.
inline void JudgeRow(const ContractPlan& plan, const std::vector<std::uint32_t>& seen, std::uint32_t stamp, RowTarget& target,
                     Violation& violation) {
  bool missing = false;
  for (std::size_t f = 0; f < seen.size(); ++f) {
    const int field = static_cast<int>(f);
    if (seen[f] != stamp) {
      missing = true;
      if (plan.fields[f].required) {
        violation = {.kind = ViolationKind::kMissing, .field = field, .found = ""};
        return;
      }
      continue;
    }
    std::string found;
    if (const ViolationKind kind = JudgeValue(plan.fields[f], target, field, found); kind != ViolationKind::kNone) {
      violation = {.kind = kind, .field = field, .found = std::move(found)};
      return;
    }
  }
  if (!missing) return;
  for (std::size_t f = 0; f < seen.size(); ++f) {
    if (seen[f] != stamp) target.SetNull(static_cast<int>(f));
  }
}

}  // namespace sightline::gate
