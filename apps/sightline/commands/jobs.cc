#include "apps/sightline/commands/jobs.h"

#include <ctime>
#include <istream>
#include <ostream>

#include "apps/sightline/flink_jobs.h"
#include "apps/sightline/output.h"
#include "apps/sightline/plan_input.h"

namespace sightline::app {
namespace {

std::string TimeText(std::int64_t ms) {
  if (ms <= 0) return "";
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

// A configuration and its plan, as long as a command needs them.
struct Loaded {
  config::Config config;
  flow::Plan plan;
};
Result<std::unique_ptr<Loaded>> Load(const Context& context, const std::string& file) {
  auto loaded = std::make_unique<Loaded>();
  SL_ASSIGN_OR_RETURN(loaded->config, context.LoadConfig(file));
  auto plan = CompilePlans(loaded->config);
  if (!plan) {
    std::string all;
    for (const config::Mistake& mistake : plan.error()) all += (all.empty() ? "" : "\n") + mistake.ToString();
    return Fail(ErrorKind::kInvalidArgument, all);
  }
  loaded->plan = std::move(*plan);
  return loaded;
}

Result<FlinkSubmission> Prepare(const Context& context, const Loaded& loaded, const std::vector<std::string>& pipelines,
                                std::uint32_t run) {
  static runtime::Failpoints failpoints;
  const runtime::Runtime runtime{context.world.clock, context.world.files, failpoints};
  Objects objects(loaded.config, runtime, stores::FileObjectStore::Access::kRead);
  return PrepareFlinkJob(loaded.config, loaded.plan, pipelines, runtime, objects, {.run = run});
}

void PrintSubmitted(const Context& context, const FlinkJobs::Submitted& submitted) {
  std::string pipelines;
  for (const std::string& name : submitted.record.pipelines) pipelines += (pipelines.empty() ? "" : ", ") + name;
  Print(context, std::vector<OutputField>{{"job", submitted.record.job},
                                          {"results_of", pipelines},
                                          {"state", "RUNNING"},
                                          {"flink", submitted.flink_version},
                                          {"submitted_ms", std::to_string(submitted.prepared_ms), CellKind::kNumber},
                                          {"running_ms", std::to_string(submitted.running_ms), CellKind::kNumber},
                                          {"own_ms", std::to_string(submitted.own_ms), CellKind::kNumber}});
}

Result<Exit> List(Context& context) {
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Loaded> loaded, Load(context, ""));
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<FlinkJobs> jobs, FlinkJobs::Open(context.world, loaded->config, loaded->plan, ""));
  SL_ASSIGN_OR_RETURN(const auto kept, jobs->Kept());
  OutputRows rows{.columns = {{"pipeline"}, {"job"}, {"state"}, {"run", CellKind::kNumber}, {"submitted"}, {"savepoint"}}, .rows = {}};
  for (const auto& [root, record] : kept) {
    const Result<flink::JobOverview> job = jobs->cluster().Find(record.job);
    if (!job && job.error().kind != ErrorKind::kNotFound) return std::unexpected(job.error());
    rows.rows.push_back({root, record.job, job ? job->state : "FORGOTTEN", std::to_string(record.run), TimeText(record.submitted_ms),
                         record.stopped_at.empty() ? std::nullopt : std::optional(record.stopped_at)});
  }
  Print(context, rows);
  return Exit::kOk;
}

Result<Exit> Show(Context& context, const std::string& name) {
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Loaded> loaded, Load(context, ""));
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<FlinkJobs> jobs, FlinkJobs::Open(context.world, loaded->config, loaded->plan, ""));
  SL_ASSIGN_OR_RETURN(const FlinkJobRecord record, jobs->Find(name));
  SL_ASSIGN_OR_RETURN(const flink::JobHealth health, jobs->cluster().Examine(record.job));
  std::string pipelines;
  for (const std::string& pipeline : record.pipelines) pipelines += (pipelines.empty() ? "" : ", ") + pipeline;
  std::vector<OutputField> fields = {{"job", record.job},
                                     {"name", health.job.name},
                                     {"results_of", pipelines},
                                     {"state", health.job.state},
                                     {"submitted", TimeText(record.submitted_ms)},
                                     {"restarts", std::to_string(health.restarts), CellKind::kNumber},
                                     {"lag_records", health.lag_records ? std::to_string(*health.lag_records) : "unknown"},
                                     {"checkpoints", std::to_string(health.checkpoints), CellKind::kNumber},
                                     {"checkpoints_failed", std::to_string(health.checkpoints_failed), CellKind::kNumber},
                                     {"newest_checkpoint", TimeText(health.checkpoint_at_ms.value_or(0))},
                                     {"checkpoint_ms", std::to_string(health.checkpoint_duration_ms), CellKind::kNumber},
                                     {"state_bytes", std::to_string(health.state_bytes), CellKind::kNumber},
                                     {"restored_from", health.restored_from}};
  for (const flink::JobFailure& failure : health.failures) fields.push_back({"failed_at " + TimeText(failure.at_ms), failure.what});
  Print(context, fields);
  return Exit::kOk;
}

Result<Exit> Stop(Context& context, const std::string& name, bool savepoint) {
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Loaded> loaded, Load(context, ""));
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<FlinkJobs> jobs, FlinkJobs::Open(context.world, loaded->config, loaded->plan, ""));
  SL_ASSIGN_OR_RETURN(const FlinkJobRecord record, jobs->Find(name));
  if (!savepoint) {
    SL_TRY(jobs->Cancel(record));
    context.out() << "job " << record.job << " is cancelled; what it had since its newest checkpoint is lost with it\n";
    return Exit::kOk;
  }
  SL_ASSIGN_OR_RETURN(const std::string path, jobs->Stop(record));
  context.out() << "job " << record.job << " is stopped; `sightline jobs upgrade " << record.root << "` goes on from its savepoint\n"
                << path << "\n";
  return Exit::kOk;
}

bool Agreed(const Context& context, const std::vector<std::string>& lost) {
  context.err() << "this change costs:\n";
  for (const std::string& line : lost) context.err() << "  - " << line << "\n";
  context.err() << "Go on? [y/N] " << std::flush;
  std::string answer;
  std::getline(context.world.in, answer);
  return answer == "y" || answer == "yes";
}

Result<Exit> Upgrade(Context& context, const std::string& name, bool drop_state) {
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Loaded> loaded, Load(context, ""));
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<FlinkJobs> jobs, FlinkJobs::Open(context.world, loaded->config, loaded->plan, ""));
  SL_ASSIGN_OR_RETURN(const FlinkJobRecord before, jobs->Find(name));
  SL_ASSIGN_OR_RETURN(FlinkSubmission after, Prepare(context, *loaded, before.pipelines, before.run));
  const std::vector<std::string> lost = StateLost(before.sql, flink::JobText(after.job), loaded->plan, before.root);
  if (!lost.empty()) {
    if (!drop_state && !Agreed(context, lost)) {
      return Fail(ErrorKind::kFailedPrecondition, "nothing was changed; `--drop-state` goes on without asking");
    }
    SL_ASSIGN_OR_RETURN(after, Prepare(context, *loaded, before.pipelines, before.run + 1));
  }
  const Result<flink::JobOverview> job = jobs->cluster().Find(before.job);
  if (!job && job.error().kind != ErrorKind::kNotFound) return std::unexpected(job.error());
  std::string savepoint = before.stopped_at;
  if (job && !job->over()) {
    if (lost.empty()) {
      SL_ASSIGN_OR_RETURN(savepoint, jobs->Stop(before));
    } else {
      SL_TRY(jobs->Cancel(before));
    }
  }
  if (lost.empty() && savepoint.empty()) {
    return Fail(ErrorKind::kFailedPrecondition, "job " + before.job + " is over and left no savepoint; `--drop-state` begins anew");
  }
  SL_ASSIGN_OR_RETURN(const FlinkJobs::Submitted submitted, jobs->Submit(after, lost.empty() ? savepoint : ""));
  PrintSubmitted(context, submitted);
  return Exit::kOk;
}

// Those asked for; without a name all that the configuration puts on Flink, if one dataset's pipelines are all there is.
Result<std::vector<std::string>> Wanted(const Loaded& loaded, const std::vector<std::string>& asked) {
  if (!asked.empty()) return asked;
  std::vector<std::string> names;
  for (const flow::PipelinePlan& pipeline : loaded.plan.pipelines) {
    if (pipeline.parent < 0 && names.empty()) names = FlinkPipelines(loaded.plan, pipeline.name);
  }
  if (names.empty()) return Fail(ErrorKind::kInvalidArgument, "no pipeline has `engine: flink`: name one with --pipeline");
  return names;
}

}  // namespace

Result<Exit> PlanOnFlink(Context& context, const FlinkPlanOptions& options) {
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Loaded> loaded, Load(context, options.config));
  SL_ASSIGN_OR_RETURN(const std::vector<std::string> pipelines, Wanted(*loaded, options.pipelines));
  SL_ASSIGN_OR_RETURN(const FlinkSubmission submission, Prepare(context, *loaded, pipelines, 0));
  if (options.submit.empty()) {
    context.out() << flink::JobText(submission.job);
    return Exit::kOk;
  }
  const std::string gateway = options.submit == Command::kConfigured ? "" : options.submit;
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<FlinkJobs> jobs, FlinkJobs::Open(context.world, loaded->config, loaded->plan, gateway));
  SL_ASSIGN_OR_RETURN(const auto kept, jobs->Kept());
  const auto before = kept.find(submission.root);
  // What it puts out again takes the place of what an earlier job put out.
  const std::uint32_t run = before == kept.end() ? 0 : before->second.run + 1;
  SL_ASSIGN_OR_RETURN(const FlinkSubmission again, Prepare(context, *loaded, pipelines, run));
  SL_ASSIGN_OR_RETURN(const FlinkJobs::Submitted submitted, jobs->Submit(again, ""));
  PrintSubmitted(context, submitted);
  return Exit::kOk;
}

void AddJobs(CommandLine& line) {
  line.AddFamily("jobs", "Follows what runs on Flink", Group::kData);
  const auto name = std::make_shared<std::string>();
  const auto savepoint = std::make_shared<bool>(false);
  const auto drop_state = std::make_shared<bool>(false);
  line.Add("jobs ls", "Jobs that were submitted, and what became of them", Group::kData)
      .Describe("The newest job of each dataset's pipelines; FORGOTTEN is one that the cluster knows nothing of any more.")
      .Example("sightline jobs ls --config presets/top-items/flink.yaml", "those of the preset")
      .Run([](Context& context) { return List(context); });
  line.Add("jobs show", "State, lag, restarts, checkpoints and failures of a job", Group::kData)
      .Argument("JOB", *name, "a pipeline, or the job's id")
      .Example("sightline jobs show top_items", "by its pipeline")
      .Run([name](Context& context) { return Show(context, *name); });
  line.Add("jobs stop", "Stops a job", Group::kData)
      .Describe("With --savepoint its state is kept, and `jobs upgrade` goes on from there. Without it the job is cancelled.")
      .Argument("JOB", *name, "a pipeline, or the job's id")
      .Flag("--savepoint", *savepoint, "keeps its state")
      .Example("sightline jobs stop top_items --savepoint", "before the cluster is upgraded")
      .Run([name, savepoint](Context& context) { return Stop(context, *name, *savepoint); });
  line.Add("jobs upgrade", "Puts the configuration's pipelines in the place of a job", Group::kData)
      .Describe(
          "Stops the job with a savepoint and submits the configuration as it is now, which goes on from there. A change that its state "
          "does "
          "not fit is said first: what is lost, and it asks before anything is dropped.")
      .Argument("JOB", *name, "a pipeline, or the job's id")
      .Flag("--drop-state", *drop_state, "does not ask")
      .Example("sightline jobs upgrade top_items", "after a change of the configuration")
      .Run([name, drop_state](Context& context) { return Upgrade(context, *name, *drop_state); });
  line.Add("jobs cancel", "Ends a job as it is", Group::kData)
      .Argument("JOB", *name, "a pipeline, or the job's id")
      .Example("sightline jobs cancel top_items", "without a savepoint")
      .Run([name](Context& context) { return Stop(context, *name, false); });
}

}  // namespace sightline::app
