#pragma once

#include <memory>

#include "connectors/postgres/connection_pool.h"
#include "connectors/postgres/layout.h"
#include "sightline/base/result.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::postgres {

// Runs the query. With a limit the whole answer is here when this returns and the session is free again; without it rows are fetched from
// a cursor as they are read, and the stream keeps the session.
Result<std::unique_ptr<stores::RowStream>> OpenRowStream(ConnectionPool::Lease session, const TableInfo& table,
                                                         const stores::RowQuery& query, stores::relational::RowSelect select);

}  // namespace sightline::postgres
