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
