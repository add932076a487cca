#include "apps/sightline/server/monitoring.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace sightline::app {
namespace {

using nlohmann::json;

constexpr char kTopic[] = "monitoring";
constexpr auto kRetained = std::chrono::hours(1);
constexpr std::uint64_t kSegmentBytes = 16ULL << 20;

json ToJson(const flow::TaskStatus& task) {
  json members = json::array();
  for (std::size_t m = 0; m < task.members.size(); ++m) {
    const flow::MemberOutput& of = task.members[m];
    members.push_back({{"name", m < task.member_names.size() ? task.member_names[m] : ""},
                       {"in", of.rows_in},
                       {"filtered", of.rows_filtered},
                       {"late", of.rows_late},
                       {"out", of.rows_out}});
  }
  return {{"pipeline", task.pipeline},
          {"partition", task.partition},
          {"verdicts", task.counters.verdicts},
          {"replayed", task.counters.replayed},
          {"unknown_reference", task.counters.unknown_reference},
          {"partially_late", task.counters.partially_late},
          {"extra_fields", task.counters.extra_fields},
          {"members", std::move(members)},
          {"positions", task.positions},
          {"origin_inputs", task.origin.inputs},
          {"origin_outputs", task.origin.outputs},
          {"watermark", task.watermark},
          {"state_bytes", task.state_bytes},
          {"dedupe_ids", task.dedupe_ids},
          {"open_windows", task.open_windows},
          {"commits", task.commits},
          {"restore_ms", task.restore_ms.value_or(-1)},
          {"merge", task.merge},
          {"error", task.error}};
}

template <std::size_t N>
void TakeCounts(const json& from, std::array<std::uint64_t, N>& into) {
  for (std::size_t i = 0; i < std::min(N, from.size()); ++i) into[i] = from[i].get<std::uint64_t>();
}

flow::TaskStatus TaskOf(const json& from) {
  flow::TaskStatus task;
  task.pipeline = from.at("pipeline").get<std::string>();
  task.partition = from.at("partition").get<std::int32_t>();
  TakeCounts(from.at("verdicts"), task.counters.verdicts);
  TakeCounts(from.at("replayed"), task.counters.replayed);
  task.counters.unknown_reference = from.at("unknown_reference").get<std::uint64_t>();
  task.counters.partially_late = from.at("partially_late").get<std::uint64_t>();
  task.counters.extra_fields = from.at("extra_fields").get<std::uint64_t>();
  for (const json& member : from.at("members")) {
    task.member_names.push_back(member.at("name").get<std::string>());
    flow::MemberOutput& of = task.members.emplace_back();
    of.rows_in = member.at("in").get<std::uint64_t>();
    of.rows_filtered = member.at("filtered").get<std::uint64_t>();
    of.rows_late = member.at("late").get<std::uint64_t>();
    of.rows_out = member.at("out").get<std::uint64_t>();
  }
  task.positions = from.at("positions").get<std::vector<std::int64_t>>();
  task.origin.inputs = from.at("origin_inputs").get<std::vector<std::int64_t>>();
  task.origin.outputs = from.at("origin_outputs").get<std::vector<std::int64_t>>();
  task.watermark = from.at("watermark").get<std::int64_t>();
  task.state_bytes = from.at("state_bytes").get<std::size_t>();
  task.dedupe_ids = from.at("dedupe_ids").get<std::size_t>();
  task.open_windows = from.at("open_windows").get<std::size_t>();
  task.commits = from.at("commits").get<std::uint64_t>();
  if (const auto restore_ms = from.at("restore_ms").get<std::int64_t>(); restore_ms >= 0) task.restore_ms = restore_ms;
  task.merge = from.at("merge").get<bool>();
  task.error = from.at("error").get<std::string>();
  return task;
}

}  // namespace

std::string EncodeReport(const ProcessReport& report) {
  json tasks = json::array();
  for (const flow::TaskStatus& task : report.tasks) tasks.push_back(ToJson(task));
  const json out = {{"process", report.process}, {"host", report.host},   {"roles", report.roles},
                    {"version", report.version}, {"at", report.at.value}, {"tasks", std::move(tasks)}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<ProcessReport> DecodeReport(std::string_view text) {
  const json from = json::parse(text, nullptr, false);
  try {
    ProcessReport report;
    report.process = from.at("process").get<std::string>();
    report.host = from.at("host").get<std::string>();
    report.roles = from.at("roles").get<std::string>();
    report.version = from.at("version").get<std::string>();
    report.at = WallTime(from.at("at").get<std::int64_t>());
    for (const json& task : from.at("tasks")) report.tasks.push_back(TaskOf(task));
    return report;
  } catch (const json::exception& error) {
    return Fail(ErrorKind::kCorruption, "a record of the topic monitoring is no report: " + std::string(error.what()));
  }
}

Result<std::unique_ptr<Monitoring>> Monitoring::Start(bus::Bus& bus, const runtime::Clock& clock, std::function<ProcessReport()> own,
                                                      Options options, const ops::Log& log) {
  bus::TopicSpec spec;
  spec.name = kTopic;
  spec.durability = bus::Durability::kOs;
  spec.retain_time = kRetained;
  spec.segment_bytes = kSegmentBytes;
  SL_TRY(bus.EnsureTopic(spec));
  std::unique_ptr<Monitoring> monitoring(new Monitoring(bus, clock, std::move(own), options, log));
  if (options.listen) {
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, bus.Describe(kTopic));
    SL_ASSIGN_OR_RETURN(monitoring->reader_, bus.OpenReader({kTopic, Partition(0)}, info.partitions[0].visible));
  }
  monitoring->thread_ = std::thread([self = monitoring.get()] { self->Run(); });
  return monitoring;
}

Monitoring::~Monitoring() {
  {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status Monitoring::Say() {
  const std::string said = EncodeReport(own_());
  const std::string_view value = said;
  bus::AppendBatch batch;
  batch.values = std::span(&value, 1);
  SL_TRY(bus::AppendAndWait(bus_, {kTopic, Partition(0)}, batch));
  return {};
}

Status Monitoring::Hear() {
  for (;;) {
    SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader_->Next());
    if (!batch) return {};
    for (const std::string_view value : batch->values) {
      Result<ProcessReport> report = DecodeReport(value);
      // Of a version that says other things: its tasks are not shown, and nothing else is lost.
      if (!report) continue;
      const std::lock_guard lock(mutex_);
      heard_[report->process] = std::move(*report);
    }
    const std::int64_t since = clock_.Now().value - options_.silent_after.count();
    const std::lock_guard lock(mutex_);
    std::erase_if(heard_, [since](const auto& one) { return one.second.at.value < since; });
  }
}

void Monitoring::Run() {
  std::string said;
  std::unique_lock lock(stop_mutex_);
  while (!stopping_) {
    lock.unlock();
    Status done = Say();
    if (done && reader_ != nullptr) done = Hear();
    const std::string trouble = done ? "" : done.error().ToString();
    if (trouble != said && !trouble.empty()) log_.Warning("processes do not hear of each other", {{"error", trouble}});
    said = trouble;
    lock.lock();
    stop_wake_.wait_for(lock, options_.every, [this] { return stopping_; });
  }
}

std::vector<ProcessReport> Monitoring::reports() const {
  const std::int64_t since = clock_.Now().value - options_.silent_after.count();
  std::vector<ProcessReport> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [process, report] : heard_) {
    if (report.at.value >= since) all.push_back(report);
  }
  return all;
}

std::vector<flow::TaskStatus> Monitoring::tasks() const {
  std::vector<ProcessReport> all = reports();
  std::ranges::sort(all, {}, [](const ProcessReport& report) { return -report.at.value; });
  std::map<std::pair<std::string, std::int32_t>, flow::TaskStatus> newest;
  for (ProcessReport& report : all) {
    for (flow::TaskStatus& task : report.tasks) newest.try_emplace({task.pipeline, task.partition}, std::move(task));
  }
  std::vector<flow::TaskStatus> tasks;
  for (auto& [name, task] : newest) tasks.push_back(std::move(task));
  return tasks;
}

}  // namespace sightline::app
