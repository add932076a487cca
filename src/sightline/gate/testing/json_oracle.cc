#include "sightline/gate/testing/json_oracle.h"

#include <simdjson.h>

#include <algorithm>
#include <set>
#include <vector>

#include "sightline/base/text.h"
#include "sightline/governance/pattern.h"
#include "sightline/model/time.h"

namespace sightline::gate {
namespace {

namespace dom = simdjson::dom;

bool HasRepeatedNames(dom::element element) {
  if (element.is_object()) {
    std::set<std::string_view> names;
    for (const auto member : dom::object(element)) {
      if (!names.insert(member.key).second || HasRepeatedNames(member.value)) return true;
    }
  } else if (element.is_array()) {
    for (const auto item : dom::array(element)) {
      if (HasRepeatedNames(item)) return true;
    }
  }
  return false;
}

bool TextHolds(const governance::FieldRule& rule, std::string_view text) {
  const std::size_t length = CodePoints(text);
  if (text.find('\0') != std::string_view::npos) return false;
  if (rule.min_length && length < *rule.min_length) return false;
  if (rule.max_length && length > *rule.max_length) return false;
  if (!rule.one_of.empty() && std::ranges::find(rule.one_of, text) == rule.one_of.end()) return false;
  return rule.pattern.empty() || governance::Pattern::Compile(rule.pattern)->Matches(text);
}

bool IntegerHolds(const governance::FieldRule& rule, bool event_time, std::int64_t value) {
  if (rule.min_int64 && value < *rule.min_int64) return false;
  if (rule.max_int64 && value > *rule.max_int64) return false;
  if (event_time && (value < kEventTimeMin.value || value > kEventTimeMax.value)) return false;
  return rule.one_of_int64.empty() || std::ranges::find(rule.one_of_int64, value) != rule.one_of_int64.end();
}

bool FieldHolds(const governance::Contract& contract, std::size_t f, dom::element value) {
  const governance::FieldRule& rule = contract.rules[f];
  if (value.is_null()) return !rule.required;
  switch (contract.schema.fields[f].type) {
    case FieldType::kInt64: return value.is<std::int64_t>() && IntegerHolds(rule, static_cast<int>(f) == contract.event_time, value);
    case FieldType::kBool: return value.is_bool();
    case FieldType::kString: return value.is_string() && TextHolds(rule, std::string_view(value));
    case FieldType::kDouble: {
      if (!value.is_number()) return false;
      const double number(value);
      return number >= rule.min_double.value_or(number) && number <= rule.max_double.value_or(number);
    }
  }
  return false;
}

bool RecordHolds(const governance::Contract& contract, dom::element record) {
  if (!record.is_object()) return false;
  for (std::size_t f = 0; f < contract.schema.fields.size(); ++f) {
    dom::element value;
    const bool there = dom::object(record).at_key(contract.schema.fields[f].name).get(value) == simdjson::SUCCESS;
    if (there ? !FieldHolds(contract, f, value) : contract.rules[f].required) return false;
  }
  return !contract.closed ||
         std::ranges::all_of(dom::object(record), [&](const auto& member) { return contract.schema.Find(member.key) >= 0; });
}

// The first column of the decoded row that is not as simdjson reads it.
std::string DifferentValue(const governance::Contract& contract, dom::object record, const ColumnBatch& rows) {
  for (std::size_t f = 0; f < contract.schema.fields.size(); ++f) {
    const Column& column = rows.columns[f];
    const std::string& name = contract.schema.fields[f].name;
    dom::element value;
    const bool null = record.at_key(name).get(value) != simdjson::SUCCESS || value.is_null();
    if (null != column.IsNull(0)) return name + " is null in one of them";
    if (null) continue;
    bool same = false;
    switch (column.type) {
      case FieldType::kInt64: same = column.int64s[0] == std::int64_t(value); break;
      case FieldType::kBool: same = column.int64s[0] == (bool(value) ? 1 : 0); break;
      case FieldType::kDouble: same = column.doubles[0] == double(value); break;
      case FieldType::kString: same = column.strings[0] == std::string_view(value); break;
    }
    if (!same) return name + " has another value";
  }
  return "";
}

bool IsAboutLimits(const std::string& cause) {
  return cause.contains("nested deeper") || cause.contains("more fields") || cause.contains("longer than the limit");
}

}  // namespace

std::string DisagreementWithSimdjson(const governance::Contract& contract, std::string_view record) {
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string exact(record);
  const std::string_view records[] = {exact};
  decoder.DecodeRecords(bus::Encoding::kJson, records, decoded);
  if (decoded.seen != 1 || decoded.rows.rows + decoded.rejects.size() != 1) return "the record was not judged once";
  const Verdict verdict = decoded.rejects.empty() ? Verdict::kCounted : decoded.rejects[0].verdict;
  const std::string cause = decoded.rejects.empty() ? "" : decoded.rejects[0].cause;
  if (!IsUtf8(cause)) return "the cause is not UTF-8";
  if (IsAboutLimits(cause)) return "";

  dom::parser parser;
  dom::element element;
  const simdjson::error_code error = parser.parse(exact.data(), exact.size()).get(element);
  if (error == simdjson::NUMBER_ERROR || error == simdjson::DEPTH_ERROR) return "";
  if (error != simdjson::SUCCESS) {
    return verdict == Verdict::kMalformed ? "" : std::string("simdjson cannot parse it: ") + simdjson::error_message(error);
  }
  if (HasRepeatedNames(element)) return verdict == Verdict::kMalformed ? "" : "a repeated name was let pass";
  if (verdict == Verdict::kMalformed) return "simdjson parses what was called malformed: " + cause;
  const bool holds = RecordHolds(contract, element);
  if (holds != (verdict == Verdict::kCounted))
    return (holds ? "it keeps the contract and was refused: " : "it breaks the contract and was accepted") + cause;
  return holds ? DifferentValue(contract, element, decoded.rows) : "";
}

}  // namespace sightline::gate
