#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/sightline/examination.h"
#include "connectors/postgres/examination.h"
#include "connectors/postgres/statistics_store.h"
#include "sightline/config/config.h"
#include "sightline/runtime/runtime.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::app {

// The statistics store that drivers.statistics names. An embedded one is opened and recovered, one on a server connects at its first use.
Result<std::unique_ptr<stores::StatisticsStore>> OpenStatistics(const config::Config& config, const std::string& data,
                                                                const runtime::Runtime& runtime);
// Whether a store of this configuration may be away at the start and come back: then its sinks wait for it, and nothing else does.
bool MayBeAway(const config::StatisticsConfig& statistics, const Error& error);

// What was looked at on a Postgres server, as `doctor` says it; `of` stands before each name.
std::vector<Finding> FindingsOf(const std::string& of, const std::vector<postgres::Check>& checks);

postgres::StatisticsOptions PostgresOptionsOf(const config::StatisticsConfig& statistics);
postgres::ConnectionOptions ConnectionOptionsOf(const config::Secret& url, const config::PostgresTlsConfig& tls,
                                                std::chrono::milliseconds connect_timeout, std::chrono::milliseconds statement_timeout);

}  // namespace sightline::app
