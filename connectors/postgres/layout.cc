#include "connectors/postgres/layout.h"

#include "connectors/postgres/connection.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::postgres {
namespace {

constexpr std::size_t kNameBytesMax = 63;

std::string PlainType(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return "bigint";
    case FieldType::kDouble: return "double precision";
    case FieldType::kBool: return "boolean";
    case FieldType::kString: return "text";
  }
  return "text";
}

// Epoch ms as timestamptz, exactly and immutably, so that it can stand in an index.
std::string Time(const std::string& column) {
  return "(('1970-01-01'::timestamp + (" + column + " / 86400000) * '1 day'::interval + (" + column +
         " % 86400000) * '1 millisecond'::interval) AT TIME ZONE 'UTC')";
}

std::string Comment(const std::string& what, const std::string& text) { return "COMMENT ON " + what + " IS " + Literal(text) + ";"; }

const Field& GroupField(const ResultShape& shape, std::size_t i) { return shape.schema.fields[static_cast<std::size_t>(shape.group[i])]; }

bool InGroup(const ResultShape& shape, std::size_t column) {
  for (const int index : shape.group) {
    if (static_cast<std::size_t>(index) == column) return true;
  }
  return false;
}

}  // namespace

std::string SqlType(FieldType type) { return PlainType(type) + (type == FieldType::kString ? " COLLATE \"C\"" : ""); }

std::string Layout::Store(const std::string& table) const { return Quote(schema + "_store") + "." + Quote(table); }
std::string Layout::View(const TableInfo& table) const { return Quote(schema) + "." + Quote(table.table.shape.pipeline); }

std::vector<std::string> Layout::Migrations() const {
  const std::string tables = Store("tables");
  const std::string columns = Store("columns");
  const std::string offsets = Store("offsets");
  const std::string sources = Store("sources");
  const std::string belongs = " integer NOT NULL REFERENCES " + tables + "(id) ON DELETE CASCADE";
  std::string first =
      "CREATE TABLE " + tables +
      "(id integer PRIMARY KEY, pipeline text COLLATE \"C\" NOT NULL, generation bigint NOT NULL, active boolean NOT NULL,"
      " windowed boolean NOT NULL, made timestamptz NOT NULL DEFAULT now(), UNIQUE (pipeline, generation));"
      "CREATE UNIQUE INDEX tables_active ON " +
      tables +
      "(pipeline) WHERE active;"
      "CREATE TABLE " +
      columns + "(table_id" + belongs +
      ", position integer NOT NULL, name text COLLATE \"C\" NOT NULL, type text COLLATE \"C\" NOT NULL, nullable boolean NOT NULL,"
      " identifier boolean NOT NULL, group_position integer, PRIMARY KEY (table_id, position));"
      "CREATE TABLE " +
      offsets + "(table_id" + belongs +
      ", topic text COLLATE \"C\" NOT NULL, partition integer NOT NULL, next bigint NOT NULL, corrected_until bigint,"
      " PRIMARY KEY (table_id, topic, partition));"
      "CREATE TABLE " +
      sources + "(table_id" + belongs +
      ", topic text COLLATE \"C\" NOT NULL, partition integer NOT NULL, since timestamptz NOT NULL DEFAULT now(),"
      " PRIMARY KEY (table_id, topic, partition));";
  first += Comment("SCHEMA " + Quote(schema), "Results of sightline's pipelines: a view each. Made and kept by sightline; read only.");
  first +=
      Comment("SCHEMA " + Quote(schema + "_store"), "What stands behind the views of schema " + schema + ". Not to be changed by hand.");
  first += Comment("TABLE " + tables, "The results of one pipeline under one plan (a generation): tables rows_<id> and corrections_<id>.");
  first += Comment("COLUMN " + tables + ".id", "The number in the names of its tables.");
  first += Comment("COLUMN " + tables + ".pipeline", "The pipeline, and the name of the view.");
  first += Comment("COLUMN " + tables + ".generation", "Fingerprint of the plan: 64 bits, shown as a signed number.");
  first += Comment("COLUMN " + tables + ".active", "The generation that the view shows.");
  first += Comment("COLUMN " + tables + ".windowed", "Whether its rows belong to windows of time.");
  first += Comment("COLUMN " + tables + ".made", "When it was made.");
  first +=
      Comment("TABLE " + columns, "The columns of a generation's rows: column <position> of the pipeline is c<position> of rows_<id>.");
  first += Comment("COLUMN " + columns + ".table_id", "tables.id");
  first += Comment("COLUMN " + columns + ".position", "From 0.");
  first += Comment("COLUMN " + columns + ".name", "As the view names it.");
  first += Comment("COLUMN " + columns + ".type", "int64, double, bool or string.");
  first += Comment("COLUMN " + columns + ".nullable", "Whether a row may lack it.");
  first += Comment("COLUMN " + columns + ".identifier", "Whether JSON shows it as a text.");
  first += Comment("COLUMN " + columns + ".group_position", "Its place in the group's key, from 0; null when it is not part of it.");
  first += Comment("TABLE " + offsets,
                   "How far each partition of a results topic is applied. Written in the transaction of the rows: what "
                   "makes every result be there exactly once. Never change or remove a row.");
  first += Comment("COLUMN " + offsets + ".table_id", "tables.id");
  first += Comment("COLUMN " + offsets + ".topic", "The results topic.");
  first += Comment("COLUMN " + offsets + ".partition", "Its partition.");
  first += Comment("COLUMN " + offsets + ".next", "One past the last offset applied.");
  first += Comment("COLUMN " + offsets + ".corrected_until", "Start of the newest window that was ever corrected, epoch ms.");
  first += Comment("TABLE " + sources, "The partitions that have a row in offsets: a row that is missing there is noticed by it.");
  first += Comment("COLUMN " + sources + ".table_id", "tables.id");
  first += Comment("COLUMN " + sources + ".topic", "The results topic.");
  first += Comment("COLUMN " + sources + ".partition", "Its partition.");
  first += Comment("COLUMN " + sources + ".since", "When its first result was applied.");
  return {first};
}

std::vector<StoredColumn> RowColumns(const ResultShape& shape) {
  std::vector<StoredColumn> columns = {
      {"window_start", "bigint"}, {"window_end", "bigint"}, {"revision", "bigint"}, {"ordinal", "integer"}, {"state", "smallint"}};
  for (std::size_t i = 0; i < shape.schema.fields.size(); ++i) {
    columns.push_back({"c" + std::to_string(i), PlainType(shape.schema.fields[i].type)});
  }
  return columns;
}

std::vector<StoredColumn> CorrectionColumns(const ResultShape& shape) {
  std::vector<StoredColumn> columns = {{"window_start", "bigint"}, {"window_end", "bigint"}, {"revision", "bigint"}};
  for (std::size_t i = 0; i < shape.group.size(); ++i) columns.push_back({"k" + std::to_string(i), PlainType(GroupField(shape, i).type)});
  return columns;
}

std::vector<StoredColumn> ViewColumns(const ResultShape& shape) {
  std::vector<StoredColumn> columns;
  for (const Field& field : stores::RowSchema(shape).fields) {
    const bool time = field.name == "window_start" || field.name == "window_end";
    columns.push_back({field.name, time ? "timestamp with time zone" : PlainType(field.type)});
  }
  return columns;
}

std::string Layout::CreateTables(const TableInfo& table) const {
  const ResultShape& shape = table.table.shape;
  const std::string rows = Rows(table);
  const std::string corrections = Corrections(table);
  const auto body = [](const std::vector<StoredColumn>& columns) {
    std::string list;
    for (const StoredColumn& column : columns) {
      const bool own = column.name[0] != 'c' && column.name[0] != 'k';
      list += (list.empty() ? "" : ", ") + column.name + " " + column.type + (column.type == "text" ? " COLLATE \"C\"" : "") +
              (own ? " NOT NULL" : "");
    }
    return "(" + list + ");";
  };
  std::string sql = "CREATE TABLE " + rows + body(RowColumns(shape)) + "CREATE TABLE " + corrections + body(CorrectionColumns(shape));
  // Texts are left out: an index entry has a bound, a text has none.
  std::string keys;
  std::string correction_keys;
  for (std::size_t i = 0; i < shape.group.size(); ++i) {
    if (GroupField(shape, i).type == FieldType::kString) continue;
    keys += ", c" + std::to_string(shape.group[i]);
    correction_keys += ", k" + std::to_string(i);
  }
  const std::string id = std::to_string(table.id);
  sql += "CREATE INDEX rows_" + id + "_window ON " + rows + "(window_start" + keys + ");";
  sql += "CREATE INDEX rows_" + id + "_time ON " + rows + " USING brin (" + Time("window_start") +
         ") WITH (pages_per_range = 32, autosummarize = on);";
  sql += "CREATE INDEX corrections_" + id + "_window ON " + corrections + "(window_start" + correction_keys + ");";
  const std::string of = " of pipeline " + shape.pipeline + ", generation " + std::to_string(table.table.generation);
  sql += Comment("TABLE " + rows, "Result rows" + of + ". Read the view " + schema + "." + shape.pipeline + " instead.");
  sql += Comment("COLUMN " + rows + ".window_start", "Start of the window, epoch ms.");
  sql += Comment("COLUMN " + rows + ".window_end", "End of the window, exclusive, epoch ms.");
  sql += Comment("COLUMN " + rows + ".revision", "0 for a group's first final result; each correction has a higher one.");
  sql += Comment("COLUMN " + rows + ".ordinal", "The row's place in its group.");
  sql += Comment("COLUMN " + rows + ".state", "1 final, 2 corrected.");
  for (std::size_t i = 0; i < shape.schema.fields.size(); ++i) {
    sql += Comment("COLUMN " + rows + ".c" + std::to_string(i), shape.schema.fields[i].name);
  }
  sql += Comment("TABLE " + corrections, "Groups that were ever corrected, with their newest revision" + of + ".");
  sql += Comment("COLUMN " + corrections + ".window_start", "Start of the window, epoch ms.");
  sql += Comment("COLUMN " + corrections + ".window_end", "End of the window, exclusive, epoch ms.");
  sql += Comment("COLUMN " + corrections + ".revision", "The newest.");
  for (std::size_t i = 0; i < shape.group.size(); ++i) {
    sql += Comment("COLUMN " + corrections + ".k" + std::to_string(i), GroupField(shape, i).name);
  }
  return sql;
}

std::string Layout::DropTables(const TableInfo& table) const {
  return "DROP TABLE " + Rows(table) + ", " + Corrections(table) + ";DELETE FROM " + Store("tables") +
         " WHERE id = " + std::to_string(table.id) + ";";
}

std::string Layout::RebuildBy(const TableInfo& table) const {
  return "DROP VIEW IF EXISTS " + View(table) + "; DROP TABLE IF EXISTS " + Rows(table) + ", " + Corrections(table) + "; DELETE FROM " +
         Store("tables") + " WHERE id = " + std::to_string(table.id) + ";";
}

std::string Layout::CreateView(const TableInfo& table) const {
  const ResultShape& shape = table.table.shape;
  std::string list;
  for (const Field& field : stores::RowSchema(shape).fields) {
    std::string expression = stores::relational::Expression(shape, field.name);
    if (field.name == "window_start" || field.name == "window_end") expression = Time(expression);
    if (field.name == "state") expression = "(" + expression + ")::text COLLATE \"C\"";
    list += (list.empty() ? "" : ", ") + expression + " AS " + Quote(field.name);
  }
  return "CREATE OR REPLACE VIEW " + View(table) + " AS SELECT " + list + " FROM " + Rows(table) + ";";
}

std::string Layout::CommentView(const TableInfo& table) const {
  const ResultShape& shape = table.table.shape;
  const std::string view = View(table);
  std::string sql =
      Comment("VIEW " + view, "Final and corrected results of sightline's pipeline " + shape.pipeline + ", one row a result row.");
  const auto column = [&](const std::string& name, const std::string& text) { sql += Comment("COLUMN " + view + "." + Quote(name), text); };
  column("window_start", "Start of the window.");
  column("window_end", "End of the window, exclusive.");
  column("state", "final, or corrected by later events.");
  column("revision", "0 for the first result of a group in its window; each correction has a higher one.");
  for (std::size_t i = 0; i < shape.schema.fields.size(); ++i) {
    const Field& field = shape.schema.fields[i];
    column(field.name, (InGroup(shape, i) ? "Identifies the group; " : "") + std::string(FieldTypeName(field.type)) +
                           (field.nullable ? ", may be missing." : "."));
  }
  return sql + GrantView(table);
}

std::string Layout::GrantView(const TableInfo& table) const {
  if (reader.empty()) return "";
  return "DO $sightline$ BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = " + Literal(reader) +
         ") THEN GRANT USAGE ON SCHEMA " + Quote(schema) + " TO " + Quote(reader) + "; GRANT SELECT ON " + View(table) + " TO " +
         Quote(reader) + "; END IF; END $sightline$;";
}

Status CheckNames(const ResultShape& shape) {
  const auto check = [&](const std::string& what, const std::string& name) -> Status {
    if (name.size() <= kNameBytesMax && name.find('\0') == std::string::npos) return {};
    return Fail(ErrorKind::kInvalidArgument, "pipeline " + shape.pipeline + ": the name of " + what + " " + name + " has " +
                                                 std::to_string(name.size()) + " bytes; Postgres keeps " + std::to_string(kNameBytesMax) +
                                                 ". Give it a shorter one");
  };
  SL_TRY(check("the pipeline", shape.pipeline));
  for (const Field& field : shape.schema.fields) SL_TRY(check("column", field.name));
  return {};
}

}  // namespace sightline::postgres
