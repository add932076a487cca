#include "tests/scenario/scenario_run.h"

#include <algorithm>
#include <memory>

#include "apps/sightline/plan_input.h"
#include "apps/sightline/references.h"
#include "sightline/base/text.h"
#include "sightline/config/testing/memory_files.h"
#include "sightline/flow/close_steps.h"
#include "sightline/flow/task.h"
#include "sightline/model/dead_letter.h"
#include "sightline/tabular/json.h"

namespace sightline::scenario {
namespace {

constexpr const char* kDirectory = "/scenario/";
constexpr std::uint64_t kSeed = 7;
constexpr int kStepsMax = 100'000;  // far more than any scenario needs: a task that never comes to rest is a failure

// Somebody who watches the open windows. What is watched must change nothing.
class Board final : public LiveSink {
 public:
  void Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) override {
    for (const LiveGroup& group : groups) bytes_ += flow::GroupKey(*shape, *group.rows, group.begin).size();
  }

 private:
  std::size_t bytes_ = 0;
};

class World {
 public:
  World(const Scenario& scenario, Prepared& prepared, Pace pace, Ground& ground)
      : scenario_(scenario),
        files_(prepared.files),
        config_(*prepared.loaded.config),
        plan_(*prepared.plan),
        pace_(pace),
        ground_(ground),
        runtime_(ground.runtime()),
        store_(runtime_.files, "/data/references"),
        objects_(config_, runtime_, stores::FileObjectStore::Access::kRead) {}

  Status Open() {
    SL_TRY(ground_.Open());
    for (const config::DatasetConfig& dataset : config_.datasets) SL_TRY(ground_.bus().EnsureTopic(config_.TopicOf(dataset)));
    bus::TopicSpec owned;
    owned.durability = bus::Durability::kOs;
    SL_TRY(flow::EnsureOwnedTopics(ground_.bus(), plan_, owned));
    catalog_ = std::make_unique<flow::ReferenceCatalog>();
    loader_ = std::make_unique<app::ReferenceLoader>(config_, References(), objects_, store_, *catalog_);
    SL_TRY(loader_->LoadAll(app::ReferenceLoader::Tables::kReadOnce));
    context_ = std::make_unique<flow::TaskContext>(flow::TaskContext{.runtime = runtime_,
                                                                     .bus = ground_.bus(),
                                                                     .plan = plan_,
                                                                     .references = *catalog_,
                                                                     .versions = [this](const auto& n, auto v) { return Version(n, v); },
                                                                     .directory = "/data/flow",
                                                                     .live = pace_ == Pace::kAllAtOnce ? &board_ : nullptr,
                                                                     .policy = {},
                                                                     .limits = {},
                                                                     .seed = kSeed,
                                                                     .commits = ground_.commits()});
    // Results before those who add them up.
    for (const bool merges : {false, true}) {
      for (std::size_t i = 0; i < plan_.pipelines.size(); ++i) {
        const flow::PipelinePlan& pipeline = plan_.pipelines[i];
        const int root = static_cast<int>(i);
        if (pipeline.root != root || (pipeline.kind == flow::PipelineKind::kMerge) != merges) continue;
        for (std::int32_t p = 0; p < flow::PartitionsOf(plan_, root); ++p) {
          auto task = merges ? flow::OpenMergeTask(*context_, root) : flow::OpenRootTask(*context_, root, Partition(p));
          if (!task) return std::unexpected(std::move(task.error()).In("opening " + pipeline.name + "/" + std::to_string(p)));
          tasks_.push_back(std::move(*task));
        }
      }
    }
    return Drain();
  }

  Status Take(const InputLine& line) {
    const bool barrier = line.kind == InputLine::Kind::kReload || line.kind == InputLine::Kind::kRestart;
    if (barrier) SL_TRY(Flush());
    switch (line.kind) {
      case InputLine::Kind::kReload: SL_TRY(Reload(line)); break;
      case InputLine::Kind::kRestart: SL_TRY(PowerCycle()); break;
      case InputLine::Kind::kRecord:
      case InputLine::Kind::kTick: pending_.push_back(&line); break;
    }
    if (barrier || pace_ == Pace::kAllAtOnce) return {};
    SL_TRY(Flush());
    return pace_ == Pace::kRestarting ? PowerCycle() : Status();
  }

  Result<Outcome> Finish() {
    SL_TRY(Flush());
    Outcome outcome;
    for (std::size_t i = 0; i < plan_.pipelines.size(); ++i) SL_TRY(ReadPipeline(ground_.bus(), plan_, static_cast<int>(i), outcome));
    for (const std::unique_ptr<flow::Task>& task : tasks_) AddCounts(task->status(), outcome);
    for (const std::string& root : outcome.roots) CheckAccounting(root, outcome);
    for (const std::unique_ptr<flow::Task>& task : tasks_) SL_TRY(task->Finish());
    SL_TRY(ground_.Examine(plan_, outcome));
    return outcome;
  }

 private:
  Result<flow::ReferenceHandle> Version(const std::string& name, std::uint64_t version) {
    for (const flow::ReferencePlan& reference : plan_.references) {
      if (reference.name == name) return store_.Load(name, reference.schema, reference.key, version);
    }
    return Fail(ErrorKind::kNotFound, "no reference " + name);
  }

  Result<std::string> TopicOf(const InputLine& line) const {
    const config::DatasetConfig* dataset = line.dataset.empty() ? &config_.datasets.front() : config_.FindDataset(line.dataset);
    if (dataset == nullptr || line.partition < 0 || line.partition >= dataset->partitions) {
      return Fail(ErrorKind::kInvalidArgument, "line " + std::to_string(line.line) + " names a dataset or partition that is not there");
    }
    return dataset->topic;
  }

  Status Flush() {
    for (std::size_t begin = 0; begin < pending_.size();) {
      std::size_t end = begin + 1;
      while (end < pending_.size() && SameBatch(*pending_[begin], *pending_[end])) ++end;
      SL_TRY(Append(begin, end));
      begin = end;
    }
    pending_.clear();
    return Drain();
  }

  static bool SameBatch(const InputLine& a, const InputLine& b) {
    return a.kind == InputLine::Kind::kRecord && b.kind == a.kind && a.dataset == b.dataset && a.partition == b.partition &&
           a.append_time == b.append_time;
  }

  Status Append(std::size_t begin, std::size_t end) {
    const InputLine& first = *pending_[begin];
    SL_ASSIGN_OR_RETURN(const std::string topic, TopicOf(first));
    std::vector<std::string_view> values;
    bus::AppendBatch batch;
    if (first.kind == InputLine::Kind::kTick) {
      batch.type = bus::BatchType::kTick;
      batch.encoding = bus::Encoding::kBinary;
      values.emplace_back();
    } else {
      for (std::size_t i = begin; i < end; ++i) values.emplace_back(pending_[i]->bytes);
      records_[topic] += values.size();
    }
    batch.values = values;
    return ground_.Append({topic, Partition(first.partition)}, batch, first.append_time);
  }

  // Until nobody finds anything to do.
  Status Drain() {
    bool more = true;
    for (int step = 0; more; ++step) {
      if (step == kStepsMax) return Fail(ErrorKind::kInternal, "the tasks never come to rest");
      more = false;
      for (const std::unique_ptr<flow::Task>& task : tasks_) {
        SL_ASSIGN_OR_RETURN(const bool again, task->Step());
        more = more || again;
      }
    }
    return {};
  }

  Status PowerCycle() {
    ground_.CutPower();
    tasks_.clear();
    context_.reset();
    ground_.PowerCycle();
    return Open();
  }

  Status Reload(const InputLine& line) {
    const config::ReferenceConfig* reference = config_.FindReference(line.reference);
    const auto file = scenario_.files.find(line.file);
    if (reference == nullptr || file == scenario_.files.end()) {
      return Fail(ErrorKind::kInvalidArgument, "line " + std::to_string(line.line) + " names a reference or file that is not there");
    }
    const std::string before = std::exchange(files_.files[reference->from], file->second);
    const Result<flow::ReferenceHandle> table = loader_->Reload(*reference);
    if (line.refused.empty()) return table ? Drain() : std::unexpected(table.error());
    files_.files[reference->from] = before;
    if (!table && table.error().message.find(line.refused) != std::string::npos) return Drain();
    return Fail(ErrorKind::kInternal, "line " + std::to_string(line.line) + ": the reload should be refused with \"" + line.refused +
                                          "\": " + (table ? std::string("it was not") : table.error().message));
  }

  static void Count(Counts& counts, const std::string& name, std::int64_t value) {
    const auto at = std::find_if(counts.begin(), counts.end(), [&](const auto& entry) { return entry.first == name; });
    if (at == counts.end()) {
      counts.emplace_back(name, value);
    } else {
      at->second += value;
    }
  }

  static void AddCounts(const flow::TaskStatus& status, Outcome& outcome) {
    Counts& root = outcome.counts[status.pipeline];
    if (!status.merge) {
      for (std::size_t v = 0; v < kVerdicts; ++v) {
        Count(root, std::string(kVerdictNames[v]), static_cast<std::int64_t>(status.counters.verdicts[v]));
      }
      Count(root, "unknown_reference", static_cast<std::int64_t>(status.counters.unknown_reference));
      Count(root, "partially_late", static_cast<std::int64_t>(status.counters.partially_late));
      Count(root, "extra_fields", static_cast<std::int64_t>(status.counters.extra_fields));
    }
    Count(root, "watermark/" + std::to_string(status.partition), status.watermark);
    for (std::size_t m = 0; m < status.members.size(); ++m) {
      Counts& counts = outcome.counts[status.member_names[m]];
      Count(counts, "rows_in", static_cast<std::int64_t>(status.members[m].rows_in));
      Count(counts, "rows_filtered", static_cast<std::int64_t>(status.members[m].rows_filtered));
      Count(counts, "rows_late", static_cast<std::int64_t>(status.members[m].rows_late));
      Count(counts, "rows_out", static_cast<std::int64_t>(status.members[m].rows_out));
    }
  }

  // in = counted + filtered + duplicates + late + future + malformed + invalid + state_limit, and a dead letter for each refused one.
  void CheckAccounting(const std::string& root, Outcome& outcome) const {
    std::int64_t judged = 0;
    std::int64_t refused = 0;
    std::int64_t rows_out = 0;
    for (const auto& [name, value] : outcome.counts[root]) {
      const auto verdict = std::find(kVerdictNames.begin(), kVerdictNames.end(), name);
      if (verdict != kVerdictNames.end()) judged += value;
      if (verdict - kVerdictNames.begin() >= static_cast<int>(Verdict::kLate) && verdict != kVerdictNames.end()) refused += value;
      if (name == "rows_out") rows_out = value;
    }
    const std::string& from = plan_.pipelines[static_cast<std::size_t>(plan_.Find(root))].from;
    const auto offered = records_.find(config_.FindDataset(from)->topic);
    const std::int64_t in = offered == records_.end() ? 0 : static_cast<std::int64_t>(offered->second);
    const auto claim = [&](std::int64_t left, const char* is, std::int64_t right) {
      if (left != right) outcome.problems.push_back(root + ": " + std::to_string(left) + is + std::to_string(right));
    };
    claim(in, " records were offered; verdicts were given to ", judged);
    claim(refused, " records were refused; dead letters there are ", static_cast<std::int64_t>(outcome.dead_letters[root].rows.size()));
    const std::vector<std::vector<std::string>>& rows = outcome.results[root].rows;
    claim(rows_out, " rows were counted as put out; in the topic there are ",
          std::count_if(rows.begin(), rows.end(), [](const auto& row) { return !IsNoRow(row); }));
  }

  // Sources of references are the scenario's files; everything else is on the ground's disk.
  runtime::Runtime References() { return {runtime_.clock, files_, runtime_.failpoints}; }

  const Scenario& scenario_;
  config::MemoryFiles& files_;
  const config::Config& config_;
  const flow::Plan& plan_;
  Pace pace_;
  Ground& ground_;
  runtime::Runtime runtime_;
  flow::FileReferenceStore store_;
  app::Objects objects_;
  std::unique_ptr<flow::ReferenceCatalog> catalog_;
  std::unique_ptr<app::ReferenceLoader> loader_;
  Board board_;
  std::unique_ptr<flow::TaskContext> context_;
  std::vector<std::unique_ptr<flow::Task>> tasks_;
  std::vector<const InputLine*> pending_;
  std::map<std::string, std::size_t> records_;  // appended, by topic
};

}  // namespace

std::unique_ptr<Prepared> Prepare(const Scenario& scenario) {
  auto made = std::make_unique<Prepared>();
  for (const auto& [path, text] : scenario.files) made->files.files[kDirectory + path] = text;
  made->loaded = config::LoadConfigReportingAll(made->files, std::string(kDirectory) + "sightline.yaml",
                                                {.overrides = {}, .environment = [](const std::string&) { return std::nullopt; }});
  std::vector<config::Mistake> mistakes = made->loaded.mistakes;
  if (made->loaded.config) {
    auto plan = app::CompilePlans(*made->loaded.config);
    if (plan) {
      made->plan = std::make_unique<flow::Plan>(std::move(*plan));
    } else {
      mistakes = std::move(plan.error());
    }
  }
  for (const config::Mistake& mistake : mistakes) made->mistakes += mistake.ToString() + "\n";
  return made;
}

std::string MistakesOf(const Scenario& scenario) { return Prepare(scenario)->mistakes; }

Result<Outcome> RunScenario(const Scenario& scenario, Pace pace, Ground& ground) {
  const std::unique_ptr<Prepared> prepared = Prepare(scenario);
  if (prepared->plan == nullptr) return Fail(ErrorKind::kInvalidArgument, prepared->mistakes);
  World world(scenario, *prepared, pace, ground);
  SL_TRY(world.Open());
  for (const InputLine& line : scenario.input) {
    if (Status taken = world.Take(line); !taken) {
      return std::unexpected(std::move(taken.error()).In(scenario.name + ".scenario:" + std::to_string(line.line)));
    }
  }
  return world.Finish();
}

}  // namespace sightline::scenario
