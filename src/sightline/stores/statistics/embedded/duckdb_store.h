#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sightline/base/result.h"
#include "sightline/runtime/runtime.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::stores {

struct DuckDbOptions {
  std::string directory;                     // <data>/statistics; made when missing
  std::uint64_t memory_bytes_max = 1 << 30;  // of DuckDB's buffers; beyond it, it spills into the directory
  int threads = 2;                           // for queries; applying takes the caller's
};

// The statistics store in a DuckDB file, <directory>/statistics.duckdb, which one process owns. A commit is in DuckDB's
// write-ahead log on disk when Apply returns; what a crash leaves is replayed at Open. Anyone may open the file with DuckDB's own
// tools while no server runs: each pipeline is a view of its name. Layout: table_layout.h; reasons: docs/adr/0005.
//
// After an error that makes DuckDB give the database up (a failed sync, a full disk in the middle of a checkpoint) calls fail with
// kUnavailable until the next Apply has opened it again, which it can once the open streams are gone.
// kFailedPrecondition from Open: another process has the file, or a newer version has written it. kCorruption: it is damaged.
Result<std::unique_ptr<StatisticsStore>> OpenDuckDbStore(const runtime::Runtime& runtime, const DuckDbOptions& options);

}  // namespace sightline::stores
