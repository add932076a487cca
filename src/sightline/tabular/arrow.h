#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/schema.h"

namespace sightline::tabular {

// Takes encoded bytes in order; an error ends the encoding and is returned from the call that caused it.
using ByteSink = std::function<Status(std::string_view)>;

// Writes rows in a columnar format, batch by batch, without keeping more than one batch (Arrow) or row group (Parquet). One thread.
// Identifiers stay int64 here. Without Finish the output is incomplete.
class ColumnarEncoder {
 public:
  virtual ~ColumnarEncoder() = default;
  virtual Status Write(const ColumnBatch& batch) = 0;
  virtual Status Finish() = 0;
};

// An Arrow IPC stream (media type application/vnd.apache.arrow.stream).
Result<std::unique_ptr<ColumnarEncoder>> MakeArrowStreamEncoder(const Schema& schema, ByteSink sink);
// A Parquet file: Zstandard, dictionaries, row groups of up to a million rows.
Result<std::unique_ptr<ColumnarEncoder>> MakeParquetEncoder(const Schema& schema, ByteSink sink);

}  // namespace sightline::tabular
