#include "sightline/stores/statistics/relational/group_writes.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "sightline/base/bytes.h"

namespace sightline::stores::relational {
namespace {

// The window and key of a group as bytes that are equal for equal groups.
std::string KeyOf(const ResultBatch& batch, const ResultBatch::Group& group, const std::vector<int>& columns) {
  std::string key;
  ByteWriter writer(key);
  writer.Put(group.header.window_start.value);
  for (const int index : columns) {
    const Column& column = batch.rows().columns[static_cast<std::size_t>(index)];
    const bool null = column.IsNull(group.begin);
    writer.Put<std::uint8_t>(null ? 1 : 0);
    if (null) continue;
    switch (column.type) {
      case FieldType::kInt64:
      case FieldType::kBool: writer.Put(column.int64s[group.begin]); break;
      case FieldType::kDouble: writer.Put(column.doubles[group.begin]); break;
      case FieldType::kString: writer.PutString(column.strings[group.begin]); break;
    }
  }
  return key;
}

}  // namespace

bool Contested(const ResultBatch::Group& group, const CorrectedUntil& corrected) {
  if (group.header.revision > 0) return true;
  const auto until = corrected.find(group.partition.value);
  return until != corrected.end() && group.header.window_start <= until->second;
}

std::vector<std::size_t> LastRevisions(const ResultBatch& batch, const std::vector<std::size_t>& chosen, const std::vector<int>& key) {
  std::unordered_map<std::string, std::size_t> newest;
  for (const std::size_t index : chosen) {
    const auto& group = batch.groups()[index];
    auto [at, fresh] = newest.try_emplace(KeyOf(batch, group, key), index);
    if (!fresh && group.header.revision > batch.groups()[at->second].header.revision) at->second = index;
  }
  std::vector<std::size_t> kept;
  for (const auto& [bytes, index] : newest) kept.push_back(index);
  std::ranges::sort(kept);
  return kept;
}

void NoteCorrected(const ResultBatch& batch, const std::vector<std::size_t>& chosen, CorrectedUntil& corrected) {
  for (const std::size_t index : chosen) {
    const auto& group = batch.groups()[index];
    if (group.header.revision == 0) continue;
    auto [at, fresh] = corrected.try_emplace(group.partition.value, group.header.window_start);
    if (!fresh) at->second = std::max(at->second, group.header.window_start);
  }
}

std::vector<RowRef> RowsOf(const ResultBatch& batch, const std::vector<std::size_t>& chosen) {
  std::vector<RowRef> rows;
  rows.reserve(batch.rows().rows);
  for (const std::size_t index : chosen) {
    const auto& group = batch.groups()[index];
    for (std::size_t row = group.begin; row < group.end; ++row) rows.push_back({row, &group});
  }
  return rows;
}

}  // namespace sightline::stores::relational
