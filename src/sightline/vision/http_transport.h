#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "sightline/vision/event_sender.h"

namespace sightline::vision {

// Where events go: http(s)://host[:port][/path].
struct EventUrl {
  bool tls = false;
  std::string host;  // without the brackets of an IPv6 address
  std::string port;
  std::string path;

  // An empty path, or "/", becomes that of the dataset camera_events. kInvalidArgument otherwise says what is wrong.
  static Result<EventUrl> Parse(const std::string& text);
  // True for localhost and loopback addresses, where nobody can listen in.
  bool loopback() const;
};

struct HttpTransportOptions {
  EventUrl url;
  // Asked before each attempt, so that a renewed token is used; an empty token sends no Authorization.
  std::function<Result<std::string>()> token;
  std::string ca_file;                        // PEM; empty: the system's certificate authorities
  std::chrono::milliseconds timeout{10'000};  // for connecting, and for one request with its answer
};

// POSTs over one kept-alive HTTP/1.1 connection; connects anew when it is gone. Certificates and host names are always checked.
class HttpTransport final : public EventTransport {
 public:
  // kInvalidArgument when the token would go over the network unencrypted, or when ca_file cannot be used.
  static Result<std::unique_ptr<HttpTransport>> Make(HttpTransportOptions options);
  ~HttpTransport() override;
  Result<Answer> Post(std::string_view ndjson, std::string_view idempotency_key) override;

 private:
  struct Impl;
  explicit HttpTransport(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sightline::vision
