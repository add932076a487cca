#pragma once

#include <cstdint>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"
#include "sightline/stores/statistics/embedded/table_layout.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/stores/statistics/relational/group_writes.h"

namespace sightline::stores::duck {

using relational::CorrectedUntil;
using relational::RowRef;

// Writes groups into the tables of one generation, within the transaction of the connection it is given. Not thread-safe; made
// for one call.
class TableWriter {
 public:
  TableWriter(Connection& connection, const TableInfo& table, const CorrectedUntil& corrected)
      : connection_(connection), table_(table), corrected_(corrected) {}

  // `chosen` are indices into the batch's groups, in the order of the log. Adds to `applied`.
  Status Write(const ResultBatch& batch, std::vector<std::size_t> chosen, Applied& applied);
  // Partitions whose newest corrected window the call has moved.
  const CorrectedUntil& corrected() const { return newly_corrected_; }

 private:
  Status Stage(const ResultBatch& batch, const std::vector<std::size_t>& contested);
  Status Replace(const ResultBatch& batch, std::vector<std::size_t>& chosen, Applied& applied);
  Status AppendRows(const ResultBatch& batch, const std::vector<std::size_t>& chosen, Applied& applied);

  Connection& connection_;
  const TableInfo& table_;
  const CorrectedUntil& corrected_;
  CorrectedUntil newly_corrected_;
};

}  // namespace sightline::stores::duck
