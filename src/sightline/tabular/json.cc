#include "sightline/tabular/json.h"

#include "sightline/base/text.h"
#include "sightline/tabular/number.h"

namespace sightline::tabular {

void AppendJsonValue(const Field& field, const Column& column, std::size_t row, std::string& out) {
  if (column.IsNull(row)) {
    out += "null";
    return;
  }
  switch (field.type) {
    case FieldType::kInt64:
      if (field.identifier) out += '"';
      AppendInt64(out, column.int64s[row]);
      if (field.identifier) out += '"';
      break;
    case FieldType::kBool: out += column.int64s[row] != 0 ? "true" : "false"; break;
    case FieldType::kDouble:
      if (IsFinite(column.doubles[row])) {
        AppendDouble(out, column.doubles[row]);
      } else {
        out += '"';
        AppendDouble(out, column.doubles[row]);
        out += '"';
      }
      break;
    case FieldType::kString: AppendJsonString(out, column.strings[row]); break;
  }
}

void AppendJsonObject(const Schema& schema, const ColumnBatch& batch, std::size_t row, std::string& out) {
  out += '{';
  for (std::size_t c = 0; c < schema.fields.size(); ++c) {
    if (c > 0) out += ',';
    AppendJsonString(out, schema.fields[c].name);
    out += ':';
    AppendJsonValue(schema.fields[c], batch.columns[c], row, out);
  }
  out += '}';
}

void AppendJsonArray(const Schema& schema, const ColumnBatch& batch, std::size_t row, std::string& out) {
  out += '[';
  for (std::size_t c = 0; c < schema.fields.size(); ++c) {
    if (c > 0) out += ',';
    AppendJsonValue(schema.fields[c], batch.columns[c], row, out);
  }
  out += ']';
}

void AppendNdjson(const Schema& schema, const ColumnBatch& batch, std::string& out) {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    AppendJsonObject(schema, batch, row, out);
    out += '\n';
  }
}

}  // namespace sightline::tabular
