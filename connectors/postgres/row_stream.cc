#include "connectors/postgres/row_stream.h"

#include <algorithm>
#include <optional>

#include "sightline/stores/statistics/cursor.h"

namespace sightline::postgres {
namespace {

constexpr std::size_t kRowsAtOnce = 4096;

using stores::Cursor;
using stores::RowQuery;

// A page, which is in memory.
class Page final : public stores::RowStream {
 public:
  Page(const Answer& answer, const TableInfo& table, const RowQuery& query, Schema schema) : schema_(std::move(schema)) {
    const std::size_t limit = std::min<std::uint64_t>(*query.limit, answer.rows());
    rows_.Reset(schema_, 0);
    answer.AppendTo(limit, rows_);
    // The one row more than the limit: there is a next page.
    if (limit > 0 && answer.rows() > limit) next_cursor_ = EncodeCursor(PlaceOf(answer, limit - 1, table, query.order));
  }
  const Schema& schema() const override { return schema_; }
  const std::string& next_cursor() const override { return next_cursor_; }
  Result<bool> Next(ColumnBatch& into) override {
    into.Reset(schema_, 0);
    if (read_) return false;
    read_ = true;
    std::swap(into, rows_);
    return into.rows > 0;
  }

 private:
  Cursor PlaceOf(const Answer& answer, std::size_t row, const TableInfo& table, RowQuery::Order order) const {
    const Schema place = stores::relational::PlaceSchema(table);
    const std::size_t first = schema_.fields.size();
    const std::size_t last = place.fields.size() - 1;
    Cursor cursor{.generation = table.table.generation, .order = order, .window_start = {}, .group = {}, .ordinal = 0};
    cursor.window_start = EventTime(answer.Int64(row, first));
    for (std::size_t i = 1; i < last; ++i) cursor.group.push_back(answer.ValueAt(row, first + i, place.fields[i].type));
    cursor.ordinal = static_cast<std::uint32_t>(answer.Int64(row, first + last));
    return cursor;
  }

  const Schema schema_;
  ColumnBatch rows_;
  std::string next_cursor_;
  bool read_ = false;
};

class CursorStream final : public stores::RowStream {
 public:
  CursorStream(ConnectionPool::Lease session, Schema schema) : session_(std::move(session)), schema_(std::move(schema)) {}
  ~CursorStream() override { End(); }
  const Schema& schema() const override { return schema_; }
  const std::string& next_cursor() const override { return none_; }

  Result<bool> Next(ColumnBatch& into) override {
    into.Reset(schema_, 0);
    if (!session_) return false;
    SL_ASSIGN_OR_RETURN(const Answer rows, (*session_)->Query("FETCH " + std::to_string(kRowsAtOnce) + " FROM sightline_rows"));
    rows.AppendTo(rows.rows(), into);
    if (rows.rows() < kRowsAtOnce) End();
    return into.rows > 0;
  }

 private:
  void End() {
    if (!session_) return;
    if (!(*session_)->broken()) (void)(*session_)->Execute("ROLLBACK");
    session_.reset();
  }

  std::optional<ConnectionPool::Lease> session_;
  const Schema schema_;
  const std::string none_;
};

}  // namespace

Result<std::unique_ptr<stores::RowStream>> OpenRowStream(ConnectionPool::Lease session, const TableInfo& table, const RowQuery& query,
                                                         stores::relational::RowSelect select) {
  const std::vector<Parameter> parameters = ParametersOf(select.sql.parameters);
  if (query.limit) {
    SL_ASSIGN_OR_RETURN(const Answer answer, session->Query(select.sql.text, parameters));
    return std::make_unique<Page>(answer, table, query, std::move(select.schema));
  }
  SL_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*session, "BEGIN READ ONLY"));
  SL_TRY(session->Query("DECLARE sightline_rows NO SCROLL CURSOR FOR " + select.sql.text, parameters));
  transaction.Keep();
  return std::make_unique<CursorStream>(std::move(session), std::move(select.schema));
}

}  // namespace sightline::postgres
