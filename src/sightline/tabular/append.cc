#include "sightline/tabular/append.h"

#include <algorithm>
#include <cstring>

namespace sightline::tabular {
namespace {

template <typename T>
void GrowVector(std::vector<T>& values, std::size_t rows) {
  if (values.size() >= rows) return;
  values.resize(std::max(rows, values.size() * 2));
}

}  // namespace

void Grow(ColumnBatch& batch, std::size_t rows) {
  for (Column& column : batch.columns) {
    switch (column.type) {
      case FieldType::kInt64:
      case FieldType::kBool: GrowVector(column.int64s, rows); break;
      case FieldType::kDouble: GrowVector(column.doubles, rows); break;
      case FieldType::kString: GrowVector(column.strings, rows); break;
    }
    if (!column.nulls.empty()) GrowVector(column.nulls, rows);
  }
}

void SetNull(Column& column, std::size_t row) {
  if (column.nulls.size() <= row) {
    const std::size_t room = std::max({column.int64s.size(), column.doubles.size(), column.strings.size(), row + 1});
    column.nulls.resize(room);
  }
  column.nulls[row] = 1;
}

std::string_view Keep(ColumnBatch& batch, std::string_view text) {
  if (text.empty()) return {};
  char* at = batch.Allocate(text.size());
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

void AppendColumn(const Column& source, std::size_t begin, std::size_t end, std::size_t column, ColumnBatch& to) {
  const std::size_t count = end - begin;
  const std::size_t base = to.rows;
  Column& target = to.columns[column];
  const auto first = static_cast<std::ptrdiff_t>(begin);
  const auto at = static_cast<std::ptrdiff_t>(base);
  switch (target.type) {
    case FieldType::kInt64:
    case FieldType::kBool: std::copy_n(source.int64s.begin() + first, count, target.int64s.begin() + at); break;
    case FieldType::kDouble: std::copy_n(source.doubles.begin() + first, count, target.doubles.begin() + at); break;
    case FieldType::kString:
      for (std::size_t i = 0; i < count; ++i) {
        target.strings[base + i] = source.IsNull(begin + i) ? std::string_view() : Keep(to, source.strings[begin + i]);
      }
      break;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (source.IsNull(begin + i)) {
      SetNull(target, base + i);
    } else if (!target.nulls.empty()) {
      target.nulls[base + i] = 0;
    }
  }
}

void AppendRows(const ColumnBatch& from, std::size_t begin, std::size_t end, ColumnBatch& to) {
  Grow(to, to.rows + end - begin);
  for (std::size_t c = 0; c < to.columns.size(); ++c) AppendColumn(from.columns[c], begin, end, c, to);
  to.rows += end - begin;
}

}  // namespace sightline::tabular
