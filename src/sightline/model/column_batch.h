#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/model/schema.h"

namespace sightline {

// One column of up to `rows` values, in raw buffers that the hot loops index directly. Fixed-width values have Arrow's
// physical layout; strings are views into the record bytes they were decoded from, or into the batch's arena where the
// JSON text had escapes. Only the buffer of the field's type is filled.
struct Column {
  FieldType type = FieldType::kInt64;
  std::vector<std::int64_t> int64s;      // kInt64, and kBool as 0 or 1
  std::vector<double> doubles;           // kDouble
  std::vector<std::string_view> strings; // kString
  // One byte a row, 1 = null; empty while the column has no null at all.
  std::vector<std::uint8_t> nulls;

  bool IsNull(std::size_t row) const { return !nulls.empty() && nulls[row] != 0; }
};

// Rows of one schema between two steps of the way. Not thread-safe; owned by one worker at a time and reused, so that a
// steady stream allocates nothing. String views are valid while the record bytes behind the batch are.
struct ColumnBatch {
  std::size_t rows = 0;
  std::vector<Column> columns;  // one for each field of the schema, in its order
  // Unescaped strings; chunks are stable, so views into them stay valid as it grows.
  std::vector<std::unique_ptr<char[]>> arena;

  void Reset(const Schema& schema, std::size_t capacity);
  // `size` bytes that live as long as the batch.
  char* Allocate(std::size_t size);
  // Keeps the rows with the given numbers, in the order given.
  void Take(std::span<const std::uint32_t> keep);

 private:
  std::size_t arena_used_ = 0;
  std::size_t arena_size_ = 0;
};

}  // namespace sightline
