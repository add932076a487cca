#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/security/principal.h"
#include "sightline/serve/byte_buffer.h"
#include "sightline/serve/stream.h"

namespace sightline::serve {

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions };
std::string_view MethodName(Method method);
std::optional<Method> ParseMethod(std::string_view name);

// Header fields in order; names compare without case.
class Headers {
 public:
  void Add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }
  // The first value, or "".
  std::string_view Find(std::string_view name) const;
  std::size_t Count(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

using Parameters = std::vector<std::pair<std::string, std::string>>;

// One request, complete. Handed to the handler by shared pointer and not changed afterwards.
struct Request {
  Method method = Method::kGet;
  std::string target;        // as sent
  std::string path;          // percent-decoded, no dot segments
  Parameters query;          // decoded, in order
  Parameters path_values;    // by the names in the route's pattern
  Headers headers;
  ByteBuffer body;           // its Content-Encoding undone
  std::string remote;        // the client's address, without port
  std::string id;            // X-Request-Id
  bool tls = false;
  security::Principal principal;  // set by the route table before the handler runs
  int route = -1;                 // the route table's, for its metrics
  std::int64_t started_ns = 0;    // monotonic, when the header was in
  // What the body counts against the server's memory bound; released with the request.
  std::shared_ptr<void> body_budget;

  // The first value of the query parameter, or nothing.
  std::optional<std::string_view> Query(std::string_view name) const;
  std::string_view PathValue(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // Content-Length and Date come from the server
  std::string body;
  std::string_view static_body;   // bytes that outlive the response, instead of `body`
  std::optional<StreamStart> stream;  // with status 101 or 200

  void Set(std::string_view name, std::string value) { headers.emplace_back(name, std::move(value)); }
  std::string_view bytes() const { return static_body.empty() ? std::string_view(body) : static_body; }
};

Response JsonResponse(int status, std::string json);
// The status that fits the kind, and {"error":{"kind","message","request_id"}}.
Response ErrorResponse(const Error& error, std::string_view request_id);
int StatusOf(ErrorKind kind);
std::string_view ReasonPhrase(int status);

// Answers exactly once, from any thread.
using Responder = std::function<void(Response)>;
using Handler = std::function<void(std::shared_ptr<const Request>, Responder)>;

// What is decided when the header of a request is in and its body is not.
struct Admission {
  std::optional<Response> refusal;   // answered at once; the body is not read
  std::uint64_t body_bytes_max = 0;  // after decoding
  bool decodes_content = false;      // Content-Encoding gzip and zstd are undone; else they are 415
  bool on_worker = false;            // the handler may block: not on a loop's thread
  std::uint64_t worker_above = UINT64_MAX;  // nor with a body larger than this, which takes a while
  Handler handler;
};

// The server's view of what it serves. Thread-safe: called from every loop.
class Application {
 public:
  virtual ~Application() = default;
  // May set path_values and principal.
  virtual Admission Admit(Request& request) = 0;
  // Adds what every answer carries, such as security headers.
  virtual void Finish(const Request& request, Response& response) = 0;
};

}  // namespace sightline::serve
