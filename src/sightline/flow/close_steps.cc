#include "sightline/flow/close_steps.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>

#include "sightline/flow/aggregates.h"
#include "sightline/model/result.h"

namespace sightline::flow {
namespace {

int CompareValues(const Column& column, std::size_t a, std::size_t b) {
  const bool a_null = column.IsNull(a);
  const bool b_null = column.IsNull(b);
  if (a_null || b_null) return a_null == b_null ? 0 : (a_null ? 1 : -1);
  switch (column.type) {
    case FieldType::kInt64:
    case FieldType::kBool: return column.int64s[a] < column.int64s[b] ? -1 : (column.int64s[a] > column.int64s[b] ? 1 : 0);
    case FieldType::kDouble: return column.doubles[a] < column.doubles[b] ? -1 : (column.doubles[a] > column.doubles[b] ? 1 : 0);
    case FieldType::kString: {
      // Mostly both are views of the one copy that a dictionary keeps.
      if (column.strings[a].data() == column.strings[b].data() && column.strings[a].size() == column.strings[b].size()) return 0;
      const int order = column.strings[a].compare(column.strings[b]);
      return order < 0 ? -1 : (order > 0 ? 1 : 0);
    }
  }
  return 0;
}

std::uint64_t Filter(const WhereOp& op, ColumnBatch& rows) {
  Column verdict;
  op.predicate.Evaluate(rows, verdict);
  std::vector<std::uint32_t> keep;
  for (std::uint32_t row = 0; row < rows.rows; ++row) {
    if (!verdict.IsNull(row) && verdict.int64s[row] != 0) keep.push_back(row);
  }
  const std::uint64_t dropped = rows.rows - keep.size();
  if (dropped != 0) rows.Take(keep);
  return dropped;
}

std::uint64_t EnrichAndDrop(const EnrichOp& op, const ActiveReferences& references, Keep keep_what, ColumnBatch& rows) {
  std::vector<std::uint8_t> missing;
  ApplyEnrich(op, references, rows, missing);
  if (!op.drop_missing || keep_what == Keep::kAll) return 0;
  std::vector<std::uint32_t> keep;
  for (std::uint32_t row = 0; row < rows.rows; ++row) {
    if (missing[row] == 0) keep.push_back(row);
  }
  const std::uint64_t dropped = rows.rows - keep.size();
  if (dropped != 0) rows.Take(keep);
  return dropped;
}

// Puts rows with equal values in these columns together, in the order of the values; rows of one group stay in their order. Column by
// column: mostly the first ones are in order already, and what is left to sort are short runs.
void OrderBy(const ColumnBatch& rows, std::span<const int> columns, std::span<std::uint32_t> order) {
  if (columns.empty()) return;
  const Column& column = rows.columns[static_cast<std::size_t>(columns.front())];
  const auto before = [&](std::uint32_t a, std::uint32_t b) { return CompareValues(column, a, b) < 0; };
  if (!std::ranges::is_sorted(order, before)) std::ranges::stable_sort(order, before);
  if (columns.size() == 1) return;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && CompareValues(column, order[begin], order[end]) == 0) ++end;
    OrderBy(rows, columns.subspan(1), order.subspan(begin, end - begin));
    begin = end;
  }
}

// ROW_NUMBER within each group: greater value first, nulls last, ties by the rest of the key.
void Rank(const RankOp& op, Keep keep_what, ColumnBatch& rows) {
  const auto column = [&](int c) -> const Column& { return rows.columns[static_cast<std::size_t>(c)]; };
  const auto same_group = [&](std::uint32_t a, std::uint32_t b) {
    return std::all_of(op.within.begin(), op.within.end(), [&](int c) { return SameValue(column(c), a, b); });
  };
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    const Column& by = column(op.by);
    if (by.IsNull(a) || by.IsNull(b)) {
      if (by.IsNull(a) != by.IsNull(b)) return by.IsNull(b);
    } else if (const int order = CompareValues(by, a, b); order != 0) {
      return order > 0;
    }
    for (int c : op.ties) {
      if (const int order = CompareValues(column(c), a, b); order != 0) return order < 0;
    }
    return a < b;
  };
  std::vector<std::uint32_t> order(rows.rows);
  std::iota(order.begin(), order.end(), 0U);
  OrderBy(rows, op.within, order);
  std::vector<std::uint32_t> keep;
  Column rank{.type = FieldType::kInt64, .int64s = {}, .doubles = {}, .strings = {}, .nulls = {}};
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && same_group(order[begin], order[end])) ++end;
    const std::size_t top = keep_what == Keep::kAll ? end - begin : std::min(end - begin, static_cast<std::size_t>(op.top));
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(begin);
    std::partial_sort(first, first + static_cast<std::ptrdiff_t>(top), order.begin() + static_cast<std::ptrdiff_t>(end), before);
    for (std::size_t i = 0; i < top; ++i) {
      keep.push_back(order[begin + i]);
      rank.int64s.push_back(static_cast<std::int64_t>(i + 1));
    }
    begin = end;
  }
  rows.Take(keep);
  rows.columns.push_back(std::move(rank));
}

void Gather(const GatherOp& op, ColumnBatch& rows) {
  std::vector<std::uint32_t> order(rows.rows);
  std::iota(order.begin(), order.end(), 0U);
  OrderBy(rows, op.by, order);
  if (!std::ranges::is_sorted(order)) rows.Take(order);
}

// A sum over sums that did not fit does not fit either: what is null for that reason must not pass for nothing.
void SpreadOverflow(const Aggregate& aggregate, const Schema& before, const ColumnBatch& rows, std::span<const std::uint32_t> groups,
                    std::span<const std::uint32_t> sorted, Column& into, std::vector<std::uint8_t>& overflow) {
  const int flag = before.Find("overflow");
  if (flag < 0 || aggregate.kind != AggregateKind::kSum || aggregate.type != FieldType::kInt64) return;
  const Column& flags = rows.columns[static_cast<std::size_t>(flag)];
  const Column& input = rows.columns[static_cast<std::size_t>(aggregate.input)];
  if (flags.type != FieldType::kBool) return;
  std::vector<std::uint8_t> spread(groups.size() + 1, 0);  // a group has a row at least
  for (std::uint32_t row = 0; row < rows.rows; ++row) {
    if (input.IsNull(row) && !flags.IsNull(row) && flags.int64s[row] != 0) spread[groups[row]] = 1;
  }
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (spread[sorted[i]] == 0) continue;
    if (into.nulls.empty()) into.nulls.assign(sorted.size(), 0);
    into.nulls[i] = 1;
    overflow[i] = 1;
  }
}

void Regroup(const RegroupOp& op, const Schema& before, const ResultShape& shape, const Schema& after, ColumnBatch& rows) {
  std::vector<int> family;
  for (int c : shape.group) {
    const std::string& name = shape.schema.fields[static_cast<std::size_t>(c)].name;
    for (std::size_t k = 0; k < op.by.size(); ++k) {
      if (before.fields[static_cast<std::size_t>(op.by[k])].name == name) family.push_back(static_cast<int>(k));
    }
  }
  GroupIndex index(before, op.by, family, family);
  StringDictionary texts;
  std::vector<std::uint32_t> all(rows.rows);
  std::iota(all.begin(), all.end(), 0U);
  std::vector<std::uint32_t> groups(rows.rows);
  index.Assign(rows, all, groups);
  const std::span<const std::uint32_t> sorted = index.Sorted();
  ColumnBatch out;
  out.rows = sorted.size();
  out.columns.resize(after.fields.size());
  for (std::size_t k = 0; k < op.by.size(); ++k) index.Materialise(k, sorted, out.columns[k]);
  std::vector<std::uint8_t> overflow(sorted.size(), 0);
  std::vector<std::int64_t> counts(index.size(), 0);
  for (std::uint32_t group : groups) ++counts[group];
  for (std::size_t a = 0; a < op.aggregates.size(); ++a) {
    const Aggregate& aggregate = op.aggregates[a];
    Column& into = out.columns[op.by.size() + a];
    if (aggregate.kind == AggregateKind::kCount) {
      into.type = FieldType::kInt64;
      for (std::uint32_t group : sorted) into.int64s.push_back(counts[group]);
      continue;
    }
    AggregateColumn column(aggregate);
    column.Resize(index.size());
    const Column& input = rows.columns[static_cast<std::size_t>(aggregate.input)];
    for (std::uint32_t row = 0; row < rows.rows; ++row) column.Add(groups[row], input, row, texts);
    column.Materialise(sorted, texts, into, overflow);
    SpreadOverflow(aggregate, before, rows, groups, sorted, into, overflow);
  }
  if (out.columns.size() > op.by.size() + op.aggregates.size()) {
    out.columns.back().type = FieldType::kBool;
    out.columns.back().int64s.assign(overflow.begin(), overflow.end());
  }
  // Key texts live in the index, which ends here: copy them into the batch.
  for (Column& column : out.columns) {
    for (std::string_view& text : column.strings) {
      if (text.empty()) continue;
      char* at = out.Allocate(text.size());
      std::copy(text.begin(), text.end(), at);
      text = std::string_view(at, text.size());
    }
  }
  rows = std::move(out);
}

}  // namespace

bool SameValue(const Column& column, std::size_t a, std::size_t b) { return CompareValues(column, a, b) == 0; }

void ApplyEnrich(const EnrichOp& op, const ActiveReferences& references, ColumnBatch& batch, std::vector<std::uint8_t>& missing) {
  const auto active = references.find(op.reference);
  const ReferenceTable* table = active == references.end() ? nullptr : active->second.get();
  const std::size_t n = batch.rows;
  const Column& on = batch.columns[static_cast<std::size_t>(op.on)];
  std::vector<std::int64_t> found(n, -1);
  missing.assign(n, 0);
  for (std::size_t row = 0; row < n; ++row) {
    // Rows come sorted by location after a window: the row before often has the answer.
    found[row] = row > 0 && SameValue(on, row, row - 1) ? found[row - 1] : (table == nullptr ? -1 : table->Find(on, row));
    missing[row] = found[row] < 0 ? 1 : 0;
  }
  std::vector<Column> added(op.take.size());
  for (std::size_t t = 0; t < op.take.size(); ++t) {
    Column& to = added[t];
    const auto source = static_cast<std::size_t>(op.take[t]);
    // Of the right type and length even when no version is loaded yet, or one without rows.
    to.type = op.types[t];
    const bool text = to.type == FieldType::kString;
    const bool real = to.type == FieldType::kDouble;
    to.strings.resize(text ? n : 0);
    to.doubles.resize(real ? n : 0);
    to.int64s.resize(text || real ? 0 : n);
    if (table == nullptr) {
      to.nulls.assign(n, 1);
      continue;
    }
    const Column& from = table->rows().columns[source];
    for (std::size_t row = 0; row < n; ++row) {
      const std::int64_t at = found[row];
      if (at < 0 || from.IsNull(static_cast<std::size_t>(at))) {
        if (to.nulls.empty()) to.nulls.assign(n, 0);
        to.nulls[row] = 1;
        continue;
      }
      if (text) {
        to.strings[row] = from.strings[static_cast<std::size_t>(at)];
      } else if (real) {
        to.doubles[row] = from.doubles[static_cast<std::size_t>(at)];
      } else {
        to.int64s[row] = from.int64s[static_cast<std::size_t>(at)];
      }
    }
  }
  batch.columns.insert(batch.columns.begin() + op.on + 1, std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()));
}

std::uint64_t ApplyCloseSteps(const PipelinePlan& plan, const ActiveReferences& references, ColumnBatch& rows, Keep keep) {
  std::uint64_t dropped = 0;
  for (std::size_t i = 0; i < plan.close_ops.size(); ++i) {
    const CloseOp& op = plan.close_ops[i];
    if (const auto* where = std::get_if<WhereOp>(&op); where != nullptr && keep != Keep::kAll) dropped += Filter(*where, rows);
    if (const auto* enrich = std::get_if<EnrichOp>(&op)) dropped += EnrichAndDrop(*enrich, references, keep, rows);
    if (const auto* rank = std::get_if<RankOp>(&op)) Rank(*rank, keep, rows);
    if (const auto* gather = std::get_if<GatherOp>(&op)) Gather(*gather, rows);
    if (const auto* regroup = std::get_if<RegroupOp>(&op)) {
      Regroup(*regroup, plan.close_schemas[i], plan.shape, plan.close_schemas[i + 1], rows);
    }
    if (const auto* derive = std::get_if<DeriveOp>(&op)) {
      for (const Expression& expression : derive->columns) {
        Column column;
        expression.Evaluate(rows, column);
        rows.columns.push_back(std::move(column));
      }
    }
  }
  return dropped;
}

void ForEachGroup(const ResultShape& shape, const ColumnBatch& rows, const std::function<void(std::size_t, std::size_t)>& emit) {
  for (std::size_t begin = 0; begin < rows.rows;) {
    std::size_t end = begin + 1;
    while (end < rows.rows && std::all_of(
                                  shape.group.begin(), shape.group.end(),
                                  [&](int c) { return SameValue(rows.columns[static_cast<std::size_t>(c)], begin, end); })) {
      ++end;
    }
    emit(begin, end);
    begin = end;
  }
}

void ForEachEmptied(const ResultShape& shape, const ColumnBatch& rows, const ColumnBatch& every,
                    const std::function<void(std::size_t)>& emit) {
  std::set<std::string> there;
  ForEachGroup(shape, rows, [&](std::size_t begin, std::size_t) { there.insert(GroupKey(shape, rows, begin)); });
  ForEachGroup(shape, every, [&](std::size_t begin, std::size_t) {
    if (!there.contains(GroupKey(shape, every, begin))) emit(begin);
  });
}

ColumnBatch Borrow(const ColumnBatch& from) {
  ColumnBatch copy;
  copy.rows = from.rows;
  copy.columns = from.columns;
  return copy;
}

void AppendRows(const ColumnBatch& from, ColumnBatch& to) {
  if (from.rows == 0) return;  // the key of a group that was emptied is no row
  if (to.columns.empty()) {
    to.rows = from.rows;
    to.columns = from.columns;
    return;
  }
  for (std::size_t c = 0; c < to.columns.size(); ++c) {
    Column& into = to.columns[c];
    const Column& column = from.columns[c];
    if (!column.nulls.empty() || !into.nulls.empty()) {
      into.nulls.resize(to.rows);
      into.nulls.insert(into.nulls.end(), column.nulls.begin(), column.nulls.end());
      into.nulls.resize(to.rows + from.rows);
    }
    into.int64s.insert(into.int64s.end(), column.int64s.begin(), column.int64s.end());
    into.doubles.insert(into.doubles.end(), column.doubles.begin(), column.doubles.end());
    into.strings.insert(into.strings.end(), column.strings.begin(), column.strings.end());
  }
  to.rows += from.rows;
}

namespace {

std::size_t LengthOf(const Column& column) {
  switch (column.type) {
    case FieldType::kInt64:
    case FieldType::kBool: return column.int64s.size();
    case FieldType::kDouble: return column.doubles.size();
    case FieldType::kString: return column.strings.size();
  }
  return 0;
}

// The value in row `row` as a column of its own.
Column CellOf(const Column& from, std::size_t row) {
  Column cell{.type = from.type, .int64s = {}, .doubles = {}, .strings = {}, .nulls = {}};
  switch (from.type) {
    case FieldType::kInt64:
    case FieldType::kBool: cell.int64s.push_back(from.int64s[row]); break;
    case FieldType::kDouble: cell.doubles.push_back(from.doubles[row]); break;
    case FieldType::kString: cell.strings.push_back(from.strings[row]); break;
  }
  if (from.IsNull(row)) cell.nulls.push_back(1);
  return cell;
}

Schema KeySchema(const ResultShape& shape) {
  Schema schema;
  for (int c : shape.group) schema.fields.push_back(shape.schema.fields[static_cast<std::size_t>(c)]);
  return schema;
}

}  // namespace

std::string GroupKey(const ResultShape& shape, const ColumnBatch& rows, std::size_t row) {
  std::string key;
  ColumnBatch group;
  for (int c : shape.group) {
    const Column& column = rows.columns[static_cast<std::size_t>(c)];
    if (row >= LengthOf(column)) return key;
    group.columns.push_back(CellOf(column, row));
  }
  EncodeResult({}, KeySchema(shape), group, 0, 1, key);
  return key;
}

ColumnBatch RowOfKey(const ResultShape& shape, std::string_view key) {
  ColumnBatch row;
  row.Reset(shape.schema, 1);
  ResultRecord record;
  if (shape.group.empty() || !DecodeResult(key, KeySchema(shape), record)) return row;  // the window is the whole key
  for (std::size_t k = 0; k < shape.group.size(); ++k) {
    row.columns[static_cast<std::size_t>(shape.group[k])] = std::move(record.rows.columns[k]);
  }
  return row;
}

}  // namespace sightline::flow
