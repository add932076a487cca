#include "sightline/serve/api/api.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/ingest/intake.h"
#include "sightline/ingest/testing/held_bus.h"
#include "sightline/model/dead_letter.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"
#include "sightline/serve/http_server.h"
#include "sightline/serve/testing/raw_client.h"

namespace sightline::serve {
namespace {

using Json = nlohmann::json;
using testing::RawClient;
using testing::RawResponse;
using namespace std::chrono_literals;

constexpr std::int64_t kMinute = 60'000;

governance::Contract CameraContract() {
  governance::Contract contract;
  contract.name = "camera_events";
  contract.schema.fields = {{"geographical_location_oid", FieldType::kInt64, false, true},
                            {"detection_oid", FieldType::kInt64, false, true},
                            {"item_name", FieldType::kString, false, false},
                            {"timestamp_detected", FieldType::kInt64, false, false}};
  contract.rules.resize(4);
  for (auto& rule : contract.rules) rule.required = true;
  contract.event_time = 3;
  contract.key = {1};
  return contract;
}

std::string Event(std::int64_t location, std::int64_t id) {
  return "{\"geographical_location_oid\":" + std::to_string(location) + ",\"detection_oid\":" + std::to_string(id) +
         ",\"item_name\":\"person\",\"timestamp_detected\":1700000000000}\n";
}

std::shared_ptr<const ResultShape> CountsShape() {
  auto shape = std::make_shared<ResultShape>();
  shape->pipeline = "item_counts";
  shape->schema.fields = {{"geographical_location_oid", FieldType::kInt64, false, true},
                          {"geographical_location", FieldType::kString, true, false},
                          {"item_name", FieldType::kString, false, false},
                          {"item_count", FieldType::kInt64, false, false}};
  shape->group = {0};
  return shape;
}

// A store of two rows, which remembers what it was asked.
class FakeStore final : public stores::StatisticsStore {
 public:
  class Rows final : public stores::RowStream {
   public:
    Rows(Schema schema, std::string cursor) : schema_(std::move(schema)), cursor_(std::move(cursor)) {}
    const Schema& schema() const override { return schema_; }
    Result<bool> Next(ColumnBatch& into) override {
      if (std::exchange(done_, true)) return false;
      into.Reset(schema_, 2);
      into.rows = 2;
      for (std::size_t row = 0; row < 2; ++row) {
        for (std::size_t i = 0; i < schema_.fields.size(); ++i) {
          const auto& field = schema_.fields[i];
          if (field.type == FieldType::kInt64)
            into.columns[i].int64s[row] = field.name == "geographical_location_oid" ? 9007199254740993 : 60'000;
          if (field.type == FieldType::kString)
            into.columns[i].strings[row] = field.name == "state" ? "final" : row == 0 ? "a,\"b\"" : "Bedok";
        }
      }
      return true;
    }
    const std::string& next_cursor() const override { return cursor_; }

   private:
    Schema schema_;
    std::string cursor_;
    bool done_ = false;
  };

  explicit FakeStore(std::shared_ptr<const ResultShape> shape) : shape_(std::move(shape)) {}
  Result<std::unique_ptr<stores::RowStream>> Select(const stores::RowQuery& query) override {
    asked = query;
    Schema schema = stores::RowSchema(*shape_);
    if (!query.columns.empty())
      std::erase_if(schema.fields, [&](const Field& f) { return std::ranges::count(query.columns, f.name) == 0; });
    return std::make_unique<Rows>(schema, cursor);
  }
  Result<std::vector<stores::TopItem>> Top(const stores::TopQuery& query) override {
    top_asked = query;
    return std::vector<stores::TopItem>{{"person", 12, 1}, {std::nullopt, std::nullopt, 2}};
  }
  Status Ensure(const ResultShape&, std::uint64_t) override { return {}; }
  Status Activate(const std::string&, std::uint64_t) override { return {}; }
  Result<std::vector<stores::StatisticsTable>> Tables() override { return std::vector<stores::StatisticsTable>{}; }
  Result<stores::Applied> Apply(const stores::ApplyRequest&) override { return stores::Applied{}; }
  Result<std::vector<stores::ApplyRequest::Consumed>> Offsets(const std::string&, std::uint64_t, const std::string&) override {
    return std::vector<stores::ApplyRequest::Consumed>{};
  }
  Result<std::vector<stores::HistoryPoint>> History(const stores::HistoryQuery&) override { return std::vector<stores::HistoryPoint>{}; }
  Result<std::uint64_t> DeleteBefore(const std::string&, EventTime) override { return std::uint64_t{0}; }

  stores::RowQuery asked;
  stores::TopQuery top_asked;
  std::string cursor;

 private:
  std::shared_ptr<const ResultShape> shape_;
};

class FakeReferences final : public References {
 public:
  std::vector<Info> List() override { return {Made()}; }
  Result<Table> Rows(const std::string& name) override {
    if (name != "locations") return Fail(ErrorKind::kNotFound, "there is no reference '" + name + "'");
    auto rows = std::make_shared<ColumnBatch>();
    Schema schema{
        {{"geographical_location_oid", FieldType::kInt64, false, true}, {"geographical_location", FieldType::kString, false, false}}};
    rows->Reset(schema, 2);
    rows->rows = 2;
    for (std::size_t i = 0; i < 2; ++i) {
      rows->columns[0].int64s[i] = static_cast<std::int64_t>(i) + 1;
      rows->columns[1].strings[i] = i == 0 ? "Bedok" : "Yishun";
    }
    return Table{Made(), schema, rows};
  }
  Result<Info> Reload(const std::string&) override { return Made(); }

 private:
  static Info Made() { return {"locations", 2, 3, WallTime(5)}; }
};

class FakeSql final : public SqlRunner {
 public:
  Result<Answer> Run(const std::string& sql, const security::Principal& principal) override {
    if (sql != "select 1") return Fail(ErrorKind::kInvalidArgument, "syntax error at or near \"" + sql + "\"");
    Answer answer;
    answer.schema.fields = {{principal.name, FieldType::kInt64, false, false}};
    answer.rows.Reset(answer.schema, 1);
    answer.rows.rows = 1;
    answer.rows.columns[0].int64s[0] = 1;
    return answer;
  }
};

// The whole listener over a log on a simulated disk, with real sockets.
class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    log_bus_ =
        std::move(*bus::LogBus::Open({clock_, files_, failpoints_}, "/data", {.flushing = bus::LogBus::Flushing::kInline, .seed = 1}));
    bus::TopicSpec events;
    events.name = "camera_events";
    events.partitions = 2;
    EXPECT_TRUE(log_bus_->EnsureTopic(events));
    bus::TopicSpec raw;
    raw.name = "raw";
    EXPECT_TRUE(log_bus_->EnsureTopic(raw));
    security::AccessOptions options;
    const auto token = [&](const char* secret, security::Permissions permissions, std::optional<security::GrantFilter> grants = {}) {
      options.tokens.push_back({security::SecretDigest::Of(secret), {secret, permissions, std::move(grants)}});
    };
    using security::Permission;
    token("nothing", {});
    token("reader", {Permission::kResultsRead});
    token("granted", {Permission::kResultsRead, Permission::kTopicsRead}, security::GrantFilter{"geographical_location_oid", {"2"}});
    options.failures_max = 1'000'000;
    access_.emplace(clock_, "admin-token", options);
    Start(*log_bus_);
  }
  ~ApiTest() override {
    if (server_ != nullptr) server_->Shutdown();
  }

  void Start(bus::Bus& bus, std::uint64_t body_max = 1 << 20) {
    if (server_ != nullptr) server_->Shutdown();
    ingest::IntakeDataset dataset;
    dataset.name = "cameras";
    dataset.contract = &contract_;
    dataset.topic = "camera_events";
    dataset.partitions = 2;
    dataset.partition_by = "geographical_location_oid";
    dataset.dead_letters.name = DeadLetterTopic("cameras");
    intake_ = std::move(*ingest::Intake::Make(bus, clock_, metrics_, {dataset}));
    server_ = std::move(*HttpServer::Make({}, clock_, metrics_, log_));
    table_.emplace(clock_, &*access_, metrics_, "http");
    ApiContext context;
    context.clock = &clock_;
    context.access = &*access_;
    context.metrics = &metrics_;
    context.version = "1.2.3";
    PipelineInfo pipeline;
    pipeline.name = "item_counts";
    pipeline.from = "cameras";
    pipeline.shape = shape_;
    pipeline.window_size = 1min;
    pipeline.window_every = window_every_;
    pipeline.live = pipeline.statistics = true;
    pipeline.dead_letter_topics = {"dead_letters.cameras"};
    context.pipelines = {pipeline};
    context.ingest = intake_.get();
    context.ingest_body_max = body_max;
    context.statistics = &store_;
    context.board = &board_;
    board_.Declare(shape_, 1);
    for (Loop* loop : server_->loops()) context.hubs.emplace(loop, LiveHub::Make(board_, *loop, clock_, metrics_));
    context.references = &references_;
    context.sql = &sql_;
    context.bus = &bus;
    context.accepted_topics = {"camera_events"};
    context.status = [this] {
      ServerStatus status;
      status.version = "1.2.3";
      status.now = clock_.Now();
      status.pipelines.emplace_back().name = "item_counts";
      return status;
    };
    context.replay = [](const ReplayRequest& request) -> Result<ReplayAnswer> {
      return ReplayAnswer{request.letters.size(), request.reasons.size(), 0, {}};
    };
    context.audit = [] { return Result<std::string>("{\"holds\":true}"); };
    AddApiRoutes(*table_, context);
    static constexpr std::string_view kPage = "<!doctype html>";
    AddAssetRoutes(*table_, {{"/index.html", "text/html; charset=utf-8", "\"e1\"", kPage, ""},
                             {"/assets/index-abc.js", "text/javascript", "\"e2\"", "let a;", "zipped"}});
    server_->Start(*table_);
  }

  RawResponse Ask(const std::string& method, const std::string& target,
                  const std::string& headers = "Authorization: Bearer admin-token\r\n", const std::string& body = "") {
    RawClient client(server_->port());
    client.Send(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers +
                (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body);
    return client.Receive(method == "HEAD").value_or(RawResponse{});
  }
  static std::string Token(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }
  Json AskJson(const std::string& target) {
    const auto response = Ask("GET", target);
    EXPECT_EQ(response.status, 200) << target << ' ' << response.body;
    return Json::parse(response.body, nullptr, false);
  }
  std::string SignIn() {
    const auto response = Ask("POST", "/v1/session", "", R"({"token":"admin-token"})");
    const std::string cookie = response.Header("set-cookie");
    return "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
  }
  void Publish(std::int64_t location, std::int64_t count, ResultState state = ResultState::kOpen, std::int64_t minute = 0) {
    ColumnBatch rows;
    rows.Reset(shape_->schema, 1);
    rows.rows = 1;
    rows.columns[0].int64s[0] = location;
    rows.columns[1].strings[0] = "Bedok";
    rows.columns[2].strings[0] = "person";
    rows.columns[3].int64s[0] = count;
    LiveGroup group;
    group.rows = &rows;
    group.end = 1;
    group.header = {1, 0, state, EventTime(minute * kMinute), EventTime((minute + 1) * kMinute), 0};
    board_.Publish(shape_, std::span(&group, 1));
  }

  runtime::SimulatedClock clock_;
  runtime::SimulatedFileSystem files_{1};
  runtime::Failpoints failpoints_;
  ops::Metrics metrics_;
  ops::Log log_{clock_, ops::LogLevel::kError, [](std::string_view) {}};
  governance::Contract contract_ = CameraContract();
  std::shared_ptr<const ResultShape> shape_ = CountsShape();
  std::unique_ptr<bus::LogBus> log_bus_;
  std::chrono::milliseconds window_every_ = 1min;
  std::optional<security::Access> access_;
  FakeStore store_{shape_};
  FakeReferences references_;
  FakeSql sql_;
  LiveBoard board_{1, metrics_};
  std::unique_ptr<ingest::Intake> intake_;
  std::optional<RouteTable> table_;
  std::unique_ptr<HttpServer> server_;
};

std::string Concrete(std::string pattern) {
  for (const auto& [name, value] :
       {std::pair{"{dataset}", "cameras"}, {"{pipeline}", "item_counts"}, {"{reference}", "locations"}, {"{topic}", "raw"}}) {
    if (const auto at = pattern.find(name); at != std::string::npos) pattern.replace(at, std::string(name).size(), value);
  }
  return pattern;
}

// Every route, as the table lists them: nobody comes in without credentials, nobody with the wrong ones.
TEST_F(ApiTest, EveryRouteIsGuarded) {
  std::set<std::string> open;
  for (const auto& route : table_->routes()) {
    const std::string method(MethodName(route.method));
    const std::string target = Concrete(route.pattern);
    ASSERT_EQ(target.find('{'), std::string::npos) << "the test does not know a value for " << route.pattern;
    if (route.guard.kind == Guard::Kind::kOpen) {
      open.insert(method + " " + route.pattern);
      continue;
    }
    EXPECT_EQ(Ask(method, target, "").status, 401) << method << ' ' << target;
    EXPECT_EQ(Ask(method, target, Token("wrong")).status, 401) << method << ' ' << target;
    EXPECT_EQ(Ask(method, target, "Cookie: sightline_session=abc\r\n").status, 401) << method << ' ' << target;
    EXPECT_EQ(Ask("HEAD", target, "").status == 200, false) << method << ' ' << target;
    if (route.guard.kind != Guard::Kind::kPermission) continue;
    const auto refused = Ask(method, target, Token("nothing"));
    EXPECT_EQ(refused.status, 403) << method << ' ' << target;
    EXPECT_NE(refused.body.find(security::PermissionName(route.guard.permission)), std::string::npos) << refused.body;
    EXPECT_EQ(refused.Header("x-content-type-options"), "nosniff");
  }
  const std::set<std::string> expected = {"GET /",        "GET /index.html", "GET /assets/index-abc.js", "GET /openapi.json",
                                          "GET /sign-in", "POST /v1/session"};
  EXPECT_EQ(open, expected) << "a route that is open to everybody must be meant to be";
}

void CheckReferences(const Json& document, const Json& node) {
  if (node.is_object()) {
    if (node.contains("$ref")) {
      const std::string ref = node["$ref"];
      ASSERT_TRUE(ref.starts_with("#/")) << ref;
      EXPECT_TRUE(document.contains(Json::json_pointer(ref.substr(1)))) << ref;
    }
    for (const auto& [key, value] : node.items()) CheckReferences(document, value);
  } else if (node.is_array()) {
    for (const auto& value : node) CheckReferences(document, value);
  }
}

TEST_F(ApiTest, OpenApiDescribesEveryRoute) {
  const Json document = AskJson("/openapi.json");
  EXPECT_EQ(document["openapi"], "3.1.0");
  EXPECT_EQ(document["info"]["version"], "1.2.3");
  CheckReferences(document, document);
  std::set<std::string> ids;
  std::size_t operations = 0;
  for (const auto& [path, item] : document["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      ++operations;
      EXPECT_TRUE(ids.insert(operation["operationId"]).second) << operation["operationId"];
      EXPECT_FALSE(operation["summary"].get<std::string>().empty());
      EXPECT_FALSE(operation["responses"].empty());
      std::set<std::string> in_path;
      for (const auto& parameter : operation.value("parameters", Json::array())) {
        EXPECT_TRUE(parameter.contains("schema"));
        if (parameter["in"] == "path") {
          EXPECT_TRUE(parameter["required"]);
          in_path.insert(parameter["name"]);
        }
      }
      EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(path, '{')), in_path.size()) << path;
    }
  }
  const auto visible = std::ranges::count_if(table_->routes(), [](const Route& route) { return !route.hidden; });
  EXPECT_EQ(operations, static_cast<std::size_t>(visible));
  EXPECT_EQ(document["paths"]["/v1/sql"]["post"]["x-permission"], "sql.run");
}

TEST_F(ApiTest, MethodsAndUnknownPaths) {
  EXPECT_EQ(Ask("GET", "/v1/nothing").status, 404);
  const auto wrong = Ask("DELETE", "/v1/pipelines");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.Header("allow"), "GET, HEAD, OPTIONS");
  const auto options = Ask("OPTIONS", "/v1/session", "");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.Header("access-control-allow-origin"), "");
  EXPECT_EQ(Ask("HEAD", "/v1/pipelines").status, 200);
}

TEST_F(ApiTest, Dashboard) {
  const auto page = Ask("GET", "/", "");
  EXPECT_EQ(page.body, "<!doctype html>");
  EXPECT_NE(page.Header("content-security-policy").find("frame-ancestors 'none'"), std::string::npos);
  EXPECT_EQ(page.Header("cache-control"), "no-cache");
  EXPECT_EQ(Ask("GET", "/", "If-None-Match: \"e1\"\r\n").status, 304);
  const auto script = Ask("GET", "/assets/index-abc.js", "Accept-Encoding: br, gzip\r\n");
  EXPECT_EQ(script.body, "zipped");
  EXPECT_EQ(script.Header("content-encoding"), "gzip");
  EXPECT_NE(script.Header("cache-control").find("immutable"), std::string::npos);
  EXPECT_EQ(Ask("GET", "/assets/other.js", "").status, 404);
}

TEST_F(ApiTest, SessionByTokenAndByLink) {
  const auto refused = Ask("POST", "/v1/session", "", R"({"token":"x"})");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.Header("set-cookie"), "");
  EXPECT_EQ(Ask("POST", "/v1/session", "", "{").status, 400);
  const auto in = Ask("POST", "/v1/session", "", R"({"token":"admin-token"})");
  ASSERT_EQ(in.status, 200);
  const std::string cookie = in.Header("set-cookie");
  for (const char* part : {"HttpOnly", "SameSite=Strict", "Path=/"}) EXPECT_NE(cookie.find(part), std::string::npos) << cookie;
  const std::string session = "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
  const auto who = Ask("GET", "/v1/session", session);
  EXPECT_EQ(Json::parse(who.body)["principal"], "admin");
  // A link works once and leads to the dashboard.
  const Json code = Json::parse(Ask("POST", "/v1/session/code").body);
  const auto link = Ask("GET", code["path"].get<std::string>(), "");
  EXPECT_EQ(link.status, 303);
  EXPECT_EQ(link.Header("location"), "/");
  EXPECT_NE(link.Header("set-cookie").find("sightline_session="), std::string::npos);
  const auto again = Ask("GET", code["path"].get<std::string>(), "");
  EXPECT_EQ(again.status, 303) << "a person follows it: the sign-in page says what is wrong";
  EXPECT_EQ(again.Header("location"), "/?sign-in=expired");
  EXPECT_EQ(again.Header("set-cookie"), "");
  // Signing out ends the session on the server, not only in the browser.
  EXPECT_EQ(Ask("DELETE", "/v1/session", session + "Origin: http://localhost\r\n").status, 204);
  EXPECT_EQ(Ask("GET", "/v1/session", session).status, 401);
}

TEST_F(ApiTest, OtherSitesCanDoNothingWithTheCookie) {
  const std::string session = SignIn();
  const std::string body = R"({"sql":"select 1"})";
  EXPECT_EQ(Ask("POST", "/v1/sql", session + "Origin: http://localhost\r\n", body).status, 200);
  EXPECT_EQ(Ask("POST", "/v1/sql", session + "Origin: http://evil.example\r\n", body).status, 403);
  EXPECT_EQ(Ask("POST", "/v1/sql", session + "Origin: null\r\n", body).status, 403);
  EXPECT_EQ(Ask("POST", "/v1/sql", session, body).status, 403) << "a browser says where a POST comes from";
  EXPECT_EQ(Ask("POST", "/v1/session", "Origin: http://evil.example\r\n", R"({"token":"admin-token"})").status, 403);
  EXPECT_EQ(Ask("GET", "/v1/pipelines", session).status, 200);
  const auto upgrade = [&](const std::string& headers) {
    return RawClient(server_->port()).Upgrade("/v1/pipelines/item_counts/live", headers);
  };
  EXPECT_EQ(upgrade(session + "Origin: http://localhost\r\n"), 101);
  EXPECT_EQ(upgrade(session + "Origin: http://evil.example\r\n"), 403);
  EXPECT_EQ(upgrade(session), 403);
  EXPECT_EQ(upgrade(Token("reader")), 101);
  EXPECT_EQ(upgrade(Token("reader") + "Origin: http://evil.example\r\n"), 403);
  EXPECT_EQ(upgrade(""), 401);
}

TEST_F(ApiTest, IngestAnswersWithCounts) {
  const std::string path = "/v1/datasets/cameras/events";
  const auto mixed = Ask("POST", path, Token("admin-token"), Event(1, 1) + "broken\n" + Event(2, 2));
  EXPECT_EQ(mixed.status, 200);
  EXPECT_EQ(Json::parse(mixed.body), Json::parse(R"({"received":3,"accepted":2,"rejected":{"malformed":1,"invalid":0},
    "rejects":[{"line":2,"verdict":"malformed","field":"","cause":)" +
                                                 Json::parse(mixed.body)["rejects"][0]["cause"].dump() + "}]}"));
  EXPECT_EQ(Ask("POST", path, Token("admin-token"), "broken\n").status, 422);
  EXPECT_EQ(Ask("POST", path, Token("admin-token") + "Content-Type: application/x-www-form-urlencoded\r\n", "a").status, 415);
  EXPECT_EQ(Ask("POST", path, Token("admin-token") + "Content-Type: application/json; charset=utf-8\r\n", "[" + Event(1, 3) + "]").status,
            200);
  EXPECT_EQ(Ask("POST", path, Token("admin-token") + "Content-Type: application/json\r\n", "[1").status, 400);
  EXPECT_EQ(Ask("POST", "/v1/datasets/camera/events", Token("admin-token"), "x").status, 404);
  EXPECT_EQ(Ask("POST", path, Token("admin-token"), std::string((1 << 20) + 1, ' ')).status, 413);
  const std::string once = Token("admin-token") + "Idempotency-Key: k\r\n";
  EXPECT_EQ(Ask("POST", path, once, Event(3, 4)).status, 200);
  EXPECT_EQ(Json::parse(Ask("POST", path, once, Event(3, 4)).body)["repeated"], true);
  EXPECT_EQ(Ask("POST", path, once, Event(3, 5)).status, 409);
  std::int64_t stored = 0;
  const auto topic = log_bus_->Describe("camera_events");
  ASSERT_TRUE(topic);
  for (const auto& partition : topic->partitions) stored += partition.end.value;
  EXPECT_EQ(stored, 4);
}

TEST_F(ApiTest, IngestUnderPressure) {
  ingest::testing::HeldBus held;
  Start(held);
  const std::string path = "/v1/datasets/cameras/events";
  held.FailNext("camera_events", {ErrorKind::kResourceExhausted, "the log is full"});
  const auto full = Ask("POST", path, Token("admin-token"), Event(1, 1));
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.Header("retry-after"), "1");
  held.FailNext("camera_events", {ErrorKind::kIo, "a failed fsync"});
  EXPECT_EQ(Ask("POST", path, Token("admin-token"), Event(1, 1)).status, 500);
}

// Requests that the bus has not answered when the stop comes are answered, and what they were told is stored.
TEST_F(ApiTest, ShutdownLosesNothingThatWasPosted) {
  ingest::testing::HeldBus held;
  Start(held);
  held.Hold();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(server_->port()));
    const std::string body = Event(1, i);
    clients.back()->Send("POST /v1/datasets/cameras/events HTTP/1.1\r\nHost: x\r\n" + Token("admin-token") +
                         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  while (held.held() < 20) std::this_thread::yield();
  std::thread stopping([&] { server_->Shutdown(); });
  held.Release();
  for (auto& client : clients) {
    const auto response = client->Receive();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    client->CloseSending();
  }
  stopping.join();
  EXPECT_EQ(held.Total("camera_events"), 20U);
}

TEST_F(ApiTest, CompressedBodiesAndBombs) {
  const auto gzip = [](const std::string& text) {
    z_stream z{};
    deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&z, text.size()) + 64, '\0');
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    z.avail_in = static_cast<uInt>(text.size());
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    deflate(&z, Z_FINISH);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
  };
  const std::string headers = Token("admin-token") + "Content-Encoding: gzip\r\n";
  const std::string path = "/v1/datasets/cameras/events";
  EXPECT_EQ(Ask("POST", path, headers, gzip(Event(1, 1) + Event(2, 2))).status, 200);
  EXPECT_EQ(Ask("POST", path, headers, gzip(std::string(64 << 20, ' '))).status, 413);
  EXPECT_EQ(Ask("POST", path, headers, "not gzip").status, 400);
  const std::string whole = gzip(Event(1, 1));
  EXPECT_EQ(Ask("POST", path, headers, whole.substr(0, whole.size() - 5)).status, 400);
  EXPECT_EQ(Ask("POST", "/v1/sql", headers, gzip(R"({"sql":"select 1"})")).status, 415);
}

TEST_F(ApiTest, Results) {
  store_.cursor = "more";
  const Json rows =
      AskJson("/v1/pipelines/item_counts/results?from=1&to=9&limit=5&order=desc&geographical_location_oid=1&geographical_location_oid=2");
  EXPECT_EQ(rows["next_cursor"], "more");
  ASSERT_EQ(rows["rows"].size(), 2U);
  EXPECT_EQ(rows["rows"][0]["geographical_location_oid"], "9007199254740993");
  EXPECT_EQ(rows["rows"][0]["item_count"], 60'000);
  EXPECT_EQ(store_.asked.range.from, EventTime(1));
  EXPECT_EQ(store_.asked.limit, 5U);
  EXPECT_EQ(store_.asked.order, stores::RowQuery::Order::kDescending);
  ASSERT_EQ(store_.asked.filters.size(), 1U);
  EXPECT_EQ(store_.asked.filters[0].any_of.size(), 2U);
  const auto csv = Ask("GET", "/v1/pipelines/item_counts/results?format=csv");
  EXPECT_EQ(csv.Header("x-next-cursor"), "more");
  EXPECT_EQ(csv.body.substr(0, csv.body.find('\n')),
            "window_start,window_end,geographical_location_oid,geographical_location,item_name,item_count,state,revision");
  EXPECT_NE(csv.body.find("\"a,\"\"b\"\"\""), std::string::npos);
  const auto arrow = Ask("GET", "/v1/pipelines/item_counts/results", Token("reader") + "Accept: application/vnd.apache.arrow.stream\r\n");
  EXPECT_EQ(arrow.Header("content-type"), "application/vnd.apache.arrow.stream");
  EXPECT_TRUE(arrow.body.starts_with("\xff\xff\xff\xff"));
  for (const char* wrong :
       {"?limit=0", "?limit=x", "?order=up", "?format=xml", "?nothing=1", "?from=2&to=1", "?geographical_location_oid=x", "?open=maybe"}) {
    EXPECT_EQ(Ask("GET", std::string("/v1/pipelines/item_counts/results") + wrong).status, 400) << wrong;
  }
  EXPECT_EQ(Ask("GET", "/v1/pipelines/item_count/results").status, 404);
}

TEST_F(ApiTest, ResultsWithOpenWindows) {
  Publish(1, 5, ResultState::kOpen, 10);
  Publish(2, 6, ResultState::kOpen, 10);
  Publish(2, 7, ResultState::kFinal, 9);
  const Json rows = AskJson("/v1/pipelines/item_counts/results?open=true")["rows"];
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[2]["state"], "open");
  EXPECT_EQ(rows[2]["window_start"], 10 * kMinute);
  EXPECT_EQ(rows[3]["item_count"], 6);
  EXPECT_EQ(AskJson("/v1/pipelines/item_counts/results?open=true&order=desc")["rows"][0]["state"], "open");
  EXPECT_EQ(AskJson("/v1/pipelines/item_counts/results?open=true&geographical_location_oid=2")["rows"].size(), 3U);
  EXPECT_EQ(AskJson("/v1/pipelines/item_counts/results?open=true&to=600000")["rows"].size(), 2U);
  store_.cursor = "more";
  EXPECT_EQ(AskJson("/v1/pipelines/item_counts/results?open=true")["rows"].size(), 2U) << "open windows come on the last page";
}

TEST_F(ApiTest, TopItems) {
  const Json top = AskJson("/v1/top-items?location=12&from=1&to=2&top=3");
  EXPECT_EQ(top["location"], "12");
  EXPECT_EQ(top["location_name"], "a,\"b\"");
  EXPECT_EQ(top["items"][0], Json::parse(R"({"item_name":"person","item_count":12,"rank":1})"));
  EXPECT_EQ(top["items"][1]["item_count"], nullptr);
  EXPECT_EQ(store_.top_asked.top, 3);
  EXPECT_EQ(AskJson("/v1/top-items")["location"], nullptr);
  EXPECT_EQ(Ask("GET", "/v1/top-items?location=x").status, 400);
}

TEST_F(ApiTest, TopItemsAreNotAddedUpOverWindowsThatOverlap) {
  window_every_ = 5s;
  Start(*log_bus_);
  const auto refused = Ask("GET", "/v1/top-items");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.body.find("the windows of item_counts overlap (1m every 5s)"), std::string::npos) << refused.body;
  EXPECT_EQ(Ask("GET", "/v1/pipelines/item_counts/results").status, 200);
}

TEST_F(ApiTest, GrantsReachEveryView) {
  ASSERT_EQ(Ask("GET", "/v1/pipelines/item_counts/results", Token("granted")).status, 200);
  ASSERT_EQ(store_.asked.filters.size(), 1U);
  EXPECT_EQ(store_.asked.filters[0].column, "geographical_location_oid");
  EXPECT_EQ(std::get<std::int64_t>(store_.asked.filters[0].any_of[0]), 2);
  ASSERT_EQ(Ask("GET", "/v1/top-items", Token("granted")).status, 200);
  EXPECT_EQ(store_.top_asked.filters.size(), 1U);
  const Json reference = Json::parse(Ask("GET", "/v1/references/locations", Token("granted")).body);
  ASSERT_EQ(reference["rows"].size(), 1U);
  EXPECT_EQ(reference["rows"][0]["geographical_location"], "Yishun");
  EXPECT_EQ(Ask("GET", "/v1/topics/raw/records", Token("granted")).status, 403);
  EXPECT_EQ(Ask("GET", "/v1/pipelines/item_counts/dead-letters", Token("granted")).status, 403);
  Publish(1, 1);
  Publish(2, 2);
  RawClient client(server_->port());
  ASSERT_EQ(client.Upgrade("/v1/pipelines/item_counts/live", Token("granted")), 101);
  const Json snapshot = Json::parse(client.ReceiveFrame()->payload);
  ASSERT_EQ(snapshot["groups"].size(), 1U);
  EXPECT_EQ(snapshot["groups"][0]["key"]["geographical_location_oid"], "2");
}

TEST_F(ApiTest, TopicsAndRecords) {
  ASSERT_EQ(Ask("POST", "/v1/topics/raw/records", Token("admin-token"), "one\ntwo\r\n\n").body, R"({"partition":0,"base":0,"count":2})");
  ASSERT_EQ(Ask("POST", "/v1/topics/raw/records", Token("admin-token") + "Content-Type: application/x-protobuf\r\n",
                std::string("\x02\xff\xfe", 3))
                .status,
            200);
  const Json records = AskJson("/v1/topics/raw/records");
  ASSERT_EQ(records["records"].size(), 3U);
  EXPECT_EQ(records["records"][1]["value"], "two");
  EXPECT_EQ(records["records"][2]["value_base64url"], "__4");
  EXPECT_EQ(records["records"][2]["encoding"], "protobuf");
  EXPECT_EQ(records["next_offset"], 3);
  const Json last = AskJson("/v1/topics/raw/records?offset=-1&limit=1");
  EXPECT_EQ(last["records"][0]["offset"], 2);
  EXPECT_EQ(Ask("GET", "/v1/topics/raw/records?offset=99").status, 400);
  EXPECT_EQ(Ask("GET", "/v1/topics/raw/records?partition=1").status, 400);
  EXPECT_EQ(Ask("GET", "/v1/topics/rwa").status, 404);
  EXPECT_EQ(AskJson("/v1/topics/raw")["partitions"][0]["end"], 3);
  EXPECT_EQ(AskJson("/v1/topics")["topics"].size(), 3U);
  EXPECT_EQ(Ask("POST", "/v1/topics/camera_events/records?partition=0", Token("admin-token"), "x").status, 409)
      << "only judged events come in there";
  EXPECT_EQ(Ask("POST", "/v1/topics/dead_letters.cameras/records?partition=0", Token("admin-token"), "x").status, 409);
  EXPECT_EQ(Ask("POST", "/v1/topics/notes/records", Token("admin-token"), "x").status, 404);
  EXPECT_EQ(Ask("POST", "/v1/topics/notes/records?create=true", Token("admin-token"), "x").status, 200);
  EXPECT_EQ(Ask("POST", "/v1/topics/notes/records?create=true", Token("admin-token"), "y").status, 200);
  EXPECT_EQ(AskJson("/v1/topics/notes/records")["records"][1]["value"], "y");
  EXPECT_EQ(Ask("POST", "/v1/topics/results.notes/records?create=true", Token("admin-token"), "x").status, 400);
}

TEST_F(ApiTest, DeadLettersPageByPage) {
  std::string body;
  for (int i = 0; i < 25; ++i) body += i % 5 == 0 ? "{\"geographical_location_oid\":\"x\"}\n" : "broken " + std::to_string(i) + "\n";
  ASSERT_EQ(Ask("POST", "/v1/datasets/cameras/events", Token("admin-token") + "X-Request-Id: req-7\r\n", body).status, 422);
  std::vector<Json> letters;
  std::string cursor;
  int pages = 0;
  do {
    const Json page = AskJson("/v1/pipelines/item_counts/dead-letters?reason=malformed&limit=7&cursor=" + cursor);
    for (const auto& letter : page["dead_letters"]) letters.push_back(letter);
    cursor = page["next_cursor"].is_null() ? "" : page["next_cursor"].get<std::string>();
    ++pages;
  } while (!cursor.empty() && pages < 10);
  ASSERT_EQ(letters.size(), 20U);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(letters[0]["original"], "broken 24") << "newest first";
  EXPECT_EQ(letters[19]["original"], "broken 1");
  EXPECT_EQ(letters[19]["origin"], Json::parse(R"({"kind":"ingest","dataset":"cameras","record":1,"request_id":"req-7"})"));
  EXPECT_EQ(AskJson("/v1/pipelines/item_counts/dead-letters?reason=invalid")["dead_letters"].size(), 5U);
  EXPECT_EQ(Ask("GET", "/v1/pipelines/item_counts/dead-letters?reason=unknown").status, 400);
  EXPECT_EQ(Ask("GET", "/v1/pipelines/item_counts/dead-letters?cursor=!").status, 400);
  const auto replay = Ask("POST", "/v1/dead-letters/replay", Token("admin-token"),
                          R"({"pipeline":"item_counts","reasons":["late"],"letters":[{"topic":"a","partition":0,"offset":3}]})");
  EXPECT_EQ(Json::parse(replay.body)["replayed"], 1);
  EXPECT_EQ(Ask("POST", "/v1/dead-letters/replay", Token("admin-token"), R"({"pipeline":"item_counts","letters":[1]})").status, 400);
}

TEST_F(ApiTest, DeadLettersThatComeLaterLeaveThePagesThatFollowAsTheyAre) {
  // More than one piece of the way back.
  std::string body;
  for (int i = 0; i < 300; ++i) body += "broken " + std::to_string(i) + "\n";
  const auto post = [&] { return Ask("POST", "/v1/datasets/cameras/events", Token("admin-token"), body).status; };
  ASSERT_EQ(post(), 422);
  const std::string path = "/v1/pipelines/item_counts/dead-letters?limit=150";
  Json page = AskJson(path);
  ASSERT_EQ(page["dead_letters"].size(), 150U);
  EXPECT_EQ(page["dead_letters"][149]["original"], "broken 150");
  ASSERT_EQ(post(), 422);
  page = AskJson(path + "&cursor=" + page["next_cursor"].get<std::string>());
  ASSERT_EQ(page["dead_letters"].size(), 150U);
  EXPECT_EQ(page["dead_letters"][0]["original"], "broken 149");
  EXPECT_EQ(page["dead_letters"][149]["original"], "broken 0");
  EXPECT_TRUE(page["next_cursor"].is_null());
  EXPECT_EQ(AskJson(path)["dead_letters"][0]["offset"], 599);
}

TEST_F(ApiTest, SmallRoutes) {
  const Json pipelines = AskJson("/v1/pipelines")["pipelines"];
  EXPECT_EQ(pipelines[0]["columns"][0], Json::parse(R"({"name":"geographical_location_oid","type":"int64","identifier":true})"));
  EXPECT_EQ(pipelines[0]["window"]["size_ms"], 60'000);
  EXPECT_EQ(AskJson("/v1/references")["references"][0]["loaded_at"], 5);
  EXPECT_EQ(AskJson("/v1/references/locations")["rows"][1]["geographical_location_oid"], "2");
  EXPECT_EQ(Ask("GET", "/v1/references/x").status, 404);
  EXPECT_EQ(Ask("POST", "/v1/references/locations/reload").status, 200);
  EXPECT_EQ(AskJson("/v1/status")["pipelines"][0]["verdicts"]["state_limit"], 0);
  EXPECT_EQ(AskJson("/v1/audit")["holds"], true);
  EXPECT_EQ(Ask("POST", "/v1/sql", Token("admin-token"), R"({"sql":"select 1"})").body,
            R"({"columns":[{"name":"admin","type":"int64"}],"rows":[[1]],"truncated":false})");
  EXPECT_EQ(Ask("POST", "/v1/sql", Token("admin-token"), R"({"sql":"selct"})").status, 400);
  const auto metrics = Ask("GET", "/metrics");
  EXPECT_NE(metrics.body.find("sightline_http_requests_total{listener=\"http\",route=\"GET /v1/status\",status=\"2xx\"} 1"),
            std::string::npos);
}

TEST_F(ApiTest, LiveOverAWebSocket) {
  Publish(1, 5);
  RawClient client(server_->port());
  ASSERT_EQ(client.Upgrade("/v1/pipelines/item_counts/live?rate=all", Token("reader")), 101);
  Json message = Json::parse(client.ReceiveFrame()->payload);
  EXPECT_EQ(message["type"], "snapshot");
  EXPECT_EQ(message["groups"][0]["rows"][0]["item_count"], 5);
  Publish(1, 6);
  message = Json::parse(client.ReceiveFrame()->payload);
  EXPECT_EQ(message["type"], "change");
  EXPECT_EQ(message["groups"][0]["rows"][0]["item_count"], 6);
  ASSERT_TRUE(client.SendFrame(9, "are you there"));
  const auto pong = client.ReceiveFrame();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->opcode, 10);
  EXPECT_EQ(pong->payload, "are you there");
  // Back with the token: only what changed since.
  RawClient again(server_->port());
  ASSERT_EQ(again.Upgrade("/v1/pipelines/item_counts/live?resume=" + message["token"].get<std::string>(), Token("reader")), 101);
  message = Json::parse(again.ReceiveFrame()->payload);
  EXPECT_EQ(message["type"], "resumed");
  EXPECT_TRUE(message["groups"].empty());
  // A stop says goodbye.
  std::thread stopping([&] { server_->Shutdown(); });
  const auto goodbye = client.ReceiveFrame();
  ASSERT_TRUE(goodbye);
  EXPECT_EQ(goodbye->opcode, 8);
  EXPECT_EQ(goodbye->payload.substr(0, 2), std::string("\x03\xe9"));
  client.SendFrame(8, goodbye->payload);
  again.CloseSending();
  stopping.join();
}

TEST_F(ApiTest, LiveAsServerSentEvents) {
  Publish(1, 5);
  RawClient client(server_->port());
  client.Send("GET /v1/pipelines/item_counts/live HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n" + Token("reader") + "\r\n");
  const auto head = client.ReceiveHead();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->Header("content-type"), "text/event-stream");
  EXPECT_TRUE(client.TakeUntil("event: snapshot\nid: "));
  const auto token = client.TakeUntil("\n");
  ASSERT_TRUE(token);
  ASSERT_TRUE(client.TakeUntil("\n\n"));
  clock_.Advance(1s);
  Publish(1, 6);
  const auto change = client.TakeUntil("\n\n");
  ASSERT_TRUE(change);
  EXPECT_TRUE(change->starts_with("event: change\nid: ")) << *change;
  RawClient again(server_->port());
  again.Send("GET /v1/pipelines/item_counts/live HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nLast-Event-ID: " +
             token->substr(0, token->size() - 1) + "\r\n" + Token("reader") + "\r\n");
  EXPECT_TRUE(again.TakeUntil("event: resumed\n"));
  const auto plain = Ask("GET", "/v1/pipelines/item_counts/live");
  EXPECT_EQ(plain.status, 426);
  EXPECT_EQ(Ask("GET", "/v1/pipelines/item_counts/live?rate=x").status, 400);
}

TEST_F(ApiTest, StatusStream) {
  RawClient client(server_->port());
  client.Send("GET /v1/status/stream HTTP/1.1\r\nHost: x\r\n" + Token("reader") + "\r\n");
  ASSERT_TRUE(client.ReceiveHead());
  for (int i = 0; i < 2; ++i) {
    const auto event = client.TakeUntil("\n\n");
    ASSERT_TRUE(event);
    EXPECT_TRUE(event->starts_with("event: status\ndata: {\"version\":\"1.2.3\""));
  }
}

// A client that stops reading is cut off in the end; the others see every change as if it were not there.
TEST_F(ApiTest, SlowLiveClientHoldsUpNobody) {
  RawClient slow(server_->port(), 4096);
  RawClient fast(server_->port());
  ASSERT_EQ(slow.Upgrade("/v1/pipelines/item_counts/live?rate=all", Token("reader")), 101);
  ASSERT_EQ(fast.Upgrade("/v1/pipelines/item_counts/live?rate=all", Token("reader")), 101);
  ASSERT_TRUE(fast.ReceiveFrame());
  auto* sent = metrics_.AddCounter("sightline_live_messages_total", "");
  std::int64_t seen = 0;
  for (std::int64_t round = 1; round <= 200; ++round) {
    for (std::int64_t location = 0; location < 200; ++location) Publish(location, round);
    while (seen < round) {
      const auto frame = fast.ReceiveFrame();
      ASSERT_TRUE(frame) << "round " << round;
      const Json message = Json::parse(frame->payload);
      for (const auto& group : message["groups"]) {
        if (group["key"]["geographical_location_oid"] == "199") seen = group["rows"][0]["item_count"];
      }
    }
  }
  EXPECT_GT(sent->value(), 200U);
  EXPECT_EQ(server_->connections(), 2U);
  clock_.Advance(31s);
  server_->Sweep();
  while (server_->connections() > 1) std::this_thread::yield();
  Publish(199, 1000);
  EXPECT_TRUE(fast.ReceiveFrame());
}

TEST(HealthListener, SaysWhyNot) {
  runtime::SimulatedClock clock;
  ops::Metrics metrics;
  const ops::Log log(clock, ops::LogLevel::kError, [](std::string_view) {});
  ops::Health health;
  RouteTable table(clock, nullptr, metrics, "health");
  AddHealthRoutes(table, health);
  ServerOptions options;
  options.name = "health";
  options.loops = 1;
  options.workers = 1;
  auto server = std::move(*HttpServer::Make(options, clock, metrics, log));
  server->Start(table);
  const auto ask = [&](const std::string& path) {
    RawClient client(server->port());
    client.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    return client.Receive().value_or(RawResponse{});
  };
  EXPECT_EQ(ask("/healthz").status, 200);
  health.SetNotReady("flow", "starting");
  EXPECT_EQ(ask("/healthz").status, 200);
  EXPECT_EQ(ask("/readyz").status, 503);
  EXPECT_NE(ask("/readyz").body.find("starting"), std::string::npos);
  EXPECT_EQ(ask("/metrics").status, 404);
  server->Shutdown();
}

}  // namespace
}  // namespace sightline::serve
