#include "sightline/serve/route_table.h"

#include <algorithm>
#include <array>

#include "sightline/base/text.h"
#include "sightline/security/access.h"

namespace sightline::serve {
namespace {

constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

std::string_view BearerToken(std::string_view authorization) {
  static constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
  }
  return authorization.substr(kScheme.size());
}

bool IsUpgrade(const Request& request) { return !request.headers.Find("Upgrade").empty(); }

std::string AllowValue(std::vector<Method> allowed) {
  if (std::ranges::count(allowed, Method::kGet) > 0) allowed.push_back(Method::kHead);
  allowed.push_back(Method::kOptions);
  std::string value;
  for (const Method method : allowed) {
    if (!value.empty()) value += ", ";
    value += MethodName(method);
  }
  return value;
}

}  // namespace

// What a route needs at run time beside its description.
struct RouteTable::Compiled {
  std::vector<std::string> segments;  // of the pattern
  std::array<ops::Counter*, 5> by_class{};  // 1xx .. 5xx
  ops::Histogram* seconds = nullptr;
};

RouteTable::RouteTable(const runtime::Clock& clock, security::Access* access, ops::Metrics& metrics, std::string listener, Options options)
    : clock_(clock), access_(access), metrics_(metrics), listener_(std::move(listener)), options_(std::move(options)) {}

RouteTable::~RouteTable() = default;

void RouteTable::Add(Route route) {
  auto compiled = std::make_unique<Compiled>();
  for (const std::string_view segment : Split(std::string_view(route.pattern).substr(1), '/')) compiled->segments.emplace_back(segment);
  const ops::Labels labels = {{"listener", listener_}, {"route", std::string(MethodName(route.method)) + " " + route.pattern}};
  for (std::size_t i = 0; i < compiled->by_class.size(); ++i) {
    ops::Labels with_class = labels;
    with_class.emplace_back("status", std::to_string(i + 1) + "xx");
    compiled->by_class[i] = metrics_.AddCounter("sightline_http_requests_total", "Requests answered.", with_class);
  }
  compiled->seconds = metrics_.AddHistogram("sightline_http_request_seconds", "From the request's header to its answer.",
                                            {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10}, labels);
  compiled_.push_back(std::move(compiled));
  routes_.push_back(std::move(route));
}

void RouteTable::AddSchema(std::string name, std::string json_schema) { schemas_.emplace_back(std::move(name), std::move(json_schema)); }

namespace {

// Whether the path's segments fit the pattern's; fills the values.
bool Fits(const std::vector<std::string>& pattern, const std::vector<std::string_view>& path, Parameters& values) {
  values.clear();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string& segment = pattern[i];
    if (segment.ends_with("...}")) {
      std::string rest;
      for (std::size_t j = i; j < path.size(); ++j) {
        if (j > i) rest += '/';
        rest += path[j];
      }
      values.emplace_back(segment.substr(1, segment.size() - 5), std::move(rest));
      return true;
    }
    if (i >= path.size()) return false;
    if (segment.starts_with('{')) {
      if (path[i].empty()) return false;
      values.emplace_back(segment.substr(1, segment.size() - 2), std::string(path[i]));
    } else if (segment != path[i]) {
      return false;
    }
  }
  return path.size() == pattern.size();
}

}  // namespace

const Route* RouteTable::Match(Request& request, std::vector<Method>& allowed) const {
  const Method wanted = request.method == Method::kHead ? Method::kGet : request.method;
  const auto path = Split(std::string_view(request.path).substr(1), '/');
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    Parameters values;
    if (!Fits(compiled_[i]->segments, path, values)) continue;
    if (routes_[i].method == wanted) {
      request.path_values = std::move(values);
      request.route = static_cast<int>(i);
      return &routes_[i];
    }
    if (std::ranges::count(allowed, routes_[i].method) == 0) allowed.push_back(routes_[i].method);
  }
  return nullptr;
}

bool RouteTable::OriginAllowed(const Request& request) const {
  const std::string_view origin = request.headers.Find("Origin");
  return security::IsSameOrigin(origin, request.headers.Find("Host"), request.tls) || std::ranges::count(options_.origins, origin) > 0;
}

Status RouteTable::Authenticate(Request& request) const {
  const std::string_view token = BearerToken(request.headers.Find("Authorization"));
  // A page of another site can make a browser open a WebSocket to us; only the Origin tells.
  const bool has_origin = !request.headers.Find("Origin").empty();
  if (IsUpgrade(request) && has_origin && !OriginAllowed(request)) {
    return Fail(ErrorKind::kPermissionDenied, "a WebSocket may only be opened by this server's own pages or by a program");
  }
  if (!token.empty()) {
    SL_ASSIGN_OR_RETURN(request.principal, access_->FromToken(token, request.remote));
    return {};
  }
  const std::string_view session = security::FindCookie(request.headers.Find("Cookie"), kSessionCookie);
  auto principal = session.empty() ? std::nullopt : access_->FromSession(session);
  if (!principal) {
    return Fail(ErrorKind::kUnauthenticated,
                session.empty() ? "sign in first, or send a token as Authorization: Bearer TOKEN" : "the session has ended; sign in again");
  }
  const bool reads = request.method == Method::kGet || request.method == Method::kHead;
  if ((!reads || IsUpgrade(request)) && !OriginAllowed(request)) {
    return Fail(ErrorKind::kPermissionDenied, "a signed-in browser may only do this from this server's own pages");
  }
  request.principal = std::move(*principal);
  return {};
}

Status RouteTable::Authorize(const Route& route, Request& request) const {
  if (route.guard.kind == Guard::Kind::kOpen) return {};
  if (access_ == nullptr) return Fail(ErrorKind::kPermissionDenied, "this listener serves open routes only");
  SL_TRY(Authenticate(request));
  if (route.guard.kind == Guard::Kind::kSignedIn || request.principal.permissions.Has(route.guard.permission)) return {};
  return Fail(ErrorKind::kPermissionDenied,
              "'" + request.principal.name + "' lacks the permission " + std::string(security::PermissionName(route.guard.permission)));
}

Admission RouteTable::Admit(Request& request) {
  Admission admission;
  std::vector<Method> allowed;
  const Route* route = Match(request, allowed);
  if (route == nullptr) {
    if (allowed.empty()) {
      admission.refusal =
          ErrorResponse({ErrorKind::kNotFound, "there is nothing at " + request.path + "; /openapi.json lists what there is"}, request.id);
      return admission;
    }
    Response response;
    response.status = 204;
    if (request.method != Method::kOptions) {
      response =
          ErrorResponse({ErrorKind::kInvalidArgument, std::string(MethodName(request.method)) + " is not possible here"}, request.id);
      response.status = 405;
    }
    response.Set("Allow", AllowValue(std::move(allowed)));
    admission.refusal = std::move(response);
    return admission;
  }
  if (const auto authorized = Authorize(*route, request); !authorized) {
    admission.refusal = ErrorResponse(authorized.error(), request.id);
    return admission;
  }
  admission.body_bytes_max = route->body_bytes_max;
  admission.decodes_content = route->decodes_content;
  admission.on_worker = route->on_worker;
  admission.worker_above = route->worker_above;
  admission.handler = route->handler;
  return admission;
}

void RouteTable::Finish(const Request& request, Response& response) {
  response.Set("X-Content-Type-Options", "nosniff");
  response.Set("Content-Security-Policy", std::string(kContentSecurityPolicy));
  response.Set("X-Frame-Options", "DENY");
  response.Set("Referrer-Policy", "same-origin");
  response.Set("Cross-Origin-Opener-Policy", "same-origin");
  response.Set("Cross-Origin-Resource-Policy", "same-origin");
  if (options_.tls) response.Set("Strict-Transport-Security", "max-age=31536000");
  const bool says_caching = std::ranges::any_of(response.headers, [](const auto& header) { return header.first == "Cache-Control"; });
  if (!says_caching) response.Set("Cache-Control", "no-store");
  if (request.route < 0) return;
  const auto& compiled = *compiled_[static_cast<std::size_t>(request.route)];
  const int status_class = response.stream && response.stream->kind == StreamStart::Kind::kWebSocket ? 1 : response.status / 100;
  compiled.by_class[static_cast<std::size_t>(std::clamp(status_class, 1, 5) - 1)]->Add();
  compiled.seconds->Observe(static_cast<double>(clock_.MonotonicNs() - request.started_ns) * 1e-9);
}

}  // namespace sightline::serve
