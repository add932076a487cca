#pragma once

#include <cstddef>
#include <vector>

#include "connectors/postgres/connection.h"
#include "connectors/postgres/layout.h"
#include "sightline/base/result.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/stores/statistics/relational/group_writes.h"

namespace sightline::postgres {

// Writes groups into the tables of one generation, within the transaction of the connection that it is given, whose positions are locked:
// corrections replace what is there by joins over the staged keys, and all rows go in by one binary COPY. Made for one call.
class GroupWriter {
 public:
  using CorrectedUntil = stores::relational::CorrectedUntil;
  GroupWriter(Connection& connection, const Layout& layout, const TableInfo& table, const CorrectedUntil& corrected)
      : connection_(connection), layout_(layout), table_(table), corrected_(corrected) {}

  // `chosen` are indices into the batch's groups, in the order of the log. Adds to `applied`. kInvalidArgument: a text holds U+0000.
  Status Write(const stores::ResultBatch& batch, std::vector<std::size_t> chosen, stores::Applied& applied);
  // Partitions whose newest corrected window the call has moved.
  const CorrectedUntil& corrected() const { return newly_corrected_; }

 private:
  Status Replace(const stores::ResultBatch& batch, std::vector<std::size_t>& chosen, stores::Applied& applied);
  Status ReplaceAlike(const stores::ResultBatch& batch, const std::vector<bool>& nulls, const std::vector<std::size_t>& groups,
                      std::vector<std::size_t>& outdated);
  Status CopyRows(const stores::ResultBatch& batch, const std::vector<std::size_t>& chosen, stores::Applied& applied);

  Connection& connection_;
  const Layout& layout_;
  const TableInfo& table_;
  const CorrectedUntil& corrected_;
  CorrectedUntil newly_corrected_;
};

}  // namespace sightline::postgres
