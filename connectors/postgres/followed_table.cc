#include "connectors/postgres/followed_table.h"

#include <algorithm>

#include "sightline/base/bytes.h"
#include "sightline/base/hash.h"
#include "sightline/base/text.h"

namespace sightline::postgres {
namespace {

constexpr std::string_view kMagic = "SLFT\1";

bool IsNumber(std::string_view text) {
  // What the gate reads as a number: it judges, this only decides on quotes.
  return !text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos;
}

void PutOptional(ByteWriter& writer, const std::optional<std::string>& text) {
  writer.Put<std::uint8_t>(text ? 1 : 0);
  if (text) writer.PutString(*text);
}

}  // namespace

void FollowedTable::Begin(Origin origin, Lsn position) {
  origin_ = std::move(origin);
  position_ = position;
  rows_.clear();
  places_.clear();
}

std::string FollowedTable::KeyOf(const Row& row) const {
  std::string key;
  ByteWriter writer(key);
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (origin_.identity[i]) PutOptional(writer, row[i]);
  }
  return key;
}

void FollowedTable::Put(Row row) {
  std::string key = KeyOf(row);
  rows_.insert_or_assign(std::move(key), std::move(row));
}

Status FollowedTable::Describe(const pgoutput::Relation& relation) {
  places_.clear();
  relation_columns_ = relation.columns.size();
  std::size_t identity = 0;
  for (const auto& column : relation.columns) identity += column.key ? 1 : 0;
  for (std::size_t i = 0; i < origin_.columns.size(); ++i) {
    const auto found = std::ranges::find(relation.columns, origin_.columns[i], &pgoutput::Relation::Column::name);
    if (found == relation.columns.end()) {
      return Fail(ErrorKind::kFailedPrecondition, "table " + origin_.table + " has no column " + origin_.columns[i] + " any more");
    }
    if (found->key != origin_.identity[i])
      return Fail(ErrorKind::kFailedPrecondition, "table " + origin_.table + " has another replica identity than before");
    identity -= found->key ? 1 : 0;
    places_.push_back(static_cast<std::size_t>(found - relation.columns.begin()));
  }
  if (identity != 0) return Fail(ErrorKind::kFailedPrecondition, "table " + origin_.table + " has another replica identity than before");
  return {};
}

Result<FollowedTable::Row> FollowedTable::Take(const pgoutput::Tuple& tuple) const {
  if (places_.size() != origin_.columns.size() || tuple.size() != relation_columns_) {
    return Fail(ErrorKind::kCorruption, "the replication stream has a row of " + std::to_string(tuple.size()) + " columns for table " +
                                            origin_.table + ", which was not described so");
  }
  Row row;
  for (const std::size_t place : places_) {
    const pgoutput::Cell& cell = tuple[place];
    row.push_back(cell.kind == pgoutput::Cell::Kind::kText ? std::optional<std::string>(cell.text) : std::nullopt);
  }
  return row;
}

Status FollowedTable::Insert(const pgoutput::Tuple& tuple) {
  SL_ASSIGN_OR_RETURN(Row row, Take(tuple));
  Put(std::move(row));
  return {};
}

Status FollowedTable::Update(const pgoutput::Update& update) {
  SL_ASSIGN_OR_RETURN(Row row, Take(update.row));
  std::string before = KeyOf(row);
  if (update.old) {
    SL_ASSIGN_OR_RETURN(const Row old, Take(*update.old));
    before = KeyOf(old);
  }
  const auto known = rows_.find(before);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (update.row[places_[i]].kind != pgoutput::Cell::Kind::kUnchanged) continue;
    if (known == rows_.end()) {
      return Fail(ErrorKind::kFailedPrecondition,
                  "table " + origin_.table + ": an update leaves column " + origin_.columns[i] + " as it was, of a row that is not known");
    }
    row[i] = known->second[i];
  }
  if (known != rows_.end()) rows_.erase(known);
  Put(std::move(row));
  return {};
}

Status FollowedTable::Remove(const pgoutput::Tuple& tuple) {
  SL_ASSIGN_OR_RETURN(const Row old, Take(tuple));
  rows_.erase(KeyOf(old));
  return {};
}

std::string FollowedTable::Lines(const Schema& schema) const {
  std::string lines;
  std::vector<std::pair<const Field*, std::size_t>> fields;
  for (const Field& field : schema.fields) {
    const auto at = std::ranges::find(origin_.columns, field.name);
    if (at != origin_.columns.end()) fields.emplace_back(&field, static_cast<std::size_t>(at - origin_.columns.begin()));
  }
  for (const auto& [key, row] : rows_) {
    lines += '{';
    bool first = true;
    for (const auto& [field, index] : fields) {
      const std::optional<std::string>& value = row[index];
      if (!value) continue;
      if (!first) lines += ',';
      first = false;
      AppendJsonString(lines, field->name);
      lines += ':';
      const bool flag = field->type == FieldType::kBool && (*value == "t" || *value == "f");
      const bool number = (field->type == FieldType::kInt64 || field->type == FieldType::kDouble) && IsNumber(*value);
      if (flag) {
        lines += *value == "t" ? "true" : "false";
      } else if (number) {
        lines += *value;
      } else {
        AppendJsonString(lines, *value);
      }
    }
    lines += "}\n";
  }
  return lines;
}

std::string FollowedTable::Serialize() const {
  std::string bytes(kMagic);
  ByteWriter writer(bytes);
  writer.PutString(origin_.system);
  writer.PutString(origin_.slot);
  writer.PutString(origin_.table);
  writer.Put(position_);
  writer.PutVarint(origin_.columns.size());
  for (std::size_t i = 0; i < origin_.columns.size(); ++i) {
    writer.PutString(origin_.columns[i]);
    writer.Put<std::uint8_t>(origin_.identity[i] ? 1 : 0);
  }
  writer.PutVarint(rows_.size());
  for (const auto& [key, row] : rows_) {
    for (const std::optional<std::string>& value : row) PutOptional(writer, value);
  }
  writer.Put(Crc32c(bytes));
  return bytes;
}

Result<FollowedTable> FollowedTable::Deserialize(std::string_view bytes) {
  const auto broken = Fail(ErrorKind::kCorruption, "the kept state of a followed table is damaged");
  if (!bytes.starts_with(kMagic) || bytes.size() < kMagic.size() + 4) return broken;
  const std::string_view body = bytes.substr(0, bytes.size() - 4);
  if (Crc32c(body) != LoadLe<std::uint32_t>(bytes.data() + body.size())) return broken;
  ByteReader reader(body.substr(kMagic.size()));
  FollowedTable table;
  Origin origin;
  origin.system = reader.GetString();
  origin.slot = reader.GetString();
  origin.table = reader.GetString();
  const auto position = reader.Get<Lsn>();
  const std::uint64_t columns = reader.GetVarint();
  for (std::uint64_t i = 0; i < columns && reader.ok(); ++i) {
    origin.columns.emplace_back(reader.GetString());
    origin.identity.push_back(reader.Get<std::uint8_t>() != 0);
  }
  table.Begin(std::move(origin), position);
  const std::uint64_t rows = reader.GetVarint();
  for (std::uint64_t i = 0; i < rows && reader.ok(); ++i) {
    Row row;
    for (std::uint64_t c = 0; c < columns && reader.ok(); ++c) {
      const bool there = reader.Get<std::uint8_t>() != 0;
      row.push_back(there ? std::optional<std::string>(reader.GetString()) : std::nullopt);
    }
    if (reader.ok()) table.Put(std::move(row));
  }
  if (!reader.done()) return broken;
  return table;
}

}  // namespace sightline::postgres
