#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/config/config.h"
#include "sightline/config/testing/memory_files.h"
#include "sightline/flow/plan.h"
#include "tests/scenario/ground.h"
#include "tests/scenario/scenario_file.h"

namespace sightline::scenario {

// How the input comes. A pipeline's own results and dead letters are the same bytes at every pace; what adds up several partitions
// ends with the same rows, and may correct more often on its way there.
enum class Pace : std::uint8_t {
  kLineByLine,  // every line is worked off before the next comes
  kRestarting,  // and after each the power fails
  kAllAtOnce,   // all lines up to a reload or restart first, in batches as large as they can be, watched by a live board
};

// Where a group was emptied its table has a row that says so in every column but those of the key.
inline constexpr const char* kNoRow = "(no row)";
inline bool IsNoRow(const std::vector<std::string>& row) { return std::find(row.begin(), row.end(), kNoRow) != row.end(); }

// What came out, written as a scenario writes it.
struct Outcome {
  std::map<std::string, Table> results;       // by pipeline: in order of partition and offset
  std::map<std::string, Table> dead_letters;  // by pipeline: roots, and what adds up several partitions
  std::map<std::string, Counts> counts;       // by pipeline
  // Columns that tell one result from another: the window, and the group.
  std::map<std::string, std::vector<std::string>> identity;
  std::vector<std::string> roots;
  std::vector<std::string> merges;            // pipelines over several partitions, and those behind them
  std::vector<std::string> problems;          // where the accounting does not hold
};

// A scenario's configuration and files, read and compiled as by `sightline up`.
struct Prepared {
  config::MemoryFiles files;
  config::Loaded loaded;
  std::unique_ptr<flow::Plan> plan;  // null where there are mistakes
  std::string mistakes;
};
std::unique_ptr<Prepared> Prepare(const Scenario& scenario);

// The results and dead letters that lie in a pipeline's topics, written as a scenario writes them.
Status ReadPipeline(bus::Bus& bus, const flow::Plan& plan, int index, Outcome& outcome);

// The configuration's mistakes, one a line; empty when there is none.
std::string MistakesOf(const Scenario& scenario);

// Runs the shipped way: configuration, plan, log, tasks of the stream engine, results topics read back.
Result<Outcome> RunScenario(const Scenario& scenario, Pace pace, Ground& ground);

}  // namespace sightline::scenario
