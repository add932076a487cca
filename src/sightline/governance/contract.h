#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/pipeline_spec.h"
#include "sightline/model/schema.h"

namespace sightline::governance {

// What a contract demands of one field beyond its type.
struct FieldRule {
  bool required = false;
  std::optional<std::int64_t> min_int64, max_int64;   // inclusive
  std::optional<double> min_double, max_double;       // inclusive
  std::optional<std::uint32_t> min_length, max_length;// in Unicode code points
  std::string pattern;                                // RE2 syntax, matches the whole value; empty: none
  std::vector<std::string> one_of;                    // allowed values of a string; empty: any
  std::vector<std::int64_t> one_of_int64;             // allowed values of an integer; empty: any
  std::uint32_t protobuf_number = 0;                  // field number in Protobuf records; 0: not in them
};

// A dataset's or reference's contract, from an Open Data Contract Standard v3 file: the one authority on what a record of it is.
struct Contract {
  std::string name;
  std::string version;
  Schema schema;
  std::vector<FieldRule> rules;     // one a field of the schema
  int event_time = -1;              // index of the event-time field (epoch ms), or -1 (a reference table)
  std::vector<int> key;             // indices of the fields that identify a record
  bool closed = false;              // fields that it does not name make a record invalid
};

// Reads the contract from ODCS v3 YAML. The error (kInvalidArgument) lists every mistake as "file:line:column: what", one a
// line. Whatever the standard allows and this program would not enforce is a mistake too. docs/formats/verdicts.md lists what is read.
Result<Contract> ParseContract(std::string_view yaml, const std::string& file);

}  // namespace sightline::governance
