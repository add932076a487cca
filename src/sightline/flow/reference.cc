#include "sightline/flow/reference.h"

#include "sightline/base/bytes.h"
#include "sightline/model/result.h"

namespace sightline::flow {

Result<ReferenceHandle> ReferenceTable::Make(std::string name, std::uint64_t version, Schema schema, int key, ColumnBatch rows) {
  std::shared_ptr<ReferenceTable> table(new ReferenceTable());
  table->name_ = std::move(name);
  table->version_ = version;
  table->schema_ = std::move(schema);
  table->key_ = key;
  table->rows_ = std::move(rows);
  SL_TRY(table->BuildIndex());
  return ReferenceHandle(std::move(table));
}

Status ReferenceTable::BuildIndex() {
  const Column& keys = rows_.columns[static_cast<std::size_t>(key_)];
  const std::string& field = schema_.fields[static_cast<std::size_t>(key_)].name;
  if (keys.type != FieldType::kInt64 && keys.type != FieldType::kString) {
    return Fail(ErrorKind::kInvalidArgument, "reference " + name_ + ": its key " + field + " must be an integer or a text");
  }
  for (std::size_t row = 0; row < rows_.rows; ++row) {
    if (keys.IsNull(row))
      return Fail(ErrorKind::kInvalidArgument, "reference " + name_ + ": row " + std::to_string(row + 1) + " has no " + field);
    const bool text = keys.type == FieldType::kString;
    const auto number = static_cast<std::int64_t>(row);
    const bool added =
        text ? by_string_.try_emplace(keys.strings[row], number).second : by_int64_.try_emplace(keys.int64s[row], number).second;
    if (added) continue;
    const std::string value = text ? std::string(keys.strings[row]) : std::to_string(keys.int64s[row]);
    const std::int64_t first = text ? by_string_.at(keys.strings[row]) : by_int64_.at(keys.int64s[row]);
    return Fail(ErrorKind::kInvalidArgument, "reference " + name_ + ": rows " + std::to_string(first + 1) + " and " +
                                                 std::to_string(row + 1) + " have the same " + field + " " + value +
                                                 "; a key may stand there once");
  }
  return {};
}

std::int64_t ReferenceTable::FindInt64(std::int64_t key) const {
  const auto at = by_int64_.find(key);
  return at == by_int64_.end() ? -1 : at->second;
}

std::int64_t ReferenceTable::FindString(std::string_view key) const {
  const auto at = by_string_.find(key);
  return at == by_string_.end() ? -1 : at->second;
}

std::int64_t ReferenceTable::Find(const Column& column, std::size_t row) const {
  if (column.IsNull(row)) return -1;
  return column.type == FieldType::kString ? FindString(column.strings[row]) : FindInt64(column.int64s[row]);
}

std::string ReferenceTable::Serialize() const {
  std::string out;
  ByteWriter(out).Put(version_);
  EncodeResult({}, schema_, rows_, 0, rows_.rows, out);
  return out;
}

Result<ReferenceHandle> ReferenceTable::Deserialize(std::string name, Schema schema, int key, std::string bytes) {
  if (bytes.size() < 8) return Fail(ErrorKind::kCorruption, "a kept version of reference " + name + " is cut off");
  const auto version = LoadLe<std::uint64_t>(bytes.data());
  auto backing = std::make_unique<char[]>(bytes.size());
  std::memcpy(backing.get(), bytes.data(), bytes.size());
  ResultRecord record;
  SL_TRY(DecodeResult(std::string_view(backing.get() + 8, bytes.size() - 8), schema, record));
  record.rows.Own(std::move(backing));
  return Make(std::move(name), version, std::move(schema), key, std::move(record.rows));
}

void ReferenceCatalog::Install(ReferenceHandle table) {
  const std::lock_guard lock(mutex_);
  Version& version = tables_[table->name()];
  version = {.table = std::move(table), .since = clock_ == nullptr ? WallTime(0) : clock_->Now()};
  change_.fetch_add(1, std::memory_order_release);
}

ReferenceCatalog::Version ReferenceCatalog::InEffect(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto at = tables_.find(name);
  return at == tables_.end() ? Version() : at->second;
}

}  // namespace sightline::flow
