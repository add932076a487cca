#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/ops/metrics.h"
#include "sightline/runtime/clock.h"
#include "sightline/security/access.h"
#include "sightline/serve/http.h"

namespace sightline::serve {

// Who may use a route.
struct Guard {
  enum class Kind : std::uint8_t { kOpen, kSignedIn, kPermission };
  Kind kind = Kind::kOpen;
  security::Permission permission = security::Permission::kAdmin;
  static Guard Open() { return {}; }
  static Guard SignedIn() { return {Kind::kSignedIn, {}}; }
  static Guard Needs(security::Permission p) { return {Kind::kPermission, p}; }
};

struct RouteParameter {
  enum class In : std::uint8_t { kQuery, kHeader };
  In in = In::kQuery;
  std::string name;
  std::string description;
  std::string schema = R"({"type":"string"})";  // JSON Schema
  bool required = false;
};

struct RouteAnswer {
  int status = 200;
  std::string description;
  std::vector<std::string> media_types;  // empty: no body
  std::string schema;                    // JSON Schema of the JSON form; may refer to #/components/schemas/…
};

// One line of the route table: from it come dispatch, access, limits, metrics and OpenAPI.
struct Route {
  Method method = Method::kGet;
  // Segments between slashes; "{name}" takes one, "{name...}" as the last all that are left (also none).
  std::string pattern;
  Guard guard;
  std::string tag;
  std::string summary;
  std::vector<RouteParameter> parameters;  // those of the path come from the pattern
  std::vector<std::string> request_types;  // media types of the body
  std::string request_schema;
  std::vector<RouteAnswer> answers;        // errors that every route may give are added
  std::uint64_t body_bytes_max = 0;
  bool decodes_content = false;
  bool on_worker = false;
  std::uint64_t worker_above = UINT64_MAX;
  bool hidden = false;                     // not in OpenAPI: the dashboard's files
  Handler handler;
};

// All routes of a listener. Filled before the server starts, then only read: thread-safe.
class RouteTable final : public Application {
 public:
  struct Options {
    // Origins beside our own that may open WebSockets and use the cookie, such as "https://board.example".
    std::vector<std::string> origins;
    bool tls = false;
  };
  // Without `access` there are only open routes (the health listener).
  RouteTable(const runtime::Clock& clock, security::Access* access, ops::Metrics& metrics, std::string listener, Options options);
  RouteTable(const runtime::Clock& clock, security::Access* access, ops::Metrics& metrics, std::string listener)
      : RouteTable(clock, access, metrics, std::move(listener), Options()) {}
  ~RouteTable() override;

  void Add(Route route);
  // A named schema for #/components/schemas/<name>.
  void AddSchema(std::string name, std::string json_schema);
  const std::vector<Route>& routes() const { return routes_; }

  // The OpenAPI 3.1 document.
  std::string OpenApi(const std::string& version) const;

  Admission Admit(Request& request) override;
  void Finish(const Request& request, Response& response) override;

 private:
  struct Compiled;
  const Route* Match(Request& request, std::vector<Method>& allowed) const;
  Status Authorize(const Route& route, Request& request) const;
  Status Authenticate(Request& request) const;
  bool OriginAllowed(const Request& request) const;

  const runtime::Clock& clock_;
  security::Access* const access_;
  ops::Metrics& metrics_;
  const std::string listener_;
  const Options options_;
  std::vector<Route> routes_;
  std::vector<std::unique_ptr<Compiled>> compiled_;
  std::vector<std::pair<std::string, std::string>> schemas_;
};

inline constexpr std::string_view kSessionCookie = "sightline_session";

}  // namespace sightline::serve
