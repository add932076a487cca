#include "sightline/tabular/result_rows.h"

#include <algorithm>

#include "sightline/tabular/append.h"

namespace sightline::tabular {

Schema ResultRowSchema(const ResultShape& shape, ResultColumns columns) {
  Schema schema;
  schema.fields.push_back({.name = "window_start", .type = FieldType::kInt64});
  schema.fields.push_back({.name = "window_end", .type = FieldType::kInt64});
  schema.fields.insert(schema.fields.end(), shape.schema.fields.begin(), shape.schema.fields.end());
  if (columns == ResultColumns::kWindowAndState) {
    schema.fields.push_back({.name = "state", .type = FieldType::kString});
    schema.fields.push_back({.name = "revision", .type = FieldType::kInt64});
  }
  return schema;
}

void AppendResult(const ResultHeader& header, const ColumnBatch& rows, std::size_t begin, std::size_t end, ResultColumns columns,
                  ColumnBatch& to) {
  const std::size_t base = to.rows;
  const std::size_t count = end - begin;
  Grow(to, base + count);
  for (std::size_t c = 0; c < rows.columns.size(); ++c) AppendColumn(rows.columns[c], begin, end, c + 2, to);
  const auto fill = [&](std::size_t column, std::int64_t value) {
    std::fill_n(to.columns[column].int64s.begin() + static_cast<std::ptrdiff_t>(base), count, value);
  };
  fill(0, header.window_start.value);
  fill(1, header.window_end.value);
  if (columns == ResultColumns::kWindowAndState) {
    const std::size_t state = rows.columns.size() + 2;
    // The state's name is a constant of the program and needs no copy.
    std::fill_n(to.columns[state].strings.begin() + static_cast<std::ptrdiff_t>(base), count, ResultStateName(header.state));
    fill(state + 1, header.revision);
  }
  to.rows = base + count;
}

}  // namespace sightline::tabular
