#pragma once

#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/result.h"
#include "sightline/stores/statistics/relational/row_queries.h"
#include "sightline/stores/statistics/relational/tables.h"

// How results lie in Postgres, and the SQL that this takes. docs/connectors/postgres.md shows it to users: names are stable.
//
//   <schema>."<pipeline>"           a view of the active generation with the pipeline's column names, for everybody who may read
//   <schema>_store.format           version of this layout
//   <schema>_store.tables           id, pipeline, generation, active, windowed: one row a generation
//   <schema>_store.columns          the columns of each
//   <schema>_store.offsets          table_id, topic, partition, next, corrected_until: what is applied, written with the rows
//   <schema>_store.sources          table_id, topic, partition: the partitions that must have a row in offsets
//   <schema>_store.rows_<id>        one row a result row: relational/row_queries.h
//   <schema>_store.corrections_<id> one row a corrected group: window_start, window_end, k0, k1 …, revision
namespace sightline::postgres {

using stores::relational::TableInfo;

struct Layout {
  std::string schema = "sightline";
  std::string reader = "sightline_reader";  // the role that may read the views; "" for none

  std::string Store(const std::string& table) const;  // "sightline_store"."offsets"
  std::string Rows(const TableInfo& table) const { return Store("rows_" + std::to_string(table.id)); }
  std::string Corrections(const TableInfo& table) const { return Store("corrections_" + std::to_string(table.id)); }
  std::string View(const TableInfo& table) const;

  // The statements that bring the layout from version i to i + 1.
  std::vector<std::string> Migrations() const;
  std::string CreateTables(const TableInfo& table) const;
  std::string DropTables(const TableInfo& table) const;
  std::string CreateView(const TableInfo& table) const;
  // Comments on the view, and rights on it for the reader if the role is there.
  std::string CommentView(const TableInfo& table) const;
  std::string GrantView(const TableInfo& table) const;
  // What somebody does by hand to have a pipeline's results built anew from its topic.
  std::string RebuildBy(const TableInfo& table) const;
};

// A column as pg_catalog names it.
struct StoredColumn {
  std::string name;
  std::string type;  // format_type: "bigint"
  friend bool operator==(const StoredColumn&, const StoredColumn&) = default;
};
std::vector<StoredColumn> RowColumns(const ResultShape& shape);
std::vector<StoredColumn> CorrectionColumns(const ResultShape& shape);
std::vector<StoredColumn> ViewColumns(const ResultShape& shape);
std::string SqlType(FieldType type);  // with the collation of texts

// kInvalidArgument for names that Postgres would cut off.
Status CheckNames(const ResultShape& shape);

}  // namespace sightline::postgres
