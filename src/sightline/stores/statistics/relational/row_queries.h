#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/result.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/stores/statistics/relational/tables.h"

// What every statistics store in a SQL engine shares: one row a result row in a table with the columns window_start, window_end (epoch
// ms), state (1 final, 2 corrected), revision, ordinal (place in the group), c0, c1 … (the pipeline's columns, by position); and the
// queries over it, in SQL that DuckDB and Postgres read alike. Text is compared by bytes: a driver declares its columns so.
namespace sightline::stores::relational {

// A statement with parameters $1, $2 …
struct SqlText {
  std::string text;
  std::vector<Value> parameters;
};

// A query of rows, ready to run. The output's last columns, as many as `schema` has not, are the row's place for the cursor:
// window_start, the group's columns, ordinal.
struct RowSelect {
  SqlText sql;
  Schema schema;
};

// kInvalidArgument when the shape has names that a row cannot have: reserved, or equal but for upper and lower case.
Status CheckShape(const ResultShape& shape);
// The expression of a column, named as queries name it, over the row table.
std::string Expression(const ResultShape& shape, std::string_view column);

// `rows_of` is the row table's name. kInvalidArgument for unknown columns, values of another type, a cursor of another query or
// generation.
Result<RowSelect> SelectRows(const TableInfo& table, const std::string& rows_of, const RowQuery& query);
// The name, and the sum or null.
Result<SqlText> SelectTop(const TableInfo& table, const std::string& rows_of, const TopQuery& query);
// The bucket's start in epoch ms, and the sum or null.
Result<SqlText> SelectHistory(const TableInfo& table, const std::string& rows_of, const HistoryQuery& query);

// The schema of the columns in which SelectRows puts a row's place.
Schema PlaceSchema(const TableInfo& table);

}  // namespace sightline::stores::relational
