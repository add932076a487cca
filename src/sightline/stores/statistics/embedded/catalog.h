#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/ids.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"
#include "sightline/stores/statistics/embedded/table_layout.h"
#include "sightline/stores/statistics/embedded/table_writer.h"

// The tables that describe the others (table_layout.h).
namespace sightline::stores::duck {

// Makes them in a new file. kFailedPrecondition when a newer version of the program has written the file.
Status PrepareCatalog(Connection& connection);
Result<std::vector<TableInfo>> ReadCatalog(Connection& connection);
// Adds a generation, and its view if it is active; one transaction.
Status AddTable(Connection& connection, const TableInfo& table);
// Shows `chosen` under the pipeline's name and removes `dropped`; one transaction.
Status SwapTable(Connection& connection, const TableInfo& chosen, const std::vector<TableInfo>& dropped);

// Adds what is stored to `offsets`, by topic and partition.
Status ReadOffsets(Connection& connection, const TableInfo& table, std::map<std::string, std::map<std::int32_t, Offset>>& offsets);
// Within a transaction; `stored` are the offsets that are there. Positions never go back.
Status WriteOffsets(Connection& connection, const TableInfo& table, const std::string& topic,
                    const std::vector<ApplyRequest::Consumed>& consumed, const std::map<std::int32_t, Offset>& stored);
Status ReadCorrected(Connection& connection, const TableInfo& table, CorrectedUntil& corrected);
// Removes windows that end at or before `end`, within a transaction; the number of result rows.
Result<std::uint64_t> DeleteWindows(Connection& connection, const TableInfo& table, EventTime end);

}  // namespace sightline::stores::duck
