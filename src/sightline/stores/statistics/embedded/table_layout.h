#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/result.h"
#include "sightline/stores/statistics/port.h"

// How results lie in DuckDB, and the SQL that this takes.
//
//   sightline.format     version
//   sightline.tables     id, pipeline, generation, active, windowed: one row a generation
//   sightline.columns    the schema of each
//   sightline.offsets    table_id, topic, partition, next: what is applied, written with the rows
//   sightline.r<id>      one row a result row: window_start, window_end, state, revision, ordinal, then c0, c1 …
//   sightline.g<id>      one row a corrected group: window_start, k0, k1 …, revision, partition
//   main."<pipeline>"    a view of the active generation with the pipeline's column names
//
// Result rows are flat, not lists: see docs/adr/0005-statistics-store.md for the figures.
namespace sightline::stores::duck {

struct TableInfo {
  std::int32_t id = 0;
  StatisticsTable table;
};

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

std::string RowTable(const TableInfo& table);    // sightline.r7
std::string GroupTable(const TableInfo& table);  // sightline.g7

// Statements that make and remove the tables of a generation, and that show it under the pipeline's name.
std::string CreateTables(const TableInfo& table);
std::string DropTables(const TableInfo& table);
std::string CreateView(const TableInfo& table);

// kInvalidArgument when the shape has names that a row cannot have: reserved, or equal but for upper and lower case.
Status CheckShape(const ResultShape& shape);

// kInvalidArgument for unknown columns, values of another type, a cursor of another query or generation.
Result<RowSelect> SelectRows(const TableInfo& table, const RowQuery& query);
Result<SqlText> SelectTop(const TableInfo& table, const TopQuery& query);
Result<SqlText> SelectHistory(const TableInfo& table, const HistoryQuery& query);

// The schema of the columns in which SelectRows puts a row's place.
Schema PlaceSchema(const TableInfo& table);

}  // namespace sightline::stores::duck
