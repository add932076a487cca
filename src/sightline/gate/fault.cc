#include "sightline/gate/fault_internal.h"

#include <array>
#include <charconv>
#include <limits>

#include "sightline/base/text.h"

namespace sightline::gate {
namespace {

constexpr std::size_t kShownBytes = 48;

// Cuts at a code point's start, so that the words stay UTF-8.
std::string Shortened(std::string_view text) {
  if (text.size() <= kShownBytes) return std::string(text);
  std::size_t size = kShownBytes;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return std::string(text.substr(0, size)) + "…";
}

std::string Number(double value) {
  std::array<char, 32> text{};
  const auto [end, failure] = std::to_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() ? std::string(text.data(), end) : "?";
}

// " from A to B", " of at least A" … or nothing without bounds.
std::string Bounds(bool has_min, const std::string& min, bool has_max, const std::string& max) {
  if (has_min && has_max) return " from " + min + " to " + max;
  if (has_min) return " of at least " + min;
  if (has_max) return " of at most " + max;
  return "";
}

std::string WantedText(const FieldPlan& plan, const governance::FieldRule& rule) {
  std::string wanted = "a string";
  const std::string bounds = Bounds(rule.min_length.has_value(), std::to_string(rule.min_length.value_or(0)), rule.max_length.has_value(),
                                    std::to_string(rule.max_length.value_or(0)));
  if (!bounds.empty()) wanted += bounds + " characters";
  if (plan.pattern) wanted += " that matches " + Shortened(rule.pattern);
  return wanted;
}

template <typename Values, typename Format>
std::string OneOf(const Values& values, const Format& format) {
  constexpr std::size_t kShown = 8;
  std::string out = "one of ";
  for (std::size_t i = 0; i < values.size() && i < kShown; ++i) out += (i == 0 ? "" : ", ") + format(values[i]);
  if (values.size() > kShown) out += " and " + std::to_string(values.size() - kShown) + " more";
  return out;
}

std::string Wanted(const ContractPlan& contract_plan, int field) {
  const FieldPlan& plan = contract_plan.fields[static_cast<std::size_t>(field)];
  const governance::FieldRule& rule = contract_plan.contract.rules[static_cast<std::size_t>(field)];
  switch (plan.type) {
    case FieldType::kInt64:
      if (plan.event_time) return "a time in epoch milliseconds within the years 1 to 9999";
      if (plan.listed) return OneOf(rule.one_of_int64, [](std::int64_t value) { return std::to_string(value); });
      return (rule.min_int64 || rule.max_int64 ? "an integer" : "a 64-bit integer") +
             Bounds(rule.min_int64.has_value(), std::to_string(rule.min_int64.value_or(0)), rule.max_int64.has_value(),
                    std::to_string(rule.max_int64.value_or(0)));
    case FieldType::kDouble:
      return "a number" + Bounds(rule.min_double.has_value(), Number(rule.min_double.value_or(0)), rule.max_double.has_value(),
                                 Number(rule.max_double.value_or(0)));
    case FieldType::kBool: return "true or false";
    case FieldType::kString:
      if (plan.listed) {
        return OneOf(rule.one_of, [](const std::string& value) {
          std::string quoted;
          AppendJsonString(quoted, Shortened(value));
          return quoted;
        });
      }
      return WantedText(plan, rule);
  }
  return "another value";
}

}  // namespace

std::string DescribeJson(std::string_view value) {
  if (value.empty()) return "nothing";
  switch (value.front()) {
    case '"': return "the string " + Shortened(value);
    case '{': return "an object";
    case '[': return "an array";
    case 't':
    case 'f':
    case 'n': return std::string(value);
    default: return "the number " + Shortened(value);
  }
}

std::string DescribeText(std::string_view text) {
  std::string quoted;
  AppendJsonString(quoted, Shortened(text));
  return "the string " + quoted;
}

std::string Cause(const Malformation& malformation) {
  std::string cause = "cannot be parsed: ";
  cause += malformation.what == nullptr ? "unknown reason" : malformation.what;
  if (!malformation.key.empty()) {
    cause += " ";
    AppendJsonString(cause, Shortened(malformation.key));
  }
  return cause + " (at byte " + std::to_string(malformation.byte + 1) + ")";
}

std::string Cause(const ContractPlan& plan, const Violation& violation) {
  if (violation.kind == ViolationKind::kNotAnObject) {
    return "the record is " + violation.found + "; wanted is an object with the contract's fields";
  }
  if (violation.kind == ViolationKind::kExtraField) {
    return "`" + Shortened(violation.found) + "` is not in the contract, which allows no other fields; remove it";
  }
  const std::string name = "`" + plan.contract.schema.fields[static_cast<std::size_t>(violation.field)].name + "`";
  const std::string wanted = "; wanted is " + Wanted(plan, violation.field);
  switch (violation.kind) {
    case ViolationKind::kMissing: return name + " is missing" + wanted;
    case ViolationKind::kNul: return name + " holds U+0000, which text must not" + wanted;
    case ViolationKind::kOutOfInt64: return name + " is " + violation.found + ", outside the range of 64-bit integers" + wanted;
    case ViolationKind::kOutOfDouble: return name + " is " + violation.found + ", outside the range of 64-bit floating point" + wanted;
    default: return name + " is " + violation.found + wanted;
  }
}

}  // namespace sightline::gate
