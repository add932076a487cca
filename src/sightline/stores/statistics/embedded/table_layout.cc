#include "sightline/stores/statistics/embedded/table_layout.h"

#include "sightline/stores/statistics/embedded/duckdb_internal.h"

namespace sightline::stores::duck {

std::string RowTable(const TableInfo& table) { return "sightline.r" + std::to_string(table.id); }
std::string GroupTable(const TableInfo& table) { return "sightline.g" + std::to_string(table.id); }

std::string CreateTables(const TableInfo& table) {
  const ResultShape& shape = table.table.shape;
  std::string rows =
      "CREATE TABLE " + RowTable(table) + "(window_start BIGINT, window_end BIGINT, state UTINYINT, revision UINTEGER, ordinal UINTEGER";
  for (std::size_t i = 0; i < shape.schema.fields.size(); ++i) {
    rows += ", c" + std::to_string(i) + " " + std::string(SqlTypeOf(shape.schema.fields[i].type));
  }
  std::string groups = "CREATE TABLE " + GroupTable(table) + "(window_start BIGINT";
  for (std::size_t i = 0; i < shape.group.size(); ++i) {
    const Field& field = shape.schema.fields[static_cast<std::size_t>(shape.group[i])];
    groups += ", k" + std::to_string(i) + " " + std::string(SqlTypeOf(field.type));
  }
  return rows + ");" + groups + ", revision UINTEGER, partition INTEGER);";
}

std::string DropTables(const TableInfo& table) {
  const std::string id = std::to_string(table.id);
  return "DROP TABLE " + RowTable(table) + "; DROP TABLE " + GroupTable(table) + "; DELETE FROM sightline.tables WHERE id = " + id +
         "; DELETE FROM sightline.columns WHERE table_id = " + id + "; DELETE FROM sightline.offsets WHERE table_id = " + id + ";";
}

std::string CreateView(const TableInfo& table) {
  const ResultShape& shape = table.table.shape;
  std::string sql = "CREATE OR REPLACE VIEW main." + Quote(shape.pipeline) + " AS SELECT ";
  for (const Field& field : RowSchema(shape).fields) {
    if (!sql.ends_with("SELECT ")) sql += ", ";
    sql += relational::Expression(shape, field.name) + " AS " + Quote(field.name);
  }
  return sql + " FROM " + RowTable(table) + ";";
}

}  // namespace sightline::stores::duck
