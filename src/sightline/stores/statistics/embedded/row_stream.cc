#include "sightline/stores/statistics/embedded/row_stream.h"

#include <algorithm>

#include "sightline/stores/statistics/cursor.h"

namespace sightline::stores::duck {
namespace {

bool IsNull(duckdb_data_chunk chunk, std::size_t column, std::size_t row) {
  const std::uint64_t* validity = duckdb_vector_get_validity(duckdb_data_chunk_get_vector(chunk, column));
  return validity != nullptr && (validity[row / 64] >> (row % 64) & 1) == 0;
}

Value CellValue(duckdb_data_chunk chunk, std::size_t column, std::size_t row, FieldType type) {
  if (IsNull(chunk, column, row)) return {};
  const void* data = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, column));
  switch (type) {
    case FieldType::kInt64: return static_cast<const std::int64_t*>(data)[row];
    case FieldType::kDouble: return static_cast<const double*>(data)[row];
    case FieldType::kBool: return static_cast<const std::uint8_t*>(data)[row] != 0;
    case FieldType::kString: return std::string(Text(data, row));
  }
  return {};
}

class DuckRowStream final : public RowStream {
 public:
  DuckRowStream(Connection connection, Statement statement, Rows rows, const TableInfo& table, const RowQuery& query, Schema schema)
      : connection_(std::move(connection)),
        statement_(std::move(statement)),
        rows_(std::move(rows)),
        schema_(std::move(schema)),
        place_(relational::PlaceSchema(table)),
        order_(query.order),
        generation_(table.table.generation),
        limited_(query.limit.has_value()),
        left_(query.limit.value_or(0)) {}

  const Schema& schema() const override { return schema_; }
  const std::string& next_cursor() const override { return next_cursor_; }

  Result<bool> Next(ColumnBatch& into) override {
    into.Reset(schema_, 0);
    if (done_) return false;
    SL_ASSIGN_OR_RETURN(duckdb_data_chunk chunk, rows_.Next());
    const std::size_t size = chunk == nullptr ? 0 : duckdb_data_chunk_get_size(chunk);
    std::size_t count = size;
    if (limited_) {
      count = std::min<std::uint64_t>(size, left_);
      left_ -= count;
      if (count > 0) last_ = PlaceOf(chunk, count - 1);
      // The one row more than the limit: there is a next page.
      if (count < size && last_) next_cursor_ = EncodeCursor(*last_);
    }
    if (count > 0) AppendChunk(chunk, 0, count, into);
    done_ = chunk == nullptr || count < size;
    return count > 0;
  }

 private:
  Cursor PlaceOf(duckdb_data_chunk chunk, std::size_t row) const {
    const std::size_t first = schema_.fields.size();
    const std::size_t last = first + place_.fields.size() - 1;
    Cursor cursor{.generation = generation_, .order = order_, .window_start = {}, .group = {}, .ordinal = 0};
    cursor.window_start = EventTime(std::get<std::int64_t>(CellValue(chunk, first, row, FieldType::kInt64)));
    for (std::size_t i = first + 1; i < last; ++i) cursor.group.push_back(CellValue(chunk, i, row, place_.fields[i - first].type));
    cursor.ordinal = static_cast<std::uint32_t>(std::get<std::int64_t>(CellValue(chunk, last, row, FieldType::kInt64)));
    return cursor;
  }

  // Destroyed from the last to the first: the rows before the statement, the statement before its connection.
  Connection connection_;
  Statement statement_;
  Rows rows_;
  const Schema schema_;
  const Schema place_;
  const RowQuery::Order order_;
  const std::uint64_t generation_;
  const bool limited_;
  std::uint64_t left_;
  std::optional<Cursor> last_;
  std::string next_cursor_;
  bool done_ = false;
};

// The whole of a small result with the given columns.
Result<ColumnBatch> ReadAll(Connection& connection, const SqlText& sql, const Schema& schema) {
  SL_ASSIGN_OR_RETURN(Rows rows, connection.Query(sql.text, sql.parameters));
  ColumnBatch batch;
  batch.Reset(schema, 0);
  while (true) {
    SL_ASSIGN_OR_RETURN(duckdb_data_chunk chunk, rows.Next());
    if (chunk == nullptr) return batch;
    AppendChunk(chunk, 0, duckdb_data_chunk_get_size(chunk), batch);
  }
}

std::optional<std::int64_t> OptionalInt(const Column& column, std::size_t row) {
  if (column.IsNull(row)) return std::nullopt;
  return column.int64s[row];
}

}  // namespace

Result<std::unique_ptr<RowStream>> OpenRowStream(Connection connection, const TableInfo& table, const RowQuery& query,
                                                 relational::RowSelect select) {
  SL_ASSIGN_OR_RETURN(Statement statement, connection.Prepare(select.sql.text));
  SL_TRY(statement.Bind(select.sql.parameters));
  SL_ASSIGN_OR_RETURN(Rows rows, query.limit ? statement.Execute() : statement.Stream());
  return std::make_unique<DuckRowStream>(std::move(connection), std::move(statement), std::move(rows), table, query,
                                         std::move(select.schema));
}

Result<std::vector<TopItem>> ReadTop(Connection& connection, const SqlText& sql) {
  const Schema schema{.fields = {{.name = "name", .type = FieldType::kString}, {.name = "sum", .type = FieldType::kInt64}}};
  SL_ASSIGN_OR_RETURN(const ColumnBatch batch, ReadAll(connection, sql, schema));
  std::vector<TopItem> items;
  for (std::size_t row = 0; row < batch.rows; ++row) {
    TopItem item{.name = std::nullopt, .sum = OptionalInt(batch.columns[1], row), .rank = static_cast<std::int64_t>(row) + 1};
    if (!batch.columns[0].IsNull(row)) item.name = std::string(batch.columns[0].strings[row]);
    items.push_back(std::move(item));
  }
  return items;
}

Result<std::vector<HistoryPoint>> ReadHistory(Connection& connection, const SqlText& sql) {
  const Schema schema{.fields = {{.name = "bucket", .type = FieldType::kInt64}, {.name = "sum", .type = FieldType::kInt64}}};
  SL_ASSIGN_OR_RETURN(const ColumnBatch batch, ReadAll(connection, sql, schema));
  std::vector<HistoryPoint> points;
  for (std::size_t row = 0; row < batch.rows; ++row) {
    points.push_back({.start = EventTime(batch.columns[0].int64s[row]), .sum = OptionalInt(batch.columns[1], row)});
  }
  return points;
}

}  // namespace sightline::stores::duck
