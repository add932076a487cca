#pragma once

#include <set>
#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::stores::duck {

// What a principal's instance shows of one pipeline.
struct Relation {
  StatisticsTable table;
  std::vector<ColumnFilter> grants;  // conditions of the principal on every row
};

// Registers a table function for the relation that reads `store` (only the columns that a query uses), the view named like the
// pipeline over it, and the table macro "<pipeline>_between"(from_ms, to_ms). `number` tells relations apart. The store outlives the
// instance.
Status ShowRelation(Connection& connection, StatisticsStore& store, const Relation& relation, int number);

// The name of the macro, in lower case.
std::string BetweenName(const Relation& relation);

}  // namespace sightline::stores::duck
