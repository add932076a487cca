#include "connectors/postgres/examination.h"

#include <cstdlib>

#include "connectors/postgres/catalog.h"
#include "connectors/postgres/examination_internal.h"

namespace sightline::postgres {
namespace {

constexpr int kVersionTested = 150000;
constexpr std::int64_t kClockMs = 2'000;

using enum Check::Health;

Check ExamineVersion(const Connection& connection) {
  const std::string found = std::to_string(connection.version() / 10000) + "." + std::to_string(connection.version() % 10000);
  if (connection.version() >= kVersionTested) return {"version", kGood, found, ""};
  return {"version", kWarning, found + "; 15 and later are tested", "upgrade when you can"};
}

Result<Check> ExamineDatabaseRights(Connection& connection, const Layout& layout) {
  const std::vector<Parameter> parameters = {Parameter::Text(layout.schema), Parameter::Text(layout.schema + "_store")};
  SL_ASSIGN_OR_RETURN(
      const Answer rows,
      connection.Query(
          "SELECT has_database_privilege(current_database(), 'CREATE'), pg_is_in_recovery() OR"
          " current_setting('default_transaction_read_only')::boolean, (SELECT count(*) FROM pg_namespace WHERE nspname IN ($1, $2)),"
          " (SELECT coalesce(bool_and(has_schema_privilege(oid, 'CREATE')), true) FROM pg_namespace WHERE nspname IN ($1, $2)),"
          " (SELECT coalesce(bool_and(pg_has_role(c.relowner, 'USAGE')), true) FROM pg_class c JOIN pg_namespace n ON"
          " n.oid = c.relnamespace WHERE n.nspname IN ($1, $2) AND c.relkind IN ('r', 'v'))",
          parameters));
  const ConnectionParameters& to = connection.parameters();
  if (rows.Bool(0, 1))
    return Check{"rights", kProblem, "the server takes no writes: it is a standby or read only", "connect to the primary"};
  const bool schemas = rows.Int64(0, 2) == 2;
  if (!schemas && !rows.Bool(0, 0)) {
    return Check{"rights", kProblem, Quote(to.user) + " may make no schema in database " + to.database,
                 "GRANT CREATE ON DATABASE " + Quote(to.database) + " TO " + Quote(to.user) + ", or CREATE SCHEMA " + Quote(layout.schema) +
                     " AUTHORIZATION " + Quote(to.user) + " and " + Quote(layout.schema + "_store") + " likewise"};
  }
  if (!rows.Bool(0, 3)) {
    return Check{
        "rights", kProblem, Quote(to.user) + " may make nothing in the schemas " + layout.schema + " and " + layout.schema + "_store",
        "GRANT USAGE, CREATE ON SCHEMA " + Quote(layout.schema) + ", " + Quote(layout.schema + "_store") + " TO " + Quote(to.user)};
  }
  if (!rows.Bool(0, 4)) {
    return Check{"rights", kProblem, "tables there belong to somebody else than " + Quote(to.user),
                 "REASSIGN OWNED BY the other role TO " + Quote(to.user) + ", or name another schema (drivers.statistics.schema)"};
  }
  return Check{"rights", kGood,
               schemas ? "may write in schemas " + layout.schema + " and " + layout.schema + "_store" : "may make the schemas", ""};
}

Result<Check> ExamineTime(Connection& connection, const runtime::Clock& clock) {
  const std::int64_t before = clock.Now().value;
  SL_ASSIGN_OR_RETURN(const Answer rows,
                      connection.Query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, reset_val FROM pg_settings"
                                       " WHERE name = 'TimeZone'"));
  const std::int64_t apart = rows.Int64(0, 0) - (before + clock.Now().value) / 2;
  const std::string zone = "zone " + rows.Text(0, 1) + " for others, UTC for us";
  if (std::llabs(apart) <= kClockMs) return Check{"time", kGood, zone + ", clocks " + std::to_string(apart) + " ms apart", ""};
  return Check{"time", kWarning, zone + ", clocks " + std::to_string(apart) + " ms apart", "run an NTP client on both machines"};
}

Result<std::vector<Check>> ExamineDurability(Connection& connection) {
  SL_ASSIGN_OR_RETURN(const Answer rows,
                      connection.Query("SELECT name, reset_val FROM pg_settings WHERE name IN ('fsync', 'full_page_writes',"
                                       " 'synchronous_commit') ORDER BY name"));
  std::vector<Check> checks;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    if (rows.Text(row, 1) != "off") continue;
    const std::string name = rows.Text(row, 0);
    if (name == "synchronous_commit") {
      checks.push_back({"durability", kWarning, "synchronous_commit is off for others; our sessions set it on",
                        "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf()"});
    } else {
      checks.push_back({"durability", kProblem,
                        name + " is off: a crash of that machine may damage the database or lose what was committed",
                        "ALTER SYSTEM SET " + name + " = on; SELECT pg_reload_conf()"});
    }
  }
  if (checks.empty()) checks.push_back({"durability", kGood, "fsync, full_page_writes and synchronous_commit are on", ""});
  return checks;
}

Result<Check> ExamineRoom(Connection& connection, std::size_t wanted) {
  SL_ASSIGN_OR_RETURN(const Answer rows,
                      connection.Query("SELECT current_setting('max_connections')::bigint -"
                                       " current_setting('superuser_reserved_connections')::bigint, (SELECT count(*) FROM"
                                       " pg_stat_activity WHERE backend_type = 'client backend')"));
  const std::int64_t free = rows.Int64(0, 0) - rows.Int64(0, 1) + 1;
  const std::string found =
      std::to_string(free) + " of " + std::to_string(rows.Int64(0, 0)) + " free, up to " + std::to_string(wanted) + " wanted";
  if (free >= static_cast<std::int64_t>(wanted)) return Check{"connections", kGood, found, ""};
  return Check{"connections", kWarning, found, "raise max_connections there, or lower drivers.statistics.connections_max"};
}

Result<Check> ExamineLayout(Connection& connection, const Layout& layout) {
  const std::vector<Parameter> parameters = {Parameter::Text(layout.schema + "_store")};
  SL_ASSIGN_OR_RETURN(const Answer there,
                      connection.Query("SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1"
                                       " AND c.relname = 'format'",
                                       parameters));
  if (there.rows() == 0) return Check{"tables", kGood, "none yet: the first start makes them", ""};
  const auto look = [&]() -> Result<std::size_t> {
    SL_ASSIGN_OR_RETURN(const Answer version, connection.Query("SELECT max(version) FROM " + layout.Store("format")));
    if (version.IsNull(0, 0) || version.Int64(0, 0) > kLayoutVersion)
      SL_TRY(Migrate(connection, layout));  // says what is wrong, and does nothing
    SL_ASSIGN_OR_RETURN(const std::vector<TableInfo> tables, ReadCatalog(connection, layout));
    SL_TRY(CheckUnchanged(connection, layout, tables));
    for (const TableInfo& table : tables) {
      const std::vector<Parameter> id = {Parameter::Int64(table.id)};
      SL_ASSIGN_OR_RETURN(const Answer topics,
                          connection.Query("SELECT DISTINCT topic FROM " + layout.Store("sources") + " WHERE table_id = $1", id));
      for (std::size_t row = 0; row < topics.rows(); ++row) SL_TRY(ReadPositions(connection, layout, table, topics.Text(row, 0)));
    }
    return tables.size();
  };
  const auto tables = look();
  if (tables) return Check{"tables", kGood, std::to_string(*tables) + " sets of results, as they were made", ""};
  std::string message = tables.error().message;
  const std::size_t cut = message.find(": it was ");
  if (cut == std::string::npos) return Check{"tables", kProblem, message, "see docs/connectors/postgres.md"};
  return Check{"tables", kProblem, message.substr(0, cut), message.substr(cut + 2)};
}

Result<Check> ExamineReader(Connection& connection, const Layout& layout) {
  if (layout.reader.empty()) return Check{"readers", kGood, "no role is to read the views", ""};
  const std::vector<Parameter> parameters = {Parameter::Text(layout.reader), Parameter::Text(layout.schema),
                                             Parameter::Text(layout.schema + "_store")};
  SL_ASSIGN_OR_RETURN(
      const Answer rows,
      connection.Query(
          "SELECT r.rolsuper, coalesce((SELECT bool_or(has_table_privilege(r.oid, c.oid, 'SELECT')) FROM pg_class c"
          " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $3 AND c.relkind = 'r'), false),"
          " (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $2 AND"
          " c.relkind = 'v' AND NOT (has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT')))"
          " FROM pg_roles r WHERE r.rolname = $1",
          parameters));
  const std::string make = "CREATE ROLE " + Quote(layout.reader) + " NOLOGIN";
  if (rows.rows() == 0) {
    return Check{"readers", kWarning, "there is no role " + layout.reader + ", so that only the owner reads the views",
                 make + "; the next start gives it its rights. Or drivers.statistics.reader: none"};
  }
  if (rows.Bool(0, 0) || rows.Bool(0, 1)) {
    return Check{"readers", kWarning, "role " + layout.reader + " may read more than the views",
                 "take it its rights, or name a role of its own (drivers.statistics.reader)"};
  }
  if (rows.Int64(0, 2) > 0) {
    return Check{"readers", kWarning, "role " + layout.reader + " may not read " + std::to_string(rows.Int64(0, 2)) + " of the views",
                 "GRANT USAGE ON SCHEMA " + Quote(layout.schema) + " TO " + Quote(layout.reader) +
                     "; GRANT SELECT ON ALL TABLES IN SCHEMA " + Quote(layout.schema) + " TO " + Quote(layout.reader)};
  }
  return Check{"readers", kGood, "role " + layout.reader + " reads the views and nothing else", ""};
}

}  // namespace

Result<Connection> ExamineConnection(const ConnectionOptions& options, const runtime::Clock& clock, std::vector<Check>& checks) {
  auto parameters = ParseConnection(options);
  auto connection = parameters ? Connection::Open(*parameters, clock) : Result<Connection>(std::unexpected(parameters.error()));
  if (!connection) {
    const std::string& message = connection.error().message;
    const std::size_t cut = message.find("; ");
    const std::string remedy = cut == std::string::npos ? "start the server, or correct " + options.url_source : message.substr(cut + 2);
    checks.push_back({"server", kProblem, message.substr(0, cut), remedy});
    return connection;
  }
  const bool encrypted = connection->encrypted();
  const std::string& place = connection->parameters().place;
  const bool here =
      place.starts_with("127.") || place.starts_with("localhost") || place.starts_with("local socket") || place.starts_with("::1");
  checks.push_back({"server", encrypted || here ? kGood : kWarning, place + " answers" + (encrypted ? ", over TLS" : ", without TLS"),
                    encrypted || here ? "" : "set tls.mode: verify-full, and ssl = on there"});
  return connection;
}

void AddCheck(std::vector<Check>& checks, const std::string& name, Result<Check> check) {
  if (check) {
    checks.push_back(*std::move(check));
  } else {
    checks.push_back({name, kProblem, check.error().message, "try again when the server answers"});
  }
}

std::vector<Check> ExamineStatistics(const StatisticsOptions& options, const runtime::Clock& clock) {
  std::vector<Check> checks;
  auto connection = ExamineConnection(options.connection, clock, checks);
  if (!connection) return checks;
  const Layout layout{.schema = options.schema, .reader = options.reader};
  checks.push_back(ExamineVersion(*connection));
  AddCheck(checks, "rights", ExamineDatabaseRights(*connection, layout));
  AddCheck(checks, "time", ExamineTime(*connection, clock));
  auto durability = ExamineDurability(*connection);
  if (durability) {
    for (Check& check : *durability) checks.push_back(std::move(check));
  } else {
    AddCheck(checks, "durability", std::unexpected(durability.error()));
  }
  AddCheck(checks, "connections", ExamineRoom(*connection, options.connections_max));
  AddCheck(checks, "tables", ExamineLayout(*connection, layout));
  AddCheck(checks, "readers", ExamineReader(*connection, layout));
  return checks;
}

}  // namespace sightline::postgres
