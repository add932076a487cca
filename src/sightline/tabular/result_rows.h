#pragma once

#include <cstddef>
#include <cstdint>

#include "sightline/model/column_batch.h"
#include "sightline/model/result.h"
#include "sightline/model/schema.h"

namespace sightline::tabular {

// Which columns stand around a pipeline's own when a result becomes rows for the outside.
enum class ResultColumns : std::uint8_t {
  kWindow,          // window_start, window_end, then the pipeline's
  kWindowAndState,  // the same, then state ("open", "final", "corrected") and revision
};

Schema ResultRowSchema(const ResultShape& shape, ResultColumns columns);

// Appends rows [begin, end) of a result to `to`, which has the columns of ResultRowSchema. Strings are copied.
void AppendResult(const ResultHeader& header, const ColumnBatch& rows, std::size_t begin, std::size_t end, ResultColumns columns,
                  ColumnBatch& to);

}  // namespace sightline::tabular
