#pragma once

#include <memory>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"
#include "sightline/stores/statistics/embedded/table_layout.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::stores::duck {

// Runs the query; with a limit its whole answer is in memory when this returns, without it rows are computed as they are read.
Result<std::unique_ptr<RowStream>> OpenRowStream(Connection connection, const TableInfo& table, const RowQuery& query,
                                                 relational::RowSelect select);

Result<std::vector<TopItem>> ReadTop(Connection& connection, const SqlText& sql);
Result<std::vector<HistoryPoint>> ReadHistory(Connection& connection, const SqlText& sql);

}  // namespace sightline::stores::duck
