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

  void Reset(const Schema& schema, std::size_t capacity);
  // `size` bytes that live until the next Reset.
  char* Allocate(std::size_t size);
  // Room for a text whose size is not known yet, at least `least` bytes: Keep takes the first `size` of them, as Allocate does. What is
  // not kept will be handed out again; what was written stays until then.
  std::span<char> Room(std::size_t least);
  void Keep(std::size_t size) { arena_used_ += size; }
  // Memory that strings of the batch lie in.
  void Own(std::unique_ptr<char[]> memory);
  // Keeps the rows with the given numbers, in the order given.
  void Take(std::span<const std::uint32_t> keep);

 private:
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };
  // Chunks stay where they are, so that views into them stay valid as it grows. Those before arena_at_ are full.
  std::vector<Chunk> arena_;
  std::size_t arena_at_ = 0;
  std::size_t arena_used_ = 0;  // bytes of arena_[arena_at_]
};

}  // namespace sightline
