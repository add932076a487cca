#include "connectors/postgres/catalog.h"

#include <algorithm>
#include <charconv>

#include "sightline/base/text.h"

namespace sightline::postgres {
namespace {

// Rows removed in one statement: well within any time-out.
constexpr int kDeletedAtOnce = 50'000;

std::int64_t AsSigned(std::uint64_t generation) { return static_cast<std::int64_t>(generation); }

// A number of an answer in text form.
std::int64_t TextInt(const Answer& answer, std::size_t row, std::size_t column) {
  return ParseInt64(answer.Bytes(row, column)).value_or(0);
}

std::string Lock(const Layout& layout) {
  return "SELECT pg_advisory_xact_lock(hashtextextended(" + Literal("sightline/" + layout.schema) + ", 0));";
}

Result<bool> Exists(Connection& connection, const std::string& sql, const std::string& name) {
  const std::vector<Parameter> parameters = {Parameter::Text(name)};
  SL_ASSIGN_OR_RETURN(const Answer answer, connection.Query(sql, parameters));
  return answer.rows() > 0;
}

Status MakeSchema(Connection& connection, const std::string& name) {
  SL_ASSIGN_OR_RETURN(const bool there, Exists(connection, "SELECT FROM pg_namespace WHERE nspname = $1", name));
  if (there) return {};
  auto made = connection.Execute("CREATE SCHEMA " + Quote(name));
  if (made) return {};
  Error error = std::move(made).error();
  if (error.kind == ErrorKind::kPermissionDenied) {
    const ConnectionParameters& to = connection.parameters();
    error.message += "; an administrator may GRANT CREATE ON DATABASE " + Quote(to.database) + " TO " + Quote(to.user) +
                     ", or CREATE SCHEMA " + Quote(name) + " AUTHORIZATION " + Quote(to.user);
  }
  return std::unexpected(std::move(error));
}

Result<std::optional<std::int64_t>> ReadVersion(Connection& connection, const Layout& layout) {
  SL_ASSIGN_OR_RETURN(
      const bool there,
      Exists(connection,
             "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'format'",
             layout.schema + "_store"));
  if (!there) return std::optional<std::int64_t>();
  SL_ASSIGN_OR_RETURN(const Answer answer, connection.Query("SELECT version FROM " + layout.Store("format")));
  if (answer.rows() != 1) {
    return Fail(ErrorKind::kFailedPrecondition, layout.Store("format") + " must have one row with the layout's version and has " +
                                                    std::to_string(answer.rows()) + ": it was changed by hand; restore it from a backup");
  }
  return std::optional(answer.Int64(0, 0));
}

Status TooNew(const Layout& layout, std::int64_t version) {
  return Fail(ErrorKind::kFailedPrecondition, "schema " + layout.schema + "_store has layout " + std::to_string(version) +
                                                  ", this program knows layout " + std::to_string(kLayoutVersion) +
                                                  "; run the newer program, or name another schema (drivers.statistics.schema)");
}

}  // namespace

Status Migrate(Connection& connection, const Layout& layout) {
  SL_ASSIGN_OR_RETURN(const auto known, ReadVersion(connection, layout));
  if (known && *known == kLayoutVersion) return {};
  if (known && *known > kLayoutVersion) return TooNew(layout, *known);
  SL_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  SL_TRY(connection.Execute(Lock(layout)));
  SL_TRY(MakeSchema(connection, layout.schema));
  SL_TRY(MakeSchema(connection, layout.schema + "_store"));
  // Somebody else may have done it meanwhile.
  SL_ASSIGN_OR_RETURN(const auto found, ReadVersion(connection, layout));
  if (found && *found > kLayoutVersion) return TooNew(layout, *found);
  if (!found) {
    SL_TRY(connection.Execute("CREATE TABLE " + layout.Store("format") + "(version bigint NOT NULL);COMMENT ON TABLE " +
                              layout.Store("format") + " IS 'Version of this layout.';COMMENT ON COLUMN " + layout.Store("format") +
                              ".version IS 'Raised by sightline''s migrations.';INSERT INTO " + layout.Store("format") + " VALUES (0)"));
  }
  const std::vector<std::string> migrations = layout.Migrations();
  for (std::int64_t version = found.value_or(0); version < kLayoutVersion; ++version) {
    SL_TRY(connection.Execute(migrations[static_cast<std::size_t>(version)]));
  }
  SL_TRY(connection.Execute("UPDATE " + layout.Store("format") + " SET version = " + std::to_string(kLayoutVersion)));
  return transaction.Commit();
}

Result<std::vector<TableInfo>> ReadCatalog(Connection& connection, const Layout& layout) {
  SL_ASSIGN_OR_RETURN(const Answer rows,
                      connection.Query("SELECT t.id, t.pipeline, t.generation, t.active, t.windowed, c.name, c.type, c.nullable,"
                                       " c.identifier, coalesce(c.group_position, -1) FROM " +
                                       layout.Store("tables") + " t LEFT JOIN " + layout.Store("columns") +
                                       " c ON c.table_id = t.id ORDER BY t.id, c.position"));
  std::vector<TableInfo> tables;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const auto id = static_cast<std::int32_t>(rows.Int64(row, 0));
    if (tables.empty() || tables.back().id != id) {
      TableInfo& info = tables.emplace_back();
      info.id = id;
      info.table.shape.pipeline = rows.Text(row, 1);
      info.table.generation = static_cast<std::uint64_t>(rows.Int64(row, 2));
      info.table.active = rows.Bool(row, 3);
      info.table.shape.windowed = rows.Bool(row, 4);
    }
    if (rows.IsNull(row, 5)) continue;
    ResultShape& shape = tables.back().table.shape;
    const std::int64_t group = rows.Int64(row, 9);
    if (group >= 0) {
      shape.group.resize(std::max(shape.group.size(), static_cast<std::size_t>(group) + 1));
      shape.group[static_cast<std::size_t>(group)] = static_cast<int>(shape.schema.fields.size());
    }
    Field field{.name = rows.Text(row, 5), .nullable = rows.Bool(row, 7), .identifier = rows.Bool(row, 8)};
    for (const FieldType type : {FieldType::kInt64, FieldType::kDouble, FieldType::kBool, FieldType::kString}) {
      if (rows.Bytes(row, 6) == FieldTypeName(type)) field.type = type;
    }
    shape.schema.fields.push_back(std::move(field));
  }
  return tables;
}

Status GrantReader(Connection& connection, const Layout& layout, const std::vector<TableInfo>& tables) {
  if (layout.reader.empty()) return {};
  const std::vector<Parameter> parameters = {Parameter::Text(layout.schema), Parameter::Text(layout.reader)};
  SL_ASSIGN_OR_RETURN(
      const Answer rows,
      connection.Query("SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON"
                       " r.rolname = $2 WHERE n.nspname = $1 AND c.relkind = 'v' AND NOT (has_schema_privilege(r.oid, n.oid, 'USAGE')"
                       " AND has_table_privilege(r.oid, c.oid, 'SELECT'))",
                       parameters));
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (const TableInfo& table : tables) {
      if (table.table.active && table.table.shape.pipeline == rows.Bytes(row, 0)) SL_TRY(connection.Execute(layout.GrantView(table)));
    }
  }
  return {};
}

Status AddTable(Connection& connection, const Layout& layout, const ResultShape& shape, std::uint64_t generation) {
  SL_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  SL_TRY(connection.Execute(Lock(layout)));
  SL_ASSIGN_OR_RETURN(const std::vector<TableInfo> present, ReadCatalog(connection, layout));
  SL_ASSIGN_OR_RETURN(const TableInfo table, stores::relational::PlanTable(present, shape, generation));
  if (table.id == 0) return transaction.Commit();
  const std::string id = std::to_string(table.id);
  const auto flag = [](bool value) { return value ? std::string("true") : std::string("false"); };
  std::string sql = layout.CreateTables(table) + "INSERT INTO " + layout.Store("tables") +
                    "(id, pipeline, generation, active, windowed) VALUES (" + id + ", " + Literal(shape.pipeline) + ", " +
                    std::to_string(AsSigned(generation)) + ", " + flag(table.table.active) + ", " + flag(shape.windowed) + ");";
  for (std::size_t i = 0; i < shape.schema.fields.size(); ++i) {
    const Field& field = shape.schema.fields[i];
    const auto group = std::ranges::find(shape.group, static_cast<int>(i));
    sql += "INSERT INTO " + layout.Store("columns") + " VALUES (" + id + ", " + std::to_string(i) + ", " + Literal(field.name) + ", " +
           Literal(FieldTypeName(field.type)) + ", " + flag(field.nullable) + ", " + flag(field.identifier) + ", " +
           (group == shape.group.end() ? "NULL" : std::to_string(group - shape.group.begin())) + ");";
  }
  if (table.table.active) sql += layout.CreateView(table) + layout.CommentView(table);
  SL_TRY(connection.Execute(sql));
  return transaction.Commit();
}

Status SwapTable(Connection& connection, const Layout& layout, const std::string& pipeline, std::uint64_t generation) {
  SL_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  SL_TRY(connection.Execute(Lock(layout)));
  SL_ASSIGN_OR_RETURN(const std::vector<TableInfo> present, ReadCatalog(connection, layout));
  SL_ASSIGN_OR_RETURN(const TableInfo chosen, stores::relational::FindGeneration(present, pipeline, generation));
  if (chosen.table.active) return transaction.Commit();
  std::string drops;
  bool same = false;
  for (const TableInfo& other : present) {
    if (other.table.shape.pipeline != pipeline || other.id == chosen.id) continue;
    drops += layout.DropTables(other);
    if (other.table.active) same = ViewColumns(other.table.shape) == ViewColumns(chosen.table.shape);
  }
  // A view with the same columns is replaced, which leaves what others have built on it as it is.
  if (!same) {
    auto dropped = connection.Execute("DROP VIEW IF EXISTS " + layout.View(chosen));
    if (!dropped) {
      Error error = std::move(dropped).error();
      error.message += "; the new results of " + pipeline + " have other columns: drop what depends on the view " + layout.View(chosen) +
                       ", and make it anew afterwards";
      return std::unexpected(std::move(error));
    }
  }
  SL_TRY(connection.Execute(layout.CreateView(chosen) + layout.CommentView(chosen) + drops + "UPDATE " + layout.Store("tables") +
                            " SET active = true WHERE id = " + std::to_string(chosen.id)));
  return transaction.Commit();
}

namespace {

Error RowRemoved(const Layout& layout, const TableInfo& table, const std::string& topic, std::int64_t partition) {
  return {ErrorKind::kCorruption,
          layout.Store("offsets") + " has no row for partition " + std::to_string(partition) + " of " + topic +
              " any more: it was removed by hand, and its results would be stored twice. Restore the row from a backup "
              "of the same moment as the tables, or have the results of " +
              table.table.shape.pipeline + " built anew from their topic: " + layout.RebuildBy(table)};
}

}  // namespace

Result<StoredPositions> ReadPositions(Connection& connection, const Layout& layout, const TableInfo& table, const std::string& topic) {
  const std::vector<Parameter> parameters = {Parameter::Int64(table.id), Parameter::Text(topic)};
  SL_ASSIGN_OR_RETURN(
      const Answer rows,
      connection.Query("SELECT coalesce(o.partition, s.partition), o.next, o.corrected_until, s.partition IS NULL FROM (SELECT * FROM " +
                           layout.Store("offsets") + " WHERE table_id = $1 AND topic = $2) o FULL JOIN (SELECT * FROM " +
                           layout.Store("sources") + " WHERE table_id = $1 AND topic = $2) s ON s.partition = o.partition",
                       parameters));
  StoredPositions positions;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const std::int64_t partition = rows.Int64(row, 0);
    if (rows.IsNull(row, 1)) return std::unexpected(RowRemoved(layout, table, topic, partition));
    StoredPosition& position = positions[static_cast<std::int32_t>(partition)];
    position.next = Offset(rows.Int64(row, 1));
    if (!rows.IsNull(row, 2)) position.corrected_until = EventTime(rows.Int64(row, 2));
  }
  return positions;
}

Result<StoredPositions> LockPositions(Connection& connection, const Layout& layout, const TableInfo& table,
                                      const stores::ApplyRequest& request) {
  std::string partitions;
  std::string fresh;
  for (const auto& [partition, next] : request.consumed) {
    partitions += (partitions.empty() ? "" : ", ") + std::to_string(partition.value);
    fresh += (fresh.empty() ? "(" : ", (") + std::to_string(partition.value) + ")";
  }
  if (partitions.empty()) partitions = "NULL";
  const std::string mine =
      " WHERE table_id = " + std::to_string(table.id) + " AND topic = " + Literal(request.topic) + " AND partition IN (" + partitions + ")";
  const std::string lock =
      "SELECT partition, next, corrected_until FROM " + layout.Store("offsets") + mine + " ORDER BY partition FOR UPDATE";
  const auto read = [](const Answer& rows) {
    StoredPositions positions;
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      StoredPosition& position = positions[static_cast<std::int32_t>(TextInt(rows, row, 0))];
      position.next = Offset(TextInt(rows, row, 1));
      if (!rows.IsNull(row, 2)) position.corrected_until = EventTime(TextInt(rows, row, 2));
    }
    return positions;
  };
  SL_ASSIGN_OR_RETURN(const Answer known, connection.Execute("BEGIN;" + lock));
  StoredPositions positions = read(known);
  if (positions.size() == request.consumed.size()) return positions;

  SL_ASSIGN_OR_RETURN(const Answer alive, connection.Execute("SELECT FROM " + layout.Store("tables") +
                                                             " WHERE id = " + std::to_string(table.id) + " FOR KEY SHARE"));
  if (alive.rows() == 0) {
    return Fail(ErrorKind::kNotFound, "the statistics have no generation " + std::to_string(table.table.generation) + " of pipeline " +
                                          request.pipeline + " any more: another server has put a newer one in its place");
  }
  SL_ASSIGN_OR_RETURN(const Answer seen, connection.Execute("SELECT partition FROM " + layout.Store("sources") + mine));
  for (std::size_t row = 0; row < seen.rows(); ++row) {
    const std::int64_t partition = TextInt(seen, row, 0);
    if (!positions.contains(static_cast<std::int32_t>(partition)))
      return std::unexpected(RowRemoved(layout, table, request.topic, partition));
  }
  const std::string of = "SELECT " + std::to_string(table.id) + ", " + Literal(request.topic) + ", p";
  const std::string values = " FROM (VALUES " + fresh + ") v(p) ON CONFLICT DO NOTHING;";
  SL_ASSIGN_OR_RETURN(const Answer now, connection.Execute("INSERT INTO " + layout.Store("sources") + "(table_id, topic, partition) " + of +
                                                           values + "INSERT INTO " + layout.Store("offsets") +
                                                           "(table_id, topic, partition, next) " + of + ", 0" + values + lock));
  return read(now);
}

Status WritePositions(Connection& connection, const Layout& layout, const TableInfo& table, const std::string& topic,
                      const StoredPositions& positions) {
  std::string values;
  for (const auto& [partition, position] : positions) {
    values += (values.empty() ? "(" : ", (") + std::to_string(partition) + ", " + std::to_string(position.next.value) + "::bigint, " +
              (position.corrected_until ? std::to_string(position.corrected_until->value) : "NULL") + "::bigint)";
  }
  if (values.empty()) return {};
  SL_TRY(connection.Execute("UPDATE " + layout.Store("offsets") +
                            " o SET next = greatest(o.next, v.next), corrected_until = greatest(o.corrected_until, v.until) FROM (VALUES " +
                            values + ") v(partition, next, until) WHERE o.table_id = " + std::to_string(table.id) +
                            " AND o.topic = " + Literal(topic) + " AND o.partition = v.partition"));
  return {};
}

Result<std::uint64_t> DeleteWindows(Connection& connection, const Layout& layout, const TableInfo& table, EventTime end) {
  const std::vector<Parameter> parameters = {Parameter::Int64(end.value)};
  const std::string old = "window_start < $1 AND window_end <= $1";
  SL_TRY(connection.Query("DELETE FROM " + layout.Corrections(table) + " WHERE " + old, parameters));
  const std::string sql = "DELETE FROM " + layout.Rows(table) + " WHERE ctid = ANY(ARRAY(SELECT ctid FROM " + layout.Rows(table) +
                          " WHERE " + old + " LIMIT " + std::to_string(kDeletedAtOnce) + "))";
  std::uint64_t removed = 0;
  while (true) {
    SL_ASSIGN_OR_RETURN(const Answer rows, connection.Query(sql, parameters));
    removed += rows.changed();
    if (rows.changed() < kDeletedAtOnce) return removed;
  }
}

Status CheckUnchanged(Connection& connection, const Layout& layout, const std::vector<TableInfo>& tables) {
  const std::string store = layout.schema + "_store";
  const std::vector<Parameter> schemas = {Parameter::Text(layout.schema), Parameter::Text(store)};
  SL_ASSIGN_OR_RETURN(
      const Answer rows,
      connection.Query("SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),"
                       " coalesce(l.collname::text, ''), c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                       " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                       " LEFT JOIN pg_collation l ON l.oid = a.attcollation"
                       " WHERE n.nspname IN ($1, $2) AND c.relkind IN ('r', 'p', 'v')",
                       schemas));
  // By relation and column: the type, with the collation of texts.
  std::map<std::string, std::map<std::string, std::string>> there;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const std::string collation = rows.Text(row, 4);
    there[Quote(rows.Bytes(row, 0)) + "." + Quote(rows.Bytes(row, 1))][rows.Text(row, 2)] =
        rows.Text(row, 3) + (collation.empty() ? "" : " COLLATE \"" + collation + "\"");
  }
  std::string found;
  const auto compare = [&](const std::string& relation, const std::vector<StoredColumn>& columns, const std::string& remedy) {
    std::string wrong;
    const auto at = there.find(relation);
    if (at == there.end()) wrong = " is missing";
    for (std::size_t i = 0; wrong.empty() && i < columns.size(); ++i) {
      const std::string wanted = columns[i].type + (columns[i].type == "text" ? " COLLATE \"C\"" : "");
      const auto column = at->second.find(columns[i].name);
      if (column == at->second.end()) {
        wrong = " has no column " + Quote(columns[i].name);
      } else if (column->second != wanted) {
        wrong = ": column " + Quote(columns[i].name) + " is " + column->second + " and must be " + wanted;
      }
    }
    if (!wrong.empty()) found += (found.empty() ? "" : "\n") + relation + wrong + ": it was changed by hand. " + remedy;
  };
  const std::string restore = "Undo the change, or restore the schema from a backup";
  compare(layout.Store("tables"),
          {{"id", "integer"}, {"pipeline", "text"}, {"generation", "bigint"}, {"active", "boolean"}, {"windowed", "boolean"}}, restore);
  compare(layout.Store("columns"),
          {{"table_id", "integer"},
           {"position", "integer"},
           {"name", "text"},
           {"type", "text"},
           {"nullable", "boolean"},
           {"identifier", "boolean"},
           {"group_position", "integer"}},
          restore);
  compare(layout.Store("offsets"),
          {{"table_id", "integer"}, {"topic", "text"}, {"partition", "integer"}, {"next", "bigint"}, {"corrected_until", "bigint"}},
          restore);
  compare(layout.Store("sources"), {{"table_id", "integer"}, {"topic", "text"}, {"partition", "integer"}}, restore);
  for (const TableInfo& table : tables) {
    const std::string remedy =
        "Undo the change, restore it from a backup, or have the results built anew from their topic: " + layout.RebuildBy(table);
    compare(layout.Rows(table), RowColumns(table.table.shape), remedy);
    compare(layout.Corrections(table), CorrectionColumns(table.table.shape), remedy);
    if (table.table.active) compare(layout.View(table), ViewColumns(table.table.shape), "Make it again: " + layout.CreateView(table));
  }
  if (found.empty()) return {};
  return Fail(ErrorKind::kFailedPrecondition, found);
}

}  // namespace sightline::postgres
