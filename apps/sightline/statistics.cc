#include "apps/sightline/statistics.h"

#include "sightline/stores/statistics/embedded/duckdb_store.h"

namespace sightline::app {

Result<std::unique_ptr<stores::StatisticsStore>> OpenStatistics(const config::Config& config, const std::string& data,
                                                                const runtime::Runtime& runtime) {
  const config::StatisticsConfig& statistics = config.drivers.statistics;
  if (statistics.type == config::StatisticsType::kPostgres) return postgres::OpenStatisticsStore(runtime, PostgresOptionsOf(statistics));
  stores::DuckDbOptions options;
  options.directory = data + "/statistics";
  options.memory_bytes_max = statistics.memory_max;
  return stores::OpenDuckDbStore(runtime, options);
}

bool MayBeAway(const config::StatisticsConfig& statistics, const Error& error) {
  return statistics.type == config::StatisticsType::kPostgres && error.kind != ErrorKind::kInvalidArgument;
}

std::vector<Finding> FindingsOf(const std::string& of, const std::vector<postgres::Check>& checks) {
  std::vector<Finding> findings;
  for (const postgres::Check& check : checks) {
    const Health health = check.health == postgres::Check::Health::kGood      ? Health::kGood
                          : check.health == postgres::Check::Health::kWarning ? Health::kWarning
                                                                              : Health::kProblem;
    findings.push_back({of + " " + check.name, health, check.found, check.remedy});
  }
  return findings;
}

postgres::ConnectionOptions ConnectionOptionsOf(const config::Secret& url, const config::PostgresTlsConfig& tls,
                                                std::chrono::milliseconds connect_timeout, std::chrono::milliseconds statement_timeout) {
  postgres::ConnectionOptions options;
  options.url = url.reveal();
  options.url_source = url.source();
  if (tls.mode) options.tls_mode = config::PostgresTlsModeName(*tls.mode);
  options.tls_ca = tls.ca;
  options.tls_certificate = tls.certificate;
  options.tls_key = tls.key;
  options.connect_timeout = connect_timeout;
  options.statement_timeout = statement_timeout;
  return options;
}

postgres::StatisticsOptions PostgresOptionsOf(const config::StatisticsConfig& statistics) {
  return {.connection = ConnectionOptionsOf(statistics.url, statistics.tls, statistics.connect_timeout, statistics.statement_timeout),
          .schema = statistics.schema,
          .reader = statistics.reader == "none" ? "" : statistics.reader,
          .connections_max = static_cast<std::size_t>(statistics.connections_max)};
}

}  // namespace sightline::app
