#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sightline/base/result.h"

namespace sightline::scenario {

// One line of the input, in the order in which things happen.
struct InputLine {
  enum class Kind : std::uint8_t {
    kRecord,   // appended to a partition of the dataset
    kTick,     // the partition was idle
    kReload,   // a reference's source gets other contents and is read again
    kRestart,  // the power fails; everything is opened anew
  };
  Kind kind = Kind::kRecord;
  int line = 0;
  std::string dataset;          // empty: the only one
  std::int32_t partition = 0;
  std::int64_t append_time = 0; // ms
  std::string bytes;            // of a record
  std::string reference, file;  // of a reload
  std::string refused;          // of a reload: what its error says; empty when it must succeed
};

// A table of cells as they stand in the file, or as the program's output is written into one.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  int Find(std::string_view column) const;
};

using Counts = std::vector<std::pair<std::string, std::int64_t>>;

// A scenario as it is written down: docs/scenarios.md describes the format.
struct Scenario {
  std::string name;                           // of its file, without the ending
  std::map<std::string, std::string> files;   // by path relative to the configuration, which is sightline.yaml
  std::vector<InputLine> input;
  std::map<std::string, Table> results;       // by pipeline
  std::map<std::string, Table> dead_letters;  // by pipeline
  std::map<std::string, Counts> counts;       // by pipeline
  std::vector<std::string> unchecked;         // pipelines whose results stand for nothing here
  std::optional<std::string> refused;         // what the configuration's mistakes say, in its lines
  // Flink's own rule (docs/flink.md): a sentence on what differs, and the rows there; or what its plan is refused with.
  std::string flink_differs;
  std::string flink_refused;
  std::map<std::string, Table> flink_results;       // by pipeline; those that are not named are the same
  std::map<std::string, Table> flink_dead_letters;  // the same
};

// kInvalidArgument names the file and line of the first mistake.
Result<Scenario> ParseScenario(std::string_view text, const std::string& path);

// The scenarios of tests/scenario/cases, in order, as seen from the repository's root.
std::vector<std::string> ScenarioPaths();
// The text of one of them.
Result<std::string> TextOf(const std::string& path);
// One of them, with the contracts that they share.
Result<Scenario> LoadScenario(const std::string& path);

}  // namespace sightline::scenario
