#pragma once

#include <string>

#include "sightline/stores/statistics/relational/row_queries.h"
#include "sightline/stores/statistics/relational/tables.h"

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

using relational::SqlText;
using relational::TableInfo;

std::string RowTable(const TableInfo& table);    // sightline.r7
std::string GroupTable(const TableInfo& table);  // sightline.g7

// Statements that make and remove the tables of a generation, and that show it under the pipeline's name.
std::string CreateTables(const TableInfo& table);
std::string DropTables(const TableInfo& table);
std::string CreateView(const TableInfo& table);

}  // namespace sightline::stores::duck
