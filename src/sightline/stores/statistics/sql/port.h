#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/schema.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::stores {

// Conditions that every row of a pipeline must meet to be seen by a principal: the locations granted. Empty function or no
// conditions: all rows. The same hook as for every other query and live view.
using GrantFilter = std::function<std::vector<ColumnFilter>(const StatisticsTable&)>;

struct SqlRequest {
  std::string principal{};
  std::string sql{};
  GrantFilter grants{};
};

struct SqlAnswer {
  Schema schema{};
  ColumnBatch rows{};
  bool truncated = false;  // the answer was larger than allowed; these are its first rows
};

// Runs users' SQL, which may only read the statistics: one SELECT over relations named like the pipelines, with the columns that
// every query of a pipeline has. Next to "<pipeline>" there is a table function "<pipeline>_between"(from_ms, to_ms), which reads only
// the windows with from_ms <= window_start < to_ms; null leaves a side open.
//
// Columns come as int64, double, bool or string: whole numbers as int64 (kInvalidArgument if one does not fit: cast it), decimals as
// double, everything else as text.
//
// Thread-safe. Errors: kInvalidArgument (the SQL, with its place), kPermissionDenied (what is not reading), kDeadlineExceeded,
// kResourceExhausted (memory, or too many at the same time: retry later).
class SqlService {
 public:
  virtual ~SqlService() = default;
  virtual Result<SqlAnswer> Run(const SqlRequest& request) = 0;
};

}  // namespace sightline::stores
