#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "sightline/runtime/clock.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/stores/statistics/sql/port.h"

namespace sightline::stores {

struct SqlOptions {
  std::chrono::milliseconds time_max{10'000};
  std::uint64_t memory_bytes_max = 256ULL << 20;  // of one principal's joins, sorts and aggregates
  std::uint64_t rows_max = 10'000;                // of an answer; the rest is cut off and said to be
  std::uint64_t bytes_max = 16ULL << 20;          // of an answer
  std::size_t sql_bytes_max = 64ULL << 10;
  int concurrent_max = 4;           // queries at the same time, of all principals
  std::size_t principals_max = 16;  // instances kept for the next query
};

// SQL over any statistics store. Each principal has a DuckDB instance of its own in memory, without access to files or network, with
// its configuration locked, whose only relations are views over functions of ours that read the store with the principal's grants
// inside. Before it runs, a statement is parsed, and refused if it is no single SELECT or calls a function that is not for reading
// (sql/sql_guard.h says why locking is not enough).
//
// memory_bytes_max bounds what DuckDB accounts for; a single text value may still be as large as the process allows. A query runs on
// the thread that asks. The store and the clock outlive the service.
std::unique_ptr<SqlService> MakeSqlService(StatisticsStore& store, const runtime::Clock& clock, const SqlOptions& options);

}  // namespace sightline::stores
