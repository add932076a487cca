#include "sightline/stores/statistics/relational/row_queries.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "sightline/base/text.h"
#include "sightline/stores/statistics/cursor.h"

namespace sightline::stores::relational {
namespace {

// Keeps one row more than the limit within what SQL can say.
constexpr std::uint64_t kLimitMax = 1'000'000'000;

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

Result<const Field*> FindColumn(const Schema& rows, std::string_view name) {
  const int index = rows.Find(name);
  if (index >= 0) return &rows.fields[static_cast<std::size_t>(index)];
  std::vector<std::string_view> names;
  for (const Field& field : rows.fields) names.push_back(field.name);
  const std::string_view near = DidYouMean(name, names);
  return Fail(ErrorKind::kInvalidArgument,
              "there is no column " + std::string(name) + (near.empty() ? std::string() : "; did you mean " + std::string(near) + "?"));
}

bool Fits(const Value& value, FieldType type) {
  switch (type) {
    case FieldType::kInt64: return std::holds_alternative<std::int64_t>(value);
    case FieldType::kDouble: return std::holds_alternative<double>(value) || std::holds_alternative<std::int64_t>(value);
    case FieldType::kBool: return std::holds_alternative<bool>(value);
    case FieldType::kString: return std::holds_alternative<std::string>(value);
  }
  return false;
}

// Collects conditions joined by AND, and their parameters in order.
class Conditions {
 public:
  Conditions(const ResultShape& shape, SqlText& sql) : shape_(shape), rows_(RowSchema(shape)), sql_(sql) {}

  void Range(const TimeRange& range) {
    constexpr TimeRange kAll;
    if (range.from > kAll.from) Add("window_start >= " + Parameter(range.from.value));
    if (range.to < kAll.to) Add("window_start < " + Parameter(range.to.value));
  }

  Status Filters(const std::vector<ColumnFilter>& filters) {
    for (const ColumnFilter& filter : filters) {
      SL_ASSIGN_OR_RETURN(const Field* field, FindColumn(rows_, filter.column));
      const std::string expression = Expression(shape_, filter.column);
      std::string list;
      bool null = false;
      for (const Value& value : filter.any_of) {
        if (std::holds_alternative<std::monostate>(value)) {
          null = true;
          continue;
        }
        if (!Fits(value, field->type)) {
          return Fail(ErrorKind::kInvalidArgument,
                      "column " + field->name + " is compared with a value that is no " + std::string(FieldTypeName(field->type)));
        }
        list += (list.empty() ? "" : ",") + Parameter(value);
      }
      std::string condition = list.empty() ? "false" : expression + " IN (" + list + ")";
      if (null) condition += " OR " + expression + " IS NULL";
      Add(condition);
    }
    return {};
  }

  // Rows behind the cursor's in the order of the query.
  void After(const Cursor& cursor) {
    const bool ascending = cursor.order == RowQuery::Order::kAscending;
    Add((ascending ? "window_start >= " : "window_start <= ") + Parameter(cursor.window_start.value));
    std::string condition = (ascending ? "window_start > " : "window_start < ") + Parameter(cursor.window_start.value);
    for (std::size_t i = 0; i < cursor.group.size(); ++i) {
      const std::string key = "c" + std::to_string(shape_.group[i]);
      const bool null = std::holds_alternative<std::monostate>(cursor.group[i]);
      condition += " OR (window_start = " + std::to_string(cursor.window_start.value);
      for (std::size_t before = 0; before < i; ++before) condition += Same(cursor, before);
      condition += " AND " + key + (null ? " IS NOT NULL" : " > " + Parameter(cursor.group[i])) + ")";
    }
    condition += " OR (window_start = " + std::to_string(cursor.window_start.value);
    for (std::size_t i = 0; i < cursor.group.size(); ++i) condition += Same(cursor, i);
    condition += " AND ordinal > " + std::to_string(cursor.ordinal) + ")";
    Add(condition);
  }

  void Finish() {
    if (!text_.empty()) sql_.text += " WHERE " + text_;
  }

 private:
  void Add(const std::string& condition) { text_ += (text_.empty() ? "(" : " AND (") + condition + ")"; }
  // Its place in the text.
  std::string Parameter(Value value) {
    sql_.parameters.push_back(std::move(value));
    return "$" + std::to_string(sql_.parameters.size());
  }
  std::string Same(const Cursor& cursor, std::size_t i) {
    const std::string key = "c" + std::to_string(shape_.group[i]);
    if (std::holds_alternative<std::monostate>(cursor.group[i])) return " AND " + key + " IS NULL";
    return " AND " + key + " = " + Parameter(cursor.group[i]);
  }

  const ResultShape& shape_;
  Schema rows_;
  SqlText& sql_;
  std::string text_;
};

Result<Cursor> CheckCursor(const TableInfo& table, const RowQuery& query) {
  SL_ASSIGN_OR_RETURN(Cursor cursor, DecodeCursor(query.cursor));
  if (cursor.generation != table.table.generation) {
    return Fail(ErrorKind::kInvalidArgument,
                "the results of " + query.pipeline + " were computed anew since this cursor was given; ask for the first page");
  }
  const ResultShape& shape = table.table.shape;
  bool fits = cursor.order == query.order && cursor.group.size() == shape.group.size();
  for (std::size_t i = 0; fits && i < cursor.group.size(); ++i) {
    const Field& field = shape.schema.fields[static_cast<std::size_t>(shape.group[i])];
    fits = std::holds_alternative<std::monostate>(cursor.group[i]) || Fits(cursor.group[i], field.type);
  }
  if (!fits) return Fail(ErrorKind::kInvalidArgument, "the cursor was given for another query");
  return cursor;
}

Result<std::string> SumColumn(const ResultShape& shape, const std::string& name) {
  SL_ASSIGN_OR_RETURN(const Field* field, FindColumn(shape.schema, name));
  if (field->type != FieldType::kInt64) {
    return Fail(ErrorKind::kInvalidArgument, "column " + name + " is no int64 and cannot be summed up exactly");
  }
  return Expression(shape, name);
}

// A sum of BIGINT is wider than that in every engine; what is beyond int64 becomes null.
std::string Narrow(const std::string& sum) {
  return "CASE WHEN " + sum + " BETWEEN -9223372036854775808 AND 9223372036854775807 THEN CAST(" + sum + " AS BIGINT) END";
}

}  // namespace

std::string Expression(const ResultShape& shape, std::string_view column) {
  if (column == "window_start" || column == "window_end") return std::string(column);
  if (column == "state") return "CASE state WHEN 1 THEN 'final' ELSE 'corrected' END";
  if (column == "revision") return "CAST(revision AS BIGINT)";
  return "c" + std::to_string(shape.schema.Find(column));
}

Status CheckShape(const ResultShape& shape) {
  std::set<std::string> seen = {"window_start", "window_end", "state", "revision"};
  if (shape.pipeline.empty()) return Fail(ErrorKind::kInvalidArgument, "a pipeline without name has no place in the statistics");
  for (const Field& field : shape.schema.fields) {
    if (seen.insert(Lower(field.name)).second) continue;
    return Fail(ErrorKind::kInvalidArgument,
                "pipeline " + shape.pipeline + ": column " + field.name +
                    " has the name of another column (case does not count), or one of window_start, window_end, state, revision, "
                    "which the statistics add; give it another name");
  }
  return {};
}

Schema PlaceSchema(const TableInfo& table) {
  const ResultShape& shape = table.table.shape;
  Schema schema;
  schema.fields.push_back({.name = "window_start"});
  for (const int group : shape.group) schema.fields.push_back(shape.schema.fields[static_cast<std::size_t>(group)]);
  schema.fields.push_back({.name = "ordinal"});
  return schema;
}

Result<RowSelect> SelectRows(const TableInfo& table, const std::string& rows_of, const RowQuery& query) {
  const ResultShape& shape = table.table.shape;
  const Schema rows = RowSchema(shape);
  RowSelect select;
  if (query.order == RowQuery::Order::kNone && (query.limit || !query.cursor.empty())) {
    return Fail(ErrorKind::kInvalidArgument, "a query with limit or cursor needs an order");
  }
  if (query.columns.empty()) {
    select.schema = rows;
  } else {
    for (const std::string& column : query.columns) {
      SL_ASSIGN_OR_RETURN(const Field* field, FindColumn(rows, column));
      select.schema.fields.push_back(*field);
    }
  }
  select.sql.text = "SELECT ";
  for (const Field& field : select.schema.fields) select.sql.text += Expression(shape, field.name) + ", ";
  std::string order = " ORDER BY window_start" + std::string(query.order == RowQuery::Order::kDescending ? " DESC" : "");
  select.sql.text += "window_start";
  for (const int group : shape.group) {
    select.sql.text += ", c" + std::to_string(group);
    order += ", c" + std::to_string(group) + " NULLS FIRST";
  }
  select.sql.text += ", CAST(ordinal AS BIGINT) FROM " + rows_of;
  Conditions conditions(shape, select.sql);
  conditions.Range(query.range);
  SL_TRY(conditions.Filters(query.filters));
  if (!query.cursor.empty()) {
    SL_ASSIGN_OR_RETURN(const Cursor cursor, CheckCursor(table, query));
    conditions.After(cursor);
  }
  conditions.Finish();
  if (query.order != RowQuery::Order::kNone) select.sql.text += order + ", ordinal";
  // One row more than asked for tells whether there is a next page.
  if (query.limit) select.sql.text += " LIMIT " + std::to_string(std::min(*query.limit, kLimitMax) + 1);
  return select;
}

Result<SqlText> SelectTop(const TableInfo& table, const std::string& rows_of, const TopQuery& query) {
  const ResultShape& shape = table.table.shape;
  SL_ASSIGN_OR_RETURN(const Field* by, FindColumn(shape.schema, query.by));
  if (by->type != FieldType::kString) return Fail(ErrorKind::kInvalidArgument, "column " + query.by + " is no string to rank by name");
  if (query.top < 1) return Fail(ErrorKind::kInvalidArgument, "top must be at least 1, not " + std::to_string(query.top));
  SL_ASSIGN_OR_RETURN(const std::string sum, SumColumn(shape, query.sum));
  const std::string name = Expression(shape, query.by);
  SqlText sql{.text = "SELECT " + name + ", " + Narrow("sum(" + sum + ")") + " FROM " + rows_of, .parameters = {}};
  Conditions conditions(shape, sql);
  conditions.Range(query.range);
  SL_TRY(conditions.Filters(query.filters));
  conditions.Finish();
  // By bytes: DuckDB's way unless a collation is set, and that of every text column that a driver makes.
  sql.text +=
      " GROUP BY " + name + " ORDER BY sum(" + sum + ") DESC NULLS LAST, " + name + " NULLS LAST LIMIT " + std::to_string(query.top);
  return sql;
}

Result<SqlText> SelectHistory(const TableInfo& table, const std::string& rows_of, const HistoryQuery& query) {
  const ResultShape& shape = table.table.shape;
  if (query.bucket.count() < 1) return Fail(ErrorKind::kInvalidArgument, "a bucket of history must be at least 1 ms");
  SL_ASSIGN_OR_RETURN(const std::string sum, SumColumn(shape, query.sum));
  const std::string bucket = std::to_string(query.bucket.count());
  // Rounds down for times before 1970 too.
  const std::string start = "window_start - ((window_start % " + bucket + ") + " + bucket + ") % " + bucket;
  SqlText sql{.text = "SELECT " + start + " AS bucket, " + Narrow("sum(" + sum + ")") + " FROM " + rows_of, .parameters = {}};
  Conditions conditions(shape, sql);
  conditions.Range(query.range);
  SL_TRY(conditions.Filters(query.filters));
  conditions.Finish();
  sql.text += " GROUP BY bucket ORDER BY bucket";
  return sql;
}

}  // namespace sightline::stores::relational
