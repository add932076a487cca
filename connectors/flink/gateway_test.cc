#include "connectors/flink/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "connectors/flink/cluster.h"
#include "connectors/flink/testing/fake_service.h"

namespace sightline::flink {
namespace {

using std::chrono::milliseconds;
using testing::Answered;
using testing::Asked;
using testing::FakeService;
using ::testing::HasSubstr;
using ::testing::Not;

// A gateway that speaks the versions given, remembers statements and refuses one that holds `refused`.
struct FakeGateway {
  std::string versions = R"(["V1","V2","V3","V4"])";
  std::string flink = "2.3.0";
  std::string refused;
  std::string token;
  std::vector<std::string> statements;

  Answered Answer(const Asked& asked) {
    if (!token.empty() && asked.authorization != "Bearer " + token) return {401, R"({"errors":["who are you?"]})"};
    if (asked.target.ends_with("/api_versions")) return {200, R"({"versions":)" + versions + "}"};
    if (asked.target.ends_with("/info")) return {200, R"({"productName":"Apache Flink","version":")" + flink + "\"}"};
    if (asked.method == "POST" && asked.target.ends_with("/sessions")) return {200, R"({"sessionHandle":"s"})"};
    if (asked.target.ends_with("/statements")) {
      statements.push_back(asked.body);
      return {200, R"({"operationHandle":"o"})"};
    }
    if (asked.target.ends_with("/status")) return {200, R"({"status":"FINISHED"})"};
    if (asked.target.find("/result/") != std::string::npos) return Result(asked.target);
    return {200, "{}"};
  }

 private:
  Answered Result(const std::string& target) const {
    if (!refused.empty() && statements.back().find(refused) != std::string::npos) {
      return {
          500,
          R"({"errors":["Internal server error.","java.lang.X: outer\n\tat a.b\nCaused by: org.apache.flink.table.api.ValidationException: Could not find any factory for identifier 'kafka' that implements X\n\tat c.d"]})"};
    }
    // The first version has the id in a row alone.
    if (target.starts_with("/v1/")) {
      return {
          200,
          R"({"resultType":"PAYLOAD","results":{"columns":[{"name":"job id"}],"data":[{"kind":"INSERT","fields":["j1"]}]},"nextResultUri":null})"};
    }
    return {200, R"({"resultType":"PAYLOAD","jobID":"j2","results":{"columns":[],"data":[]},"nextResultUri":")" +
                     target.substr(0, target.find("/result/")) + R"(/result/1"})"};
  }
};

Answered AnswerOnce(FakeGateway& gateway, const Asked& asked) {
  Answered answered = gateway.Answer(asked);
  if (asked.target.find("/result/1") != std::string::npos) answered = {200, R"({"resultType":"EOS"})"};
  return answered;
}

Job SmallJob() {
  Job job;
  job.statements = {{Statement::Kind::kSetting, "a", "", "SET 'a' = 'b'"},
                    {Statement::Kind::kTable, "t", "", "CREATE TEMPORARY TABLE t (x INT) WITH ('password' = '${P}')"},
                    {Statement::Kind::kInsert, "t", "", "INSERT INTO t SELECT 1"},
                    {Statement::Kind::kInsert, "u", "", "INSERT INTO u SELECT 2"}};
  return job;
}

Result<std::unique_ptr<Gateway>> OpenAt(const std::string& url, const std::string& token = "") {
  Gateway::Options options;
  options.http = {.url = url, .token = token, .ca = "", .timeout = milliseconds(5000)};
  options.sleep = [](milliseconds) {};
  return Gateway::Open(std::move(options));
}

class GatewayVersionTest : public ::testing::TestWithParam<std::pair<std::string, int>> {};

TEST_P(GatewayVersionTest, TheHighestThatBothKnow) {
  FakeGateway fake;
  fake.versions = GetParam().first;
  FakeService service([&](const Asked& asked) { return AnswerOnce(fake, asked); });
  const auto gateway = OpenAt(service.url());
  ASSERT_TRUE(gateway) << gateway.error().message;
  EXPECT_EQ((*gateway)->rest_version(), GetParam().second);
  const Result<std::string> job = (*gateway)->Submit(SmallJob(), {{"P", "it's"}}, {});
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(*job, GetParam().second == 1 ? "j1" : "j2");
  ASSERT_EQ(fake.statements.size(), 3U);
  EXPECT_THAT(fake.statements[1], HasSubstr("'it''s'"));
  EXPECT_THAT(fake.statements[2], HasSubstr("EXECUTE STATEMENT SET"));
}

INSTANTIATE_TEST_SUITE_P(Versions, GatewayVersionTest,
                         ::testing::Values(std::pair(R"(["V1"])", 1), std::pair(R"(["V1","V2"])", 2),
                                           std::pair(R"(["V1","V2","V3","V4","V9"])", 4)));

TEST(Gateway, SaysWhatIsMissingOnTheCluster) {
  FakeGateway fake;
  fake.refused = "TABLE t";
  FakeService service([&](const Asked& asked) { return AnswerOnce(fake, asked); });
  const auto gateway = OpenAt(service.url());
  ASSERT_TRUE(gateway);
  const Result<std::string> job = (*gateway)->Submit(SmallJob(), {{"P", "hidden"}}, {});
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_THAT(job.error().message, HasSubstr("has no kafka connector or format: put its jar into Flink's lib folder"));
  EXPECT_THAT(job.error().message, HasSubstr("CREATE TEMPORARY TABLE t"));
  EXPECT_THAT(job.error().message, Not(HasSubstr("hidden")));
}

TEST(Gateway, GoesOnFromASavepointAsTheVersionCallsIt) {
  for (const auto& [version, setting] : {std::pair("2.3.0", "execution.state-recovery.path"), {"1.20.1", "execution.savepoint.path"}}) {
    FakeGateway fake;
    fake.flink = version;
    FakeService service([&](const Asked& asked) { return AnswerOnce(fake, asked); });
    const auto gateway = OpenAt(service.url());
    ASSERT_TRUE(gateway);
    ASSERT_TRUE((*gateway)->Submit(SmallJob(), {}, {.savepoint = "file:/s"}));
    EXPECT_THAT(fake.statements[0], HasSubstr(std::string("SET '") + setting + "' = 'file:/s'"));
  }
}

TEST(Gateway, ShowsItsToken) {
  FakeGateway fake;
  fake.token = "secret";
  FakeService service([&](const Asked& asked) { return AnswerOnce(fake, asked); });
  EXPECT_TRUE(OpenAt(service.url(), "secret"));
  const auto refused = OpenAt(service.url(), "other");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnauthenticated);
  EXPECT_THAT(refused.error().message, HasSubstr("drivers.flink.token"));
  const auto clear = OpenAt("http://flink.example.com:8083", "secret");
  ASSERT_FALSE(clear);
  EXPECT_THAT(clear.error().message, HasSubstr("in clear; write https://"));
}

TEST(Gateway, IsDownOrSomethingElse) {
  const auto down = OpenAt("http://127.0.0.1:1");
  ASSERT_FALSE(down);
  EXPECT_EQ(down.error().kind, ErrorKind::kUnavailable);
  FakeService other([](const Asked&) { return Answered{404, "{}"}; });
  const auto stranger = OpenAt(other.url());
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_THAT(stranger.error().message, HasSubstr("no SQL gateway of Flink"));
}

TEST(Cluster, TellsHowAJobIs) {
  const std::map<std::string, std::string> answers = {
      {"/jobs/j",
       R"({"jid":"j","name":"n","state":"RUNNING","vertices":[{"id":"v","name":"Source: e","parallelism":2,"tasks":{"RUNNING":2}}]})"},
      {"/jobs/j/checkpoints",
       R"({"counts":{"completed":7,"failed":1},"latest":{"completed":{"latest_ack_timestamp":5,"end_to_end_duration":12,"state_size":99},"restored":{"external_path":"file:/s"}}})"},
      {"/jobs/j/metrics?get=numRestarts", R"([{"id":"numRestarts","value":"3"}])"},
      {"/jobs/j/exceptions",
       R"({"exceptionHistory":{"entries":[{"timestamp":4,"stacktrace":"a: b\n\tat x\nCaused by: c: the broker is gone\n\tat y"}]}})"},
      {"/jobs/j/vertices/v/subtasks/metrics", R"([{"id":"Source__e.KafkaSourceReader.x"},{"id":"Source__e.pendingRecords"}])"},
      {"/jobs/j/vertices/v/subtasks/metrics?agg=sum&get=Source__e.pendingRecords", R"([{"id":"Source__e.pendingRecords","sum":41.0}])"}};
  FakeService service([&](const Asked& asked) {
    const auto at = answers.find(asked.target);
    return at == answers.end() ? Answered{404, R"({"errors":["no"]})"} : Answered{200, at->second};
  });
  const auto cluster = Cluster::Open({.url = service.url(), .token = "", .ca = ""}, [](milliseconds) {});
  ASSERT_TRUE(cluster);
  const Result<JobHealth> health = (*cluster)->Examine("j");
  ASSERT_TRUE(health) << health.error().message;
  EXPECT_EQ(health->job.state, "RUNNING");
  EXPECT_EQ(health->restarts, 3);
  EXPECT_EQ(health->checkpoints, 7);
  EXPECT_EQ(health->checkpoints_failed, 1);
  EXPECT_EQ(health->state_bytes, 99);
  EXPECT_EQ(health->restored_from, "file:/s");
  EXPECT_EQ(health->lag_records, 41);
  ASSERT_EQ(health->failures.size(), 1U);
  EXPECT_EQ(health->failures[0].what, "c: the broker is gone");
  EXPECT_TRUE((*cluster)->AwaitRunning("j", milliseconds(0)));
  EXPECT_EQ((*cluster)->Examine("k").error().kind, ErrorKind::kNotFound);
}

TEST(Cluster, ASavepointThatFailsSaysWhy) {
  FakeService service([&](const Asked& asked) {
    if (asked.method == "POST") return Answered{202, R"({"request-id":"r"})"};
    return Answered{
        200,
        R"({"status":{"id":"COMPLETED"},"operation":{"failure-cause":{"stack-trace":"a\nCaused by: java.io.IOException: no room\n\tat x"}}})"};
  });
  const auto cluster = Cluster::Open({.url = service.url(), .token = "", .ca = ""}, [](milliseconds) {});
  const Result<std::string> stopped = (*cluster)->Stop("j", "file:/s", milliseconds(1000));
  ASSERT_FALSE(stopped);
  EXPECT_THAT(stopped.error().message, HasSubstr("no room"));
  EXPECT_THAT(service.asked()[0].body, HasSubstr("file:/s"));
}

}  // namespace
}  // namespace sightline::flink
