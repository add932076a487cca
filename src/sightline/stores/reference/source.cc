#include "sightline/stores/reference/source.h"

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/csv/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/reader.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "sightline/base/text.h"
#include "sightline/gate/decoder.h"

namespace sightline::stores {
namespace {

constexpr std::size_t kMistakesShown = 10;

std::unexpected<Error> Broken(const std::string& path, const std::string& what) {
  return Fail(ErrorKind::kInvalidArgument, path + ": " + what);
}

// Arrow's errors stop here.
template <typename T>
Result<T> FromArrow(const std::string& path, arrow::Result<T> result) {
  if (!result.ok()) return Broken(path, result.status().message());
  return std::move(result).ValueOrDie();
}

Result<std::shared_ptr<arrow::Table>> ReadCsv(const std::string& path, const std::string& bytes) {
  auto parse = arrow::csv::ParseOptions::Defaults();
  parse.newlines_in_values = true;
  // Texts first: what a value must be is the contract's business, and an error then names the field.
  auto convert = arrow::csv::ConvertOptions::Defaults();
  const std::string header = bytes.substr(0, bytes.find('\n'));
  for (std::string_view name : Split(header, ',')) {
    while (!name.empty() && (name.back() == '\r' || name.back() == '"')) name.remove_suffix(1);
    while (!name.empty() && name.front() == '"') name.remove_prefix(1);
    convert.column_types[std::string(name)] = arrow::utf8();
  }
  convert.strings_can_be_null = true;
  convert.quoted_strings_can_be_null = false;
  convert.null_values = {""};
  // On one thread the reader knows which row it cannot take apart.
  auto read = arrow::csv::ReadOptions::Defaults();
  read.use_threads = false;
  const auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes));
  SL_ASSIGN_OR_RETURN(const auto reader,
                      FromArrow(path, arrow::csv::TableReader::Make(arrow::io::default_io_context(), input, read, parse, convert)));
  return FromArrow(path, reader->Read());
}

Result<std::shared_ptr<arrow::Table>> ReadParquet(const std::string& path, const std::string& bytes) {
  const auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes));
  SL_ASSIGN_OR_RETURN(const auto reader, FromArrow(path, parquet::arrow::OpenFile(input, arrow::default_memory_pool())));
  return FromArrow(path, reader->ReadTable());
}

// One cell as JSON text; a CSV cell of a number field goes in as it stands, so that the gate sees what was written.
Result<std::string> CellJson(const std::string& path, const arrow::Scalar& cell, FieldType type) {
  std::string out;
  if (!cell.is_valid) return std::string("null");
  if (cell.type->id() == arrow::Type::STRING || cell.type->id() == arrow::Type::LARGE_STRING) {
    const std::string text = cell.ToString();
    const bool bare = type != FieldType::kString && !text.empty() && text.find_first_not_of("0123456789+-.eEtruefals") == std::string::npos;
    if (bare) return text;
    AppendJsonString(out, text);
    return out;
  }
  switch (cell.type->id()) {
    case arrow::Type::BOOL:
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
    case arrow::Type::UINT8:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
    case arrow::Type::UINT64: return cell.ToString();
    case arrow::Type::FLOAT:
    case arrow::Type::DOUBLE: {
      SL_ASSIGN_OR_RETURN(const auto wide, FromArrow(path, cell.CastTo(arrow::float64())));
      return nlohmann::json(std::static_pointer_cast<arrow::DoubleScalar>(wide)->value).dump();
    }
    default: return Broken(path, "a column of type " + cell.type->ToString() + " has no form in a contract");
  }
}

// Rows of a table as lines of JSON, with the contract's fields only.
Result<std::string> TableLines(const std::string& path, const arrow::Table& table, const governance::Contract& contract) {
  std::vector<std::pair<const Field*, std::shared_ptr<arrow::ChunkedArray>>> columns;
  for (std::size_t i = 0; i < contract.schema.fields.size(); ++i) {
    const Field& field = contract.schema.fields[i];
    const std::shared_ptr<arrow::ChunkedArray> column = table.GetColumnByName(field.name);
    if (column != nullptr) {
      columns.emplace_back(&field, column);
    } else if (contract.rules[i].required) {
      std::vector<std::string> names = table.ColumnNames();
      const std::vector<std::string_view> views(names.begin(), names.end());
      const std::string_view near = DidYouMean(field.name, views);
      return Broken(path, "there is no column " + field.name + (near.empty() ? "" : "; is it the one named " + std::string(near) + "?"));
    }
  }
  std::string lines;
  for (std::int64_t row = 0; row < table.num_rows(); ++row) {
    lines += '{';
    bool first = true;
    for (const auto& [field, column] : columns) {
      SL_ASSIGN_OR_RETURN(const std::shared_ptr<arrow::Scalar> cell, FromArrow(path, column->GetScalar(row)));
      if (!cell->is_valid) continue;
      if (!first) lines += ',';
      first = false;
      AppendJsonString(lines, field->name);
      lines += ':';
      SL_ASSIGN_OR_RETURN(const std::string text, CellJson(path, *cell, field->type));
      lines += text;
    }
    lines += "}\n";
  }
  return lines;
}

// Elements of a JSON array as lines; checked again by the gate, which also refuses what this parser lets pass.
Result<std::string> ArrayLines(const std::string& path, const std::string& bytes) {
  const nlohmann::json parsed = nlohmann::json::parse(bytes, nullptr, false);
  if (!parsed.is_array()) return Broken(path, "is not a JSON array of objects; for an object a line name it .ndjson");
  std::string lines;
  for (const nlohmann::json& element : parsed) lines += element.dump() + "\n";
  return lines;
}

// Strings that point into `lines` move into the batch's own memory.
void Settle(ColumnBatch& rows) {
  for (Column& column : rows.columns) {
    for (std::size_t row = 0; row < column.strings.size() && row < rows.rows; ++row) {
      std::string_view& text = column.strings[row];
      char* at = rows.Allocate(text.size());
      if (!text.empty()) std::memcpy(at, text.data(), text.size());
      text = {at, text.size()};
    }
  }
}

void Shrink(ColumnBatch& rows) {
  for (Column& column : rows.columns) {
    if (!column.int64s.empty()) column.int64s.resize(rows.rows);
    if (!column.doubles.empty()) column.doubles.resize(rows.rows);
    if (!column.strings.empty()) column.strings.resize(rows.rows);
    if (!column.nulls.empty()) column.nulls.resize(rows.rows);
  }
}

// The gate's verdict on each row; all of them, or the first mistakes.
Result<ColumnBatch> JudgeLines(const std::string& place, const std::string& lines, int header_lines, const governance::Contract& contract) {
  gate::Decoder decoder(contract, {});
  gate::Decoded decoded;
  decoded.rows.Reset(contract.schema, 0);
  decoder.DecodeLines(lines, true, SIZE_MAX, decoded);
  if (!decoded.rejects.empty()) {
    std::string message;
    for (std::size_t i = 0; i < std::min(decoded.rejects.size(), kMistakesShown); ++i) {
      const gate::Reject& reject = decoded.rejects[i];
      message += (i == 0 ? "" : "\n") + place + ": row " + std::to_string(reject.record + 1) +
                 (header_lines > 0 ? " (line " + std::to_string(reject.record + 2) + ")" : "") + ": " +
                 (reject.field.empty() ? "" : reject.field + ": ") + reject.cause;
    }
    if (decoded.rejects.size() > kMistakesShown) {
      message += "\n… and " + std::to_string(decoded.rejects.size() - kMistakesShown) + " more rows";
    }
    return Fail(ErrorKind::kInvalidArgument, message);
  }
  Settle(decoded.rows);
  Shrink(decoded.rows);
  return std::move(decoded.rows);
}

}  // namespace

Result<ColumnBatch> ReadReference(runtime::FileSystem& files, const std::string& path, const governance::Contract& contract) {
  SL_ASSIGN_OR_RETURN(std::string bytes, runtime::ReadFile(files, path, kReferenceBytesMax));
  return ParseReference(std::move(bytes), path, contract);
}

Result<ColumnBatch> ParseReference(std::string bytes, const std::string& path, const governance::Contract& contract) {
  std::string lines;
  int header_lines = 0;
  if (path.ends_with(".csv")) {
    if (bytes.empty()) return Broken(path, "is empty; the first line names the columns");
    SL_ASSIGN_OR_RETURN(const std::shared_ptr<arrow::Table> table, ReadCsv(path, bytes));
    SL_ASSIGN_OR_RETURN(lines, TableLines(path, *table, contract));
    header_lines = 1;
  } else if (path.ends_with(".parquet")) {
    SL_ASSIGN_OR_RETURN(const std::shared_ptr<arrow::Table> table, ReadParquet(path, bytes));
    SL_ASSIGN_OR_RETURN(lines, TableLines(path, *table, contract));
  } else if (path.ends_with(".ndjson")) {
    lines = std::move(bytes);
  } else if (path.ends_with(".json")) {
    SL_ASSIGN_OR_RETURN(lines, ArrayLines(path, bytes));
  } else {
    return Broken(path, "a reference is a .csv, .json, .ndjson or .parquet file");
  }
  return JudgeLines(path, lines, header_lines, contract);
}

Result<ColumnBatch> ReadReferenceLines(const std::string& place, const std::string& lines, const governance::Contract& contract) {
  return JudgeLines(place, lines, 0, contract);
}

}  // namespace sightline::stores
