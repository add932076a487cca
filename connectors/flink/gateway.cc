#include "connectors/flink/gateway.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "connectors/flink/sql_words.h"
#include "sightline/base/text.h"

namespace sightline::flink {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr int kVersionMax = 4;
constexpr milliseconds kLookFirst{5};
constexpr milliseconds kLookMax{200};
constexpr std::size_t kStatementShown = 600;

// The text under a name, or "".
std::string Word(const json& in, const char* name) {
  return in.is_object() && in.contains(name) && in[name].is_string() ? in[name].get<std::string>() : "";
}

std::string CellText(const json& cell) {
  if (cell.is_string()) return cell.get<std::string>();
  return cell.is_null() ? "" : cell.dump();
}

// "Could not find any factory for identifier 'kafka'": the jar is missing on the gateway or the cluster.
std::string Remedy(std::string_view said) {
  constexpr std::string_view kMissing = "Could not find any factory for identifier '";
  const std::size_t at = said.find(kMissing);
  if (at == std::string_view::npos) return "";
  const std::string_view name = said.substr(at + kMissing.size(), said.find('\'', at + kMissing.size()) - at - kMissing.size());
  return "; the cluster has no " + std::string(name) + " connector or format: put its jar into Flink's lib folder, on the gateway, too";
}

std::string First(std::string_view sql) {
  if (sql.size() <= kStatementShown) return std::string(sql);
  return std::string(sql.substr(0, kStatementShown)) + " …";
}

}  // namespace

std::string WithSecrets(std::string sql, const Secrets& secrets) {
  for (const auto& [name, value] : secrets) {
    const std::string place = "${" + name + "}";
    std::string quoted = Text(value);
    quoted = quoted.substr(1, quoted.size() - 2);
    for (std::size_t at = 0; (at = sql.find(place, at)) != std::string::npos; at += quoted.size()) sql.replace(at, place.size(), quoted);
  }
  return sql;
}

Gateway::Gateway(Options options, std::unique_ptr<Http> http) : options_(std::move(options)), http_(std::move(http)) {}

Gateway::~Gateway() {
  if (!session_.empty()) (void)http_->Delete(Path("/sessions/" + session_));
}

Result<std::unique_ptr<Gateway>> Gateway::Open(Options options) {
  SL_ASSIGN_OR_RETURN(std::unique_ptr<Http> http, Http::Make("Flink's SQL gateway", options.http));
  std::unique_ptr<Gateway> gateway(new Gateway(std::move(options), std::move(http)));
  SL_TRY(gateway->Introduce());
  return gateway;
}

Status Gateway::Introduce() {
  const auto stranger = [&](const std::string& what) {
    return Fail(
        ErrorKind::kFailedPrecondition,
        what + " answers at " + http_->url() + ", and no SQL gateway of Flink; its port is 8083 unless it was set, the job manager's 8081");
  };
  Result<json> versions = http_->Get("/api_versions");
  if (!versions && versions.error().kind == ErrorKind::kNotFound) versions = http_->Get("/v1/api_versions");
  if (!versions && versions.error().kind == ErrorKind::kNotFound) return stranger("something");
  if (!versions) return std::unexpected(versions.error());
  if (!versions->is_object() || !versions->contains("versions")) return stranger("something");
  version_ = 0;
  for (const json& version : (*versions)["versions"]) {
    const std::string text = version.is_string() ? version.get<std::string>() : "";
    const Result<std::int64_t> number = ParseInt64(text.starts_with('V') ? text.substr(1) : text);
    if (number && *number <= kVersionMax) version_ = std::max(version_, static_cast<int>(*number));
  }
  if (version_ == 0) {
    return Fail(ErrorKind::kFailedPrecondition, "the SQL gateway at " + http_->url() + " speaks " + (*versions)["versions"].dump() +
                                                    "; versions 1 to " + std::to_string(kVersionMax) + " are known here");
  }
  SL_ASSIGN_OR_RETURN(const json info, http_->Get(Path("/info")));
  if (!info.is_object() || Word(info, "productName") != "Apache Flink")
    return stranger(Word(info, "productName").empty() ? "something" : Word(info, "productName"));
  flink_version_ = Word(info, "version");
  return {};
}

Status Gateway::OpenSession() {
  if (!session_.empty()) return {};
  SL_ASSIGN_OR_RETURN(const json opened, http_->Post(Path("/sessions"), {{"sessionName", "sightline"}}));
  session_ = Word(opened, "sessionHandle");
  if (session_.empty()) return Fail(ErrorKind::kInternal, "the SQL gateway opened no session");
  return {};
}

Result<Gateway::Answer> Gateway::Execute(const std::string& statement) {
  SL_TRY(OpenSession());
  SL_ASSIGN_OR_RETURN(const json accepted, http_->Post(Path("/sessions/" + session_ + "/statements"), {{"statement", statement}}));
  if (Word(accepted, "operationHandle").empty()) return Fail(ErrorKind::kInternal, "the SQL gateway took no statement");
  const std::string operation = Path("/sessions/" + session_ + "/operations/" + Word(accepted, "operationHandle"));
  milliseconds waited{0};
  for (milliseconds wait = kLookFirst;; wait = std::min(wait * 2, kLookMax)) {
    SL_ASSIGN_OR_RETURN(const json status, http_->Get(operation + "/status"));
    const std::string word = Word(status, "status");
    if (word == "FINISHED" || word == "ERROR" || word == "CANCELED") break;
    if (waited >= options_.statement_timeout) {
      return Fail(ErrorKind::kDeadlineExceeded,
                  "the SQL gateway at " + http_->url() + " did not finish a statement in time; it may still run");
    }
    options_.sleep(wait);
    waited += wait;
  }
  return Fetch(operation);
}

// Pages of rows until the end; versions differ in where they put the job's id.
Result<Gateway::Answer> Gateway::Fetch(const std::string& operation) {
  Answer answer;
  std::string columns;
  std::string path = operation + "/result/0" + (version_ > 1 ? "?rowFormat=JSON" : "");
  while (!path.empty()) {
    SL_ASSIGN_OR_RETURN(const json page, http_->Get(path));
    if (!page.is_object()) return Fail(ErrorKind::kInternal, "the SQL gateway's answer is no JSON object");
    if (const std::string job = Word(page, "jobID"); !job.empty()) answer.job = job;
    if (page.contains("results") && page["results"].is_object()) {
      const json& results = page["results"];
      if (columns.empty() && results.contains("columns")) {
        for (const json& column : results["columns"]) columns += Word(column, "name") + "\n";
      }
      for (const json& row : results.contains("data") ? results["data"] : json::array()) {
        std::vector<std::string>& cells = answer.rows.emplace_back();
        for (const json& cell : row.contains("fields") ? row["fields"] : json::array()) cells.push_back(CellText(cell));
      }
    }
    const std::string next =
        page.contains("nextResultUri") && page["nextResultUri"].is_string() ? page["nextResultUri"].get<std::string>() : "";
    const bool end = Word(page, "resultType") == "EOS" || next.find("/v") == std::string::npos;
    if (!end && Word(page, "resultType") == "NOT_READY") options_.sleep(kLookFirst);
    path = end ? "" : next.substr(next.find("/v"));
  }
  if (answer.job.empty() && columns == "job id\n" && !answer.rows.empty()) answer.job = answer.rows[0][0];
  return answer;
}

Result<std::string> Gateway::Submit(const Job& job, const Secrets& secrets, const Start& start) {
  const auto run = [&](const std::string& shown) -> Result<Answer> {
    Result<Answer> answer = Execute(WithSecrets(shown, secrets));
    if (answer || answer.error().kind == ErrorKind::kUnavailable || answer.error().kind == ErrorKind::kUnauthenticated ||
        answer.error().kind == ErrorKind::kPermissionDenied || answer.error().kind == ErrorKind::kDeadlineExceeded) {
      return answer;
    }
    return Fail(ErrorKind::kFailedPrecondition,
                "Flink refuses\n" + First(shown) + "\n" + answer.error().message + Remedy(answer.error().message));
  };
  if (!start.savepoint.empty()) {
    // The setting's name up to Flink 1.20, and since.
    const bool old = flink_version_.starts_with("1.");
    SL_TRY(run(std::string("SET ") + (old ? "'execution.savepoint.path'" : "'execution.state-recovery.path'") + " = " +
               Text(start.savepoint)));
    SL_TRY(run(std::string("SET ") +
               (old ? "'execution.savepoint.ignore-unclaimed-state'" : "'execution.state-recovery.ignore-unclaimed-state'") + " = " +
               (start.drop_unmatched ? "'true'" : "'false'")));
  }
  std::string inserts;
  std::int64_t count = 0;
  for (const Statement& statement : job.statements) {
    if (statement.kind != Statement::Kind::kInsert) {
      SL_TRY(run(statement.sql));
      continue;
    }
    inserts += statement.sql + ";\n";
    ++count;
  }
  if (count == 0) return Fail(ErrorKind::kInvalidArgument, "the job writes nothing: no pipeline has a sink");
  const std::string last = count == 1 ? inserts.substr(0, inserts.size() - 2) : "EXECUTE STATEMENT SET\nBEGIN\n" + inserts + "END";
  SL_ASSIGN_OR_RETURN(Answer answer, run(last));
  if (answer.job.empty()) return Fail(ErrorKind::kInternal, "the SQL gateway named no job for\n" + First(last));
  return answer.job;
}

}  // namespace sightline::flink
