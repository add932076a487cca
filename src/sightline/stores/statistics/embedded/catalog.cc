#include "sightline/stores/statistics/embedded/catalog.h"

#include <algorithm>

namespace sightline::stores::duck {
namespace {

constexpr std::int64_t kFormatVersion = 1;

// Calls `row` for each row of a result, with the data pointers of its columns.
template <typename Row>
Status ForEach(Rows& rows, Row row) {
  while (true) {
    SL_ASSIGN_OR_RETURN(duckdb_data_chunk chunk, rows.Next());
    if (chunk == nullptr) return {};
    for (std::size_t i = 0; i < duckdb_data_chunk_get_size(chunk); ++i) row(chunk, i);
  }
}

template <typename T>
T Cell(duckdb_data_chunk chunk, std::size_t column, std::size_t row) {
  return static_cast<const T*>(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column)))[row];
}

std::string TextCell(duckdb_data_chunk chunk, std::size_t column, std::size_t row) {
  return std::string(Text(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column)), row));
}

Status CheckFormat(Connection& connection) {
  SL_ASSIGN_OR_RETURN(Rows rows, connection.Query("SELECT version::BIGINT FROM sightline.format"));
  std::int64_t version = 0;
  SL_TRY(ForEach(rows, [&](duckdb_data_chunk chunk, std::size_t row) { version = Cell<std::int64_t>(chunk, 0, row); }));
  if (version == kFormatVersion) return {};
  return Fail(ErrorKind::kFailedPrecondition,
              "the statistics database has format " + std::to_string(version) + ", this program knows format " +
                  std::to_string(kFormatVersion) +
                  "; run the newer program, or move the file away to build it anew from the results topics");
}

// A generation is 64 bits; DuckDB's parameters of ours are int64, so the bits are stored as such.
std::int64_t AsSigned(std::uint64_t generation) { return static_cast<std::int64_t>(generation); }

}  // namespace

Status PrepareCatalog(Connection& connection) {
  SL_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  SL_TRY(connection.Execute(
      "CREATE SCHEMA IF NOT EXISTS sightline;"
      "CREATE TABLE IF NOT EXISTS sightline.format(version INTEGER);"
      "CREATE TABLE IF NOT EXISTS sightline.tables(id INTEGER, pipeline VARCHAR, generation BIGINT, active BOOLEAN, windowed BOOLEAN);"
      "CREATE TABLE IF NOT EXISTS sightline.columns(table_id INTEGER, position INTEGER, name VARCHAR, type INTEGER, nullable BOOLEAN,"
      " identifier BOOLEAN, group_position INTEGER);"
      "CREATE TABLE IF NOT EXISTS sightline.offsets(table_id INTEGER, topic VARCHAR, partition INTEGER, next BIGINT);"
      "INSERT INTO sightline.format SELECT " +
      std::to_string(kFormatVersion) + " WHERE NOT EXISTS (FROM sightline.format);"));
  SL_TRY(transaction.Commit());
  return CheckFormat(connection);
}

Result<std::vector<TableInfo>> ReadCatalog(Connection& connection) {
  std::map<std::int32_t, TableInfo> tables;
  SL_ASSIGN_OR_RETURN(Rows rows, connection.Query("SELECT id, pipeline, generation, active, windowed FROM sightline.tables"));
  SL_TRY(ForEach(rows, [&](duckdb_data_chunk chunk, std::size_t row) {
    const auto id = Cell<std::int32_t>(chunk, 0, row);
    TableInfo& info = tables[id];
    info.id = id;
    info.table.shape.pipeline = TextCell(chunk, 1, row);
    info.table.generation = static_cast<std::uint64_t>(Cell<std::int64_t>(chunk, 2, row));
    info.table.active = Cell<std::uint8_t>(chunk, 3, row) != 0;
    info.table.shape.windowed = Cell<std::uint8_t>(chunk, 4, row) != 0;
  }));
  SL_ASSIGN_OR_RETURN(Rows columns, connection.Query("SELECT table_id, name, type, nullable, identifier, group_position"
                                                     " FROM sightline.columns ORDER BY table_id, position"));
  SL_TRY(ForEach(columns, [&](duckdb_data_chunk chunk, std::size_t row) {
    const auto at = tables.find(Cell<std::int32_t>(chunk, 0, row));
    if (at == tables.end()) return;
    ResultShape& shape = at->second.table.shape;
    const auto group = Cell<std::int32_t>(chunk, 5, row);
    if (group >= 0) {
      shape.group.resize(std::max(shape.group.size(), static_cast<std::size_t>(group) + 1));
      shape.group[static_cast<std::size_t>(group)] = static_cast<int>(shape.schema.fields.size());
    }
    shape.schema.fields.push_back({.name = TextCell(chunk, 1, row),
                                   .type = static_cast<FieldType>(Cell<std::int32_t>(chunk, 2, row)),
                                   .nullable = Cell<std::uint8_t>(chunk, 3, row) != 0,
                                   .identifier = Cell<std::uint8_t>(chunk, 4, row) != 0});
  }));
  std::vector<TableInfo> list;
  for (auto& [id, info] : tables) list.push_back(std::move(info));
  return list;
}

Status AddTable(Connection& connection, const TableInfo& table) {
  const ResultShape& shape = table.table.shape;
  SL_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  SL_TRY(connection.Execute(CreateTables(table)));
  const std::vector<Value> row = {std::int64_t{table.id}, shape.pipeline, AsSigned(table.table.generation), table.table.active,
                                  shape.windowed};
  SL_TRY(connection.Query("INSERT INTO sightline.tables VALUES (?, ?, ?, ?, ?)", row));
  for (std::size_t i = 0; i < shape.schema.fields.size(); ++i) {
    const Field& field = shape.schema.fields[i];
    const auto group = std::ranges::find(shape.group, static_cast<int>(i));
    const std::int64_t group_position = group == shape.group.end() ? -1 : group - shape.group.begin();
    const std::vector<Value> column = {std::int64_t{table.id},
                                       static_cast<std::int64_t>(i),
                                       field.name,
                                       static_cast<std::int64_t>(field.type),
                                       field.nullable,
                                       field.identifier,
                                       group_position};
    SL_TRY(connection.Query("INSERT INTO sightline.columns VALUES (?, ?, ?, ?, ?, ?, ?)", column));
  }
  if (table.table.active) SL_TRY(connection.Execute(CreateView(table)));
  return transaction.Commit();
}

Status SwapTable(Connection& connection, const TableInfo& chosen, const std::vector<TableInfo>& dropped) {
  SL_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  SL_TRY(connection.Execute(CreateView(chosen)));
  SL_TRY(connection.Execute("UPDATE sightline.tables SET active = true WHERE id = " + std::to_string(chosen.id)));
  for (const TableInfo& table : dropped) SL_TRY(connection.Execute(DropTables(table)));
  return transaction.Commit();
}

Status ReadOffsets(Connection& connection, const TableInfo& table, std::map<std::string, std::map<std::int32_t, Offset>>& offsets) {
  SL_ASSIGN_OR_RETURN(
      Rows rows, connection.Query("SELECT topic, partition, next FROM sightline.offsets WHERE table_id = " + std::to_string(table.id)));
  return ForEach(rows, [&](duckdb_data_chunk chunk, std::size_t row) {
    offsets[TextCell(chunk, 0, row)][Cell<std::int32_t>(chunk, 1, row)] = Offset(Cell<std::int64_t>(chunk, 2, row));
  });
}

Status WriteOffsets(Connection& connection, const TableInfo& table, const std::string& topic,
                    const std::vector<ApplyRequest::Consumed>& consumed, const std::map<std::int32_t, Offset>& stored) {
  for (const auto& [partition, next] : consumed) {
    const auto at = stored.find(partition.value);
    if (at != stored.end() && next <= at->second) continue;
    const std::vector<Value> values = {next.value, std::int64_t{table.id}, topic, std::int64_t{partition.value}};
    const char* sql = at == stored.end() ? "INSERT INTO sightline.offsets(next, table_id, topic, partition) VALUES (?, ?, ?, ?)"
                                         : "UPDATE sightline.offsets SET next = ? WHERE table_id = ? AND topic = ? AND partition = ?";
    SL_TRY(connection.Query(sql, values));
  }
  return {};
}

Status ReadCorrected(Connection& connection, const TableInfo& table, CorrectedUntil& corrected) {
  SL_ASSIGN_OR_RETURN(Rows rows, connection.Query("SELECT partition, max(window_start) FROM " + GroupTable(table) + " GROUP BY partition"));
  return ForEach(rows, [&](duckdb_data_chunk chunk, std::size_t row) {
    corrected[Cell<std::int32_t>(chunk, 0, row)] = EventTime(Cell<std::int64_t>(chunk, 1, row));
  });
}

Result<std::uint64_t> DeleteWindows(Connection& connection, const TableInfo& table, EventTime end) {
  const std::vector<Value> bound = {end.value};
  // A corrected group is known by its window's start; those whose rows go are found before.
  SL_TRY(connection.Query("DELETE FROM " + GroupTable(table) + " WHERE window_start IN (SELECT window_start FROM " + RowTable(table) +
                              " WHERE window_end <= ?)",
                          bound));
  SL_ASSIGN_OR_RETURN(Rows rows, connection.Query("DELETE FROM " + RowTable(table) + " WHERE window_end <= ?", bound));
  return rows.changed();
}

}  // namespace sightline::stores::duck
