#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/flink/http.h"
#include "connectors/flink/job.h"
#include "sightline/base/result.h"

namespace sightline::flink {

// Flink's SQL gateway over REST, versions 1 to 4 of its interface: the highest that both know. Not thread-safe.
class Gateway {
 public:
  struct Options {
    HttpOptions http;
    std::chrono::milliseconds statement_timeout{120'000};
    std::function<void(std::chrono::milliseconds)> sleep;  // between two looks at a statement
  };
  // Asks the gateway who it is. kUnavailable when nobody answers, kFailedPrecondition when it is no SQL gateway, or of a version that we
  // do not know.
  static Result<std::unique_ptr<Gateway>> Open(Options options);
  // Closes the session, if it can.
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  const std::string& flink_version() const { return flink_version_; }  // "2.3.0"
  int rest_version() const { return version_; }

  // What a job begins with: where a savepoint lies, and whether state that no operator takes is an error.
  struct Start {
    std::string savepoint;
    bool drop_unmatched = false;
  };
  // Runs the job's statements one after another in a session of its own, with the secrets put in; the job's id. kFailedPrecondition with
  // the statement and what Flink says of it; a connector that the cluster lacks is named.
  Result<std::string> Submit(const Job& job, const Secrets& secrets, const Start& start);

  // One statement in the session; its rows, if it has any, as texts.
  struct Answer {
    std::string job;
    std::vector<std::vector<std::string>> rows;
  };
  Result<Answer> Execute(const std::string& statement);

 private:
  Gateway(Options options, std::unique_ptr<Http> http);
  Status Introduce();
  Status OpenSession();
  Result<Answer> Fetch(const std::string& operation);
  std::string Path(const std::string& rest) const { return "/v" + std::to_string(version_) + rest; }

  Options options_;
  std::unique_ptr<Http> http_;
  int version_ = 1;
  std::string flink_version_;
  std::string session_;
};

// The statement with each ${NAME} replaced by its secret, quoted as a text within a text.
std::string WithSecrets(std::string sql, const Secrets& secrets);

}  // namespace sightline::flink
