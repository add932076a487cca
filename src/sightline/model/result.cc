#include "sightline/model/result.h"

#include <algorithm>
#include <cstring>

#include "sightline/base/bytes.h"

namespace sightline {
namespace {

// The layout is described in docs/formats/result.md.
constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kFlagClosed = 1;
constexpr std::uint8_t kFlagEmptied = 2;
constexpr std::uint8_t kColumnHasNulls = 0x80;
constexpr std::size_t kGenerationAt = 8;
constexpr std::size_t kHeaderBytes = 48;

void PutHeader(ByteWriter& writer, const ResultHeader& header, std::uint8_t flags, std::uint32_t rows, std::size_t columns) {
  writer.Put<std::uint8_t>(kVersion);
  writer.Put<std::uint8_t>(flags);
  writer.Put<std::uint8_t>(static_cast<std::uint8_t>(header.state));
  writer.Put<std::uint8_t>(0);
  writer.Put<std::uint32_t>(header.revision);
  writer.Put<std::uint64_t>(header.generation);
  writer.Put<std::int64_t>(header.window_start.value);
  writer.Put<std::int64_t>(header.window_end.value);
  writer.Put<std::uint64_t>(header.reference_version);
  writer.Put<std::uint32_t>(rows);
  writer.Put<std::uint32_t>(static_cast<std::uint32_t>(columns));
}

bool HasNulls(const Column& column, std::size_t begin, std::size_t end) {
  if (column.nulls.empty()) return false;
  for (std::size_t row = begin; row < end; ++row) {
    if (column.nulls[row] != 0) return true;
  }
  return false;
}

// Null values are written as zero or empty, so that equal rows are equal bytes.
void PutValues(ByteWriter& writer, const Column& column, FieldType type, std::size_t begin, std::size_t end) {
  switch (type) {
    case FieldType::kInt64:
      for (std::size_t row = begin; row < end; ++row) {
        writer.Put<std::int64_t>(column.IsNull(row) ? 0 : column.int64s[row]);
      }
      break;
    case FieldType::kBool:
      for (std::size_t row = begin; row < end; ++row) {
        writer.Put<std::uint8_t>(!column.IsNull(row) && column.int64s[row] != 0 ? 1 : 0);
      }
      break;
    case FieldType::kDouble:
      for (std::size_t row = begin; row < end; ++row) {
        writer.Put<double>(column.IsNull(row) ? 0.0 : column.doubles[row]);
      }
      break;
    case FieldType::kString:
      for (std::size_t row = begin; row < end; ++row) {
        writer.Put<std::uint32_t>(column.IsNull(row) ? 0 : static_cast<std::uint32_t>(column.strings[row].size()));
      }
      for (std::size_t row = begin; row < end; ++row) {
        if (!column.IsNull(row)) writer.PutBytes(column.strings[row]);
      }
      break;
  }
}

void PutColumn(ByteWriter& writer, const Column& column, FieldType type, std::size_t begin, std::size_t end) {
  const bool nulls = HasNulls(column, begin, end);
  writer.Put<std::uint8_t>(static_cast<std::uint8_t>(static_cast<std::uint8_t>(type) | (nulls ? kColumnHasNulls : 0)));
  if (nulls) {
    for (std::size_t row = begin; row < end; ++row) writer.Put<std::uint8_t>(column.nulls[row] != 0 ? 1 : 0);
  }
  PutValues(writer, column, type, begin, end);
}

std::unexpected<Error> Broken(std::string_view what) { return Fail(ErrorKind::kCorruption, "result record: " + std::string(what)); }

// Copies `rows` fixed-width values; false when the bytes end before.
template <typename T>
bool GetFixed(ByteReader& reader, std::size_t rows, std::vector<T>& into) {
  const std::string_view raw = reader.GetBytes(rows * sizeof(T));
  if (!reader.ok()) return false;
  if (rows > 0) std::memcpy(into.data(), raw.data(), raw.size());
  return true;
}

// One byte a row, each 0 or 1.
template <typename T>
bool GetFlags(ByteReader& reader, std::size_t rows, std::vector<T>& into) {
  const std::string_view raw = reader.GetBytes(rows);
  if (!reader.ok()) return false;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto flag = static_cast<std::uint8_t>(raw[row]);
    if (flag > 1) return false;
    into[row] = flag;
  }
  return true;
}

bool GetStrings(ByteReader& reader, std::size_t rows, std::vector<std::string_view>& into) {
  ByteReader lengths(reader.GetBytes(rows * sizeof(std::uint32_t)));
  for (std::size_t row = 0; row < rows && reader.ok(); ++row) into[row] = reader.GetBytes(lengths.Get<std::uint32_t>());
  return reader.ok();
}

Status GetColumn(ByteReader& reader, const Field& field, std::size_t rows, Column& column) {
  const auto tag = reader.Get<std::uint8_t>();
  if (!reader.ok()) return Broken("it ends before column " + field.name);
  if ((tag & ~kColumnHasNulls) != static_cast<std::uint8_t>(field.type)) {
    return Broken("column " + field.name + " is not of type " + std::string(FieldTypeName(field.type)));
  }
  bool good = true;
  if ((tag & kColumnHasNulls) != 0) {
    column.nulls.resize(rows);
    good = GetFlags(reader, rows, column.nulls);
  }
  if (good) {
    switch (field.type) {
      case FieldType::kInt64: good = GetFixed(reader, rows, column.int64s); break;
      case FieldType::kBool: good = GetFlags(reader, rows, column.int64s); break;
      case FieldType::kDouble: good = GetFixed(reader, rows, column.doubles); break;
      case FieldType::kString: good = GetStrings(reader, rows, column.strings); break;
    }
  }
  if (!good) return Broken("the values of column " + field.name + " are cut off or out of range");
  return {};
}

}  // namespace

std::string_view ResultStateName(ResultState state) {
  switch (state) {
    case ResultState::kOpen: return "open";
    case ResultState::kFinal: return "final";
    case ResultState::kCorrected: return "corrected";
  }
  return "unknown";
}

void EncodeResult(const ResultHeader& header, const Schema& schema, const ColumnBatch& rows, std::size_t begin, std::size_t end,
                  std::string& out) {
  ByteWriter writer(out);
  PutHeader(writer, header, 0, static_cast<std::uint32_t>(end - begin), schema.fields.size());
  for (std::size_t i = 0; i < schema.fields.size(); ++i) PutColumn(writer, rows.columns[i], schema.fields[i].type, begin, end);
}

void EncodeEmptied(const ResultHeader& header, const ResultShape& shape, const ColumnBatch& rows, std::size_t row, std::string& out) {
  static const Column kNull{.type = FieldType::kInt64, .int64s = {}, .doubles = {}, .strings = {}, .nulls = {1}};
  ByteWriter writer(out);
  PutHeader(writer, header, kFlagEmptied, 1, shape.schema.fields.size());
  for (std::size_t i = 0; i < shape.schema.fields.size(); ++i) {
    const bool key = std::find(shape.group.begin(), shape.group.end(), static_cast<int>(i)) != shape.group.end();
    PutColumn(writer, key ? rows.columns[i] : kNull, shape.schema.fields[i].type, key ? row : 0, key ? row + 1 : 1);
  }
}

void EncodeClosed(const ResultHeader& header, std::string& out) {
  ByteWriter writer(out);
  PutHeader(writer, header, kFlagClosed, 0, 0);
}

std::uint64_t GenerationOf(std::string_view bytes) {
  return bytes.size() < kHeaderBytes ? 0 : LoadLe<std::uint64_t>(bytes.data() + kGenerationAt);
}

namespace {

struct Head {
  ResultMark mark;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
};

Result<Head> GetHead(std::string_view bytes, ByteReader& reader) {
  Head head;
  const auto version = reader.Get<std::uint8_t>();
  const auto flags = reader.Get<std::uint8_t>();
  const auto state = reader.Get<std::uint8_t>();
  const auto reserved = reader.Get<std::uint8_t>();
  ResultHeader& header = head.mark.header;
  header.revision = reader.Get<std::uint32_t>();
  header.generation = reader.Get<std::uint64_t>();
  header.window_start = EventTime(reader.Get<std::int64_t>());
  header.window_end = EventTime(reader.Get<std::int64_t>());
  header.reference_version = reader.Get<std::uint64_t>();
  head.rows = reader.Get<std::uint32_t>();
  head.columns = reader.Get<std::uint32_t>();
  if (bytes.empty() || version != kVersion) {
    return Broken("version " + std::to_string(version) + ", this program reads version " + std::to_string(kVersion));
  }
  if (!reader.ok()) return Broken("the header is cut off");
  if (flags > kFlagEmptied || reserved != 0) return Broken("unknown flags");  // nor are both ever set
  if (state > static_cast<std::uint8_t>(ResultState::kCorrected)) return Broken("unknown state " + std::to_string(state));
  header.state = static_cast<ResultState>(state);
  head.mark.closed = flags == kFlagClosed;
  head.mark.emptied = flags == kFlagEmptied;
  return head;
}

}  // namespace

Result<ResultMark> DecodeResultMark(std::string_view bytes) {
  ByteReader reader(bytes);
  SL_ASSIGN_OR_RETURN(const Head head, GetHead(bytes, reader));
  return head.mark;
}

Status DecodeResult(std::string_view bytes, const Schema& schema, ResultRecord& into) {
  ByteReader reader(bytes);
  SL_ASSIGN_OR_RETURN(const Head head, GetHead(bytes, reader));
  into.header = head.mark.header;
  into.closed = head.mark.closed;
  into.emptied = head.mark.emptied;
  const std::uint32_t rows = head.rows;
  const std::uint32_t columns = head.columns;
  if (into.closed) {
    into.rows.Reset(schema, 0);
    if (rows != 0 || columns != 0 || !reader.done()) return Broken("bytes after the mark that a partition is closed");
    return {};
  }
  if (columns != schema.fields.size()) {
    return Broken(std::to_string(columns) + " columns where the pipeline has " + std::to_string(schema.fields.size()));
  }
  if (into.emptied && rows != 1) return Broken(std::to_string(rows) + " keys of one emptied group");
  // A row takes at least a byte in each column; a row count that cannot be there must not become an allocation.
  if (rows > reader.remaining()) return Broken("more rows than bytes");
  into.rows.Reset(schema, rows);
  for (std::size_t i = 0; i < schema.fields.size(); ++i) SL_TRY(GetColumn(reader, schema.fields[i], rows, into.rows.columns[i]));
  if (!reader.done()) return Broken("bytes after the last column");
  into.rows.rows = into.emptied ? 0 : rows;
  return {};
}

}  // namespace sightline
