#include "apps/sightline/server/flink_watch.h"

#include <algorithm>

namespace sightline::app {
namespace {

constexpr std::chrono::seconds kEvery{5};
constexpr std::chrono::milliseconds kTimeout{3'000};

std::string WhyNot(const WatchedJob& job) {
  if (!job.health) return job.error;
  const std::string& state = job.health->job.state;
  if (state == "RUNNING") return "";
  const std::string cause = job.health->failures.empty() ? "" : ": " + job.health->failures.front().what;
  return "job " + job.record.job + " on Flink is " + state +
         (state == "FINISHED" && !job.record.stopped_at.empty() ? ", stopped with a savepoint" : cause);
}

}  // namespace

FlinkWatch::FlinkWatch(bus::Bus& bus, const config::FlinkConfig& config, const flow::Plan& plan, const ops::Log& log)
    : bus_(bus), config_(config), plan_(plan), log_(log), thread_([this] { Run(); }) {}

FlinkWatch::~FlinkWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

std::map<std::string, WatchedJob> FlinkWatch::jobs() const {
  const std::lock_guard lock(mutex_);
  return jobs_;
}

void FlinkWatch::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    std::map<std::string, WatchedJob> jobs = Look();
    Say(jobs);
    lock.lock();
    jobs_ = std::move(jobs);
    wake_.wait_for(lock, kEvery, [this] { return stopping_; });
  }
}

std::map<std::string, WatchedJob> FlinkWatch::Look() {
  std::map<std::string, WatchedJob> jobs;
  for (const flow::PipelinePlan& pipeline : plan_.pipelines) {
    if (pipeline.engine == PipelineEngine::kFlink && (pipeline.to_statistics || pipeline.to_live)) {
      jobs[pipeline.name].error = "no job was submitted for it: sightline plan --engine flink --submit";
    }
  }
  const auto kept = KeptFlinkJobs(bus_);
  if (!kept) return jobs;
  flink::HttpOptions http = FlinkHttp(config_, config_.rest);
  http.timeout = std::min(http.timeout, kTimeout);
  const auto cluster = flink::Cluster::Open(http, [](std::chrono::milliseconds) {});
  for (const auto& [root, record] : *kept) {
    WatchedJob job{.record = record, .health = std::nullopt, .error = cluster ? "" : cluster.error().message};
    if (cluster) {
      Result<flink::JobHealth> health = (*cluster)->Examine(record.job);
      if (health) {
        job.health = std::move(*health);
      } else {
        job.error = health.error().kind == ErrorKind::kNotFound ? "the cluster knows nothing of job " + record.job : health.error().message;
      }
    }
    job.error = WhyNot(job);
    for (const std::string& name : record.pipelines) {
      if (jobs.contains(name)) jobs[name] = job;
    }
  }
  return jobs;
}

void FlinkWatch::Say(const std::map<std::string, WatchedJob>& jobs) {
  for (const auto& [name, job] : jobs) {
    std::string& said = said_[name];
    if (said == job.error) continue;
    if (job.error.empty()) {
      log_.Info("a pipeline runs on Flink", {{"pipeline", name}, {"job", job.record.job}});
    } else {
      log_.Warning("a pipeline does not run on Flink", {{"pipeline", name}, {"error", job.error}});
    }
    said = job.error;
  }
}

void FlinkWatch::Collect(ops::Metrics::Sink& sink, const runtime::Clock& clock) const {
  for (const auto& [name, job] : jobs()) {
    const ops::Labels labels = {{"pipeline", name}};
    sink.GaugeSample("sightline_flink_job_running", "1 while the job that makes a pipeline's results runs.", labels,
                     job.error.empty() ? 1 : 0);
    if (!job.health) continue;
    const flink::JobHealth& health = *job.health;
    sink.CounterSample("sightline_flink_job_restarts_total", "Restarts of the job.", labels, static_cast<double>(health.restarts));
    sink.CounterSample("sightline_flink_job_failures_total", "Failures that the cluster remembers of the job.", labels,
                       static_cast<double>(health.failures.size()));
    sink.CounterSample("sightline_flink_job_checkpoints_total", "Checkpoints that were completed.", labels,
                       static_cast<double>(health.checkpoints));
    sink.CounterSample("sightline_flink_job_checkpoints_failed_total", "Checkpoints that failed.", labels,
                       static_cast<double>(health.checkpoints_failed));
    sink.GaugeSample("sightline_flink_job_state_bytes", "State in the newest checkpoint.", labels, static_cast<double>(health.state_bytes));
    if (health.checkpoint_at_ms) {
      sink.GaugeSample("sightline_flink_job_checkpoint_age_seconds", "Time since the newest checkpoint was complete.", labels,
                       static_cast<double>(clock.Now().value - *health.checkpoint_at_ms) / 1000);
    }
    if (health.lag_records) {
      sink.GaugeSample("sightline_flink_job_lag_records", "Records that the job has not read yet.", labels,
                       static_cast<double>(*health.lag_records));
    }
  }
}

}  // namespace sightline::app
