#pragma once

#include <cstddef>
#include <string>

#include "sightline/model/column_batch.h"
#include "sightline/model/schema.h"

namespace sightline::tabular {

// Rows as JSON after the Proto3 mapping: identifiers are strings, other numbers are numbers, doubles that JSON has no number for are
// "NaN", "Infinity" and "-Infinity", null is null. Field names are the schema's, in its order.
//
// AppendJsonObject writes one row as an object, AppendJsonArray as an array of its values.
void AppendJsonObject(const Schema& schema, const ColumnBatch& batch, std::size_t row, std::string& out);
void AppendJsonArray(const Schema& schema, const ColumnBatch& batch, std::size_t row, std::string& out);
// One value alone.
void AppendJsonValue(const Field& field, const Column& column, std::size_t row, std::string& out);

// Rows as newline-delimited JSON objects, each line ended by LF.
void AppendNdjson(const Schema& schema, const ColumnBatch& batch, std::string& out);

}  // namespace sightline::tabular
