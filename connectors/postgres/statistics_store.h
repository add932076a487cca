#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "connectors/postgres/connection_options.h"
#include "sightline/base/result.h"
#include "sightline/runtime/runtime.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::postgres {

struct StatisticsOptions {
  ConnectionOptions connection{};
  std::string schema = "sightline";         // of the views; the tables are in <schema>_store
  std::string reader = "sightline_reader";  // role that may read the views, if it is there; "" for none
  std::size_t connections_max = 8;
};

// The statistics store in a Postgres database, which any number of processes may fill and read at the same time: the positions of a
// partition are locked for the transaction that moves them. Layout: layout.h; reasons: docs/adr/0012.
//
// Opening connects nowhere: a server that is away makes calls fail with kUnavailable until it is back, and nothing else. The first call
// after a connection brings the layout up to this version and compares what is there with what was made. On top of the port's errors:
// kUnauthenticated, kPermissionDenied, kFailedPrecondition (encoding, version, a table changed by hand), each with what to do.
// kDeadlineExceeded and kUnavailable from Apply: it is not known whether it is there; Offsets tells, and the same again is safe.
// kInvalidArgument from here: the connection's text is none.
Result<std::unique_ptr<stores::StatisticsStore>> OpenStatisticsStore(const runtime::Runtime& runtime, const StatisticsOptions& options);

}  // namespace sightline::postgres
