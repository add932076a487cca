#include "sightline/serve/api/rows.h"

#include <algorithm>

#include "sightline/base/text.h"
#include "sightline/tabular/append.h"
#include "sightline/tabular/arrow.h"
#include "sightline/tabular/csv.h"
#include "sightline/tabular/json.h"

namespace sightline::serve::internal {

struct RowsResponse::Impl {
  RowFormat format = RowFormat::kJson;
  Schema schema;
  std::string body;
  std::unique_ptr<tabular::ColumnarEncoder> arrow;
  bool any = false;
};

RowsResponse::RowsResponse(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowsResponse::RowsResponse(RowsResponse&&) noexcept = default;
RowsResponse::~RowsResponse() = default;

Result<RowsResponse> RowsResponse::Make(RowFormat format, const Schema& schema) {
  auto impl = std::make_unique<Impl>();
  impl->format = format;
  impl->schema = schema;
  switch (format) {
    case RowFormat::kJson: impl->body = "{\"rows\":["; break;
    case RowFormat::kCsv: tabular::AppendCsvHeader(schema, impl->body); break;
    case RowFormat::kArrow: {
      const auto sink = [to = impl.get()](std::string_view bytes) -> Status {
        to->body += bytes;
        return {};
      };
      SL_ASSIGN_OR_RETURN(impl->arrow, tabular::MakeArrowStreamEncoder(schema, sink));
      break;
    }
  }
  return RowsResponse(std::move(impl));
}

Status RowsResponse::Add(const ColumnBatch& rows) {
  switch (impl_->format) {
    case RowFormat::kJson:
      for (std::size_t row = 0; row < rows.rows; ++row) {
        if (std::exchange(impl_->any, true)) impl_->body += ',';
        tabular::AppendJsonObject(impl_->schema, rows, row, impl_->body);
      }
      return {};
    case RowFormat::kCsv: tabular::AppendCsvRows(impl_->schema, rows, impl_->body); return {};
    case RowFormat::kArrow: return rows.rows > 0 ? impl_->arrow->Write(rows) : Status();
  }
  return {};
}

Result<Response> RowsResponse::Finish(const std::string& next_cursor) && {
  Response response;
  if (impl_->format == RowFormat::kArrow) SL_TRY(impl_->arrow->Finish());
  if (impl_->format == RowFormat::kJson) {
    impl_->body += "],\"next_cursor\":";
    if (next_cursor.empty()) {
      impl_->body += "null";
    } else {
      AppendJsonString(impl_->body, next_cursor);
    }
    impl_->body += '}';
  } else if (!next_cursor.empty()) {
    response.Set("X-Next-Cursor", next_cursor);
  }
  response.Set("Content-Type",
               impl_->format == RowFormat::kCsv ? "text/csv; charset=utf-8" : kRowTypes[static_cast<std::size_t>(impl_->format)]);
  response.body = std::move(impl_->body);
  return response;
}

void AppendLiveRows(const LiveEntry& entry, const ResultShape& shape, ColumnBatch& to) {
  ColumnBatch inner;
  inner.Reset(shape.schema, 1);
  entry.AppendRows(inner);
  const std::size_t begin = to.rows;
  tabular::Grow(to, begin + inner.rows);
  const std::string_view state = ResultStateName(entry.header().state);
  for (std::size_t row = 0; row < inner.rows; ++row) {
    const std::size_t at = begin + row;
    to.columns[0].int64s[at] = entry.header().window_start.value;
    to.columns[1].int64s[at] = entry.header().window_end.value;
    for (std::size_t i = 0; i < inner.columns.size(); ++i) {
      const Column& from = inner.columns[i];
      Column& column = to.columns[i + 2];
      if (from.IsNull(row)) {
        tabular::SetNull(column, at);
        continue;
      }
      switch (from.type) {
        case FieldType::kInt64:
        case FieldType::kBool: column.int64s[at] = from.int64s[row]; break;
        case FieldType::kDouble: column.doubles[at] = from.doubles[row]; break;
        case FieldType::kString: column.strings[at] = tabular::Keep(to, from.strings[row]); break;
      }
    }
    to.columns[inner.columns.size() + 2].strings[at] = state;
    to.columns[inner.columns.size() + 3].int64s[at] = entry.header().revision;
  }
  to.rows = begin + inner.rows;
}

namespace {

bool Equals(const stores::Value& value, const Column& column, std::size_t row) {
  if (std::holds_alternative<std::monostate>(value)) return column.IsNull(row);
  if (column.IsNull(row)) return false;
  switch (column.type) {
    case FieldType::kInt64: return std::holds_alternative<std::int64_t>(value) && std::get<std::int64_t>(value) == column.int64s[row];
    case FieldType::kBool: return std::holds_alternative<bool>(value) && std::get<bool>(value) == (column.int64s[row] != 0);
    case FieldType::kDouble: return std::holds_alternative<double>(value) && std::get<double>(value) == column.doubles[row];
    case FieldType::kString: return std::holds_alternative<std::string>(value) && std::get<std::string>(value) == column.strings[row];
  }
  return false;
}

}  // namespace

bool Passes(const std::vector<stores::ColumnFilter>& filters, const Schema& schema, const ColumnBatch& rows, std::size_t row) {
  return std::ranges::all_of(filters, [&](const stores::ColumnFilter& filter) {
    const int index = schema.Find(filter.column);
    if (index < 0) return false;
    const Column& column = rows.columns[static_cast<std::size_t>(index)];
    return std::ranges::any_of(filter.any_of, [&](const stores::Value& value) { return Equals(value, column, row); });
  });
}

Status AddGrants(const security::Principal& principal, const Schema& rows, std::vector<stores::ColumnFilter>& filters) {
  if (!principal.grants) return {};
  if (rows.Find(principal.grants->column) < 0) {
    return Fail(ErrorKind::kPermissionDenied, "'" + principal.name + "' may see rows of some values of " + principal.grants->column +
                                                  " only, and these rows do not have that column");
  }
  SL_ASSIGN_OR_RETURN(auto filter, stores::ParseFilter(rows, principal.grants->column, principal.grants->values));
  filters.push_back(std::move(filter));
  return {};
}

}  // namespace sightline::serve::internal
