#include "sightline/serve/api/api.h"

#include <algorithm>
#include <map>

#include "sightline/base/text.h"
#include "sightline/security/secret.h"
#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/json_writer.h"
#include "sightline/serve/url.h"

namespace sightline::serve {
namespace internal {

Result<std::optional<std::int64_t>> IntegerParameter(const Request& request, std::string_view name) {
  const auto text = request.Query(name);
  if (!text || text->empty()) return std::optional<std::int64_t>();
  const auto value = ParseInt64(*text);
  if (!value) return Fail(ErrorKind::kInvalidArgument, std::string(name) + " must be an integer, not '" + std::string(*text) + "'");
  return *value;
}

Result<std::int64_t> IntegerParameter(const Request& request, std::string_view name, std::int64_t otherwise, std::int64_t least,
                                      std::int64_t most) {
  SL_ASSIGN_OR_RETURN(const std::optional<std::int64_t> value, IntegerParameter(request, name));
  if (!value) return otherwise;
  if (*value < least || *value > most) {
    return Fail(ErrorKind::kInvalidArgument, std::string(name) + " must be from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return *value;
}

Result<const PipelineInfo*> FindPipeline(const ApiContext& context, std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& pipeline : context.pipelines) {
    if (pipeline.name == name) return &pipeline;
    names.push_back(pipeline.name);
  }
  std::string message = "there is no pipeline '" + std::string(name) + "'";
  if (const auto near = DidYouMean(name, names); !near.empty()) message += "; did you mean '" + std::string(near) + "'?";
  return Fail(ErrorKind::kNotFound, std::move(message));
}

Result<RowFormat> FormatOf(const Request& request) {
  if (const auto format = request.Query("format")) {
    if (*format == "json") return RowFormat::kJson;
    if (*format == "csv") return RowFormat::kCsv;
    if (*format == "arrow") return RowFormat::kArrow;
    return Fail(ErrorKind::kInvalidArgument, "format must be json, csv or arrow, not '" + std::string(*format) + "'");
  }
  const std::string_view accept = request.headers.Find("Accept");
  if (AcceptNames(accept, "application/json")) return RowFormat::kJson;
  if (AcceptNames(accept, "text/csv")) return RowFormat::kCsv;
  if (AcceptNames(accept, "application/vnd.apache.arrow.stream")) return RowFormat::kArrow;
  return RowFormat::kJson;
}

void AppendBytesField(std::string_view name, std::string_view bytes, std::string& out) {
  const bool text = IsUtf8(bytes);
  AppendJsonString(out, text ? std::string(name) : std::string(name) + "_base64url");
  out += ':';
  AppendJsonString(out, text ? std::string(bytes) : security::Base64Url(bytes));
}

}  // namespace internal

void AddApiRoutes(RouteTable& table, const ApiContext& context) {
  const auto shared = std::make_shared<const ApiContext>(context);
  if (context.access != nullptr) internal::AddSessionRoutes(table, shared);
  if (context.ingest != nullptr) internal::AddIngestRoutes(table, shared);
  if (context.results) internal::AddResultRoutes(table, shared);
  if (context.board != nullptr) internal::AddLiveRoutes(table, shared);
  if (context.references != nullptr) internal::AddReferenceRoutes(table, shared);
  if (context.sql != nullptr) internal::AddSqlRoutes(table, shared);
  if (context.bus != nullptr) internal::AddTopicRoutes(table, shared);
  if (context.bus != nullptr) internal::AddDeadLetterRoutes(table, shared);
  internal::AddStatusRoutes(table, shared);

  // Last, so that the document has all routes: it is made once, when it is first asked for.
  Route route;
  route.pattern = "/openapi.json";
  route.guard = Guard::Open();
  route.tag = "server";
  route.summary = "This description";
  route.answers = {{200, "OpenAPI 3.1", internal::kJsonOnly, R"({"type":"object"})"}};
  route.handler = [&table, version = context.version](std::shared_ptr<const Request>, Responder respond) {
    respond(JsonResponse(200, table.OpenApi(version)));
  };
  route.on_worker = true;
  table.Add(std::move(route));
}

void AddAssetRoutes(RouteTable& table, const std::vector<Asset>& assets) {
  const auto add = [&](std::string pattern, const Asset& asset, bool forever) {
    Route route;
    route.pattern = std::move(pattern);
    route.guard = Guard::Open();
    route.tag = "dashboard";
    route.summary = "A file of the dashboard";
    route.hidden = true;
    route.handler = [asset, forever](std::shared_ptr<const Request> request, Responder respond) {
      Response response;
      response.Set("ETag", std::string(asset.etag));
      response.Set("Cache-Control", forever ? "public, max-age=31536000, immutable" : "no-cache");
      response.Set("Vary", "Accept-Encoding");
      if (request->headers.Find("If-None-Match") == asset.etag) {
        response.status = 304;
        return respond(std::move(response));
      }
      response.Set("Content-Type", std::string(asset.media_type));
      response.static_body = asset.bytes;
      if (!asset.gzip.empty() && AcceptNames(request->headers.Find("Accept-Encoding"), "gzip")) {
        response.Set("Content-Encoding", "gzip");
        response.static_body = asset.gzip;
      }
      respond(std::move(response));
    };
    table.Add(std::move(route));
  };
  for (const auto& asset : assets) {
    // The names under /assets carry a hash of their contents.
    add(std::string(asset.path), asset, asset.path.starts_with("/assets/") && asset.path.find('-') != std::string_view::npos);
    if (asset.path == "/index.html") add("/", asset, false);
  }
}

void AddHealthRoutes(RouteTable& table, const ops::Health& health) {
  const auto add = [&](std::string pattern, std::string summary, bool (ops::Health::*good)() const,
                       std::string (ops::Health::*json)() const) {
    Route route;
    route.pattern = std::move(pattern);
    route.guard = Guard::Open();
    route.tag = "health";
    route.summary = std::move(summary);
    route.handler = [&health, good, json](std::shared_ptr<const Request>, Responder respond) {
      respond(JsonResponse((health.*good)() ? 200 : 503, (health.*json)()));
    };
    table.Add(std::move(route));
  };
  add("/healthz", "Whether the process works; otherwise it needs a restart", &ops::Health::live, &ops::Health::LiveJson);
  add("/readyz", "Whether requests should come here", &ops::Health::ready, &ops::Health::ReadyJson);
}

}  // namespace sightline::serve
