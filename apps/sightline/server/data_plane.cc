#include "apps/sightline/server/data_plane.h"

#include <algorithm>

#include "apps/sightline/plan_input.h"
#include "apps/sightline/references.h"
#include "apps/sightline/server/statistics_retention.h"
#include "sightline/runtime/random.h"
#include "sightline/stores/statistics/embedded/duckdb_store.h"

namespace sightline::app {
namespace {

// Result topics are small beside the input: segments that fill within hours, not days.
constexpr std::uint64_t kOwnedSegmentBytes = 16ULL << 20;
constexpr auto kReferencePoll = std::chrono::seconds(5);

}  // namespace

DataPlane::DataPlane(const Settings& settings)
    : settings_(settings), directory_(settings.config.data), reference_store_(settings.runtime.files, directory_ + "/references") {}

Result<std::unique_ptr<DataPlane>> DataPlane::Open(const Settings& settings) {
  std::unique_ptr<DataPlane> plane(new DataPlane(settings));
  SL_TRY(plane->Start());
  return plane;
}

Status DataPlane::Start() {
  const runtime::Runtime& runtime = settings_.runtime;
  SL_TRY(runtime.files.CreateDirectories(directory_));
  SL_ASSIGN_OR_RETURN(bus_, bus::LogBus::Open(runtime, directory_, bus::LogBus::Options()));
  ReportRecovery();
  SL_TRY(MakeTopics());
  SL_TRY(LoadReferences(settings_.config, runtime.files, reference_store_, catalog_));
  stores::DuckDbOptions store;
  store.directory = directory_ + "/statistics";
  store.memory_bytes_max = settings_.config.drivers.statistics.memory_max;
  SL_ASSIGN_OR_RETURN(statistics_, stores::OpenDuckDbStore(runtime, store));
  for (const flow::PipelinePlan& pipeline : settings_.plan.pipelines) {
    if (pipeline.to_statistics) SL_TRY(statistics_->Ensure(pipeline.shape, pipeline.fingerprint));
  }
  SL_TRY(StartEngine());
  StartSinks();
  watcher_ = std::thread([this] { Housekeep(); });
  return {};
}

// What a crash or a disk did to the log is said before anybody reads it.
void DataPlane::ReportRecovery() {
  const ops::Log log = settings_.log.For("bus");
  for (const auto& [partition, report] : bus_->recovered()) {
    log.Debug("partition opened", {{"topic", partition.topic},
                                   {"partition", partition.partition.value},
                                   {"clean", report.clean},
                                   {"scanned_bytes", report.scanned_bytes}});
    if (report.cut_bytes > 0) {
      log.Info("a torn tail was cut off: nothing said that it had become durable",
               {{"topic", partition.topic}, {"partition", partition.partition.value}, {"bytes", report.cut_bytes}});
    }
    for (const std::string& file : report.damaged_sidecars) {
      log.Warning(
          "the description of a segment that retention removed is damaged: no record is lost, but a request of its time that is sent "
          "again with its Idempotency-Key counts twice; remove the file to end this warning",
          {{"topic", partition.topic}, {"partition", partition.partition.value}, {"file", file}});
    }
    for (const bus::Damage& damage : report.damages) {
      log.Error("the log is damaged; readers stop there until `sightline topic repair` lets them go on behind it",
                {{"topic", partition.topic},
                 {"partition", partition.partition.value},
                 {"from_offset", damage.from.value},
                 {"to_offset", damage.to.value},
                 {"file", damage.file},
                 {"byte", damage.position}});
    }
  }
}

Status DataPlane::MakeTopics() {
  for (const config::DatasetConfig& dataset : settings_.config.datasets) SL_TRY(bus_->EnsureTopic(settings_.config.TopicOf(dataset)));
  bus::TopicSpec owned;
  owned.segment_bytes = kOwnedSegmentBytes;
  owned.durability = bus::Durability::kOs;  // commits sync
  return flow::EnsureOwnedTopics(*bus_, settings_.plan, owned);
}

Status DataPlane::StartEngine() {
  const flow::Plan& plan = settings_.plan;
  const config::Config& config = settings_.config;
  SL_TRY(settings_.runtime.files.CreateDirectories(directory_ + "/state"));
  state_memory_ = std::make_unique<flow::StateMemory>(flow::StateMemory::Limits{
      .memory_max = config.state.memory_max, .disk_max = config.state.disk_max, .directory = directory_ + "/state"});
  context_ = std::make_unique<flow::TaskContext>(flow::TaskContext{.runtime = settings_.runtime,
                                                                   .bus = *bus_,
                                                                   .plan = plan,
                                                                   .references = catalog_,
                                                                   .versions = VersionsOf(reference_store_, plan),
                                                                   .directory = directory_ + "/flow",
                                                                   .live = settings_.live,
                                                                   .policy = {.interval = config.checkpoint.interval,
                                                                              .snapshot_interval = std::chrono::milliseconds(10'000),
                                                                              .snapshot_records = config.checkpoint.records},
                                                                   .limits = DecoderLimitsOf(config.limits.ingest),
                                                                   .seed = runtime::SystemEntropy(),
                                                                   .from = settings_.from,
                                                                   .memory = state_memory_.get()});
  flow::Engine::Options options;
  options.threads = settings_.threads;
  const ops::Log log = settings_.log.For("flow");
  options.on_error = [log](const std::string& pipeline, std::int32_t partition, const Error& error) {
    log.Error("a task stopped and will be opened anew", {{"pipeline", pipeline}, {"partition", partition}, {"error", error.ToString()}});
  };
  SL_ASSIGN_OR_RETURN(engine_, flow::Engine::Start(*context_, std::move(options)));
  return {};
}

// Where the log ends now behind which a pipeline has caught up: by the root pipeline that reads the dataset, and partition.
std::map<std::pair<std::string, std::int32_t>, std::int64_t> DataPlane::InputEnds(const flow::PipelinePlan& pipeline) {
  const flow::PipelinePlan* root = &pipeline;
  while (root->parent >= 0) root = &settings_.plan.pipelines[static_cast<std::size_t>(root->parent)];
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> ends;
  const Result<bus::TopicInfo> info = bus_->Describe(settings_.plan.FindDataset(root->from)->topic);
  for (std::size_t p = 0; info && p < info->partitions.size(); ++p) {
    ends[{root->name, static_cast<std::int32_t>(p)}] = info->partitions[p].visible.value;
  }
  return ends;
}

void DataPlane::StartSinks() {
  for (const flow::PipelinePlan& pipeline : settings_.plan.pipelines) {
    if (!pipeline.to_statistics) continue;
    stores::ResultsSinkOptions options;
    options.topic = flow::Plan::ResultsTopic(pipeline.name);
    options.group = "statistics." + pipeline.name;
    options.may_activate = [this, ends = InputEnds(pipeline)] {
      const std::vector<flow::TaskStatus> now = tasks();
      return std::all_of(now.begin(), now.end(), [&](const flow::TaskStatus& task) {
        const auto end = ends.find({task.pipeline, task.partition});
        return end == ends.end() || (!task.positions.empty() && task.positions[0] >= end->second);
      });
    };
    auto sink =
        std::make_unique<stores::ResultsSink>(*bus_, *statistics_, settings_.runtime, pipeline.shape, pipeline.fingerprint, options);
    sinks_[pipeline.name] = std::make_unique<stores::ResultsSinkThread>(*bus_, std::move(sink));
  }
}

Result<flow::ReferenceHandle> DataPlane::Reload(const std::string& name) {
  const config::ReferenceConfig* reference = settings_.config.FindReference(name);
  if (reference == nullptr) return Fail(ErrorKind::kNotFound, "there is no reference " + name);
  const std::lock_guard lock(reload_mutex_);
  return ReloadReference(*reference, settings_.runtime.files, reference_store_, catalog_);
}

// Old results go. A changed source becomes a new version without a restart; a broken one is reported and the version in effect stays.
void DataPlane::Housekeep() {
  std::map<std::string, std::string> reported;
  StatisticsRetention retention(*statistics_, settings_.plan, settings_.runtime.clock, settings_.log.For("retention"));
  std::unique_lock lock(watch_mutex_);
  while (!watch_wake_.wait_for(lock, kReferencePoll, [this] { return stopping_; })) {
    lock.unlock();
    retention.Step();
    WatchPartitions();
    for (const config::ReferenceConfig& reference : settings_.config.references) {
      const flow::ReferenceHandle before = catalog_.Newest(reference.name);
      const Result<flow::ReferenceHandle> now = Reload(reference.name);
      const std::string problem = now ? "" : now.error().message;
      if (problem != reported[reference.name] && !problem.empty()) {
        settings_.log.Warning("a reference can't be reloaded; the version in effect stays",
                              {{"reference", reference.name}, {"error", problem}});
      }
      reported[reference.name] = problem;
      if (now && before != nullptr && (*now)->version() != before->version()) {
        settings_.log.Info("a reference changed",
                           {{"reference", reference.name}, {"version", (*now)->version()}, {"rows", (*now)->rows().rows}});
      }
    }
    lock.lock();
  }
}

// A partition is one core by design: one that is too much for it is an alarm.
void DataPlane::WatchPartitions() {
  const std::vector<flow::TaskStatus> all = tasks();
  const ops::Log log = settings_.log.For("flow");
  for (const flow::PipelinePlan& pipeline : settings_.plan.pipelines) {
    if (pipeline.kind != flow::PipelineKind::kRoot) continue;
    const auto ends = InputEnds(pipeline);
    std::vector<HotPartitions::Lag> lags;
    for (const flow::TaskStatus& task : all) {
      const auto end = ends.find({task.pipeline, task.partition});
      if (task.pipeline != pipeline.name || task.positions.empty() || end == ends.end()) continue;
      lags.push_back({.partition = task.partition, .records = std::max<std::int64_t>(0, end->second - task.positions[0])});
    }
    for (const HotPartitions::Change& change : hot_partitions_.Look(pipeline.name, lags)) {
      if (change.hot) {
        log.Warning(
            "a partition falls behind while others wait for work: one core works on a partition, so let partition_by spread the "
            "events more evenly, or filter them earlier",
            {{"pipeline", pipeline.name},
             {"partition", change.lag.partition},
             {"lag_records", change.lag.records},
             {"others_lag_records", change.others_records}});
      } else {
        log.Info("a partition has caught up", {{"pipeline", pipeline.name}, {"partition", change.lag.partition}});
      }
    }
  }
}

std::map<std::string, stores::ResultsSinkMetrics> DataPlane::sinks() const {
  std::map<std::string, stores::ResultsSinkMetrics> metrics;
  for (const auto& [name, sink] : sinks_) metrics[name] = sink->metrics();
  return metrics;
}

Status DataPlane::Stop() {
  {
    const std::lock_guard lock(watch_mutex_);
    if (stopping_) return {};
    stopping_ = true;
  }
  watch_wake_.notify_all();
  if (watcher_.joinable()) watcher_.join();
  Status first;
  if (engine_) first = engine_->Stop();
  sinks_.clear();
  statistics_.reset();
  if (bus_) {
    const Status closed = bus_->Close();
    if (first) first = closed;
  }
  return first;
}

DataPlane::~DataPlane() { (void)Stop(); }

}  // namespace sightline::app
