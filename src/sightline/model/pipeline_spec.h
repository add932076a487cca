#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sightline {

// Where something stands in a configuration file, for messages; line and column count from 1, 0 means unknown.
struct SourcePlace {
  std::string file;
  int line = 0;
  int column = 0;
};

// A step and its settings as configured; names and expressions are checked when the plan is compiled.
struct WhereStep {
  std::string expression;
};
struct DeriveStep {
  std::vector<std::pair<std::string, std::string>> columns;  // new name, expression; in order
};
struct DedupeStep {
  std::vector<std::string> by;
  std::chrono::milliseconds within{0};
};
struct EnrichStep {
  enum class Missing : std::uint8_t { kKeep, kDrop };
  std::string with;  // a reference's name
  std::string on;    // our field; matched with the reference's key
  Missing missing = Missing::kKeep;
  std::vector<std::string> take;  // the reference's columns to attach; empty: all but its key
};
struct WindowStep {
  std::chrono::milliseconds size{0};
  std::chrono::milliseconds every{0};  // = size for a tumbling window
  std::chrono::milliseconds allowed_lateness{0};
};
struct AggregateStep {
  std::vector<std::string> by;
  std::vector<std::pair<std::string, std::string>> columns;  // new name, call such as "count()" or "sum(item_count)"; in order
};
struct RankStep {
  std::vector<std::string> within;
  std::string by;
  std::int64_t top = 10;
};

struct Step {
  std::variant<WhereStep, DeriveStep, DedupeStep, EnrichStep, WindowStep, AggregateStep, RankStep> step;
  SourcePlace place;
};

// How long a pipeline's results are kept; 0: for ever.
struct RetainResultsSpec {
  std::chrono::milliseconds statistics{0};  // in the statistics store, by event time
  std::chrono::milliseconds topics{0};      // in the topics that the pipeline owns, by append time
};

// What runs a pipeline: our own engine, or a Flink cluster whose results come home.
enum class PipelineEngine : std::uint8_t { kFlow, kFlink };

struct PipelineSpec {
  std::string name;
  std::string from;  // a dataset or another pipeline
  PipelineEngine engine = PipelineEngine::kFlow;  // of one that reads a dataset; others are where it is
  std::vector<Step> steps;
  bool to_statistics = false;
  bool to_live = false;
  RetainResultsSpec retain;
  SourcePlace place;
};

// How a dataset's partitions tell the time.
struct WatermarkSpec {
  std::string on;  // the contract's event-time field
  std::chrono::milliseconds out_of_orderness{0};
  std::chrono::milliseconds idle_after{0};  // 0: never idle
  std::chrono::milliseconds ahead_max{0};   // 0: no bound
};

}  // namespace sightline
