#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/flink/http.h"
#include "sightline/base/result.h"

namespace sightline::flink {

struct JobOverview {
  std::string id;
  std::string name;
  std::string state;  // RUNNING, RESTARTING, FINISHED, FAILED, CANCELED …
  std::int64_t started_ms = 0;
  std::int64_t duration_ms = 0;
  // Ended for good: nothing comes from it any more.
  bool over() const { return state == "FINISHED" || state == "FAILED" || state == "CANCELED"; }
};

struct JobFailure {
  std::int64_t at_ms = 0;
  std::string what;  // the last cause, a line
};

struct JobHealth {
  JobOverview job;
  std::int64_t restarts = 0;
  std::optional<std::int64_t> lag_records;  // not read yet from the topics; none: the cluster does not say
  std::int64_t checkpoints = 0;
  std::int64_t checkpoints_failed = 0;
  std::optional<std::int64_t> checkpoint_at_ms;  // the newest that is complete
  std::int64_t checkpoint_duration_ms = 0;
  std::int64_t state_bytes = 0;
  std::string restored_from;                     // path; empty: it began anew
  std::vector<JobFailure> failures;              // newest first
};

// A cluster's jobs, by the REST service of its job manager. Not thread-safe. Errors as of Http; kNotFound for a job it does not know.
class Cluster {
 public:
  using Sleep = std::function<void(std::chrono::milliseconds)>;
  static Result<std::unique_ptr<Cluster>> Open(HttpOptions http, Sleep sleep);

  struct Room {
    std::int64_t slots = 0;
    std::int64_t free = 0;
    std::string version;
  };
  Result<Room> Look();
  // All that it remembers, the newest first.
  Result<std::vector<JobOverview>> Jobs();
  Result<JobOverview> Find(const std::string& id);
  Result<JobHealth> Examine(const std::string& id);
  // Waits until all tasks run. kFailedPrecondition when it ends instead, with the cause; kDeadlineExceeded.
  Status AwaitRunning(const std::string& id, std::chrono::milliseconds patience);
  // Stops it with a savepoint, in `folder` or where the cluster puts them; where it lies.
  Result<std::string> Stop(const std::string& id, const std::string& folder, std::chrono::milliseconds patience);
  // Ends it as it is.
  Status Cancel(const std::string& id, std::chrono::milliseconds patience);

 private:
  Cluster(std::unique_ptr<Http> http, Sleep sleep) : http_(std::move(http)), sleep_(std::move(sleep)) {}
  Result<std::vector<JobFailure>> Failures(const std::string& id);
  std::optional<std::int64_t> Lag(const std::string& id, const std::vector<std::string>& vertices);

  std::unique_ptr<Http> http_;
  Sleep sleep_;
};

}  // namespace sightline::flink
