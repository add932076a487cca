#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "sightline/base/result.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"

namespace sightline::stores::duck {

// Decides from its syntax tree whether a statement may run. Locking DuckDB's configuration is not enough: some of its table functions
// change the instance (`SELECT * FROM enable_logging(storage = 'file', …)` even ends the process when files are forbidden), take
// pointers, or run SQL that they are given as text. So table functions are refused unless listed, and so are scalar functions
// that make gigabytes from a few bytes outside DuckDB's memory accounting. Thread-safe.
class SqlGuard {
 public:
  static Result<std::unique_ptr<SqlGuard>> Make();

  // `functions` are table functions that this statement may call besides the common ones, in lower case. Returns the statement as
  // DuckDB writes it: without comments and semicolon, fit to stand in brackets.
  Result<std::string> Check(const std::string& sql, const std::set<std::string>& functions);

 private:
  SqlGuard() = default;
  Result<std::string> Call(const std::string& function, const std::string& argument);
  std::mutex mutex_;
  std::optional<Connection> parser_;
};

}  // namespace sightline::stores::duck
