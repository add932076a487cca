#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "sightline/flow/group_index.h"
#include "sightline/flow/plan.h"
#include "sightline/flow/reference.h"

namespace sightline::flow {

// The reference version that a partition joins with now, by the reference's name; null before one is active.
using ActiveReferences = std::map<std::string, ReferenceHandle>;

// Inserts the columns of `op` into `batch` (schema `before`). missing[i] = 1 where the reference has no such key. Strings are
// views into the reference.
void ApplyEnrich(const EnrichOp& op, const ActiveReferences& references, ColumnBatch& batch, std::vector<std::uint8_t>& missing);

// Runs a pipeline's close steps over the rows of one closed window: `rows` has the schema close_schemas.front() and is turned
// into rows of the shape's schema, in canonical order, groups together. Returns how many rows a `where` or a missing
// reference took out.
std::uint64_t ApplyCloseSteps(const PipelinePlan& plan, const ActiveReferences& references, ColumnBatch& rows);

// Calls `emit(begin, end)` for each run of rows that agree in the shape's group columns.
void ForEachGroup(const ResultShape& shape, const ColumnBatch& rows, const std::function<void(std::size_t, std::size_t)>& emit);

// True when rows a and b hold the same value (or both none) in the column.
bool SameValue(const Column& column, std::size_t a, std::size_t b);

// Appends the rows of `from` to `to`; both have the same columns (or `to` none yet). Texts stay where they are.
void AppendRows(const ColumnBatch& from, ColumnBatch& to);
// The values of a result's group columns in row `row` as bytes: equal groups have equal bytes.
std::string GroupKey(const ResultShape& shape, const ColumnBatch& rows, std::size_t row);

}  // namespace sightline::flow
