#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "sightline/base/result.h"

namespace sightline::flink {

struct HttpOptions {
  std::string url;    // http://host:port or https://…, with a base path if there is one
  std::string token;  // sent as a bearer token when not empty
  std::string ca;     // path of a PEM file; empty: the system's authorities
  std::chrono::milliseconds timeout{30'000};
  // Gets the time that was spent waiting for answers on top; may be null. Must outlive the client.
  std::atomic<std::int64_t>* waited_ns = nullptr;
};

// JSON over HTTP to one of Flink's REST services. Thread-safe: one call at a time. Errors: kUnavailable (no answer; retry is safe),
// kUnauthenticated, kPermissionDenied, kNotFound, kInvalidArgument, each with the address and what the service said.
class Http {
 public:
  // `what` names the service in messages. kInvalidArgument for an unusable address, or a token that would go over the network in clear.
  static Result<std::unique_ptr<Http>> Make(std::string what, HttpOptions options);
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;
  ~Http();

  // The body of an answer with a status of 2xx.
  Result<nlohmann::json> Get(const std::string& path);
  Result<nlohmann::json> Post(const std::string& path, const nlohmann::json& body);
  Status Delete(const std::string& path);
  Status Patch(const std::string& path);
  const std::string& url() const { return options_.url; }

 private:
  struct Connection;
  Http(std::string what, HttpOptions options);
  Result<nlohmann::json> Call(const char* method, const std::string& path, const std::string* body);

  const std::string what_;
  const HttpOptions options_;
  std::mutex mutex_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace sightline::flink
