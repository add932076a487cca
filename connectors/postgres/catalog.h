#pragma once

#include <map>
#include <string>
#include <vector>

#include "connectors/postgres/connection.h"
#include "connectors/postgres/layout.h"
#include "sightline/base/result.h"
#include "sightline/model/ids.h"
#include "sightline/model/time.h"
#include "sightline/stores/statistics/port.h"

// The tables that describe the others (layout.h). Changes of different processes are put in order by an advisory lock.
namespace sightline::postgres {

constexpr std::int64_t kLayoutVersion = 1;

// Makes the schemas and tables or brings them up to this version, in one transaction. kPermissionDenied says which right is missing,
// kFailedPrecondition that a newer version of the program was here.
Status Migrate(Connection& connection, const Layout& layout);
Result<std::vector<TableInfo>> ReadCatalog(Connection& connection, const Layout& layout);
// Compares what is there with what was made. kFailedPrecondition lists the differences, with what to do; nothing is mended.
Status CheckUnchanged(Connection& connection, const Layout& layout, const std::vector<TableInfo>& tables);

// Gives the readers' role what it lacks: it may have been made after the views.
Status GrantReader(Connection& connection, const Layout& layout, const std::vector<TableInfo>& tables);

// Adds a generation, and its view if it is active. Whoever comes second finds it there. `info` is what PlanTable gave over a catalog that
// may be old: the plan is made anew over the present one.
Status AddTable(Connection& connection, const Layout& layout, const ResultShape& shape, std::uint64_t generation);
// Shows the generation under the pipeline's name and removes the pipeline's others.
Status SwapTable(Connection& connection, const Layout& layout, const std::string& pipeline, std::uint64_t generation);

// What is stored of one partition.
struct StoredPosition {
  Offset next{};
  std::optional<EventTime> corrected_until{};
};
using StoredPositions = std::map<std::int32_t, StoredPosition>;

// kCorruption when a row of offsets was removed by hand.
Result<StoredPositions> ReadPositions(Connection& connection, const Layout& layout, const TableInfo& table, const std::string& topic);
// Begins a transaction, and locks the positions of the request's partitions in it until its end: whoever applies the same waits, and then
// sees what this one has stored. Partitions that were never seen get a row with `next` 0. kNotFound when the generation is gone.
Result<StoredPositions> LockPositions(Connection& connection, const Layout& layout, const TableInfo& table,
                                      const stores::ApplyRequest& request);
// Within that transaction. Positions never go back.
Status WritePositions(Connection& connection, const Layout& layout, const TableInfo& table, const std::string& topic,
                      const StoredPositions& positions);
// Removes windows that end at or before `end`, in several transactions; the number of result rows.
Result<std::uint64_t> DeleteWindows(Connection& connection, const Layout& layout, const TableInfo& table, EventTime end);

}  // namespace sightline::postgres
