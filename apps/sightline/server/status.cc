#include "apps/sightline/server/status.h"

#include <algorithm>
#include <set>

#include "sightline/model/dead_letter.h"

namespace sightline::app {
namespace {

constexpr std::int64_t kKeptNs = 250'000'000;
constexpr std::int64_t kRateNs = 1'000'000'000;

}  // namespace

StatusSource::StatusSource(DataPlane& plane, const flow::Plan& plan, const config::Config& config, const runtime::Clock& clock,
                           std::string version)
    : plane_(plane),
      plan_(plan),
      config_(config),
      clock_(clock),
      version_(std::move(version)),
      started_ns_(clock.MonotonicNs()),
      refused_(plane.bus()) {}

// The first call has nothing to compare with; within a second the last answer holds.
double StatusSource::Rate::Of(std::uint64_t now_counted, std::int64_t now_ns) {
  if (at_ns != 0 && now_ns - at_ns < kRateNs) return per_s;
  if (at_ns != 0) {
    per_s = static_cast<double>(now_counted - std::min(now_counted, counted)) * 1e9 / static_cast<double>(now_ns - at_ns);
  }
  counted = now_counted;
  at_ns = now_ns;
  return per_s;
}

void StatusSource::SetHubs(std::vector<std::shared_ptr<serve::LiveHub>> hubs) {
  const std::lock_guard lock(mutex_);
  hubs_ = std::move(hubs);
}

serve::ServerStatus StatusSource::Status() {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.MonotonicNs();
  if (kept_at_ns_ == 0 || now - kept_at_ns_ > kKeptNs) {
    kept_ = Gather();
    kept_at_ns_ = now;
  }
  return kept_;
}

void StatusSource::AddTopics(serve::ServerStatus& status) {
  for (const config::DatasetConfig& dataset : config_.datasets) {
    serve::ServerStatus::Dataset one{.name = dataset.name, .topic = dataset.topic, .partitions = {}};
    const Result<bus::TopicInfo> info = plane_.bus().Describe(dataset.topic);
    if (info) {
      for (std::size_t p = 0; p < info->partitions.size(); ++p) {
        const bus::TopicInfo::PartitionInfo& partition = info->partitions[p];
        one.partitions.push_back({.partition = static_cast<std::int32_t>(p),
                                  .start = partition.start.value,
                                  .end = partition.end.value,
                                  .durable = partition.durable.value,
                                  .bytes = partition.bytes});
      }
    }
    status.datasets.push_back(std::move(one));
  }
}

serve::ServerStatus::Pipeline StatusSource::PipelineOf(const flow::PipelinePlan& plan, std::size_t index,
                                                       const std::vector<flow::TaskStatus>& tasks,
                                                       const std::map<std::string, bus::TopicInfo>& topics) {
  serve::ServerStatus::Pipeline out;
  out.name = plan.name;
  // What comes home from another engine comes by a topic and a task of its own.
  const bool elsewhere = plan.engine != PipelineEngine::kFlow;
  const flow::PipelinePlan& root = elsewhere ? plan : plan_.pipelines[static_cast<std::size_t>(plan.root)];
  const bool is_root = elsewhere || plan.root == static_cast<int>(index);
  const std::string input = elsewhere                                 ? flink::RowsTopic(plan.name)
                            : root.kind == flow::PipelineKind::kMerge ? flow::Plan::ResultsTopic(root.from)
                                                                      : plan_.FindDataset(root.from)->topic;
  const auto topic = topics.find(input);
  std::set<std::int32_t> worked_on;
  for (const flow::TaskStatus& task : tasks) {
    if (task.pipeline != root.name) continue;
    worked_on.insert(task.partition);
    if (!task.error.empty()) {
      out.failed = true;
      out.error = task.error;
      continue;
    }
    const auto member = std::find(task.member_names.begin(), task.member_names.end(), plan.name) - task.member_names.begin();
    if (static_cast<std::size_t>(member) < task.members.size()) {
      const flow::MemberOutput& output = task.members[static_cast<std::size_t>(member)];
      out.results += output.rows_out;
      if (plan.kind != flow::PipelineKind::kRoot) {
        out.in += output.rows_in;
        out.verdicts[static_cast<std::size_t>(Verdict::kLate)] += output.rows_late;
        out.verdicts[static_cast<std::size_t>(Verdict::kFiltered)] += output.rows_filtered;
        out.verdicts[static_cast<std::size_t>(Verdict::kCounted)] +=
            output.rows_in - output.rows_late - std::min(output.rows_filtered, output.rows_in - output.rows_late);
      }
    }
    if (is_root) {
      for (std::size_t v = 0; v < kVerdicts && plan.kind == flow::PipelineKind::kRoot; ++v) {
        out.verdicts[v] += task.counters.verdicts[v];
        out.replayed[v] += task.counters.replayed[v];
      }
      if (plan.kind == flow::PipelineKind::kRoot) out.in += task.counters.in();
      out.unknown_location += task.counters.unknown_reference;
      out.partially_late += task.counters.partially_late;
      out.extra_fields += task.counters.extra_fields;
      out.open_windows = std::max<std::uint64_t>(out.open_windows, task.open_windows);
      out.state_bytes += task.state_bytes;
      out.commits += task.commits;
    }
    for (std::size_t p = 0; p < (elsewhere ? 1 : task.positions.size()); ++p) {
      const auto number = static_cast<std::size_t>(task.merge && !elsewhere ? static_cast<std::int32_t>(p) : task.partition);
      serve::ServerStatus::PipelinePartition partition;
      partition.partition = static_cast<std::int32_t>(number);
      partition.offset = task.positions[p];
      if (topic != topics.end() && number < topic->second.partitions.size()) partition.end = topic->second.partitions[number].visible.value;
      if (task.watermark != kWatermarkNone.value) partition.watermark = task.watermark;
      partition.restore_ms = task.restore_ms;
      out.lag_records += partition.lag_records();
      if (partition.watermark) out.watermark = std::min(out.watermark.value_or(*partition.watermark), *partition.watermark);
      out.partitions.push_back(partition);
    }
  }
  // Where processes share the partitions, one may be nobody's: none runs, or it is just being taken over.
  for (std::int32_t p = 0; p < flow::PartitionsOf(plan_, plan.root) && !out.failed; ++p) {
    if (worked_on.contains(p)) continue;
    out.failed = true;
    out.error = "no process works on partition " + std::to_string(p);
  }
  // Tasks come by worker; people read by number.
  std::ranges::sort(out.partitions, {}, &serve::ServerStatus::PipelinePartition::partition);
  if (plan.kind == flow::PipelineKind::kRoot && is_root) AddRefusedAtIngest(plan, out);
  // Those that were offered again stand under their new verdict alone.
  for (std::size_t v = 0; v < kVerdicts; ++v) {
    out.replayed[v] = std::min(out.verdicts[v], out.replayed[v]);
    out.verdicts[v] -= out.replayed[v];
  }
  return out;
}

// What ingest refused was offered to the dataset, too.
void StatusSource::AddRefusedAtIngest(const flow::PipelinePlan& plan, serve::ServerStatus::Pipeline& pipeline) {
  const RefusedRecords::Counts refused = refused_.Of(DeadLetterTopic(plan.from));
  for (std::size_t v = 0; v < kVerdicts; ++v) {
    pipeline.in += refused[v];
    pipeline.verdicts[v] += refused[v];
  }
}

// What runs on Flink does not run unless its job does.
void StatusSource::AddJob(const std::string& name, serve::ServerStatus::Pipeline& pipeline) {
  const std::map<std::string, WatchedJob> jobs = plane_.flink()->jobs();
  const auto job = jobs.find(name);
  if (job == jobs.end()) return;
  serve::ServerStatus::Job& out = pipeline.job.emplace();
  out.engine = "flink";
  out.id = job->second.record.job;
  if (!job->second.error.empty()) {
    pipeline.failed = true;
    pipeline.error = job->second.error;
  }
  if (!job->second.health) return;
  const flink::JobHealth& health = *job->second.health;
  out.state = health.job.state;
  out.restarts = health.restarts;
  out.checkpoints = health.checkpoints;
  out.checkpoints_failed = health.checkpoints_failed;
  out.checkpoint_at = health.checkpoint_at_ms;
  if (!health.failures.empty()) out.failure = health.failures.front().what;
  pipeline.lag_records += health.lag_records.value_or(0);
  pipeline.state_bytes += static_cast<std::uint64_t>(health.state_bytes);
}

serve::ServerStatus StatusSource::Gather() {
  serve::ServerStatus status;
  status.version = version_;
  const std::int64_t now = clock_.MonotonicNs();
  status.uptime_ms = (now - started_ns_) / 1'000'000;
  status.now = clock_.Now();
  AddTopics(status);
  const std::vector<flow::TaskStatus> tasks = plane_.tasks();
  std::map<std::string, bus::TopicInfo> topics;
  for (const flow::PipelinePlan& pipeline : plan_.pipelines) {
    const std::string input = pipeline.engine != PipelineEngine::kFlow     ? flink::RowsTopic(pipeline.name)
                              : pipeline.kind == flow::PipelineKind::kRoot ? plan_.FindDataset(pipeline.from)->topic
                                                                           : flow::Plan::ResultsTopic(pipeline.from);
    if (topics.contains(input)) continue;
    if (Result<bus::TopicInfo> info = plane_.bus().Describe(input)) topics[input] = std::move(*info);
  }
  for (std::size_t i = 0; i < plan_.pipelines.size(); ++i) {
    const flow::PipelinePlan& plan = plan_.pipelines[i];
    serve::ServerStatus::Pipeline pipeline = PipelineOf(plan, i, tasks, topics);
    if (plan.engine == PipelineEngine::kFlink && plane_.flink() != nullptr) AddJob(plan.name, pipeline);
    pipeline.rate_per_s = rates_[plan.name].Of(pipeline.in, now);
    for (serve::ServerStatus::PipelinePartition& partition : pipeline.partitions) {
      partition.rate_per_s = partition_rates_[{plan.name, partition.partition}].Of(static_cast<std::uint64_t>(partition.offset), now);
      partition.hot = plane_.hot_partitions().Hot(plan.name, partition.partition);
    }
    pipeline.lag_ms =
        pipeline.rate_per_s > 0 ? static_cast<std::int64_t>(static_cast<double>(pipeline.lag_records) * 1000 / pipeline.rate_per_s) : 0;
    status.pipelines.push_back(std::move(pipeline));
  }
  for (const auto& [name, metrics] : plane_.sinks()) {
    status.sinks.push_back({.name = "statistics/" + name, .offset = metrics.offset, .end = metrics.end, .error = metrics.error});
  }
  for (kafka::GateStatus& gate : plane_.gates()) {
    const std::optional<std::string> error = gate.error.empty() ? std::nullopt : std::optional(std::move(gate.error));
    status.gates.push_back({.dataset = std::move(gate.dataset),
                            .from = std::move(gate.from),
                            .in = gate.in,
                            .accepted = gate.accepted,
                            .malformed = gate.malformed,
                            .invalid = gate.invalid,
                            .lost = gate.lost,
                            .partitions = gate.partitions,
                            .lag_records = gate.lag,
                            .registry_answers = gate.registry_answers,
                            .error = error});
  }
  for (const std::shared_ptr<serve::LiveHub>& hub : hubs_) status.live_clients += static_cast<std::int64_t>(hub->clients());
  if (!hubs_.empty()) status.live_messages_per_s = live_messages_.Of(hubs_.front()->messages(), now);
  return status;
}

// Counters that only rise: a record that was offered again is judged twice, and its first verdict is in the second family.
void StatusSource::CollectVerdicts(const serve::ServerStatus::Pipeline& pipeline, ops::Metrics::Sink& sink) {
  for (std::size_t v = 0; v < kVerdicts; ++v) {
    const ops::Labels labels = {{"pipeline", pipeline.name}, {"verdict", std::string(kVerdictNames[v])}};
    sink.CounterSample("sightline_records_total",
                       "Judgements of records by pipeline and verdict; less sightline_records_replayed_total they sum up to "
                       "sightline_records_in_total.",
                       labels, static_cast<double>(pipeline.verdicts[v] + pipeline.replayed[v]));
    sink.CounterSample("sightline_records_replayed_total",
                       "Dead letters that were offered again, each once, by the verdict that no longer holds.", labels,
                       static_cast<double>(pipeline.replayed[v]));
  }
}

void StatusSource::CollectPartitions(const serve::ServerStatus::Pipeline& pipeline, ops::Metrics::Sink& sink) {
  for (const serve::ServerStatus::PipelinePartition& partition : pipeline.partitions) {
    const ops::Labels labels = {{"pipeline", pipeline.name}, {"partition", std::to_string(partition.partition)}};
    sink.GaugeSample("sightline_partition_lag_records", "Records of a partition that can be read and are not yet.", labels,
                     static_cast<double>(partition.lag_records()));
    sink.GaugeSample("sightline_partition_records_per_second", "Records of a partition that are read a second.", labels,
                     partition.rate_per_s);
    sink.GaugeSample("sightline_partition_hot", "1 while a partition falls behind and others wait for work.", labels,
                     partition.hot ? 1 : 0);
  }
}

void StatusSource::Collect(ops::Metrics::Sink& sink) {
  const serve::ServerStatus status = Status();
  for (std::size_t i = 0; i < status.pipelines.size(); ++i) {
    const serve::ServerStatus::Pipeline& pipeline = status.pipelines[i];
    const ops::Labels labels = {{"pipeline", pipeline.name}};
    CollectVerdicts(pipeline, sink);
    // Those that are fused with another have its partitions.
    if (plan_.pipelines[i].root == static_cast<int>(i)) CollectPartitions(pipeline, sink);
    sink.CounterSample("sightline_records_in_total", "Records offered, by pipeline.", labels, static_cast<double>(pipeline.in));
    sink.CounterSample("sightline_result_rows_total", "Result rows put out.", labels, static_cast<double>(pipeline.results));
    sink.CounterSample("sightline_unknown_reference_total", "Counted records whose key a joined reference lacks.", labels,
                       static_cast<double>(pipeline.unknown_location));
    sink.CounterSample("sightline_partially_late_total", "Counted records that were late for some of their windows.", labels,
                       static_cast<double>(pipeline.partially_late));
    sink.CounterSample("sightline_extra_fields_total", "Fields of accepted records that the contract does not name.", labels,
                       static_cast<double>(pipeline.extra_fields));
    sink.CounterSample("sightline_commits_total", "Commits.", labels, static_cast<double>(pipeline.commits));
    sink.GaugeSample("sightline_lag_records", "Records that can be read and are not yet.", labels,
                     static_cast<double>(pipeline.lag_records));
    sink.GaugeSample("sightline_state_bytes", "State of a pipeline, in memory or beyond it.", labels,
                     static_cast<double>(pipeline.state_bytes));
    for (const serve::ServerStatus::PipelinePartition& partition : pipeline.partitions) {
      if (!partition.restore_ms) continue;
      sink.GaugeSample("sightline_restore_seconds", "What the newest restart or takeover of a partition took.",
                       {{"pipeline", pipeline.name}, {"partition", std::to_string(partition.partition)}},
                       static_cast<double>(*partition.restore_ms) / 1000);
    }
    sink.GaugeSample("sightline_pipeline_failed", "1 while a partition does not run.", labels, pipeline.failed ? 1 : 0);
    if (pipeline.watermark) {
      sink.GaugeSample("sightline_watermark_ms", "Least watermark of the partitions, epoch ms.", labels,
                       static_cast<double>(*pipeline.watermark));
    }
  }
  for (const serve::ServerStatus::Sink& one : status.sinks) {
    const ops::Labels labels = {{"sink", one.name}};
    sink.GaugeSample("sightline_sink_lag_records", "Result records that a sink has not taken over yet.", labels,
                     static_cast<double>(one.end - one.offset));
    sink.GaugeSample("sightline_sink_failed", "1 while a sink's last try failed.", labels, one.error ? 1 : 0);
  }
  CollectGates(plane_.gates(), sink);
  for (const auto& [name, reference] : plane_.followed()) {
    const ops::Labels labels = {{"reference", name}};
    sink.GaugeSample("sightline_reference_following", "1 while a followed reference is connected.", labels, reference.following ? 1 : 0);
    sink.GaugeSample("sightline_reference_slot_lag_bytes", "Log that the server of a followed reference keeps for it.", labels,
                     static_cast<double>(reference.slot_lag_bytes));
    sink.GaugeSample("sightline_reference_slot_lag_alarm", "1 while that is more than lag_max.", labels, reference.slot_lag_alarm ? 1 : 0);
    sink.CounterSample("sightline_reference_versions_total", "Versions of a followed reference since the start.", labels,
                       static_cast<double>(reference.versions));
    sink.CounterSample("sightline_reference_snapshots_total", "Times that a followed reference was read whole.", labels,
                       static_cast<double>(reference.snapshots));
  }
  if (plane_.flink() != nullptr) plane_.flink()->Collect(sink, clock_);
  if (const flow::StateMemory* const memory = plane_.state_memory()) {
    sink.GaugeSample("sightline_state_memory_bytes", "Memory that the state of all pipelines takes, of state.memory_max.", {},
                     static_cast<double>(memory->memory_bytes()));
    sink.GaugeSample("sightline_state_disk_bytes", "Disk that state beyond state.memory_max takes, of state.disk_max.", {},
                     static_cast<double>(memory->disk_bytes()));
  }
  sink.GaugeSample("sightline_live_clients", "Clients of live views.", {}, static_cast<double>(status.live_clients));
}

}  // namespace sightline::app
