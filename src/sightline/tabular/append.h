#pragma once

#include <cstddef>
#include <string_view>

#include "sightline/model/column_batch.h"

namespace sightline::tabular {

// Makes room for `rows` rows in all columns; what is there stays.
void Grow(ColumnBatch& batch, std::size_t rows);

// Marks a value as null; the column must have room for the row.
void SetNull(Column& column, std::size_t row);

// Puts a copy of `text` into the batch, as long-lived as the batch.
std::string_view Keep(ColumnBatch& batch, std::string_view text);

// Copies values [begin, end) of one column to the places behind the rows of `to`, in its column of that index, which has the same
// type and room. The rows of `to` stay as many as they are.
void AppendColumn(const Column& source, std::size_t begin, std::size_t end, std::size_t column, ColumnBatch& to);

// Copies rows [begin, end) of `from` behind the rows of `to`, which has columns of the same types. Strings are copied too.
void AppendRows(const ColumnBatch& from, std::size_t begin, std::size_t end, ColumnBatch& to);

}  // namespace sightline::tabular
