#include "apps/sightline/commands/run.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ostream>
#include <thread>

#include "apps/sightline/commands/jobs.h"
#include "apps/sightline/output.h"
#include "apps/sightline/plan_input.h"
#include "apps/sightline/progress.h"
#include "apps/sightline/references.h"
#include "apps/sightline/row_writer.h"
#include "sightline/bus/embedded/log_bus.h"
#include "sightline/flow/bounded_run.h"

namespace sightline::app {
namespace {

struct RunOptions {
  std::string config;
  std::string pipeline;
  std::string from;
  std::string to;
  std::int64_t threads = 0;
  std::uint64_t piece = 256U << 10;
};

// A directory below the system's temporary one that is gone again at the end.
class Scratch {
 public:
  static Result<std::unique_ptr<Scratch>> Make(runtime::FileSystem& files) {
    const char* base = std::getenv("TMPDIR");
    std::string path = std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/sightline-run.XXXXXX";
    if (mkdtemp(path.data()) == nullptr)
      return FailErrno("a scratch directory " + path + " can't be made (set TMPDIR to another place)", errno);
    return std::unique_ptr<Scratch>(new Scratch(files, path));
  }
  ~Scratch() { (void)files_.Remove(path_); }
  const std::string& path() const { return path_; }

 private:
  Scratch(runtime::FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  runtime::FileSystem& files_;
  std::string path_;
};

std::string Summary(const flow::BoundedReport& report) {
  const auto of = [&](Verdict v) { return std::to_string(report.counters.of(v)); };
  return "{\"events\":" + std::to_string(report.events) + ",\"counted\":" + of(Verdict::kCounted) +
         ",\"filtered\":" + of(Verdict::kFiltered) + ",\"duplicates\":" + of(Verdict::kDuplicate) + ",\"late\":" + of(Verdict::kLate) +
         ",\"future\":" + of(Verdict::kFuture) + ",\"malformed\":" + of(Verdict::kMalformed) + ",\"invalid\":" + of(Verdict::kInvalid) +
         (report.counters.of(Verdict::kStateLimit) > 0 ? ",\"state_limit\":" + of(Verdict::kStateLimit) : "") +
         ",\"unknown_location\":" + std::to_string(report.counters.unknown_reference) + ",\"results\":" + std::to_string(report.results) +
         "}";
}

Result<Exit> RunPipeline(Context& context, const RunOptions& options) {
  SL_ASSIGN_OR_RETURN(const config::Config config, context.LoadConfig(options.config));
  auto plan = CompilePlans(config);
  if (!plan) {
    std::string all;
    for (const config::Mistake& mistake : plan.error()) all += (all.empty() ? "" : "\n") + mistake.ToString();
    return Fail(ErrorKind::kInvalidArgument, all);
  }
  runtime::FileSystem& files = context.world.files;
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Scratch> scratch, Scratch::Make(files));
  runtime::Failpoints failpoints;
  const runtime::Runtime runtime{context.world.clock, files, failpoints};
  flow::FileReferenceStore store(files, scratch->path() + "/references");
  flow::ReferenceCatalog catalog;
  Objects objects(config, runtime, stores::FileObjectStore::Access::kRead);
  SL_TRY(ReferenceLoader(config, runtime, objects, store, catalog).LoadAll(ReferenceLoader::Tables::kReadOnce));
  bus::LogBus::Options bus_options;
  bus_options.flushing = bus::LogBus::Flushing::kInline;
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::LogBus> bus, bus::LogBus::Open(runtime, scratch->path(), bus_options));
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<RowWriter> writer, RowWriter::Make(files, options.to));

  Progress progress(context, "running " + options.pipeline, "bytes");
  flow::BoundedRun run;
  run.pipeline = options.pipeline;
  run.input_path = options.from;
  run.scratch = scratch->path();
  run.threads =
      options.threads > 0 ? static_cast<int>(options.threads) : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  run.piece_bytes = options.piece;
  run.limits = DecoderLimitsOf(config.limits.ingest);
  SL_TRY(files.CreateDirectories(scratch->path() + "/state"));
  flow::StateMemory memory(
      {.memory_max = config.state.memory_max, .disk_max = config.state.disk_max, .directory = scratch->path() + "/state"});
  run.memory = &memory;
  run.progress = [&](std::uint64_t done, std::uint64_t total) {
    progress.Update(done, total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total));
  };
  SL_ASSIGN_OR_RETURN(const flow::BoundedReport report,
                      flow::RunBounded(runtime, *bus, *plan, catalog, run,
                                       [&](const ResultHeader& header, const ResultShape& shape, const ColumnBatch& rows) {
                                         return writer->Write(header, shape, rows);
                                       }));
  SL_TRY(writer->Finish(plan->pipelines[static_cast<std::size_t>(plan->Find(options.pipeline))].shape));
  if (const std::uint64_t refused = report.counters.of(Verdict::kStateLimit); refused > 0) {
    context.err() << "warning: " << refused << " events are not counted, " << memory.WhyFull() << "\n";
  }
  context.out() << Summary(report) << "\n";
  return Exit::kOk;
}

Result<Exit> ShowPlan(Context& context, const std::string& file) {
  SL_ASSIGN_OR_RETURN(const config::Config config, context.LoadConfig(file));
  auto plan = CompilePlans(config);
  if (!plan) {
    for (const config::Mistake& mistake : plan.error()) context.out() << mistake.ToString() << "\n";
    return Exit::kFailed;
  }
  if (context.format == Format::kTable) {
    for (const flow::PipelinePlan& pipeline : plan->pipelines) context.out() << flow::DescribePlan(*plan, pipeline) << "\n";
    return Exit::kOk;
  }
  OutputRows rows{.columns = {{"pipeline"}, {"from"}, {"runs"}, {"results_topic"}, {"fingerprint"}}, .rows = {}};
  for (const flow::PipelinePlan& pipeline : plan->pipelines) {
    static constexpr std::string_view kKinds[] = {"partitioned", "fused", "merge"};
    char fingerprint[17];
    std::snprintf(fingerprint, sizeof fingerprint, "%016llx", static_cast<unsigned long long>(pipeline.fingerprint));
    rows.rows.push_back({pipeline.name, pipeline.from, std::string(kKinds[static_cast<std::size_t>(pipeline.kind)]),
                         flow::Plan::ResultsTopic(pipeline.name), std::string(fingerprint)});
  }
  Print(context, rows);
  return Exit::kOk;
}

}  // namespace

void AddRun(CommandLine& line) {
  const auto options = std::make_shared<RunOptions>();
  line.Add("run", "Runs a pipeline over a file, from its first record to its last", Group::kRun)
      .Describe(
          "A bounded run of a pipeline and those it reads from: FILE (NDJSON) feeds the dataset at their root as one partition, with "
          "checkpoints in a scratch directory. Writes the final rows, ordered by window and group; the last line on stdout is a JSON "
          "object with the counts of the file's events.")
      .Argument("CONFIG", options->config, "the configuration file")
      .Option("--pipeline P", &options->pipeline, "the pipeline whose results are wanted")
      .Option("--from FILE", &options->from, "events as NDJSON")
      .Option("--to FILE", &options->to, "the rows: .csv, .ndjson or .parquet")
      .Option("--threads N", &options->threads, "worker threads; else as many as there are cores. Changes no result")
      .Option("--piece SIZE", Command::ByteTarget{&options->piece}, "how much of the file is decoded at a time. Changes no result")
      .Example("sightline run presets/top-items/sightline.yaml --pipeline top_items --from events.ndjson --to top.csv",
               "top items per minute")
      .Run([options](Context& context) -> Result<Exit> {
        for (const auto& [name, value] :
             {std::pair("--pipeline", &options->pipeline), {"--from", &options->from}, {"--to", &options->to}}) {
          if (value->empty()) return Fail(ErrorKind::kInvalidArgument, std::string(name) + " is missing; see sightline run --help");
        }
        if (options->piece < 1) return Fail(ErrorKind::kInvalidArgument, "--piece is at least 1B");
        return RunPipeline(context, *options);
      });
}

void AddPlan(CommandLine& line) {
  struct Options {
    FlinkPlanOptions flink;
    std::string engine = "flow";
  };
  const auto options = std::make_shared<Options>();
  line.Add("plan", "Shows how each pipeline will run", Group::kConfigure)
      .Describe(
          "What each pipeline reads, its steps in order, where it runs (partition by partition, fused with another, or in one place "
          "over all partitions) and the columns of its results. With `--engine flink` the pipeline as Flink SQL, with those it reads from, "
          "and above it what differs there; with `--submit` it is run.")
      .Argument("CONFIG", options->flink.config, "the configuration file; else that of --config, else ./sightline.yaml", Need::kOptional)
      .Option("--pipeline P", &options->flink.pipelines,
              "of --engine flink: the pipeline; may be given several times. Else those with `engine: flink`")
      .Option("--engine ENGINE", &options->engine, "what is to run it", {"flow", "flink"})
      .Option("--submit [URL]", &options->flink.submit, "runs it through this SQL gateway, or that of drivers.flink")
      .Example("sightline plan presets/top-items/sightline.yaml", "the preset that ships")
      .Example("sightline plan presets/top-items/flink.yaml --pipeline top_items --engine flink", "as Flink SQL")
      .Example("sightline plan presets/top-items/flink.yaml --engine flink --submit http://127.0.0.1:18083", "and runs it")
      .Run([options](Context& context) -> Result<Exit> {
        if (options->engine == "flink") return PlanOnFlink(context, options->flink);
        if (!options->flink.pipelines.empty() || !options->flink.submit.empty()) {
          return Fail(ErrorKind::kInvalidArgument, "--pipeline and --submit go with --engine flink");
        }
        return ShowPlan(context, options->flink.config);
      });
}

}  // namespace sightline::app
