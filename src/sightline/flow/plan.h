#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/flow/expression.h"
#include "sightline/governance/contract.h"
#include "sightline/model/pipeline_spec.h"
#include "sightline/model/result.h"
#include "sightline/model/schema.h"

namespace sightline::flow {

enum class AggregateKind : std::uint8_t { kCount, kCountValues, kSum, kMin, kMax, kAvg, kCountDistinct };

struct Aggregate {
  std::string name;
  AggregateKind kind = AggregateKind::kCount;
  int input = -1;  // column of the input schema; -1 for count()
  FieldType input_type = FieldType::kInt64;
  FieldType type = FieldType::kInt64;
};

struct WhereOp {
  Expression predicate;
};
struct DeriveOp {
  std::vector<Expression> columns;  // each appended to the schema, in order; later ones see earlier ones
};
struct DedupeOp {
  std::vector<int> by;
  bool plain = false;       // one int64 that is never null
  std::int64_t within = 0;  // ms
};
// Inserts the reference's columns right after the one they are joined on.
struct EnrichOp {
  std::string reference;
  int on = 0;
  std::vector<int> take;  // columns of the reference
  std::vector<FieldType> types;  // of those columns
  bool drop_missing = false;
};
struct RankOp {
  std::vector<int> within;   // besides the window
  int by = 0;
  std::int64_t top = 0;
  std::vector<int> ties;     // columns that break ties, ascending; texts by byte order
};
struct RegroupOp {
  std::vector<int> by;       // besides the window
  std::vector<Aggregate> aggregates;
};

// Puts the rows of one result together, where a ranking of a parent has left them apart.
struct GatherOp {
  std::vector<int> by;
};
// What happens to single records, and to the rows of a closed window, in the order written.
using RowOp = std::variant<WhereOp, DeriveOp, DedupeOp, EnrichOp>;
using CloseOp = std::variant<WhereOp, DeriveOp, EnrichOp, RankOp, RegroupOp, GatherOp>;

// Where a pipeline's input comes from.
enum class PipelineKind : std::uint8_t {
  kRoot,   // reads a dataset's topic, a partition each
  kFused,  // reads the closed windows of its parent in the same partition, without a topic between
  kMerge,  // reads all partitions of its parent's results topic in one place
};

struct PipelinePlan {
  std::string name;
  std::string from;
  PipelineKind kind = PipelineKind::kRoot;
  int parent = -1;                    // index in Plan::pipelines, or -1 for a root
  int root = -1;                      // index of the root pipeline it hangs on (itself for a root)
  PipelineEngine engine = PipelineEngine::kFlow;  // what runs it: that of the root at the bottom
  Schema input;
  std::vector<RowOp> row_ops;         // roots only
  Schema rows;                        // after row_ops
  WindowStep window;                  // roots: as configured; others: the root's
  std::vector<int> group_by;          // roots: columns of `rows`
  // Roots: positions in group_by that every grouping of this pipeline and those fused with it determines. A record changes
  // the results of its family (the groups that agree in them) and no others.
  std::vector<int> family;
  std::vector<Aggregate> aggregates;  // roots
  std::vector<CloseOp> close_ops;
  std::vector<Schema> close_schemas;  // before each close op, and at the end
  ResultShape shape;
  std::vector<std::string> keys;      // columns of the root's group_by that are still there: no correction changes their values
  bool ranked = false;
  // A correction can take all rows of a group away: it, or one it reads from, has a step behind the aggregate that leaves rows out, or what
  // tells groups apart changes with the rows.
  bool may_empty = false;
  bool to_statistics = false;
  bool to_live = false;
  RetainResultsSpec retain;  // no part of the fingerprint
  std::uint64_t fingerprint = 0;  // of the canonical plan from the dataset on, partition epoch and semantics version
  std::string canonical;  // what the fingerprint is of; also shown by `plan`
};

struct DatasetPlan {
  std::string name;
  std::string topic;
  const governance::Contract* contract = nullptr;
  std::int32_t partitions = 1;
  int partition_by = 0;  // field of the contract
  std::vector<std::string> implies_partition;  // fields that determine partition_by, by declaration
  WatermarkSpec watermark;
};

struct ReferencePlan {
  std::string name;
  Schema schema;
  int key = 0;
};

struct PlanInput {
  std::vector<DatasetPlan> datasets;
  std::vector<ReferencePlan> references;
  std::vector<PipelineSpec> pipelines;
};

// Pipelines stand after the ones they read from.
struct Plan {
  std::vector<DatasetPlan> datasets;
  std::vector<ReferencePlan> references;
  std::vector<PipelinePlan> pipelines;
  int Find(std::string_view pipeline) const;
  const DatasetPlan* FindDataset(std::string_view name) const;
  // Names of the topics a pipeline owns.
  static std::string ResultsTopic(std::string_view pipeline) { return "results." + std::string(pipeline); }
  // Early results between processes: live_tail.h.
  static std::string EarlyTopic(std::string_view pipeline) { return "live." + std::string(pipeline); }
  static std::string DeadLetterTopic(std::string_view pipeline) { return "dead_letters." + std::string(pipeline); }
};

// One mistake in a pipeline, with its place in the file.
struct PlanProblem {
  SourcePlace place;
  std::string message;
};

// Compiles all pipelines once; every mistake is reported. Raised with a change of meaning of any step, so that state of an
// older meaning is never continued.
inline constexpr int kSemanticsVersion = 1;
std::expected<Plan, std::vector<PlanProblem>> CompilePlan(const PlanInput& input);

// A plan in words, for `sightline plan`: a line a step.
std::string DescribePlan(const Plan& plan, const PipelinePlan& pipeline);

}  // namespace sightline::flow
