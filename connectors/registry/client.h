#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/gate/wire_schema.h"

namespace sightline::registry {

struct RegistryOptions {
  std::string url;       // with its base path, "https://host/apis/ccompat/v7"
  std::string user = {};      // basic authentication; empty: none
  std::string password = {};  // never logged
  std::string ca = {};        // path of a PEM file; empty: the system's authorities
  std::chrono::milliseconds timeout{10'000};  // of one request
  int attempts = 3;                           // of a request that got no answer, or a 5xx
  // An id that the registry did not know is asked for again after this time.
  std::chrono::milliseconds unknown_kept{2'000};
};

struct RegisteredSchema {
  std::uint32_t id = 0;
  std::int32_t version = 0;
  gate::SchemaFormat format = gate::SchemaFormat::kAvro;
  std::string text;
  bool has_references = false;
};

// A schema registry that speaks Confluent's API. Schemas never change under their id: each is fetched once. Thread-safe. Errors:
// kUnavailable (no answer, or a 5xx, after all attempts; retry is safe), kUnauthenticated, kPermissionDenied, kInvalidArgument, each with
// the address.
class RegistryClient {
 public:
  // kInvalidArgument for an unusable address or file.
  static Result<std::unique_ptr<RegistryClient>> Make(RegistryOptions options);
  RegistryClient(const RegistryClient&) = delete;
  RegistryClient& operator=(const RegistryClient&) = delete;
  ~RegistryClient();

  Result<std::vector<std::string>> Subjects();
  // kNotFound.
  Result<RegisteredSchema> ById(std::uint32_t id);
  // Nothing when the subject is not there.
  Result<std::optional<RegisteredSchema>> Latest(const std::string& subject);
  // The schema's id; one that is there already keeps its own. kFailedPrecondition when the registry's rules forbid it.
  Result<std::uint32_t> Register(const std::string& subject, gate::SchemaFormat format, const std::string& text);
  const std::string& url() const { return options_.url; }

 private:
  struct Answer;
  struct Connection;
  explicit RegistryClient(RegistryOptions options);
  Result<Answer> Call(const std::string& path, const std::string* body);
  Result<Answer> CallOnce(const std::string& path, const std::string* body);
  Error Refused(const Answer& answer, const std::string& what) const;

  const RegistryOptions options_;
  std::mutex mutex_;  // of the connection and the caches
  std::unique_ptr<Connection> connection_;
  std::unordered_map<std::uint32_t, RegisteredSchema> known_;
  std::unordered_map<std::uint32_t, std::chrono::steady_clock::time_point> unknown_;
};

}  // namespace sightline::registry
