#include "apps/sightline/server/offline_data.h"

#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/sightline/plan_input.h"
#include "apps/sightline/progress.h"
#include "apps/sightline/references.h"
#include "apps/sightline/server/audit.h"
#include "apps/sightline/server/served.h"
#include "apps/sightline/server/verify.h"
#include "apps/sightline/statistics.h"
#include "sightline/flow/recount.h"
#include "sightline/runtime/failpoints.h"
#include "sightline/security/access.h"
#include "sightline/serve/api/api.h"
#include "sightline/serve/url.h"
#include "sightline/stores/statistics/sql.h"

namespace sightline::app {
namespace {

constexpr std::uint64_t kRecordedFileMax = 64U << 10;
constexpr std::string_view kToken = "in-process";  // nobody else can ask: there is no listener
constexpr const char* kStatisticsFile = "/statistics/statistics.duckdb";

std::string RecordPath(const std::string& data) { return data + "/configuration.json"; }

// The configuration that a server last ran with here; "" when none ever did.
Result<std::string> RecordedConfiguration(runtime::FileSystem& files, const std::string& data) {
  const auto text = runtime::ReadFile(files, RecordPath(data), kRecordedFileMax);
  if (!text && text.error().kind == ErrorKind::kNotFound) return std::string();
  if (!text) return std::unexpected(text.error());
  const nlohmann::json file = nlohmann::json::parse(*text, nullptr, false);
  if (!file.is_object() || !file.contains("file") || !file["file"].is_string()) {
    return Fail(ErrorKind::kCorruption, RecordPath(data) + " is not what a server writes; remove it, and name the file by --config FILE");
  }
  return file["file"].get<std::string>();
}

Status CheckStored(runtime::FileSystem& files, const std::string& data, const std::string& path, const std::string& what) {
  SL_ASSIGN_OR_RETURN(const bool there, files.Exists(data + path));
  if (there) return {};
  return Fail(ErrorKind::kNotFound,
              data + " holds no " + what + " yet: start a server there (sightline up --data " + data + "), or name another by --data DIR");
}

Status CheckThere(runtime::FileSystem& files, const std::string& data, OfflineData::Needs needs) {
  SL_ASSIGN_OR_RETURN(const bool directory, files.Exists(data));
  if (!directory) {
    return Fail(ErrorKind::kNotFound,
                "there is no data directory " + data + " yet: `sightline up` makes it, or name another by --data DIR or --config FILE");
  }
  // Whether there are statistics depends on the store.
  return needs == OfflineData::Needs::kStatistics ? Status() : CheckStored(files, data, "/log", "log");
}

}  // namespace

Status RecordConfiguration(runtime::FileSystem& files, const std::string& data, const std::string& file) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(file, error);
  const std::string text = nlohmann::json{{"file", error ? file : absolute.lexically_normal().string()}}.dump() + "\n";
  return runtime::WriteFileAtomically(files, RecordPath(data), text);
}

Result<config::Config> ConfigurationOf(const Context& context, const std::string& data) {
  config::LoadOptions options = context.LoadOptions();
  if (!context.config_file.empty()) return context.LoadConfig();
  SL_ASSIGN_OR_RETURN(const std::string recorded, RecordedConfiguration(context.world.files, data));
  if (recorded.empty()) return context.LoadConfig();
  Result<config::Config> loaded = config::LoadConfig(context.world.files, recorded, options);
  if (loaded) return loaded;
  return Fail(loaded.error().kind,
              "the configuration that " + data + " was last run with can't be read; name it by --config FILE\n" + loaded.error().message);
}

struct OfflineData::Impl {
  Impl(const Context& in, const std::string& directory)
      : context(in),
        data(directory),
        reference_store(in.world.files, directory + "/references"),
        access(in.world.clock, kToken, {}),
        routes(in.world.clock, &access, metrics, "offline") {}

  Status Open(Needs needs) {
    SL_TRY(CheckThere(context.world.files, data, needs));
    if (needs == Needs::kStatistics) {
      SL_TRY(OpenStatistics());
    } else {
      SL_TRY(OpenLog());
      SL_TRY(OpenPlan(needs));
    }
    AddRoutes();
    return {};
  }

  Status OpenLog() {
    bus::LogBus::Options options;
    options.flushing = bus::LogBus::Flushing::kInline;
    options.retention_interval = std::chrono::milliseconds(0);
    auto opened = bus::LogBus::Open(runtime, data, options);
    if (!opened && opened.error().kind == ErrorKind::kFailedPrecondition) {
      return Fail(ErrorKind::kFailedPrecondition,
                  opened.error().message + " (a server that is just starting or stopping does not answer: try again in a moment)");
    }
    if (!opened) return std::unexpected(opened.error());
    bus = std::move(*opened);
    return {};
  }

  // Without a plan what pipelines committed last stays unseen, and there are no names of theirs.
  Status OpenPlan(Needs needs) {
    auto loaded = ConfigurationOf(context, data);
    if (!loaded && needs == Needs::kPipelines) return std::unexpected(loaded.error());
    if (!loaded) return {};
    config = std::move(*loaded);
    auto compiled = CompilePlans(*config);
    if (!compiled) {
      return needs == Needs::kLog
                 ? Status()
                 : Fail(ErrorKind::kInvalidArgument, config->file + " has mistakes; sightline check " + config->file + " lists them");
    }
    plan = std::move(*compiled);
    tasks.emplace(flow::TaskContext{.runtime = runtime,
                                    .bus = *bus,
                                    .plan = *plan,
                                    .references = catalog,
                                    .versions = VersionsOf(reference_store, *plan),
                                    .directory = data + "/flow",
                                    .live = nullptr,
                                    .policy = {},
                                    .limits = DecoderLimitsOf(config->limits.ingest),
                                    .seed = 0});
    const Status published = flow::PublishCommitted(*tasks);
    if (published || needs == Needs::kPipelines) return published;
    context.err() << "note: what pipelines committed last may be missing: " << published.error().message << "\n";
    return {};
  }

  Status OpenStatistics() {
    auto loaded = ConfigurationOf(context, data);
    config = loaded ? std::move(*loaded) : config::Defaults();
    if (config->drivers.statistics.type == config::StatisticsType::kDuckdb) {
      const Status there = CheckStored(context.world.files, data, kStatisticsFile, "statistics");
      // They may be elsewhere: a configuration that can't be read does not say.
      if (!there && !loaded && loaded.error().kind != ErrorKind::kNotFound) return std::unexpected(loaded.error());
      SL_TRY(there);
    }
    SL_ASSIGN_OR_RETURN(statistics, app::OpenStatistics(*config, data, runtime));
    sql_service = stores::MakeSqlService(*statistics, context.world.clock, SqlOptionsOf(config->limits.sql));
    sql = serve::MakeSqlRunner(*sql_service);
    return {};
  }

  void AddRoutes() {
    serve::ApiContext api;
    api.clock = &context.world.clock;
    api.metrics = &metrics;
    api.bus = bus.get();
    api.statistics = statistics.get();
    api.sql = sql.get();
    if (plan) {
      api.pipelines = PipelineInfosOf(*plan);
      for (const config::DatasetConfig& dataset : config->datasets) api.accepted_topics.push_back(dataset.topic);
      api.audit = [this] { return Recounted(); };
    }
    if (bus) api.verify = [this](const std::string& topic) { return VerifyJson(*bus, topic); };
    serve::AddApiRoutes(routes, api);
  }

  Result<std::string> Recounted() {
    AuditSource source{.bus = *bus, .plan = *plan, .tasks = [this] { return Tasks(); }, .log = AuditSource::Log::kStill};
    SL_ASSIGN_OR_RETURN(const AuditReport report, Audit(source));
    return report.ToJson();
  }

  // Nothing moves while this process owns the directory: counted once.
  Result<std::vector<flow::TaskStatus>> Tasks() {
    if (!recounted.empty()) return recounted;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < plan->pipelines.size(); ++i) {
      if (plan->pipelines[i].kind == flow::PipelineKind::kRoot)
        total += static_cast<std::uint64_t>(flow::PartitionsOf(*plan, static_cast<int>(i)));
    }
    Progress progress(context, "recounting", "partitions", total);
    for (std::size_t i = 0; i < plan->pipelines.size(); ++i) {
      const int root = static_cast<int>(i);
      if (plan->pipelines[i].kind != flow::PipelineKind::kRoot) continue;
      for (Partition p(0); p.value < flow::PartitionsOf(*plan, root); ++p.value) {
        SL_ASSIGN_OR_RETURN(flow::TaskStatus status, flow::Recount(*tasks, root, p));
        recounted.push_back(std::move(status));
        progress.Update(recounted.size());
      }
    }
    return recounted;
  }

  Result<HttpResponse> Ask(const HttpRequest& asked) {
    SL_ASSIGN_OR_RETURN(serve::Target target, serve::ParseTarget(asked.target));
    const auto request = std::make_shared<serve::Request>();
    request->method = serve::ParseMethod(asked.method).value_or(serve::Method::kGet);
    request->target = asked.target;
    request->path = std::move(target.path);
    request->query = std::move(target.query);
    for (const auto& [name, value] : asked.headers) request->headers.Add(name, value);
    request->headers.Add("Authorization", "Bearer " + std::string(kToken));
    request->body.Append(asked.body);
    request->remote = "127.0.0.1";
    serve::Admission admission = routes.Admit(*request);
    std::optional<serve::Response> answered = std::move(admission.refusal);
    // Nothing behind these routes leaves this thread: the answer is there when the handler returns.
    if (!answered) admission.handler(request, [&answered](serve::Response response) { answered = std::move(response); });
    if (!answered) return Fail(ErrorKind::kInternal, asked.target + " was not answered");
    return HttpResponse{.status = answered->status, .headers = {}, .body = std::string(answered->bytes())};
  }

  const Context& context;
  const std::string data;
  runtime::Failpoints failpoints;
  runtime::Runtime runtime{context.world.clock, context.world.files, failpoints};
  ops::Metrics metrics;
  std::optional<config::Config> config;
  std::optional<flow::Plan> plan;
  std::unique_ptr<bus::LogBus> bus;
  flow::FileReferenceStore reference_store;
  flow::ReferenceCatalog catalog;
  std::optional<flow::TaskContext> tasks;
  std::vector<flow::TaskStatus> recounted;
  std::unique_ptr<stores::StatisticsStore> statistics;
  std::unique_ptr<stores::SqlService> sql_service;
  std::unique_ptr<serve::SqlRunner> sql;
  security::Access access;
  serve::RouteTable routes;
};

OfflineData::OfflineData(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OfflineData::~OfflineData() = default;
bus::LogBus* OfflineData::log() { return impl_->bus.get(); }
Result<HttpResponse> OfflineData::Ask(const HttpRequest& request) { return impl_->Ask(request); }

Result<std::unique_ptr<OfflineData>> OfflineData::Open(const Context& context, const std::string& data, Needs needs) {
  auto impl = std::make_unique<Impl>(context, data);
  SL_TRY(impl->Open(needs));
  return std::unique_ptr<OfflineData>(new OfflineData(std::move(impl)));
}

}  // namespace sightline::app
