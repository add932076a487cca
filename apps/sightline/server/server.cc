#include "apps/sightline/server/server.h"

#include <unistd.h>

#include <thread>

#include <sightline/build_info.h>
#include <sightline/dashboard/files.h>

#include "apps/sightline/client.h"
#include "apps/sightline/plan_input.h"
#include "apps/sightline/server/data_plane.h"
#include "apps/sightline/server/offline_data.h"
#include "apps/sightline/server/overall_live.h"
#include "apps/sightline/server/replay.h"
#include "apps/sightline/server/served.h"
#include "apps/sightline/server/status.h"
#include "apps/sightline/server/verify.h"
#include "sightline/ingest/intake.h"
#include "sightline/model/dead_letter.h"
#include "sightline/ops/health.h"
#include "sightline/runtime/random.h"
#include "sightline/security/access.h"
#include "sightline/serve/api/api.h"
#include "sightline/serve/http_server.h"
#include "sightline/serve/live/live_hub.h"
#include "sightline/stores/statistics/sql.h"

namespace sightline::app {
namespace {

ops::LogLevel LevelOf(const std::string& name) {
  if (name == "debug") return ops::LogLevel::kDebug;
  if (name == "warn") return ops::LogLevel::kWarning;
  if (name == "error") return ops::LogLevel::kError;
  return ops::LogLevel::kInfo;
}

// The references as the API shows them.
class ServedReferences final : public serve::References {
 public:
  ServedReferences(DataPlane& plane, const config::Config& config) : plane_(plane), config_(config) {}
  std::vector<Info> List() override {
    std::vector<Info> all;
    for (const config::ReferenceConfig& reference : config_.references) {
      if (const auto version = plane_.references().InEffect(reference.name); version.table != nullptr) all.push_back(InfoOf(version));
    }
    return all;
  }
  Result<Table> Rows(const std::string& name) override {
    const auto version = plane_.references().InEffect(name);
    const flow::ReferenceHandle& table = version.table;
    if (table == nullptr) return Fail(ErrorKind::kNotFound, "there is no reference " + name);
    return Table{InfoOf(version), table->schema(), std::shared_ptr<const ColumnBatch>(table, &table->rows())};
  }
  Result<Info> Reload(const std::string& name) override {
    SL_TRY(plane_.Reload(name));
    return InfoOf(plane_.references().InEffect(name));
  }

 private:
  static Info InfoOf(const flow::ReferenceCatalog::Version& version) {
    const flow::ReferenceTable& table = *version.table;
    return {.name = table.name(), .rows = table.rows().rows, .version = table.version(), .loaded_at = version.since};
  }
  DataPlane& plane_;
  const config::Config& config_;
};

class RunningServer final : public Server {
 public:
  RunningServer(Context& context, const config::Config& config)
      : context_(context),
        config_(config),
        clock_(context.world.clock),
        log_(clock_, LevelOf(context.log_level), ops::Log::ToStandardError()),
        board_(runtime::SystemEntropy(), metrics_) {}

  Status Open(const Options& options) {
    roles_ = options.roles;
    if (!roles_.all() && config_.drivers.bus.type == config::BusType::kLog) {
      return Fail(ErrorKind::kInvalidArgument, "--roles " + roles_.ToString() +
                                                   ": drivers.bus is the log on this machine, which one process owns and does all work on; "
                                                   "leave --roles out, or share a Kafka (drivers.bus: {type: kafka, ...})");
    }
    if (!roles_.all() && config_.drivers.objects.type == config::ObjectsType::kFiles) {
      return Fail(ErrorKind::kInvalidArgument,
                  "--roles " + roles_.ToString() +
                      ": drivers.objects is a directory of one process, and the state of partitions must be where every "
                      "process finds it; set drivers.objects to s3, gcs or hdfs");
    }
    if (!roles_.all() && config_.drivers.statistics.type == config::StatisticsType::kDuckdb) {
      return Fail(ErrorKind::kInvalidArgument,
                  "--roles " + roles_.ToString() + ": drivers.statistics is a file of one process; set drivers.statistics to postgres");
    }
    auto plan = CompilePlans(config_);
    if (!plan) {
      std::string all;
      for (const config::Mistake& mistake : plan.error()) all += (all.empty() ? "" : "\n") + mistake.ToString();
      return Fail(ErrorKind::kInvalidArgument, all);
    }
    plan_ = std::move(*plan);
    SL_TRY(ArmFailpoints());
    SL_TRY(context_.world.files.CreateDirectories(config_.data));
    health_.SetNotReady("start", "recovering");
    // The ports first: a second server must fail before it touches anything.
    SL_TRY(Bind());
    SL_TRY(OpenDataPlane(options));
    SL_TRY(OpenFront());
    // Only spares the commands a --config: no reason not to start.
    if (const Status recorded = RecordConfiguration(context_.world.files, config_.data, config_.file); !recorded)
      log_.Warning("configuration.json can't be written", {{"error", recorded.error().message}});
    SL_TRY(WriteServerFile(config_.data, {.pid = getpid(), .url = http_->url()}));
    ready_ = true;
    health_.SetNotReady("start", "");
    log_.Info("ready", {{"http", http_->url()},
                        {"health", health_http_->url()},
                        {"data", config_.data},
                        {"roles", roles_.ToString()},
                        {"version", kVersion}});
    return {};
  }

  ~RunningServer() override { (void)Stop(); }

  const std::string& url() const override { return url_; }
  Result<std::string> SignInLink() override {
    SL_ASSIGN_OR_RETURN(const std::string code, access_->MakeCode());
    return url_ + "/sign-in?code=" + code;
  }
  ingest::Ingest& ingest() override { return *intake_; }
  serve::ServerStatus status() override { return status_->Status(); }
  Result<AuditReport> audit() override { return Audit(*plane_, plan_); }

  Status Stop() override {
    if (stopped_) return {};
    stopped_ = true;
    health_.SetNotReady("stop", "stopping");
    if (http_) http_->Shutdown();
    if (health_http_) health_http_->Shutdown();
    overall_.reset();
    collector_.reset();
    Status first;
    if (plane_) first = plane_->Stop();
    intake_.reset();
    // One that did not get as far has no file there: what is there belongs to the directory's owner.
    if (ready_) {
      (void)RemoveServerFile(context_.world.files, config_.data);
      log_.Info("stopped", {{"clean", first.has_value()}});
    }
    return first;
  }

 private:
  Status ArmFailpoints() {
    const std::optional<std::string> spec = context_.world.environment("SIGHTLINE_FAILPOINTS");
    if (!spec || spec->empty()) return {};
    if (auto armed = runtime::Failpoints::Parse(*spec, failpoints_); !armed) {
      return std::unexpected(std::move(armed).error().In("SIGHTLINE_FAILPOINTS"));
    }
    log_.Warning("failpoints are armed: this server ends or fails where they say", {{"failpoints", *spec}});
    return {};
  }

  Status Bind() {
    serve::ServerOptions options;
    options.host = config_.listen.http.host;
    options.port = config_.listen.http.port;
    if (config_.listen.tls) options.tls = serve::TlsFiles{config_.listen.tls->certificate, config_.listen.tls->key};
    options.connections_max = static_cast<std::uint32_t>(config_.limits.requests.connections_max);
    options.idle_timeout = config_.limits.requests.idle_max;
    options.BoundTimes(config_.limits.requests.time_max);
    SL_ASSIGN_OR_RETURN(http_, serve::HttpServer::Make(options, clock_, metrics_, log_.For("http")));
    url_ = http_->url();
    serve::ServerOptions health;
    health.name = "health";
    health.host = config_.listen.health.host;
    health.port = config_.listen.health.port;
    health.loops = 1;
    health.workers = 1;
    SL_ASSIGN_OR_RETURN(health_http_, serve::HttpServer::Make(health, clock_, metrics_, log_.For("health")));
    health_routes_ = std::make_unique<serve::RouteTable>(clock_, nullptr, metrics_, "health");
    serve::AddHealthRoutes(*health_routes_, health_);
    health_http_->Start(*health_routes_);
    return {};
  }

  Status OpenDataPlane(const Options& options) {
    for (const flow::PipelinePlan& pipeline : plan_.pipelines) {
      if (pipeline.to_live) board_.Declare(std::make_shared<const ResultShape>(pipeline.shape), pipeline.fingerprint);
    }
    const int threads = options.threads > 0 ? options.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    SL_ASSIGN_OR_RETURN(plane_, DataPlane::Open({.config = config_,
                                                 .plan = plan_,
                                                 .runtime = {clock_, context_.world.files, failpoints_},
                                                 .live = &board_,
                                                 .log = log_,
                                                 .threads = threads,
                                                 .from = options.from,
                                                 .roles = roles_,
                                                 .health = &health_}));
    if (roles_.serve) overall_ = std::make_unique<OverallLive>(plan_, board_);
    if (!roles_.ingest) return {};
    std::vector<ingest::IntakeDataset> datasets;
    for (const config::DatasetConfig& dataset : config_.datasets) {
      bus::TopicSpec letters;
      letters.name = DeadLetterTopic(dataset.name);
      letters.segment_bytes = 16ULL << 20;
      letters.durability = config_.TopicOf(dataset).durability;
      letters.interval = config_.TopicOf(dataset).interval;
      letters.retain_time = dataset.retain.dead_letters;
      datasets.push_back({.name = dataset.name,
                          .contract = &dataset.contract,
                          .topic = dataset.topic,
                          .partitions = dataset.partitions,
                          .partition_by = dataset.partition_by,
                          .dead_letters = letters,
                          .limits = DecoderLimitsOf(config_.limits.ingest)});
    }
    SL_ASSIGN_OR_RETURN(intake_, ingest::Intake::Make(plane_->bus(), clock_, metrics_, std::move(datasets)));
    return {};
  }

  Status OpenFront() {
    SL_ASSIGN_OR_RETURN(const std::string token, security::LoadOrMakeAdminToken(config_.data));
    security::AccessOptions options;
    for (const config::TokenConfig& configured : config_.access.tokens) {
      security::ConfiguredToken one;
      if (configured.sha256.empty()) {
        one.digest = security::SecretDigest::Of(configured.token.reveal());
      } else {
        SL_ASSIGN_OR_RETURN(one.digest, security::SecretDigest::Parse("sha256:" + configured.sha256));
      }
      one.principal.name = configured.name;
      for (const std::string& name : configured.permissions) {
        SL_ASSIGN_OR_RETURN(const security::Permission permission, security::ParsePermission(name));
        one.principal.permissions.Add(permission);
      }
      options.tokens.push_back(std::move(one));
    }
    access_ = std::make_unique<security::Access>(clock_, token, std::move(options));
    status_ = std::make_unique<StatusSource>(*plane_, plan_, config_, clock_, kVersion);
    collector_ = metrics_.AddCollector([this](ops::Metrics::Sink& sink) { status_->Collect(sink); });
    references_ = std::make_unique<ServedReferences>(*plane_, config_);
    sql_service_ = stores::MakeSqlService(plane_->statistics(), clock_, SqlOptionsOf(config_.limits.sql));
    sql_ = serve::MakeSqlRunner(*sql_service_);
    routes_ = std::make_unique<serve::RouteTable>(clock_, access_.get(), metrics_, "http",
                                                  serve::RouteTable::Options{.origins = {}, .tls = config_.listen.tls.has_value()});
    serve::AddApiRoutes(*routes_, Api());
    if (!roles_.serve) {
      http_->Start(*routes_);
      return {};
    }
    std::vector<serve::Asset> assets;
    for (const dashboard::File& file : dashboard::Files()) {
      assets.push_back({.path = file.path, .media_type = file.media_type, .etag = file.etag, .bytes = file.bytes, .gzip = file.gzip});
    }
    serve::AddAssetRoutes(*routes_, assets);
    http_->Start(*routes_);
    return {};
  }

  serve::ApiContext Api() {
    serve::ApiContext api;
    api.clock = &clock_;
    api.access = access_.get();
    api.metrics = &metrics_;
    api.version = kVersion;
    api.pipelines = PipelineInfosOf(plan_);
    api.status = [this] { return status_->Status(); };
    api.ingest = intake_.get();
    api.ingest_body_max = config_.limits.ingest.body_max;
    if (!roles_.serve) return api;
    api.statistics = &plane_->statistics();
    api.board = &board_;
    std::vector<std::shared_ptr<serve::LiveHub>> hubs;
    for (serve::Loop* loop : http_->loops()) {
      hubs.push_back(serve::LiveHub::Make(board_, *loop, clock_, metrics_));
      api.hubs[loop] = hubs.back();
    }
    status_->SetHubs(std::move(hubs));
    api.live_clients_max = static_cast<std::uint64_t>(config_.live.clients_max);
    api.live_rate = config_.live.rate;
    api.references = references_.get();
    api.sql = sql_.get();
    api.bus = &plane_->bus();
    for (const config::DatasetConfig& dataset : config_.datasets) api.accepted_topics.push_back(dataset.topic);
    replayer_ = std::make_unique<Replayer>(*plane_, config_, plan_, clock_);
    api.replay = [this](const serve::ReplayRequest& request) { return replayer_->Replay(request); };
    api.audit = [this]() -> Result<std::string> {
      SL_ASSIGN_OR_RETURN(const AuditReport report, Audit(*plane_, plan_));
      return report.ToJson();
    };
    api.verify = [this](const std::string& topic) -> Result<std::string> {
      if (plane_->log() != nullptr) return VerifyJson(*plane_->log(), topic);
      return Fail(ErrorKind::kFailedPrecondition, "the brokers look after the bytes of " + topic + ": there is nothing to verify here");
    };
    return api;
  }

  Context& context_;
  const config::Config& config_;
  runtime::Clock& clock_;
  ops::Log log_;
  ops::Metrics metrics_;
  ops::Health health_;
  runtime::Failpoints failpoints_;
  Roles roles_;
  flow::Plan plan_;
  serve::LiveBoard board_;
  std::unique_ptr<DataPlane> plane_;
  std::unique_ptr<ingest::Intake> intake_;
  std::unique_ptr<OverallLive> overall_;
  std::unique_ptr<Replayer> replayer_;
  std::unique_ptr<security::Access> access_;
  std::unique_ptr<StatusSource> status_;
  std::shared_ptr<void> collector_;
  std::unique_ptr<ServedReferences> references_;
  std::unique_ptr<stores::SqlService> sql_service_;
  std::unique_ptr<serve::SqlRunner> sql_;
  std::unique_ptr<serve::RouteTable> routes_;
  std::unique_ptr<serve::RouteTable> health_routes_;
  std::unique_ptr<serve::HttpServer> health_http_;
  std::unique_ptr<serve::HttpServer> http_;
  std::string url_;
  bool ready_ = false;
  bool stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(Context& context, const config::Config& config, Options options) {
  auto server = std::make_unique<RunningServer>(context, config);
  SL_TRY(server->Open(options));
  return server;
}

}  // namespace sightline::app
