#pragma once

#include <cstdint>
#include <memory>

#include "sightline/base/result.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"

namespace sightline::stores::duck {

// A DuckDB instance in memory that reaches neither files, network nor extensions, never spills, and runs a query on the thread that
// asks for it.
Result<std::shared_ptr<Database>> OpenIsolated(std::uint64_t memory_bytes_max);
// After this no statement changes a setting. Registered functions and views stay.
Status LockConfiguration(Connection& connection);

}  // namespace sightline::stores::duck
