#include "connectors/postgres/replication_session.h"

#include <algorithm>

namespace sightline::postgres {
namespace {

// Values come as texts, from queries and from the stream: both sessions must write them alike.
constexpr const char* kAlike[] = {"SET TimeZone = 'UTC'", "SET DateStyle = 'ISO, YMD'", "SET IntervalStyle = 'iso_8601'",
                                  "SET extra_float_digits = 1", "SET bytea_output = 'hex'"};

Status SetAlike(Connection& connection) {
  for (const char* statement : kAlike) SL_TRY(connection.Execute(statement));
  return {};
}

}  // namespace

std::string TableDescription::Quoted() const { return Quote(schema) + "." + Quote(name); }

Result<TableDescription> DescribeTable(Connection& connection, const FollowerOptions& options) {
  const std::size_t dot = options.table.find('.');
  TableDescription table;
  table.schema = dot == std::string::npos ? "public" : options.table.substr(0, dot);
  table.name = dot == std::string::npos ? options.table : options.table.substr(dot + 1);
  const std::vector<Parameter> parameters = {Parameter::Text(table.schema), Parameter::Text(table.name)};
  SL_ASSIGN_OR_RETURN(
      const Answer rows,
      connection.Query("SELECT a.attname::text, c.relreplident = 'f' OR coalesce(a.attnum = ANY(i.indkey), false),"
                       " c.relreplident = 'f' OR i.indexrelid IS NOT NULL, c.relkind = 'r', has_table_privilege(c.oid, 'SELECT')"
                       " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                       " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"
                       " LEFT JOIN pg_index i ON i.indrelid = c.oid AND ((c.relreplident = 'd' AND i.indisprimary) OR"
                       " (c.relreplident = 'i' AND i.indisreplident))"
                       " WHERE n.nspname = $1 AND c.relname = $2 ORDER BY a.attnum",
                       parameters));
  if (rows.rows() == 0) {
    return Fail(ErrorKind::kNotFound, "there is no table " + table.Quoted() + " at " + connection.parameters().place +
                                          "; correct references." + options.reference + ".postgres.table");
  }
  if (!rows.Bool(0, 3)) return Fail(ErrorKind::kFailedPrecondition, table.Quoted() + " is no plain table, and cannot be followed");
  if (!rows.Bool(0, 4)) {
    return Fail(ErrorKind::kPermissionDenied, Quote(connection.parameters().user) + " may not read " + table.Quoted() +
                                                  "; GRANT SELECT ON " + table.Quoted() + " TO " + Quote(connection.parameters().user));
  }
  if (!rows.Bool(0, 2)) {
    return Fail(ErrorKind::kFailedPrecondition,
                table.Quoted() +
                    " has no replica identity: to publish it would make its updates fail. Give it a primary key, or ALTER TABLE " +
                    table.Quoted() + " REPLICA IDENTITY FULL");
  }
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const std::string name = rows.Text(row, 0);
    const bool identity = rows.Bool(row, 1);
    // Full identity needs every column; otherwise what nobody asks for is not kept.
    if (!identity && options.schema.Find(name) < 0) continue;
    table.columns.push_back(name);
    table.identity.push_back(identity);
  }
  for (const Field& field : options.schema.fields) {
    if (field.nullable || std::ranges::find(table.columns, field.name) != table.columns.end()) continue;
    return Fail(ErrorKind::kNotFound, table.Quoted() + " has no column " + field.name + ", which the contract asks for");
  }
  return table;
}

Status EnsurePublication(Connection& connection, const FollowerOptions& options, const TableDescription& table) {
  const std::vector<Parameter> parameters = {Parameter::Text(options.publication), Parameter::Text(table.schema),
                                             Parameter::Text(table.name)};
  SL_ASSIGN_OR_RETURN(
      const Answer known,
      connection.Query(
          "SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, t.tablename IS NOT NULL, t.rowfilter IS NOT NULL,"
          " t.attnames::text[] FROM pg_publication p LEFT JOIN pg_publication_tables t ON t.pubname = p.pubname AND"
          " t.schemaname = $2 AND t.tablename = $3 WHERE p.pubname = $1",
          parameters));
  const std::string wanted = "CREATE PUBLICATION " + Quote(options.publication) + " FOR TABLE " + table.Quoted();
  if (known.rows() == 0) {
    auto made = connection.Execute(wanted);
    if (made) return {};
    Error error = std::move(made).error();
    // Another server may have made it at the same moment.
    if (error.message.find("42710") != std::string::npos) return {};
    if (error.kind == ErrorKind::kPermissionDenied) error.message += "; the table's owner or an administrator may run: " + wanted;
    return std::unexpected(std::move(error));
  }
  const std::string name = "publication " + Quote(options.publication);
  if (!known.Bool(0, 1)) {
    return Fail(ErrorKind::kFailedPrecondition, name + " does not have table " + table.Quoted() + "; ALTER PUBLICATION " +
                                                    Quote(options.publication) + " ADD TABLE " + table.Quoted() + ", or name another one");
  }
  if (!known.Bool(0, 0) || known.Bool(0, 2)) {
    return Fail(ErrorKind::kFailedPrecondition,
                name + " leaves out some of the changes (publish, or a WHERE); " + wanted + " under another name serves");
  }
  for (const std::string& column : table.columns) {
    const std::vector<Parameter> one = {Parameter::Text(options.publication), Parameter::Text(table.schema), Parameter::Text(table.name),
                                        Parameter::Text(column)};
    SL_ASSIGN_OR_RETURN(const Answer there,
                        connection.Query("SELECT FROM pg_publication_tables WHERE pubname = $1 AND schemaname = $2 AND tablename = $3"
                                         " AND $4 = ANY(attnames::text[])",
                                         one));
    if (there.rows() == 0)
      return Fail(ErrorKind::kFailedPrecondition, name + " leaves out column " + column + " of " + table.Quoted() + "; add it to the list");
  }
  return {};
}

Result<std::optional<SlotState>> ReadSlot(Connection& connection, const FollowerOptions& options) {
  const std::vector<Parameter> parameters = {Parameter::Text(options.slot)};
  SL_ASSIGN_OR_RETURN(
      const Answer rows,
      connection.Query(
          "SELECT plugin = 'pgoutput', database = current_database(), active, coalesce(wal_status, ''),"
          " confirmed_flush_lsn::text, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE"
          " pg_current_wal_lsn() END, coalesce(restart_lsn, confirmed_flush_lsn))::bigint FROM pg_replication_slots WHERE slot_name = $1",
          parameters));
  if (rows.rows() == 0) return std::optional<SlotState>();
  SlotState slot;
  slot.active = rows.Bool(0, 2);
  slot.lag_bytes = rows.IsNull(0, 5) ? 0 : rows.Int64(0, 5);
  if (rows.IsNull(0, 0) || !rows.Bool(0, 0) || rows.IsNull(0, 1) || !rows.Bool(0, 1)) {
    slot.why = "it is of another plugin or database";
  } else if (rows.Text(0, 3) == "lost") {
    slot.why = "the server has removed the log that it needs (max_slot_wal_keep_size)";
  } else if (rows.IsNull(0, 4)) {
    slot.why = "it has no position";
  } else {
    slot.confirmed = ParseLsn(rows.Text(0, 4)).value_or(0);
    slot.usable = true;
  }
  return std::optional(std::move(slot));
}

Result<std::string> SystemIdentifier(Connection& replication) {
  SL_ASSIGN_OR_RETURN(const Answer rows, replication.Execute("IDENTIFY_SYSTEM"));
  if (rows.rows() != 1 || rows.columns() < 2) return Fail(ErrorKind::kInternal, "Postgres does not say which system it is");
  return rows.Text(0, 0) + "/" + rows.Text(0, 1);
}

Status ReadRows(Connection& connection, const TableDescription& description, FollowedTable& into) {
  std::string list;
  for (const std::string& column : description.columns) list += (list.empty() ? "" : ", ") + Quote(column);
  SL_ASSIGN_OR_RETURN(const Answer rows, connection.Execute("SELECT " + list + " FROM ONLY " + description.Quoted()));
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    FollowedTable::Row values;
    for (std::size_t c = 0; c < description.columns.size(); ++c) {
      values.push_back(rows.IsNull(row, c) ? std::nullopt : std::optional(rows.Text(row, c)));
    }
    into.Put(std::move(values));
  }
  return {};
}

Status TakeSnapshot(Connection& connection, Connection& replication, const FollowerOptions& options, const TableDescription& description,
                    FollowedTable& into) {
  SL_TRY(SetAlike(connection));
  SL_TRY(SetAlike(replication));
  SL_ASSIGN_OR_RETURN(const std::string system, SystemIdentifier(replication));
  auto made = replication.Execute("CREATE_REPLICATION_SLOT " + Quote(options.slot) + " LOGICAL pgoutput EXPORT_SNAPSHOT");
  if (!made) {
    Error error = std::move(made).error();
    if (error.message.find("wal_level") != std::string::npos) {
      error.kind = ErrorKind::kFailedPrecondition;
      error.message += "; ALTER SYSTEM SET wal_level = logical, and restart that server";
    }
    if (error.message.find("all replication slots are in use") != std::string::npos) error.message += "; raise max_replication_slots there";
    return std::unexpected(std::move(error));
  }
  const std::optional<Lsn> point = ParseLsn(made->Text(0, 1));
  if (!point) return Fail(ErrorKind::kInternal, "Postgres gave no position for the slot " + options.slot);
  SL_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  SL_TRY(connection.Execute("SET TRANSACTION SNAPSHOT " + Literal(made->Text(0, 2))));
  into.Begin({.system = system,
              .slot = options.slot,
              .table = description.Quoted(),
              .columns = description.columns,
              .identity = description.identity},
             *point);
  SL_TRY(ReadRows(connection, description, into));
  return transaction.Commit();
}

}  // namespace sightline::postgres
