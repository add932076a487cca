#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/flow/plan.h"

namespace sightline::flow {

// Compiles one pipeline after those it reads from; notes every mistake it finds. Used once.
class PipelineCompiler {
 public:
  PipelineCompiler(const Plan& plan, const PipelineSpec& spec, std::vector<PlanProblem>& problems)
      : plan_(plan), spec_(spec), problems_(problems) {}
  std::optional<PipelinePlan> Compile(int index);

 private:
  void Problem(std::string message);
  void CompileSource(int index);
  void CompileStep(const Step& step);
  void Where(const WhereStep& step);
  void Derive(const DeriveStep& step);
  void Dedupe(const DedupeStep& step);
  void Enrich(const EnrichStep& step);
  void Window(const WindowStep& step);
  void RootAggregate(const AggregateStep& step);
  void Regroup(const AggregateStep& step);
  void Rank(const RankStep& step);
  void Finish(int index);
  void FindUnit();
  bool BehindMerge() const;
  bool IsKey(const std::string& name) const;
  bool MayEmpty() const;
  bool Scattered() const;
  void GatherRows();
  std::vector<Aggregate> Aggregates(const AggregateStep& step);
  std::optional<Aggregate> ParseAggregate(const std::string& name, const std::string& call);
  // Index of a column of the current schema; notes the mistake and gives -1 when it is not there.
  int Column(const std::string& name, std::string_view what);
  // Whether a column may have this name beside the others; notes the mistake.
  bool CheckName(const std::string& name, const Schema& others);
  // The columns that an aggregate makes become those of results.
  void CheckResultNames();
  void AddColumn(Field field, std::size_t at);
  void PushClose(CloseOp op);
  bool Closing() const;  // are we behind the window, where rows of closed windows are worked on?
  bool DeterminesPartition(const std::vector<std::string>& names) const;
  bool Shuffles() const { return out_.engine == PipelineEngine::kFlink; }  // groups may lie in several partitions

  const Plan& plan_;
  const PipelineSpec& spec_;
  std::vector<PlanProblem>& problems_;
  SourcePlace place_;
  PipelinePlan out_;
  Schema schema_;
  const DatasetPlan* dataset_ = nullptr;
  bool windowed_ = false;
  bool aggregated_ = false;
  bool keeps_partition_ = true;
  bool failed_ = false;
  std::vector<std::string> group_names_;
  std::string canonical_;
};

}  // namespace sightline::flow
