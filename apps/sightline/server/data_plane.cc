#include "apps/sightline/server/data_plane.h"

#include <algorithm>
#include <array>

#include <unistd.h>

#include <sightline/build_info.h>

#include "apps/sightline/kafka.h"
#include "apps/sightline/plan_input.h"
#include "apps/sightline/server/sharing.h"
#include "apps/sightline/server/statistics_retention.h"
#include "apps/sightline/statistics.h"
#include "connectors/flink/home_task.h"
#include "sightline/flow/recount.h"
#include "sightline/runtime/random.h"

namespace sightline::app {
namespace {

// Result topics are small beside the input: segments that fill within hours, not days.
constexpr std::uint64_t kOwnedSegmentBytes = 16ULL << 20;
constexpr auto kWatchEvery = std::chrono::seconds(1);
constexpr int kReferencePollRounds = 5;
constexpr std::chrono::milliseconds kReachPatience{2'000};

}  // namespace

DataPlane::DataPlane(const Settings& settings)
    : settings_(settings),
      directory_(settings.config.data),
      objects_(settings.config, settings.runtime, stores::FileObjectStore::Access::kOwn) {}

Result<std::unique_ptr<DataPlane>> DataPlane::Open(const Settings& settings) {
  std::unique_ptr<DataPlane> plane(new DataPlane(settings));
  SL_TRY(plane->Start());
  return plane;
}

Status DataPlane::Start() {
  const runtime::Runtime& runtime = settings_.runtime;
  SL_TRY(runtime.files.CreateDirectories(directory_));
  SL_TRY(OpenBus());
  SL_TRY(MakeTopics());
  SL_TRY(OpenReferences());
  SL_ASSIGN_OR_RETURN(statistics_, OpenStatistics(settings_.config, directory_, runtime));
  if (settings_.roles.flow || settings_.roles.serve) SL_TRY(MakeContext());
  if (settings_.roles.flow) {
    SL_TRY(EnsureStatistics());
    SL_TRY(StartEngine());
    StartSinks();
    if (kafka_ != nullptr) SL_TRY(JoinWorkers());
  }
  if (settings_.roles.serve && settings_.live != nullptr) SL_TRY(FollowLive());
  if (kafka_ != nullptr) SL_TRY(StartMonitoring());
  if (RunsOnFlink() && (settings_.roles.serve || settings_.roles.flow)) {
    flink_ = std::make_unique<FlinkWatch>(*bus_, *settings_.config.drivers.flink, settings_.plan, settings_.log.For("flink"));
  }
  if (kafka_ != nullptr && settings_.roles.gate) SL_TRY(StartGates());
  watcher_ = std::thread([this] { Housekeep(); });
  return {};
}

// Where several processes work, versions of references are kept where all find them.
Status DataPlane::OpenReferences() {
  if (kafka_ == nullptr) {
    reference_store_ = std::make_unique<flow::FileReferenceStore>(settings_.runtime.files, directory_ + "/references");
  } else {
    SL_ASSIGN_OR_RETURN(stores::ObjectStore* const objects, objects_.Configured());
    reference_store_ = std::make_unique<flow::ObjectReferenceStore>(*objects, "references");
  }
  reference_loader_ = std::make_unique<ReferenceLoader>(settings_.config, settings_.runtime, objects_, *reference_store_, catalog_);
  if (!settings_.roles.flow && !settings_.roles.serve) return {};
  SL_ASSIGN_OR_RETURN(const std::vector<ReferenceLoader::Outdated> outdated,
                      reference_loader_->LoadAll(ReferenceLoader::Tables::kLeaveOut));
  for (const ReferenceLoader::Outdated& of : outdated) {
    settings_.log.Warning("a reference can't be read; the version read last is in effect",
                          {{"reference", of.reference}, {"error", of.error.message}});
  }
  if (!settings_.roles.flow) return {};
  SL_ASSIGN_OR_RETURN(followed_,
                      FollowedReferences::Start(settings_.config, settings_.runtime, directory_, *reference_loader_, settings_.log));
  return {};
}

Status DataPlane::OpenBus() {
  const config::BusConfig& settings = settings_.config.drivers.bus;
  if (settings.type == config::BusType::kKafka) {
    SL_ASSIGN_OR_RETURN(std::unique_ptr<kafka::KafkaBus> bus, kafka::KafkaBus::Open(KafkaOptions(settings, settings_.log.For("kafka"))));
    kafka_ = bus.get();
    bus_ = std::move(bus);
    return {};
  }
  SL_ASSIGN_OR_RETURN(std::unique_ptr<bus::LogBus> bus, bus::LogBus::Open(settings_.runtime, directory_, bus::LogBus::Options()));
  log_ = bus.get();
  bus_ = std::move(bus);
  ReportRecovery();
  return {};
}

// What a crash or a disk did to the log is said before anybody reads it.
void DataPlane::ReportRecovery() {
  const ops::Log log = settings_.log.For("bus");
  for (const auto& [partition, report] : log_->recovered()) {
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
  if (kafka_ != nullptr) SL_TRY(flow::EnsureEarlyTopics(*bus_, settings_.plan, {}));
  SL_TRY(MakeFlinkTopics());
  return flow::EnsureOwnedTopics(*bus_, settings_.plan, owned);
}

bool DataPlane::RunsOnFlink() const {
  return std::ranges::any_of(settings_.plan.pipelines, [](const flow::PipelinePlan& p) { return p.engine == PipelineEngine::kFlink; });
}

// Results come home by them, whether a job was submitted already or not.
Status DataPlane::MakeFlinkTopics() {
  for (std::size_t i = 0; i < settings_.plan.pipelines.size(); ++i) {
    const flow::PipelinePlan& pipeline = settings_.plan.pipelines[i];
    if (pipeline.engine != PipelineEngine::kFlink) continue;
    bus::TopicSpec spec;
    spec.name = flink::RowsTopic(pipeline.name);
    spec.partitions = flow::PartitionsOf(settings_.plan, static_cast<int>(i));
    spec.retain_time = pipeline.retain.topics;
    SL_TRY(bus_->EnsureTopic(spec));
    if (pipeline.parent >= 0) continue;
    spec.name = flink::LateTopic(pipeline.name);
    SL_TRY(bus_->EnsureTopic(spec));
  }
  return {};
}

// What pipelines work in, and what they have committed is looked at with.
Status DataPlane::MakeContext() {
  const flow::Plan& plan = settings_.plan;
  const config::Config& config = settings_.config;
  SL_TRY(settings_.runtime.files.CreateDirectories(directory_ + "/state"));
  state_memory_ = std::make_unique<flow::StateMemory>(flow::StateMemory::Limits{
      .memory_max = config.state.memory_max, .disk_max = config.state.disk_max, .directory = directory_ + "/state"});
  context_ = std::make_unique<flow::TaskContext>(flow::TaskContext{.runtime = settings_.runtime,
                                                                   .bus = *bus_,
                                                                   .plan = plan,
                                                                   .references = catalog_,
                                                                   .versions = VersionsOf(*reference_store_, plan),
                                                                   .directory = directory_ + "/flow",
                                                                   .live = settings_.live,
                                                                   .policy = {.interval = config.checkpoint.interval,
                                                                              .snapshot_interval = std::chrono::milliseconds(10'000),
                                                                              .snapshot_records = config.checkpoint.records},
                                                                   .limits = DecoderLimitsOf(config.limits.ingest),
                                                                   .seed = runtime::SystemEntropy(),
                                                                   .from = settings_.from,
                                                                   .memory = state_memory_.get()});
  if (kafka_ != nullptr) {
    SL_ASSIGN_OR_RETURN(stores::ObjectStore* const objects, objects_.Configured());
    commits_ = std::make_unique<kafka::TransactionCommitLogs>(*kafka_, *objects, settings_.runtime.failpoints,
                                                              kafka::TransactionCommitLogs::Settings());
    context_->commits = commits_.get();
    early_ = std::make_unique<flow::EarlyResults>(*bus_, plan);
    context_->live = early_.get();
  }
  return {};
}

Status DataPlane::StartEngine() {
  flow::Engine::Options options;
  options.threads = settings_.threads;
  options.all = kafka_ == nullptr;
  options.open_home = flink::OpenHomeTask;
  const ops::Log log = settings_.log.For("flow");
  options.on_error = [log](const std::string& pipeline, std::int32_t partition, const Error& error) {
    log.Error("a task stopped and will be opened anew", {{"pipeline", pipeline}, {"partition", partition}, {"error", error.ToString()}});
  };
  SL_ASSIGN_OR_RETURN(engine_, flow::Engine::Start(*context_, std::move(options)));
  return {};
}

Status DataPlane::FollowLive() {
  const ops::Log log = settings_.log.For("flow");
  std::vector<flow::LiveTail::Of> of{flow::LiveTail::Of::kResults};
  if (kafka_ != nullptr) of.push_back(flow::LiveTail::Of::kEarly);
  SL_ASSIGN_OR_RETURN(live_tail_, flow::LiveTailThread::Start(*bus_, settings_.plan, *settings_.live, of, [log](const Error& error) {
                        log.Error("the live board can't be kept up", {{"error", error.ToString()}});
                      }));
  return {};
}

// What a partition takes along: the work on it, and its results' way into the statistics.
Status DataPlane::JoinWorkers() {
  const auto sinks_of = [this](int root, const auto& then) {
    for (const flow::PipelinePlan& pipeline : settings_.plan.pipelines) {
      const auto sink = sinks_.find(pipeline.name);
      if (pipeline.root == root && sink != sinks_.end()) then(*sink->second);
    }
  };
  PartitionEvents events;
  events.acquired = [this, sinks_of](int root, Partition partition) {
    engine_->Acquire(root, partition);
    sinks_of(root, [&](stores::ResultsSinkThread& sink) { sink.Acquire(partition); });
  };
  events.released = [this, sinks_of](int root, Partition partition, bool lost) {
    engine_->GiveUp(root, partition, lost ? flow::Engine::Release::kDrop : flow::Engine::Release::kCommit);
    sinks_of(root, [&](stores::ResultsSinkThread& sink) { sink.GiveUp(partition); });
  };
  SL_ASSIGN_OR_RETURN(membership_, SharePartitions(*kafka_, settings_.plan, std::move(events), settings_.log.For("flow")));
  return {};
}

Status DataPlane::StartGates() {
  SL_ASSIGN_OR_RETURN(gates_, Gates::Start(*kafka_, settings_.config, settings_.runtime.clock, settings_.log));
  return {};
}

std::vector<kafka::GateStatus> DataPlane::gates() const { return gates_ != nullptr ? gates_->status() : std::vector<kafka::GateStatus>(); }

Status DataPlane::StartMonitoring() {
  Monitoring::Options options;
  options.listen = settings_.roles.serve || settings_.roles.flow;
  const auto own = [this, process = std::to_string(runtime::SystemEntropy())] {
    std::array<char, 256> host{};
    (void)gethostname(host.data(), host.size() - 1);
    ProcessReport report;
    report.process = process;
    report.host = host.data();
    report.roles = settings_.roles.ToString();
    report.version = kVersion;
    report.at = settings_.runtime.clock.Now();
    if (engine_ != nullptr) report.tasks = engine_->status();
    return report;
  };
  SL_ASSIGN_OR_RETURN(monitoring_, Monitoring::Start(*bus_, settings_.runtime.clock, own, options, settings_.log.For("monitoring")));
  return {};
}

std::vector<flow::TaskStatus> DataPlane::tasks() const {
  std::vector<flow::TaskStatus> tasks;
  if (engine_ != nullptr) tasks = engine_->status();
  if (monitoring_ == nullptr) return tasks;
  const std::size_t own = tasks.size();
  for (flow::TaskStatus& task : monitoring_->tasks()) {
    const auto same = [&](const flow::TaskStatus& other) { return other.pipeline == task.pipeline && other.partition == task.partition; };
    const auto end = tasks.begin() + static_cast<std::ptrdiff_t>(own);
    if (std::none_of(tasks.begin(), end, same)) tasks.push_back(std::move(task));
  }
  return tasks;
}

Result<std::vector<flow::TaskStatus>> DataPlane::Recount() {
  std::vector<flow::TaskStatus> tasks;
  for (std::size_t i = 0; i < settings_.plan.pipelines.size(); ++i) {
    const int root = static_cast<int>(i);
    if (settings_.plan.pipelines[i].root != root || settings_.plan.pipelines[i].kind != flow::PipelineKind::kRoot) continue;
    for (Partition p(0); p.value < flow::PartitionsOf(settings_.plan, root); ++p.value) {
      SL_ASSIGN_OR_RETURN(flow::TaskStatus task, flow::Recount(*context_, root, p));
      tasks.push_back(std::move(task));
    }
  }
  return tasks;
}

// A store that is away holds up its sinks alone: they make room for their results as soon as they can.
Status DataPlane::EnsureStatistics() {
  for (const flow::PipelinePlan& pipeline : settings_.plan.pipelines) {
    if (!pipeline.to_statistics) continue;
    const Status made = statistics_->Ensure(pipeline.shape, pipeline.fingerprint);
    if (!made && MayBeAway(settings_.config.drivers.statistics, made.error())) {
      settings_.log.For("statistics")
          .Warning("the statistics store cannot be used; results wait in their topics until it can", {{"error", made.error().ToString()}});
      return {};
    }
    SL_TRY(made);
  }
  return {};
}

// Where the log ends now behind which a pipeline has caught up: by the root pipeline that reads the dataset, and partition.
std::map<std::pair<std::string, std::int32_t>, std::int64_t> DataPlane::InputEnds(const flow::PipelinePlan& pipeline) {
  const flow::PipelinePlan* root = &pipeline;
  while (root->parent >= 0) root = &settings_.plan.pipelines[static_cast<std::size_t>(root->parent)];
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> ends;
  if (pipeline.engine == PipelineEngine::kFlink) return ends;  // it reads where nobody here sees
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
    options.all = kafka_ == nullptr;
    options.may_activate = [this, ends = InputEnds(pipeline)] {
      const std::vector<flow::TaskStatus> now = tasks();
      return std::ranges::all_of(ends, [&](const auto& end) {
        const auto task = std::ranges::find_if(
            now, [&](const flow::TaskStatus& one) { return one.pipeline == end.first.first && one.partition == end.first.second; });
        return task != now.end() && !task->positions.empty() && task->positions[0] >= end.second;
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
  // Its changes come by themselves.
  if (reference->postgres) return catalog_.Newest(name);
  return reference_loader_->Reload(*reference);
}

// Old results go. A changed source becomes a new version without a restart; a broken one is reported and the version in effect stays.
void DataPlane::Housekeep() {
  std::map<std::string, std::string> reported;
  StatisticsRetention retention(*statistics_, settings_.plan, settings_.runtime.clock, settings_.log.For("retention"));
  std::unique_lock lock(watch_mutex_);
  for (int round = 1; !watch_wake_.wait_for(lock, kWatchEvery, [this] { return stopping_; }); ++round) {
    lock.unlock();
    WatchBus();
    WatchSinks();
    WatchReferences();
    if (gates_ != nullptr) gates_->Watch(settings_.health);
    if (kafka_ != nullptr) TakeUpReferences();
    if (round % kReferencePollRounds != 0) {
      lock.lock();
      continue;
    }
    if (settings_.roles.flow) {
      retention.Step();
      WatchPartitions();
    }
    for (const config::ReferenceConfig& reference : settings_.config.references) {
      if (reference.postgres || !settings_.roles.flow) continue;
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

// A process that takes in events sends them elsewhere while the brokers do not answer; the others have less to do meanwhile.
void DataPlane::WatchBus() {
  if (kafka_ == nullptr || settings_.health == nullptr) return;
  const Status reached = kafka_->admin().Reach(kReachPatience);
  if (reached.has_value() == bus_reached_) return;
  bus_reached_ = reached.has_value();
  const ops::Log log = settings_.log.For("kafka");
  if (reached) {
    log.Info("the brokers answer again");
  } else {
    log.Error("the brokers do not answer", {{"error", reached.error().ToString()}});
  }
  const std::string reason = reached ? "" : std::string(ErrorKindName(reached.error().kind)) + ": the log says more";
  if (settings_.roles.ingest) {
    settings_.health->SetNotReady("bus", reason);
  } else {
    settings_.health->SetDegraded("bus", reason);
  }
}

// Versions that another process made.
void DataPlane::TakeUpReferences() {
  if (!settings_.roles.flow && !settings_.roles.serve) return;
  for (const config::ReferenceConfig& reference : settings_.config.references) {
    const Result<flow::ReferenceHandle> now = reference_loader_->TakeUpNewer(reference);
    const std::string problem = now ? "" : now.error().message;
    std::string& said = store_errors_[reference.name];
    if (problem != said && !problem.empty()) {
      settings_.log.Warning("the versions of a reference can't be looked at; the one in effect stays",
                            {{"reference", reference.name}, {"error", problem}});
    }
    said = problem;
  }
}

// A sink that cannot go on is said once, in the log and on /readyz; the health listener asks for no token, so that it hears the kind alone.
void DataPlane::WatchSinks() {
  const ops::Log log = settings_.log.For("statistics");
  for (const auto& [name, metrics] : sinks()) {
    const std::string error = metrics.error.value_or("");
    std::string& said = sink_errors_[name];
    if (error == said) continue;
    if (error.empty()) {
      log.Info("a sink goes on", {{"pipeline", name}, {"lag_records", metrics.end - metrics.offset}});
    } else {
      log.Error("a sink cannot go on and tries again; its results wait in their topic",
                {{"pipeline", name}, {"lag_records", metrics.end - metrics.offset}, {"error", error}});
    }
    said = error;
    if (settings_.health != nullptr) {
      settings_.health->SetDegraded("statistics/" + name,
                                    error.empty() ? "" : std::string(ErrorKindName(metrics.error_kind)) + ": GET /v1/status says more");
    }
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

void DataPlane::WatchReferences() {
  if (settings_.health == nullptr) return;
  for (const auto& [name, status] : followed()) {
    settings_.health->SetDegraded("references/" + name,
                                  (status.following || status.standing_by) && !status.error ? "" : "not up to date: the log says why");
  }
}

std::map<std::string, postgres::FollowerStatus> DataPlane::followed() const {
  return followed_ ? followed_->status() : std::map<std::string, postgres::FollowerStatus>();
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
  membership_.reset();
  flink_.reset();
  live_tail_.reset();
  gates_.reset();
  monitoring_.reset();
  if (engine_) first = engine_->Stop();
  sinks_.clear();
  followed_.reset();
  statistics_.reset();
  if (log_ != nullptr) {
    const Status closed = log_->Close();
    if (first) first = closed;
  }
  return first;
}

DataPlane::~DataPlane() { (void)Stop(); }

}  // namespace sightline::app
