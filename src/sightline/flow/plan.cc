#include "sightline/flow/plan.h"

#include <algorithm>
#include <set>

#include "sightline/base/hash.h"
#include "sightline/base/text.h"
#include "sightline/flow/plan_compiler_internal.h"

namespace sightline::flow {

int Plan::Find(std::string_view pipeline) const {
  for (std::size_t i = 0; i < pipelines.size(); ++i) {
    if (pipelines[i].name == pipeline) return static_cast<int>(i);
  }
  return -1;
}

const DatasetPlan* Plan::FindDataset(std::string_view name) const {
  for (const DatasetPlan& dataset : datasets) {
    if (dataset.name == name) return &dataset;
  }
  return nullptr;
}

namespace {

// Orders the pipelines so that each stands after the one it reads from; what is left over forms a circle.
std::vector<const PipelineSpec*> InOrder(const PlanInput& input, std::vector<PlanProblem>& problems) {
  std::vector<const PipelineSpec*> ordered;
  std::set<std::string> done;
  for (const DatasetPlan& dataset : input.datasets) done.insert(dataset.name);
  std::vector<const PipelineSpec*> left;
  for (const PipelineSpec& spec : input.pipelines) left.push_back(&spec);
  while (!left.empty()) {
    std::vector<const PipelineSpec*> later;
    for (const PipelineSpec* spec : left) {
      if (done.contains(spec->from)) {
        ordered.push_back(spec);
        done.insert(spec->name);
      } else {
        later.push_back(spec);
      }
    }
    if (later.size() == left.size()) break;
    left = std::move(later);
  }
  for (const PipelineSpec* spec : left) {
    if (done.contains(spec->name)) continue;
    std::vector<std::string_view> names(done.begin(), done.end());
    for (const PipelineSpec& other : input.pipelines) names.push_back(other.name);
    const bool exists =
        std::any_of(input.pipelines.begin(), input.pipelines.end(), [&](const PipelineSpec& other) { return other.name == spec->from; });
    const std::string_view near = exists ? std::string_view() : DidYouMean(spec->from, names);
    problems.push_back({spec->place, exists ? "pipeline " + spec->name + " reads from " + spec->from +
                                                  ", which reads from it in turn (or from one that cannot be compiled)"
                                            : "pipeline " + spec->name + " reads from " + spec->from +
                                                  ", which is no dataset and no pipeline" +
                                                  (near.empty() ? "" : "; did you mean " + std::string(near) + "?")});
    done.insert(spec->name);
  }
  return ordered;
}

// The names that each grouping behind the root's own aggregate goes by, that of the results included.
std::vector<std::set<std::string>> GroupingsBehind(const Plan& plan, int root) {
  std::vector<std::set<std::string>> groupings;
  const auto add = [&](const Schema& schema, const std::vector<int>& columns) {
    std::set<std::string>& names = groupings.emplace_back();
    for (int column : columns) names.insert(schema.fields[static_cast<std::size_t>(column)].name);
  };
  for (const PipelinePlan& pipeline : plan.pipelines) {
    if (pipeline.root != root) continue;
    add(pipeline.shape.schema, pipeline.shape.group);
    for (std::size_t i = 0; i < pipeline.close_ops.size(); ++i) {
      if (const auto* regroup = std::get_if<RegroupOp>(&pipeline.close_ops[i])) add(pipeline.close_schemas[i], regroup->by);
      if (const auto* rank = std::get_if<RankOp>(&pipeline.close_ops[i])) add(pipeline.close_schemas[i], rank->within);
    }
  }
  return groupings;
}

void FindFamily(const Plan& plan, int root, PipelinePlan& pipeline) {
  const DatasetPlan& dataset = *plan.FindDataset(pipeline.from);
  const std::string& partition_by = dataset.contract->schema.fields[static_cast<std::size_t>(dataset.partition_by)].name;
  const std::vector<std::set<std::string>> groupings = GroupingsBehind(plan, root);
  for (std::size_t k = 0; k < pipeline.group_by.size(); ++k) {
    const std::string& name = pipeline.rows.fields[static_cast<std::size_t>(pipeline.group_by[k])].name;
    const bool all = std::all_of(groupings.begin(), groupings.end(), [&](const std::set<std::string>& names) {
      return names.contains(name) ||
             (name == partition_by && std::any_of(dataset.implies_partition.begin(), dataset.implies_partition.end(),
                                                  [&](const auto& n) { return names.contains(n); }));
    });
    if (all) pipeline.family.push_back(static_cast<int>(k));
  }
}

}  // namespace

std::expected<Plan, std::vector<PlanProblem>> CompilePlan(const PlanInput& input) {
  Plan plan;
  plan.datasets = input.datasets;
  plan.references = input.references;
  std::vector<PlanProblem> problems;
  for (const PipelineSpec* spec : InOrder(input, problems)) {
    // What reads from a pipeline with a mistake can't be compiled; its own mistakes show when that one is mended.
    if (plan.FindDataset(spec->from) == nullptr && plan.Find(spec->from) < 0) continue;
    PipelineCompiler compiler(plan, *spec, problems);
    if (std::optional<PipelinePlan> compiled = compiler.Compile(static_cast<int>(plan.pipelines.size()))) {
      plan.pipelines.push_back(std::move(*compiled));
    }
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    if (plan.pipelines[i].kind == PipelineKind::kRoot) FindFamily(plan, static_cast<int>(i), plan.pipelines[i]);
  }
  return plan;
}

std::string DescribePlan(const Plan& plan, const PipelinePlan& pipeline) {
  std::string out = "pipeline " + pipeline.name + " from " + pipeline.from;
  switch (pipeline.kind) {
    case PipelineKind::kRoot: out += " (a partition each)"; break;
    case PipelineKind::kFused: out += " (fused with " + plan.pipelines[static_cast<std::size_t>(pipeline.root)].name + ")"; break;
    case PipelineKind::kMerge: out += " (one place, over all partitions of " + Plan::ResultsTopic(pipeline.from) + ")"; break;
  }
  out += "\n";
  // The canonical text starts with what it reads; the steps are this pipeline's own lines.
  std::size_t at = pipeline.canonical.rfind("\npipeline ");
  at = at == std::string::npos ? 0 : pipeline.canonical.find('\n', at + 1) + 1;
  for (std::string_view line : Split(std::string_view(pipeline.canonical).substr(at), '\n')) {
    if (!line.empty()) out += "  " + std::string(line) + "\n";
  }
  out += "  -> " + Plan::ResultsTopic(pipeline.name) + "(window_start, window_end";
  for (const Field& field : pipeline.shape.schema.fields) out += ", " + field.name + " " + std::string(FieldTypeName(field.type));
  out += ")\n";
  return out;
}

}  // namespace sightline::flow
