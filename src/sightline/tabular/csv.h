#pragma once

#include <string>

#include "sightline/model/column_batch.h"
#include "sightline/model/schema.h"

namespace sightline::tabular {

// Rows as CSV after RFC 4180 with LF as line end. Null is an empty field, the empty string is `""`. A field is quoted when it
// has a comma, a quote, CR or LF. Doubles as in JSON, unquoted.
void AppendCsvHeader(const Schema& schema, std::string& out);
void AppendCsvRows(const Schema& schema, const ColumnBatch& batch, std::string& out);

}  // namespace sightline::tabular
