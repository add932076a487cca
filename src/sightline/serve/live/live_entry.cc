#include "sightline/serve/live/live_entry.h"

#include <algorithm>
#include <cassert>
#include <charconv>

#include "sightline/base/bytes.h"
#include "sightline/base/text.h"
#include "sightline/tabular/append.h"
#include "sightline/tabular/json.h"

namespace sightline::serve {

using namespace std::string_view_literals;
// Not UTF-8, so that no text of a contract can be it.
const std::string_view kLiveNull = "\xff"sv;

std::string LiveText(const Column& column, std::size_t row) {
  if (column.IsNull(row)) return std::string(kLiveNull);
  switch (column.type) {
    case FieldType::kInt64: return std::to_string(column.int64s[row]);
    case FieldType::kBool: return column.int64s[row] != 0 ? "true" : "false";
    case FieldType::kString: return std::string(column.strings[row]);
    case FieldType::kDouble: {
      char raw[40];
      const auto end = std::to_chars(raw, raw + sizeof raw, column.doubles[row]);
      return std::string(raw, end.ptr);
    }
  }
  return {};
}

namespace {

void PutValue(ByteWriter& to, const Column& column, std::size_t row) {
  const bool null = column.IsNull(row);
  to.Put(static_cast<std::uint8_t>(null));
  if (null) return;
  switch (column.type) {
    case FieldType::kInt64:
    case FieldType::kBool: to.Put(column.int64s[row]); break;
    case FieldType::kDouble: to.Put(column.doubles[row]); break;
    case FieldType::kString: to.PutString(column.strings[row]); break;
  }
}

// Reads what PutValue wrote into row `row` of a batch that has room for it. Text is not copied.
void GetValue(ByteReader& from, Column& column, std::size_t row) {
  if (from.Get<std::uint8_t>() != 0) return tabular::SetNull(column, row);
  if (!column.nulls.empty()) column.nulls[row] = 0;
  switch (column.type) {
    case FieldType::kInt64:
    case FieldType::kBool: column.int64s[row] = from.Get<std::int64_t>(); break;
    case FieldType::kDouble: column.doubles[row] = from.Get<double>(); break;
    case FieldType::kString: column.strings[row] = from.GetString(); break;
  }
}

bool IsGroupColumn(const ResultShape& shape, std::size_t column) {
  return std::ranges::find(shape.group, static_cast<int>(column)) != shape.group.end();
}

void AppendNumber(std::string& out, std::int64_t value) {
  char raw[24];
  const auto end = std::to_chars(raw, raw + sizeof raw, value);
  out.append(raw, end.ptr);
}

}  // namespace

LiveEntry::LiveEntry(std::shared_ptr<const ResultShape> shape, const LiveGroup& group)
    : shape_(std::move(shape)), header_(group.header), row_count_(group.end - group.begin) {
  assert(group.begin <= group.end && group.rows->columns.size() == shape_->schema.fields.size());
  rows_.reserve(row_count_ * group.rows->columns.size() * 10);
  ByteWriter to(rows_);
  for (std::size_t row = group.begin; row < group.end; ++row) {
    for (const Column& column : group.rows->columns) PutValue(to, column, row);
  }
}

const std::string& LiveEntry::Json() const {
  std::call_once(json_once_, [this] { json_ = MakeJson(); });
  return json_;
}

std::string LiveEntry::MakeJson() const {
  std::string out;
  out.reserve(160 + key_->json.size() + row_count_ * 96);
  out += "{\"window_start\":";
  AppendNumber(out, header_.window_start.value);
  out += ",\"window_end\":";
  AppendNumber(out, header_.window_end.value);
  out += ",\"state\":\"";
  out += ResultStateName(header_.state);
  out += "\",\"revision\":";
  AppendNumber(out, header_.revision);
  out += ",\"key\":";
  out += key_->json;
  out += ",\"rows\":[";
  ColumnBatch one;
  one.Reset(shape_->schema, 1);
  one.rows = 1;
  ByteReader from(rows_);
  for (std::size_t row = 0; row < row_count_; ++row) {
    out += row == 0 ? "{" : ",{";
    bool first = true;
    for (std::size_t i = 0; i < one.columns.size(); ++i) {
      GetValue(from, one.columns[i], 0);
      if (IsGroupColumn(*shape_, i)) continue;
      if (!first) out += ',';
      first = false;
      AppendJsonString(out, shape_->schema.fields[i].name);
      out += ':';
      tabular::AppendJsonValue(shape_->schema.fields[i], one.columns[i], 0, out);
    }
    out += '}';
  }
  out += "]}";
  assert(from.done());
  return out;
}

void LiveEntry::AppendRows(ColumnBatch& to) const {
  ByteReader from(rows_);
  tabular::Grow(to, to.rows + row_count_);
  for (std::size_t row = 0; row < row_count_; ++row) {
    for (Column& column : to.columns) {
      GetValue(from, column, to.rows);
      if (column.type == FieldType::kString && !column.IsNull(to.rows)) {
        column.strings[to.rows] = tabular::Keep(to, column.strings[to.rows]);
      }
    }
    ++to.rows;
  }
}

std::string LiveKeyBytes(const ResultShape& shape, const ColumnBatch& rows, std::size_t row) {
  std::string bytes;
  ByteWriter to(bytes);
  for (const int column : shape.group) PutValue(to, rows.columns[static_cast<std::size_t>(column)], row);
  return bytes;
}

LiveKey MakeLiveKey(const ResultShape& shape, const ColumnBatch& rows, std::size_t row) {
  LiveKey key;
  key.json = "{";
  for (const int index : shape.group) {
    const auto i = static_cast<std::size_t>(index);
    key.values.push_back(LiveText(rows.columns[i], row));
    if (key.json.size() > 1) key.json += ',';
    AppendJsonString(key.json, shape.schema.fields[i].name);
    key.json += ':';
    tabular::AppendJsonValue(shape.schema.fields[i], rows.columns[i], row, key.json);
  }
  key.json += '}';
  return key;
}

}  // namespace sightline::serve
