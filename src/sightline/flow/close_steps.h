#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
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
//
// With kAll nothing is taken out, by a rank neither: the outcome has a row in every group that the rows may ever have been in.
enum class Keep : std::uint8_t { kWhatPasses, kAll };
std::uint64_t ApplyCloseSteps(const PipelinePlan& plan, const ActiveReferences& references, ColumnBatch& rows,
                              Keep keep = Keep::kWhatPasses);

// Calls `emit(begin, end)` for each run of rows that agree in the shape's group columns.
void ForEachGroup(const ResultShape& shape, const ColumnBatch& rows, const std::function<void(std::size_t, std::size_t)>& emit);

// Calls `emit(row)` with the first row in `every` of each group that has none in `rows`.
void ForEachEmptied(const ResultShape& shape, const ColumnBatch& rows, const ColumnBatch& every,
                    const std::function<void(std::size_t)>& emit);

// True when rows a and b hold the same value (or both none) in the column.
bool SameValue(const Column& column, std::size_t a, std::size_t b);

// Appends the rows of `from` to `to`; both have the same columns (or `to` none yet). Texts stay where they are.
void AppendRows(const ColumnBatch& from, ColumnBatch& to);
// A copy of the rows whose texts stay where they are: `from` must outlive it.
ColumnBatch Borrow(const ColumnBatch& from);
// The values of a result's group columns in row `row` as bytes: equal groups have equal bytes. Of a record that was read and says that its
// group was emptied, row 0. Empty where there is no such row.
std::string GroupKey(const ResultShape& shape, const ColumnBatch& rows, std::size_t row);
// The way back: a batch with that key in row 0 of its group columns. Texts are views into `key`, which GroupKey made.
ColumnBatch RowOfKey(const ResultShape& shape, std::string_view key);

}  // namespace sightline::flow
