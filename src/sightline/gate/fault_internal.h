#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sightline/gate/plan_internal.h"

namespace sightline::gate {

// What became of one record in a parser.
enum class Outcome : std::uint8_t { kAccepted, kInvalid, kMalformed };

// Why a record is not parseable.
struct Malformation {
  const char* what = nullptr;  // a clause such as "the record ends inside a string"
  std::size_t byte = 0;        // where, from 0
  std::string key;             // for a repeated key
};

enum class ViolationKind : std::uint8_t {
  kNone,
  kNotAnObject,
  kMissing,
  kWrongType,
  kOutOfInt64,
  kOutOfDouble,
  kOutOfBounds,
  kEventTime,
  kLength,
  kPattern,
  kNotListed,
  kNul,
  kExtraField,
};

// The first rule of the contract that a record breaks.
struct Violation {
  ViolationKind kind = ViolationKind::kNone;
  int field = -1;
  std::string found;  // the value in words, or an extra field's name
};

// A JSON value in words: `the string "1"`, `the number 1.5`, `null`, `an array`; shortened.
std::string DescribeJson(std::string_view value);
// `the string "…"` for text that is not JSON.
std::string DescribeText(std::string_view text);

// Sentences for users.
std::string Cause(const Malformation& malformation);
std::string Cause(const ContractPlan& plan, const Violation& violation);

}  // namespace sightline::gate
