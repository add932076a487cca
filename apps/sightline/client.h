#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sightline/base/result.h"

#include "apps/sightline/framework.h"

namespace sightline::app {

// The server that owns a data directory, as its <data>/server.json says: {"pid": 123, "http": "http://127.0.0.1:8080"}.
struct ServerInfo {
  std::int64_t pid = 0;
  std::string url;
};
// kNotFound when no server runs on the directory, also after one was killed and left its file.
Result<ServerInfo> FindServer(const World& world, const std::string& data);
// What a server writes when it listens (mode 0600), and removes when it ends.
Status WriteServerFile(const std::string& data, const ServerInfo& info);
Status RemoveServerFile(runtime::FileSystem& files, const std::string& data);

// SIGHTLINE_TOKEN, else <data>/admin.token; "" when there is neither.
Result<std::string> FindToken(const World& world, const std::string& data);

// For the answer to what reads the whole log, or asks a question of the user's own: whoever waits sees that it goes on.
inline constexpr std::chrono::milliseconds kLongAnswer = std::chrono::hours(2);

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // "/v1/status"
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string_view body = {};
  std::optional<std::chrono::milliseconds> answer_time_max = std::nullopt;  // by Ask; else the client's time_max
};
struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  // The value of the header (in lower case), or "".
  std::string_view Header(std::string_view name) const;
};

// A small blocking HTTP/1.1 client for one server: one connection, kept open, made again where needed; requests can be
// pipelined by Send and Receive. Not thread-safe. Errors: kUnavailable when nobody answers or the connection broke (safe to
// retry what is idempotent), kDeadlineExceeded.
class Client {
 public:
  struct Options {
    std::string url;                                                // http://host:port or https://host:port
    std::string token = "";                                              // sent as a bearer token when not empty
    std::string ca_file = "";                                            // PEM of authorities to trust besides the system's, for https
    std::chrono::milliseconds time_max = std::chrono::seconds(60);  // of a connect, a request, or an answer
    std::uint64_t answer_bytes_max = 1ULL << 30;
  };
  static Result<Client> Make(Options options);
  // The server of the context's data directory, or the one at `url` when that is not empty. SIGHTLINE_CA_FILE names ca_file.
  static Result<Client> Find(const Context& context, const std::string& url = "");
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // A request and its answer, whatever its status; tried again once when a kept connection turns out to be closed.
  Result<HttpResponse> Ask(const HttpRequest& request);
  // Ask, and an error of the kind the status means, with the server's message, unless it is 2xx.
  Result<HttpResponse> AskForSuccess(const HttpRequest& request);

  // Pipelining: requests are answered in order. After an error of either the connection is gone, with what was in flight.
  Status Send(const HttpRequest& request);
  Result<HttpResponse> Receive();
  void Disconnect();

  const std::string& url() const;

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The error an answer means: the server's message, the kind of its status.
Error ErrorOf(const HttpResponse& response);

}  // namespace sightline::app
