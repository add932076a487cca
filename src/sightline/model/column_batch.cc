#include "sightline/model/column_batch.h"

#include <algorithm>

namespace sightline {
namespace {

constexpr std::size_t kChunk = 64 * 1024;  // bytes of an arena's chunk; more where one text takes more
constexpr std::size_t kChunksKept = 16;

}  // namespace

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
  // Chunks of the usual size are used again.
  std::erase_if(arena_, [](const Chunk& chunk) { return chunk.size != kChunk; });
  if (arena_.size() > kChunksKept) arena_.resize(kChunksKept);
  arena_at_ = arena_used_ = 0;
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
  char* const at = Room(size).data();
  Keep(size);
  return at;
}

std::span<char> ColumnBatch::Room(std::size_t least) {
  while (arena_at_ < arena_.size() && arena_[arena_at_].size - arena_used_ < least) {
    ++arena_at_;
    arena_used_ = 0;
  }
  if (arena_at_ == arena_.size()) {
    const std::size_t size = std::max(least, kChunk);
    arena_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
  }
  return {arena_[arena_at_].bytes.get() + arena_used_, arena_[arena_at_].size - arena_used_};
}

// Ahead of the chunk in use, and of no size: nothing is ever written into it.
void ColumnBatch::Own(std::unique_ptr<char[]> memory) {
  arena_.insert(arena_.begin(), {std::move(memory), 0});
  ++arena_at_;
}

}  // namespace sightline
