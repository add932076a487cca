#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "sightline/model/result.h"
#include "sightline/model/time.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/stores/statistics/result_batch.h"

namespace sightline::stores::relational {

// The newest window of a partition that was ever corrected. Only groups at or before it can meet a stored correction, so that a
// final result of a newer window is appended without a look.
using CorrectedUntil = std::map<std::int32_t, EventTime>;

// Rows of a batch in the order in which they are written, each with its group.
struct RowRef {
  std::size_t row = 0;
  const ResultBatch::Group* group = nullptr;
};

// Groups that may meet stored rows: corrections, and finals of windows that were corrected before.
bool Contested(const ResultBatch::Group& group, const CorrectedUntil& corrected);
// Of several records of one group the highest revision counts, the first of them if equal. Indices into the batch's groups, in order.
std::vector<std::size_t> LastRevisions(const ResultBatch& batch, const std::vector<std::size_t>& chosen, const std::vector<int>& key);
// Notes the corrections among `chosen`.
void NoteCorrected(const ResultBatch& batch, const std::vector<std::size_t>& chosen, CorrectedUntil& corrected);
// The rows of the chosen groups.
std::vector<RowRef> RowsOf(const ResultBatch& batch, const std::vector<std::size_t>& chosen);

}  // namespace sightline::stores::relational
