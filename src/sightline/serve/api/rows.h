#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/result.h"
#include "sightline/model/schema.h"
#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/live/live_entry.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::serve::internal {

// Collects rows in one of the formats and becomes a response. One thread.
class RowsResponse {
 public:
  static Result<RowsResponse> Make(RowFormat format, const Schema& schema);
  RowsResponse(RowsResponse&&) noexcept;
  ~RowsResponse();

  Status Add(const ColumnBatch& rows);
  // JSON: {"rows":[{…}],"next_cursor":…}; otherwise the cursor is the header X-Next-Cursor.
  Result<Response> Finish(const std::string& next_cursor) &&;

 private:
  struct Impl;
  explicit RowsResponse(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Appends a live group's rows as RowSchema has them: with the window's bounds before and state and revision behind.
void AppendLiveRows(const LiveEntry& entry, const ResultShape& shape, ColumnBatch& to);
// Whether the row passes all filters.
bool Passes(const std::vector<stores::ColumnFilter>& filters, const Schema& schema, const ColumnBatch& rows, std::size_t row);
// The filters that a principal's grants add to a query over these columns. kPermissionDenied when there is no such column.
Status AddGrants(const security::Principal& principal, const Schema& rows, std::vector<stores::ColumnFilter>& filters);

}  // namespace sightline::serve::internal
