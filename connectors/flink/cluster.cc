#include "connectors/flink/cluster.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "sightline/base/text.h"

namespace sightline::flink {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kLook{50};

std::int64_t Number(const json& in, const char* name) {
  if (!in.is_object() || !in.contains(name)) return 0;
  if (in[name].is_number()) return in[name].get<std::int64_t>();
  return in[name].is_string() ? ParseInt64(in[name].get<std::string>()).value_or(0) : 0;
}
std::string Word(const json& in, const char* name) {
  return in.is_object() && in.contains(name) && in[name].is_string() ? in[name].get<std::string>() : "";
}

JobOverview OverviewOf(const json& job) {
  return {.id = Word(job, "jid"),
          .name = Word(job, "name"),
          .state = Word(job, "state"),
          .started_ms = Number(job, "start-time"),
          .duration_ms = Number(job, "duration")};
}

// The cause at the bottom of a Java exception, without its frames.
std::string LastCause(std::string text) {
  if (const std::size_t cause = text.rfind("Caused by: "); cause != std::string::npos) text = text.substr(cause + 11);
  return text.substr(0, text.find('\n'));
}

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::Open(HttpOptions http, Sleep sleep) {
  SL_ASSIGN_OR_RETURN(std::unique_ptr<Http> client, Http::Make("Flink's job manager", std::move(http)));
  return std::unique_ptr<Cluster>(new Cluster(std::move(client), std::move(sleep)));
}

Result<Cluster::Room> Cluster::Look() {
  SL_ASSIGN_OR_RETURN(const json overview, http_->Get("/overview"));
  if (!overview.is_object() || !overview.contains("slots-total")) {
    return Fail(ErrorKind::kFailedPrecondition, "what answers at " + http_->url() + " is no job manager of Flink");
  }
  return Room{
      .slots = Number(overview, "slots-total"), .free = Number(overview, "slots-available"), .version = Word(overview, "flink-version")};
}

Result<std::vector<JobOverview>> Cluster::Jobs() {
  SL_ASSIGN_OR_RETURN(const json answer, http_->Get("/jobs/overview"));
  std::vector<JobOverview> jobs;
  if (answer.is_object() && answer.contains("jobs")) {
    for (const json& job : answer["jobs"]) jobs.push_back(OverviewOf(job));
  }
  std::ranges::sort(jobs, std::greater(), &JobOverview::started_ms);
  return jobs;
}

Result<JobOverview> Cluster::Find(const std::string& id) {
  SL_ASSIGN_OR_RETURN(const json job, http_->Get("/jobs/" + id));
  return OverviewOf(job);
}

Result<std::vector<JobFailure>> Cluster::Failures(const std::string& id) {
  SL_ASSIGN_OR_RETURN(const json answer, http_->Get("/jobs/" + id + "/exceptions"));
  std::vector<JobFailure> failures;
  if (answer.is_object() && answer.contains("exceptionHistory") && answer["exceptionHistory"].contains("entries")) {
    for (const json& entry : answer["exceptionHistory"]["entries"]) {
      failures.push_back({.at_ms = Number(entry, "timestamp"), .what = LastCause(Word(entry, "stacktrace"))});
    }
  }
  return failures;
}

// Sources say how many records lie before them, each under a name of its own.
std::optional<std::int64_t> Cluster::Lag(const std::string& id, const std::vector<std::string>& vertices) {
  std::optional<std::int64_t> lag;
  for (const std::string& vertex : vertices) {
    const std::string path = "/jobs/" + id + "/vertices/" + vertex + "/subtasks/metrics";
    const Result<json> names = http_->Get(path);
    if (!names || !names->is_array()) continue;
    for (const json& name : *names) {
      const std::string metric = Word(name, "id");
      if (!metric.ends_with(".pendingRecords")) continue;
      const Result<json> values = http_->Get(path + "?agg=sum&get=" + metric);
      if (!values || !values->is_array() || values->empty() || !(*values)[0].contains("sum") || !(*values)[0]["sum"].is_number()) continue;
      lag = lag.value_or(0) + static_cast<std::int64_t>((*values)[0]["sum"].get<double>());
    }
  }
  return lag;
}

Result<JobHealth> Cluster::Examine(const std::string& id) {
  JobHealth health;
  SL_ASSIGN_OR_RETURN(const json job, http_->Get("/jobs/" + id));
  health.job = OverviewOf(job);
  std::vector<std::string> vertices;
  if (job.contains("vertices")) {
    for (const json& vertex : job["vertices"]) {
      if (Word(vertex, "name").find("Source") != std::string::npos) vertices.push_back(Word(vertex, "id"));
    }
  }
  SL_ASSIGN_OR_RETURN(const json checkpoints, http_->Get("/jobs/" + id + "/checkpoints"));
  if (checkpoints.is_object() && checkpoints.contains("counts")) {
    health.checkpoints = Number(checkpoints["counts"], "completed");
    health.checkpoints_failed = Number(checkpoints["counts"], "failed");
  }
  if (checkpoints.is_object() && checkpoints.contains("latest") && checkpoints["latest"].is_object()) {
    const json& latest = checkpoints["latest"];
    if (latest.contains("completed") && latest["completed"].is_object()) {
      health.checkpoint_at_ms = Number(latest["completed"], "latest_ack_timestamp");
      health.checkpoint_duration_ms = Number(latest["completed"], "end_to_end_duration");
      health.state_bytes = Number(latest["completed"], "state_size");
    }
    if (latest.contains("restored") && latest["restored"].is_object()) health.restored_from = Word(latest["restored"], "external_path");
  }
  if (const Result<json> metrics = http_->Get("/jobs/" + id + "/metrics?get=numRestarts"); metrics && metrics->is_array()) {
    for (const json& metric : *metrics) {
      if (Word(metric, "id") == "numRestarts") health.restarts = Number(metric, "value");
    }
  }
  SL_ASSIGN_OR_RETURN(health.failures, Failures(id));
  if (!health.job.over()) health.lag_records = Lag(id, vertices);
  return health;
}

Status Cluster::AwaitRunning(const std::string& id, milliseconds patience) {
  std::string missing;
  for (milliseconds waited{0};; waited += kLook) {
    SL_ASSIGN_OR_RETURN(const json job, http_->Get("/jobs/" + id));
    const JobOverview overview = OverviewOf(job);
    if (overview.state == "FINISHED") return {};
    if (overview.over()) {
      const Result<std::vector<JobFailure>> failures = Failures(id);
      return Fail(ErrorKind::kFailedPrecondition, "job " + id + " ended as " + overview.state +
                                                      (failures && !failures->empty() ? ": " + failures->front().what : std::string()));
    }
    std::int64_t tasks = 0;
    std::int64_t running = 0;
    for (const json& vertex : job.contains("vertices") ? job["vertices"] : json::array()) {
      tasks += Number(vertex, "parallelism");
      if (vertex.contains("tasks")) running += Number(vertex["tasks"], "RUNNING") + Number(vertex["tasks"], "FINISHED");
    }
    if (overview.state == "RUNNING" && tasks > 0 && running == tasks) return {};
    if (waited >= patience) {
      std::string message =
          "job " + id + " is " + overview.state + ", with " + std::to_string(running) + " of " + std::to_string(tasks) + " tasks";
      if (const Result<Room> room = Look(); room && room->free == 0) {
        message += "; the cluster has no free slot: it needs one for each of the dataset's partitions";
      }
      return Fail(ErrorKind::kDeadlineExceeded, std::move(message));
    }
    sleep_(kLook);
  }
}

Result<std::string> Cluster::Stop(const std::string& id, const std::string& folder, milliseconds patience) {
  json body = {{"drain", false}};
  if (!folder.empty()) body["targetDirectory"] = folder;
  SL_ASSIGN_OR_RETURN(const json asked, http_->Post("/jobs/" + id + "/stop", body));
  const std::string request = Word(asked, "request-id");
  for (milliseconds waited{0};; waited += kLook) {
    SL_ASSIGN_OR_RETURN(const json status, http_->Get("/jobs/" + id + "/savepoints/" + request));
    if (status.contains("status") && Word(status["status"], "id") == "COMPLETED") {
      const json operation = status.contains("operation") ? status["operation"] : json::object();
      if (const std::string location = Word(operation, "location"); !location.empty()) return location;
      const std::string why = operation.contains("failure-cause") ? LastCause(Word(operation["failure-cause"], "stack-trace")) : "";
      return Fail(ErrorKind::kFailedPrecondition, "job " + id + " could not be stopped with a savepoint: " + why);
    }
    if (waited >= patience)
      return Fail(ErrorKind::kDeadlineExceeded, "the savepoint of job " + id + " is not there yet; it may still come");
    sleep_(kLook);
  }
}

Status Cluster::Cancel(const std::string& id, milliseconds patience) {
  SL_TRY(http_->Patch("/jobs/" + id + "?mode=cancel"));
  for (milliseconds waited{0};; waited += kLook) {
    SL_ASSIGN_OR_RETURN(const JobOverview job, Find(id));
    if (job.over()) return {};
    if (waited >= patience) return Fail(ErrorKind::kDeadlineExceeded, "job " + id + " is still " + job.state);
    sleep_(kLook);
  }
}

}  // namespace sightline::flink
