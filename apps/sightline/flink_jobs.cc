#include "apps/sightline/flink_jobs.h"

#include <algorithm>

#include "apps/sightline/kafka.h"
#include "sightline/ops/log.h"

namespace sightline::app {
namespace {

constexpr std::chrono::minutes kPatience{2};
constexpr std::chrono::minutes kSavepointPatience{10};
constexpr std::int64_t kNsPerMs = 1'000'000;

}  // namespace

Result<std::unique_ptr<FlinkJobs>> FlinkJobs::Open(const World& world, const config::Config& config, const flow::Plan& plan,
                                                   const std::string& gateway) {
  if (config.drivers.bus.type != config::BusType::kKafka) {
    return Fail(ErrorKind::kFailedPrecondition,
                "Flink reads and writes Kafka's topics, and drivers.bus is the embedded log: write bus: {type: kafka, …}");
  }
  if (!config.drivers.flink)
    return Fail(ErrorKind::kFailedPrecondition, "there is no drivers.flink, which names the cluster's gateway and job manager");
  std::unique_ptr<FlinkJobs> jobs(new FlinkJobs(world, config, plan, gateway.empty() ? config.drivers.flink->gateway : gateway));
  SL_TRY(jobs->Connect());
  return jobs;
}

Status FlinkJobs::Connect() {
  SL_ASSIGN_OR_RETURN(cluster_, flink::Cluster::Open(HttpTo(config_.drivers.flink->rest), Sleeper()));
  const ops::Log silent(world_.clock, ops::LogLevel::kError, [](std::string_view) {});
  SL_ASSIGN_OR_RETURN(bus_, kafka::KafkaBus::Open(KafkaOptions(config_.drivers.bus, silent)));
  return {};
}

flink::HttpOptions FlinkJobs::HttpTo(const std::string& url) {
  flink::HttpOptions options = FlinkHttp(*config_.drivers.flink, url);
  options.waited_ns = &waited_ns_;
  return options;
}

std::function<void(std::chrono::milliseconds)> FlinkJobs::Sleeper() {
  return [this](std::chrono::milliseconds time) {
    const std::int64_t begun = world_.clock.MonotonicNs();
    world_.sleep(time);
    waited_ns_ += world_.clock.MonotonicNs() - begun;
  };
}

// Two jobs that make the same results would put each out twice.
Status FlinkJobs::RefuseSecond(const FlinkSubmission& submission) {
  SL_ASSIGN_OR_RETURN(const auto kept, Kept());
  const auto before = kept.find(submission.root);
  if (before == kept.end()) return {};
  const Result<flink::JobOverview> job = cluster_->Find(before->second.job);
  if (!job && job.error().kind == ErrorKind::kNotFound) return {};
  if (!job) return std::unexpected(job.error());
  if (job->over()) return {};
  return Fail(ErrorKind::kFailedPrecondition, "job " + job->id + " (" + job->state + ") makes the results of " + submission.root +
                                                  " already: `sightline jobs upgrade " + submission.root + "` puts this one in its place");
}

Result<FlinkJobs::Submitted> FlinkJobs::Submit(const FlinkSubmission& submission, const std::string& savepoint) {
  const std::int64_t begun = world_.clock.MonotonicNs();
  SL_TRY(RefuseSecond(submission));
  flink::Gateway::Options options;
  options.http = HttpTo(gateway_url_);
  options.sleep = Sleeper();
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<flink::Gateway> gateway, flink::Gateway::Open(options));
  SL_TRY(MakeFlinkTopics(*bus_, config_, plan_, submission));
  Submitted submitted;
  submitted.flink_version = gateway->flink_version();
  submitted.record = {.root = submission.root,
                      .pipelines = submission.job.pipelines,
                      .job = "",
                      .run = submission.settings.run,
                      .sql = flink::JobText(submission.job),
                      .savepoint = savepoint,
                      .submitted_ms = world_.clock.Now().value,
                      .stopped_at = ""};
  SL_ASSIGN_OR_RETURN(submitted.record.job, gateway->Submit(submission.job, submission.secrets, {.savepoint = savepoint}));
  submitted.prepared_ms = (world_.clock.MonotonicNs() - begun) / kNsPerMs;
  SL_TRY(KeepFlinkJob(*bus_, submitted.record));
  SL_TRY(cluster_->AwaitRunning(submitted.record.job, kPatience));
  submitted.running_ms = (world_.clock.MonotonicNs() - begun) / kNsPerMs;
  submitted.own_ms = submitted.running_ms - waited_ns_ / kNsPerMs;
  return submitted;
}

Result<FlinkJobRecord> FlinkJobs::Find(const std::string& name) {
  SL_ASSIGN_OR_RETURN(const auto kept, Kept());
  std::string known;
  for (const auto& [root, record] : kept) {
    const bool makes = std::ranges::find(record.pipelines, name) != record.pipelines.end();
    if (root == name || record.job == name || makes) return record;
    known += (known.empty() ? "" : ", ") + root;
  }
  return Fail(ErrorKind::kNotFound,
              "no job was submitted for " + name +
                  (known.empty() ? "; `sightline plan --engine flink --submit` does it" : "; there are jobs for " + known));
}

Result<std::string> FlinkJobs::Stop(FlinkJobRecord record) {
  SL_ASSIGN_OR_RETURN(record.stopped_at, cluster_->Stop(record.job, config_.drivers.flink->savepoints, kSavepointPatience));
  SL_TRY(KeepFlinkJob(*bus_, record));
  return record.stopped_at;
}

Status FlinkJobs::Cancel(const FlinkJobRecord& record) { return cluster_->Cancel(record.job, kPatience); }

}  // namespace sightline::app
