#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "sightline/base/result.h"

namespace sightline::postgres {

// How a server is reached. `url` holds the password: it is never printed, and messages name `url_source` instead.
struct ConnectionOptions {
  std::string url{};         // postgresql://user:password@host:port/database?…, or libpq's key=value form
  std::string url_source{};  // where it came from: "env PG_URL"
  // Over what the URL says. `tls_mode` is one of libpq's sslmode; empty there and in the URL: verify-full, and for an address of this
  // machine prefer.
  std::string tls_mode{};
  std::string tls_ca{};  // PEM file of who signs the server's certificate; empty: the system's list
  std::string tls_certificate{};
  std::string tls_key{};
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds statement_timeout{30'000};
};

// The same, taken apart and completed: libpq's keywords and values.
struct ConnectionParameters {
  std::vector<std::pair<std::string, std::string>> keywords{};
  std::string place{};   // "db.example:5432/stats": for messages
  std::string source{};  // ConnectionOptions::url_source
  std::string user{};
  std::string database{};
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds statement_timeout{30'000};
};

// kInvalidArgument when the URL is none, without a word of it.
Result<ConnectionParameters> ParseConnection(const ConnectionOptions& options);

}  // namespace sightline::postgres
