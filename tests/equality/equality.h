#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/equality/flink_run.h"
#include "tests/scenario/scenario_file.h"
#include "tests/scenario/scenario_run.h"

namespace sightline::equality {

// What became of one scenario on the three engines.
struct Verdict {
  enum class Kind : std::uint8_t {
    kEqual,    // the same final rows and late records on all three
    kOwnRule,  // equal where it must be, and Flink's rows are those that the scenario says of it
    kRefused,  // the plan for Flink is refused, as the scenario says; the other two are equal
    kWrong,
  };
  std::string scenario;
  std::string about;  // the scenario's first sentence
  Kind kind = Kind::kWrong;
  std::string remark;        // Flink's own rule, what it was refused with, or the differences
  std::size_t rows = 0;      // final rows that were compared
  std::size_t late = 0;      // late and future records
};

// Which engines take part.
enum class Workers : std::uint8_t { kRun, kLeaveOut };

// Runs a scenario on (a) the embedded engine on the embedded log, (b) workers on Kafka and (c) Flink. To every partition a last record is
// added whose time lies behind everything, so that all windows of the others close; its own are left out.
Verdict CheckScenario(const std::string& path, const FlinkCluster& cluster, Workers workers);

// A mistake in the mapping, put into a job's text; the scenario must end otherwise then. What did not happen, or empty.
struct Planted {
  const char* name;
  const char* scenario;
  Gate gate;
  Change change;
};
std::vector<Planted> AllPlanted();
std::string CheckPlanted(const Planted& planted, const FlinkCluster& cluster);

}  // namespace sightline::equality
