#include "sightline/model/column_batch.h"

#include <algorithm>

namespace sightline {

void ColumnBatch::Reset(const Schema& schema, std::size_t capacity) {
  rows = 0;
  columns.resize(schema.fields.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    Column& column = columns[i];
    column.type = schema.fields[i].type;
    column.nulls.clear();
    switch (column.type) {
      case FieldType::kInt64:
      case FieldType::kBool: column.int64s.resize(capacity); break;
      case FieldType::kDouble: column.doubles.resize(capacity); break;
      case FieldType::kString: column.strings.resize(capacity); break;
    }
  }
  arena.clear();
  arena_used_ = arena_size_ = 0;
}

namespace {

template <typename T>
void Gather(std::vector<T>& values, std::span<const std::uint32_t> keep) {
  std::vector<T> kept(keep.size());
  for (std::size_t i = 0; i < keep.size(); ++i) kept[i] = values[keep[i]];
  values = std::move(kept);
}

}  // namespace

void ColumnBatch::Take(std::span<const std::uint32_t> keep) {
  for (Column& column : columns) {
    // A batch that is used again may still hold the buffers of columns that stood in these places before, of another length.
    switch (column.type) {
      case FieldType::kInt64:
      case FieldType::kBool: Gather(column.int64s, keep); break;
      case FieldType::kDouble: Gather(column.doubles, keep); break;
      case FieldType::kString: Gather(column.strings, keep); break;
    }
    if (!column.nulls.empty()) Gather(column.nulls, keep);
  }
  rows = keep.size();
}

char* ColumnBatch::Allocate(std::size_t size) {
  if (arena.empty() || arena_used_ + size > arena_size_) {
    arena_size_ = std::max<std::size_t>(size, 64 * 1024);
    arena_used_ = 0;
    arena.push_back(std::make_unique_for_overwrite<char[]>(arena_size_));
  }
  char* at = arena.back().get() + arena_used_;
  arena_used_ += size;
  return at;
}

}  // namespace sightline
