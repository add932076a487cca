#include <algorithm>

#include "connectors/flink/expression_sql.h"
#include "connectors/flink/rows_internal.h"
#include "connectors/flink/sql_words.h"
#include "sightline/flow/expression_tree.h"

namespace sightline::flink {
namespace {

// NOLINTNEXTLINE(misc-no-recursion): expressions are at most a hundred deep.
void AddColumnsOf(const flow::Expression::Node& node, const Schema& schema, std::vector<std::string>& into) {
  if (node.op == flow::ExpressionOp::kColumn && static_cast<std::size_t>(node.column) < schema.fields.size()) {
    into.push_back(schema.fields[static_cast<std::size_t>(node.column)].name);
  }
  for (const flow::ExpressionNode& child : node.children) AddColumnsOf(*child, schema, into);
}

std::string Joined(const std::vector<std::string>& items, const std::string& between) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : between) + item;
  return out;
}

// An exact sum of int64: nothing that fits into memory reaches 38 digits.
std::string WideSum(const std::string& column) { return "SUM(CAST(" + column + " AS DECIMAL(38, 0)))"; }
std::string Narrow(const std::string& sum) { return "TRY_CAST(CAST(" + sum + " AS STRING) AS BIGINT)"; }

}  // namespace

bool Rows::Lacks(const std::string& column) const {
  return std::ranges::any_of(pending,
                             [&](const PendingJoin& join) { return std::ranges::find(join.columns, column) != join.columns.end(); });
}

std::vector<std::string> ColumnsOf(const flow::Expression& expression, const Schema& schema) {
  std::vector<std::string> columns;
  AddColumnsOf(expression.root(), schema, columns);
  return columns;
}

std::vector<std::string> NamesOf(const Schema& schema, std::span<const int> columns) {
  std::vector<std::string> names;
  for (const int column : columns) names.push_back(schema.fields[static_cast<std::size_t>(column)].name);
  return names;
}

void RowsWriter::Refuse(const std::string& pipeline, std::string what) {
  refusals_.push_back("pipeline " + pipeline + ": " + std::move(what));
}

std::string RowsWriter::FreshName(const std::string& pipeline, std::string_view suffix) const {
  const std::string base = pipeline + std::string(suffix);
  std::string name = base;
  const auto taken = [&] {
    return std::ranges::any_of(statements_, [&](const Statement& s) { return s.name == name; }) ||
           (!suffix.empty() && plan_.Find(name) >= 0);
  };
  for (int number = 2; taken(); ++number) name = base + "_" + std::to_string(number);
  return name;
}

void RowsWriter::View(const std::string& pipeline, std::string_view suffix, std::string comment, std::string sql, Rows& rows) {
  const std::string name = FreshName(pipeline, suffix);
  statements_.push_back(
      {Statement::Kind::kView, name, std::move(comment), "CREATE TEMPORARY VIEW " + Name(name) + " AS\n" + std::move(sql)});
  rows.relation = name;
}

std::vector<std::string> RowsWriter::Columns(const Rows& rows, std::string_view before) const {
  std::vector<std::string> columns;
  for (const std::string& name : rows.carried) columns.push_back(std::string(before) + Name(name));
  for (const Field& field : rows.schema.fields) {
    if (!rows.Lacks(field.name)) columns.push_back(std::string(before) + Name(field.name));
  }
  return columns;
}

void RowsWriter::Need(const std::string& pipeline, const std::vector<std::string>& columns, Rows& rows) {
  if (std::ranges::any_of(columns, [&](const std::string& column) { return rows.Lacks(column); })) JoinAll(pipeline, rows);
}

void RowsWriter::JoinAll(const std::string& pipeline, Rows& rows) {
  while (!rows.pending.empty()) {
    const PendingJoin join = rows.pending.front();
    rows.pending.erase(rows.pending.begin());
    Join(pipeline, join, false, rows);
  }
}

void RowsWriter::Join(const std::string& pipeline, const PendingJoin& join, bool inner, Rows& rows) {
  const auto reference = std::ranges::find(plan_.references, join.op->reference, &flow::ReferencePlan::name);
  const auto source = settings_.references.find(join.op->reference);
  if (source == settings_.references.end()) return Refuse(pipeline, "the cluster cannot reach the reference " + join.op->reference);
  const bool lookup = source->second.kind == ReferenceSource::Kind::kJdbc;
  Select select;
  if (rows.closed) {
    select.Add("l.window_time AS closed_at");
  } else {
    for (const std::string& name : rows.carried) select.Add("l." + Name(name));
  }
  for (const Field& field : rows.schema.fields) {
    const auto at = std::ranges::find(join.columns, field.name);
    if (at != join.columns.end()) {
      const int column = join.op->take[static_cast<std::size_t>(at - join.columns.begin())];
      select.Add("r." + Name(reference->schema.fields[static_cast<std::size_t>(column)].name));
    } else if (!rows.Lacks(field.name)) {
      select.Add("l." + Name(field.name));
    }
  }
  const std::string time = lookup ? "lookup_time" : rows.closed ? "window_time" : "event_time";
  const std::string left = lookup ? "(SELECT *, PROCTIME() AS lookup_time FROM " + Name(rows.relation) + ")" : Name(rows.relation);
  const std::string key = Name(reference->schema.fields[static_cast<std::size_t>(reference->key)].name);
  select.from = left + " AS l\n" + (inner ? "JOIN " : "LEFT JOIN ") + Name(join.op->reference) + " FOR SYSTEM_TIME AS OF l." + time +
                " AS r ON l." + Name(join.on) + " = r." + key;
  View(pipeline, "_named", inner ? "Rows whose key the table lacks are left out." : "Rows whose key the table lacks stay, without a name.",
       select.ToString(), rows);
  if (rows.closed) BackIntoWindows(pipeline, rows);
}

// Behind a join Flink takes the bounds of a window for columns like others. Its time, a millisecond before its end, says which it was.
void RowsWriter::BackIntoWindows(const std::string& pipeline, Rows& rows) {
  const bool sliding = rows.window.size != rows.window.every;
  Select select;
  select.columns = Columns(rows);
  const std::string table = "TABLE " + Name(rows.relation) + ", DESCRIPTOR(closed_at), ";
  if (sliding) {
    select.from = "TABLE(HOP(" + table + Interval(rows.window.every) + ", " + Interval(rows.window.size) + "))";
    select.where = {"window_end = CAST(closed_at AS TIMESTAMP(3)) + INTERVAL '0.001' SECOND"};
  } else {
    select.from = "TABLE(TUMBLE(" + table + Interval(rows.window.size) + "))";
  }
  View(pipeline, "_windowed", "", select.ToString(), rows);
}

void RowsWriter::Enrich(const std::string& pipeline, const flow::EnrichOp& op, const Schema& after, Rows& rows) {
  PendingJoin join;
  join.op = &op;
  join.on = rows.schema.fields[static_cast<std::size_t>(op.on)].name;
  Need(pipeline, {join.on}, rows);
  for (std::size_t i = 0; i < op.take.size(); ++i) join.columns.push_back(after.fields[static_cast<std::size_t>(op.on) + 1 + i].name);
  if (op.drop_missing) JoinAll(pipeline, rows);
  rows.schema = after;
  if (op.drop_missing) return Join(pipeline, join, true, rows);
  rows.pending.push_back(std::move(join));
}

void RowsWriter::Where(const std::string& pipeline, const flow::WhereOp& op, Rows& rows) {
  Need(pipeline, ColumnsOf(op.predicate, rows.schema), rows);
  const Result<std::string> predicate = ExpressionSql(op.predicate, rows.schema);
  if (!predicate) return Refuse(pipeline, "where: " + predicate.error().message);
  Select select;
  select.columns = Columns(rows);
  select.from = Name(rows.relation);
  select.where = {*predicate};
  View(pipeline, "_kept", "", select.ToString(), rows);
}

// Columns of one step may read those before them: these get a view of their own.
void RowsWriter::Derive(const std::string& pipeline, const flow::DeriveOp& op, const Schema& after, Rows& rows) {
  const std::size_t before = rows.schema.fields.size();
  std::vector<std::string> fresh;
  Select select;
  const auto flush = [&] {
    if (fresh.empty()) return;
    select.from = Name(rows.relation);
    View(pipeline, "_derived", "", select.ToString(), rows);
    fresh.clear();
  };
  for (std::size_t i = 0; i < op.columns.size(); ++i) {
    const std::vector<std::string> needs = ColumnsOf(op.columns[i], rows.schema);
    // The schema already has the fresh columns, and the view not yet.
    if (std::ranges::any_of(needs,
                            [&](const std::string& name) { return std::ranges::find(fresh, name) != fresh.end() || rows.Lacks(name); })) {
      flush();
      Need(pipeline, needs, rows);
    }
    const Result<std::string> value = ColumnSql(op.columns[i], rows.schema);
    if (!value) {
      Refuse(pipeline, "derive " + after.fields[before + i].name + ": " + value.error().message);
    } else {
      if (fresh.empty()) select.columns = Columns(rows);
      select.Add(*value + " AS " + Name(after.fields[before + i].name));
      fresh.push_back(after.fields[before + i].name);
    }
    rows.schema.fields.push_back(after.fields[before + i]);
  }
  flush();
}

void RowsWriter::Dedupe(const std::string& pipeline, const flow::DedupeOp& op, Rows& rows) {
  const std::vector<std::string> by = NamesOf(rows.schema, op.by);
  Need(pipeline, by, rows);
  std::vector<std::string> names;
  for (const std::string& name : by) names.push_back(Name(name));
  Select select;
  select.columns = Columns(rows);
  select.from = "(\n  SELECT *, ROW_NUMBER() OVER (PARTITION BY " + Joined(names, ", ") + " ORDER BY arrival ASC) AS copy_number\n  FROM " +
                Name(rows.relation) + ")";
  select.where = {"copy_number = 1"};
  View(pipeline, "_once", "The first copy of each record. Copies lie in one partition, so that the order of arrival is that of the log.",
       select.ToString(), rows);
}

void RowsWriter::Rank(const std::string& pipeline, const flow::RankOp& op, const Schema& after, Rows& rows) {
  std::vector<int> used = op.within;
  used.push_back(op.by);
  used.insert(used.end(), op.ties.begin(), op.ties.end());
  Need(pipeline, NamesOf(rows.schema, used), rows);
  Need(pipeline, rows.order, rows);
  std::vector<std::string> within = {"window_start", "window_end"};
  for (const std::string& name : NamesOf(rows.schema, op.within)) within.push_back(Name(name));
  const Field& by = rows.schema.fields[static_cast<std::size_t>(op.by)];
  std::string order = Name(by.name) + " DESC" + (by.nullable ? " NULLS LAST" : "");
  // Behind the ties that the plan names, rows keep the order that they came in; here nothing has one by itself.
  std::vector<std::string> ties = NamesOf(rows.schema, op.ties);
  ties.insert(ties.end(), rows.order.begin(), rows.order.end());
  std::vector<std::string> done = NamesOf(rows.schema, op.within);
  done.push_back(by.name);
  for (const std::string& name : ties) {
    if (std::ranges::find(done, name) != done.end() || rows.schema.Find(name) < 0) continue;
    done.push_back(name);
    const Field& tie = rows.schema.fields[static_cast<std::size_t>(rows.schema.Find(name))];
    order += ", " + Name(name) + " ASC" + (tie.nullable ? " NULLS LAST" : "");
  }
  const std::string rank = Name(after.fields.back().name);
  Select select;
  select.columns = Columns(rows);
  select.Add(rank);
  select.from = "(\n  SELECT *,\n    ROW_NUMBER() OVER (PARTITION BY " + Joined(within, ", ") + "\n      ORDER BY " + order + ") AS " +
                rank + "\n  FROM " + Name(rows.relation) + ")";
  select.where = {rank + " <= " + std::to_string(op.top)};
  View(pipeline, "_ranked", "Ties in byte order of the texts, as everywhere.", select.ToString(), rows);
  rows.order = NamesOf(rows.schema, op.within);
  rows.order.push_back(after.fields.back().name);
  rows.schema = after;
}

std::vector<std::string> RowsWriter::AggregateColumns(const std::vector<flow::Aggregate>& aggregates, const Schema& input,
                                                      const Schema& after) const {
  std::vector<std::string> columns;
  std::vector<std::string> beyond;
  for (const flow::Aggregate& aggregate : aggregates) {
    const std::string in = aggregate.input < 0 ? "" : Name(input.fields[static_cast<std::size_t>(aggregate.input)].name);
    const bool wide = aggregate.input_type == FieldType::kInt64;
    const bool truth = aggregate.input_type == FieldType::kBool;
    std::string value;
    switch (aggregate.kind) {
      case flow::AggregateKind::kCount: value = "COUNT(*)"; break;
      case flow::AggregateKind::kCountValues: value = "COUNT(" + in + ")"; break;
      case flow::AggregateKind::kCountDistinct: value = "COUNT(DISTINCT " + in + ")"; break;
      case flow::AggregateKind::kMin:
      case flow::AggregateKind::kMax: {
        const std::string function = aggregate.kind == flow::AggregateKind::kMin ? "MIN(" : "MAX(";
        value = truth ? function + "CAST(" + in + " AS INT)) = 1" : function + in + ")";
        break;
      }
      case flow::AggregateKind::kSum:
        value = wide ? Narrow(WideSum(in)) : "SUM(" + in + ")";
        if (wide) beyond.push_back("(" + WideSum(in) + " IS NOT NULL AND " + value + " IS NULL)");
        break;
      case flow::AggregateKind::kAvg:
        value = wide ? "CAST(" + WideSum(in) + " AS DOUBLE) / COUNT(" + in + ")" : "SUM(" + in + ") / COUNT(" + in + ")";
        break;
    }
    columns.push_back(value + " AS " + Name(aggregate.name));
  }
  if (!beyond.empty()) columns.push_back(Joined(beyond, " OR ") + " AS " + Name(after.fields.back().name));
  return columns;
}

void RowsWriter::Regroup(const std::string& pipeline, const flow::RegroupOp& op, const Schema& after, Rows& rows) {
  std::vector<std::string> used = NamesOf(rows.schema, op.by);
  std::vector<std::string> keys = rows.carried;
  keys.insert(keys.end(), used.begin(), used.end());
  for (const flow::Aggregate& aggregate : op.aggregates) {
    if (aggregate.input >= 0) used.push_back(rows.schema.fields[static_cast<std::size_t>(aggregate.input)].name);
  }
  Need(pipeline, used, rows);
  Select select;
  for (const std::string& key : keys) {
    select.Add(Name(key));
    select.group_by.push_back(Name(key));
  }
  for (std::string& column : AggregateColumns(op.aggregates, rows.schema, after)) select.Add(std::move(column));
  select.from = Name(rows.relation);
  View(pipeline, "_summed", "", select.ToString(), rows);
  rows.pending.clear();  // nothing needed what they would have added
  rows.order = NamesOf(rows.schema, op.by);
  rows.schema = after;
}

}  // namespace sightline::flink
