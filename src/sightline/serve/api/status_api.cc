#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/api/status.h"

namespace sightline::serve::internal {
namespace {

constexpr auto kEvery = std::chrono::seconds(1);

// The status as JSON, made at most every so often however many watch. Thread-safe.
class StatusSource {
 public:
  explicit StatusSource(Context context) : context_(std::move(context)) {}
  std::shared_ptr<const std::string> Get() {
    const std::lock_guard lock(mutex_);
    const std::int64_t now = context_->clock->MonotonicNs();
    if (json_ == nullptr || now - made_ns_ >= kFreshNs) {
      json_ = std::make_shared<const std::string>(ToJson(context_->status()));
      made_ns_ = now;
    }
    return json_;
  }

 private:
  static constexpr std::int64_t kFreshNs = 200'000'000;
  const Context context_;
  std::mutex mutex_;
  std::shared_ptr<const std::string> json_;
  std::int64_t made_ns_ = 0;
};

// Sends the status to one client once a second; a client that is slow gets fewer. Lives on the stream's loop.
class StatusWatcher final : public StreamListener, public std::enable_shared_from_this<StatusWatcher> {
 public:
  StatusWatcher(std::shared_ptr<StatusSource> source, Loop& loop, std::shared_ptr<Stream> stream)
      : source_(std::move(source)), loop_(loop), stream_(std::move(stream)) {}
  void Start() {
    stream_->SetListener(shared_from_this());
    Tick();
  }
  void OnSent() override { in_flight_ = false; }
  void OnClosed() override { stream_ = nullptr; }

 private:
  void Tick() {
    if (stream_ == nullptr) return;
    if (!in_flight_) {
      in_flight_ = true;
      stream_->Send({"status", {}, source_->Get()});
    }
    loop_.PostAfter(kEvery, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->Tick();
    });
  }
  const std::shared_ptr<StatusSource> source_;
  Loop& loop_;
  std::shared_ptr<Stream> stream_;
  bool in_flight_ = false;
};

constexpr std::string_view kStatusSchema =
    R"({"type":"object","required":["version","uptime_ms","now","datasets","pipelines","sinks","live"],
  "properties":{"version":{"type":"string"},"uptime_ms":{"type":"integer"},"now":{"type":"integer"},
  "datasets":{"type":"array","items":{"type":"object","additionalProperties":true}},
  "pipelines":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"state":{"type":"string","enum":["running","failed"]},
    "error":{"type":["string","null"]},"in":{"type":"integer"},"verdicts":{"type":"object","additionalProperties":{"type":"integer"}},
    "rate_per_s":{"type":"number"},"lag_records":{"type":"integer"},"lag_ms":{"type":"integer"},"watermark":{"type":["integer","null"]},
    "partitions":{"type":"array","items":{"type":"object","properties":{"partition":{"type":"integer"},"offset":{"type":"integer"},"end":{"type":"integer"},
      "watermark":{"type":["integer","null"]},"restore_ms":{"type":["integer","null"]}}}}},
    "additionalProperties":true}},
  "sinks":{"type":"array","items":{"type":"object","additionalProperties":true}},
  "gates":{"type":"array","items":{"type":"object","additionalProperties":true}},
  "live":{"type":"object","properties":{"clients":{"type":"integer"},"messages_per_s":{"type":"number"}}}}})";

void AddStatus(RouteTable& table, const Context& context) {
  table.AddSchema("Status", std::string(kStatusSchema));
  const auto source = std::make_shared<StatusSource>(context);
  const std::string schema = R"({"$ref":"#/components/schemas/Status"})";
  Route status;
  status.pattern = "/v1/status";
  status.guard = Guard::Needs(security::Permission::kResultsRead);
  status.tag = "server";
  status.summary = "How it goes: offsets, verdicts, lag, watermarks, sinks";
  status.answers = {{200, "The status", kJsonOnly, schema}};
  status.handler = Answering([source](const Request&) -> Result<Response> { return JsonResponse(200, *source->Get()); });
  table.Add(std::move(status));

  Route stream;
  stream.pattern = "/v1/status/stream";
  stream.guard = Guard::Needs(security::Permission::kResultsRead);
  stream.tag = "server";
  stream.summary = "The status once a second as server-sent events";
  stream.answers = {{200, "Events named status", {"text/event-stream"}, schema}};
  stream.handler = Answering([source](const Request&) -> Result<Response> {
    Response response;
    StreamStart start;
    start.opened = [source](Loop& loop, std::shared_ptr<Stream> opened) {
      std::make_shared<StatusWatcher>(source, loop, std::move(opened))->Start();
    };
    response.stream = std::move(start);
    return response;
  });
  table.Add(std::move(stream));
}

}  // namespace

void AddStatusRoutes(RouteTable& table, const Context& context) {
  if (context->status) AddStatus(table, context);
  if (context->metrics != nullptr) {
    Route metrics;
    metrics.pattern = "/metrics";
    metrics.guard = Guard::Needs(security::Permission::kMetricsRead);
    metrics.tag = "server";
    metrics.summary = "Metrics in Prometheus' text format";
    metrics.answers = {{200, "The metrics", {"text/plain"}, ""}};
    metrics.on_worker = true;
    metrics.handler = Answering([context](const Request&) -> Result<Response> {
      Response response;
      response.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
      response.body = context->metrics->Render();
      return response;
    });
    table.Add(std::move(metrics));
  }
  if (context->audit) {
    Route audit;
    audit.pattern = "/v1/audit";
    audit.guard = Guard::Needs(security::Permission::kAdmin);
    audit.tag = "server";
    audit.summary = "Recounts the log and says whether every record offered is accounted for";
    audit.answers = {{200, "What was found", kJsonOnly, R"({"type":"object","additionalProperties":true})"}};
    audit.on_worker = true;
    audit.handler = Answering([context](const Request&) -> Result<Response> {
      SL_ASSIGN_OR_RETURN(std::string json, context->audit());
      return JsonResponse(200, std::move(json));
    });
    table.Add(std::move(audit));
  }
}

}  // namespace sightline::serve::internal
