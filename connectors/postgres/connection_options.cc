#include "connectors/postgres/connection_options.h"

#include <libpq-fe.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>

namespace sightline::postgres {
namespace {

constexpr const char* kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

bool OnThisMachine(const std::string& host) {
  return host.empty() || host.starts_with('/') || host.starts_with('@') || host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace

Result<ConnectionParameters> ParseConnection(const ConnectionOptions& options) {
  // libpq's message repeats the text, which may be the password.
  char* ignored = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(PQconninfoParse(options.url.c_str(), &ignored),
                                                                            &PQconninfoFree);
  if (ignored != nullptr) PQfreemem(ignored);
  const bool url = options.url.starts_with("postgresql://") || options.url.starts_with("postgres://");
  if (parsed == nullptr || (!url && options.url.find('=') == std::string::npos)) {
    return Fail(
        ErrorKind::kInvalidArgument,
        "the value of " + options.url_source +
            " is no Postgres connection; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE (with %XX for characters such as @ and / "
            "in the password)");
  }
  std::map<std::string, std::string> given;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr && option->val[0] != '\0') given[option->keyword] = option->val;
  }
  const auto set = [&](const char* keyword, const std::string& value) {
    if (!value.empty()) given[keyword] = value;
  };
  set("sslmode", options.tls_mode);
  set("sslrootcert", options.tls_ca);
  set("sslcert", options.tls_certificate);
  set("sslkey", options.tls_key);
  const std::string host = given.contains("host") ? given["host"] : given.contains("hostaddr") ? given["hostaddr"] : "";
  if (!given.contains("sslmode")) given["sslmode"] = OnThisMachine(host) ? "prefer" : "verify-full";
  const bool verified = given["sslmode"].starts_with("verify");
  if (verified && !given.contains("sslrootcert") && std::filesystem::exists(kSystemAuthorities)) given["sslrootcert"] = kSystemAuthorities;
  given["client_encoding"] = "UTF8";
  given.try_emplace("application_name", "sightline");
  // A peer that is gone without a word is found out by the kernel, too, while nothing is asked.
  given.try_emplace("keepalives_idle", "30");
  given.try_emplace("keepalives_interval", "10");
  given.try_emplace("keepalives_count", "3");

  ConnectionParameters parameters;
  parameters.keywords.assign(given.begin(), given.end());
  parameters.source = options.url_source;
  parameters.user = given["user"];
  parameters.database = given.contains("dbname") && !given["dbname"].empty() ? given["dbname"] : given["user"];
  parameters.place =
      (host.empty() ? "local socket" : host) + ":" + (given["port"].empty() ? "5432" : given["port"]) + "/" + parameters.database;
  parameters.connect_timeout = options.connect_timeout;
  parameters.statement_timeout = options.statement_timeout;
  return parameters;
}

}  // namespace sightline::postgres
