#include "sightline/tabular/csv.h"

#include <string_view>

#include "sightline/tabular/number.h"

namespace sightline::tabular {
namespace {

void AppendText(std::string& out, std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void AppendValue(const Column& column, std::size_t row, std::string& out) {
  if (column.IsNull(row)) return;
  switch (column.type) {
    case FieldType::kInt64: AppendInt64(out, column.int64s[row]); break;
    case FieldType::kBool: out += column.int64s[row] != 0 ? "true" : "false"; break;
    case FieldType::kDouble: AppendDouble(out, column.doubles[row]); break;
    case FieldType::kString: AppendText(out, column.strings[row]); break;
  }
}

}  // namespace

void AppendCsvHeader(const Schema& schema, std::string& out) {
  for (std::size_t c = 0; c < schema.fields.size(); ++c) {
    if (c > 0) out += ',';
    AppendText(out, schema.fields[c].name);
  }
  out += '\n';
}

void AppendCsvRows(const Schema& schema, const ColumnBatch& batch, std::string& out) {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    for (std::size_t c = 0; c < schema.fields.size(); ++c) {
      if (c > 0) out += ',';
      AppendValue(batch.columns[c], row, out);
    }
    out += '\n';
  }
}

}  // namespace sightline::tabular
