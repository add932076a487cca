#include "connectors/postgres/statistics_store.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "connectors/postgres/catalog.h"
#include "connectors/postgres/connection_pool.h"
#include "connectors/postgres/group_writer.h"
#include "connectors/postgres/row_stream.h"

namespace sightline::postgres {
namespace {

using stores::Applied;
using stores::ApplyRequest;
using stores::HistoryPoint;
using stores::HistoryQuery;
using stores::RowQuery;
using stores::RowStream;
using stores::StatisticsTable;
using stores::TopItem;
using stores::TopQuery;

// What is wrong between us and the server is nothing that whoever asks can be blamed for.
Error ForReaders(Error error) {
  if (error.kind == ErrorKind::kUnauthenticated || error.kind == ErrorKind::kPermissionDenied ||
      error.kind == ErrorKind::kFailedPrecondition) {
    error.kind = ErrorKind::kUnavailable;
  }
  return error;
}

class PostgresStore final : public stores::StatisticsStore {
 public:
  PostgresStore(const runtime::Runtime& runtime, const StatisticsOptions& options, ConnectionParameters parameters)
      : runtime_(runtime),
        layout_{.schema = options.schema, .reader = options.reader},
        pool_(std::move(parameters), runtime.clock, {.connections_max = options.connections_max}) {}

  Status Ensure(const ResultShape& shape, std::uint64_t generation) override;
  Status Activate(const std::string& pipeline, std::uint64_t generation) override;
  Result<std::vector<StatisticsTable>> Tables() override;
  Result<Applied> Apply(const ApplyRequest& request) override;
  Result<std::vector<ApplyRequest::Consumed>> Offsets(const std::string& pipeline, std::uint64_t generation,
                                                      const std::string& topic) override;
  Result<std::unique_ptr<RowStream>> Select(const RowQuery& query) override;
  Result<std::vector<TopItem>> Top(const TopQuery& query) override;
  Result<std::vector<HistoryPoint>> History(const HistoryQuery& query) override;
  Result<std::uint64_t> DeleteBefore(const std::string& pipeline, EventTime end) override;

 private:
  // A session in whose epoch the layout was looked at.
  Result<ConnectionPool::Lease> Session();
  // For a query.
  Result<ConnectionPool::Lease> ReaderSession();
  Status Refresh(Connection& connection);
  std::vector<TableInfo> Known() const;
  // Another process may have changed the catalog: what is not there, or a table that is gone, is looked for anew, once.
  template <typename Call>
  auto OnActive(const std::string& pipeline, Call call) -> decltype(call(std::declval<ConnectionPool::Lease>(), std::declval<TableInfo>()));
  Result<TableInfo> Generation(Connection& connection, const std::string& pipeline, std::uint64_t generation);

  const runtime::Runtime runtime_;
  const Layout layout_;
  ConnectionPool pool_;
  std::mutex prepare_;  // one looks, the others wait for what it finds
  mutable std::mutex mutex_;
  std::uint64_t epoch_ = 0;  // of the sessions whose layout was looked at
  std::vector<TableInfo> tables_;
};

std::vector<TableInfo> PostgresStore::Known() const {
  const std::lock_guard lock(mutex_);
  return tables_;
}

Status PostgresStore::Refresh(Connection& connection) {
  SL_ASSIGN_OR_RETURN(std::vector<TableInfo> tables, ReadCatalog(connection, layout_));
  const std::lock_guard lock(mutex_);
  tables_ = std::move(tables);
  return {};
}

Result<ConnectionPool::Lease> PostgresStore::Session() {
  SL_ASSIGN_OR_RETURN(ConnectionPool::Lease session, pool_.Acquire());
  const auto looked_at = [&] {
    const std::lock_guard lock(mutex_);
    return epoch_ == session.epoch();
  };
  if (looked_at()) return session;
  const std::lock_guard prepare(prepare_);
  if (looked_at()) return session;
  SL_TRY(Migrate(*session, layout_));
  SL_ASSIGN_OR_RETURN(std::vector<TableInfo> tables, ReadCatalog(*session, layout_));
  SL_TRY(CheckUnchanged(*session, layout_, tables));
  SL_TRY(GrantReader(*session, layout_, tables));
  const std::lock_guard lock(mutex_);
  tables_ = std::move(tables);
  epoch_ = session.epoch();
  return session;
}

Result<ConnectionPool::Lease> PostgresStore::ReaderSession() {
  auto session = Session();
  if (session) return session;
  Error error = ForReaders(std::move(session).error());
  // No such database: kNotFound would be a pipeline that nobody knows.
  if (error.kind == ErrorKind::kNotFound) error.kind = ErrorKind::kUnavailable;
  return std::unexpected(std::move(error));
}

Result<TableInfo> PostgresStore::Generation(Connection& connection, const std::string& pipeline, std::uint64_t generation) {
  auto found = stores::relational::FindGeneration(Known(), pipeline, generation);
  if (found) return found;
  SL_TRY(Refresh(connection));
  return stores::relational::FindGeneration(Known(), pipeline, generation);
}

template <typename Call>
auto PostgresStore::OnActive(const std::string& pipeline, Call call)
    -> decltype(call(std::declval<ConnectionPool::Lease>(), std::declval<TableInfo>())) {
  for (bool again = false;; again = true) {
    SL_ASSIGN_OR_RETURN(ConnectionPool::Lease session, ReaderSession());
    if (again) SL_TRY(Refresh(*session));
    auto table = stores::relational::FindActive(Known(), pipeline);
    if (!table && !again) continue;
    if (!table) return std::unexpected(std::move(table).error());
    auto result = call(std::move(session), *table);
    if (result) return result;
    // A table that is gone, or a column that only the new generation has.
    const ErrorKind kind = result.error().kind;
    const bool outdated = kind == ErrorKind::kFailedPrecondition || kind == ErrorKind::kInvalidArgument;
    if (again || !outdated) return std::unexpected(ForReaders(std::move(result).error()));
  }
}

Status PostgresStore::Ensure(const ResultShape& shape, std::uint64_t generation) {
  SL_TRY(stores::relational::CheckShape(shape));
  SL_TRY(CheckNames(shape));
  SL_ASSIGN_OR_RETURN(ConnectionPool::Lease session, Session());
  SL_ASSIGN_OR_RETURN(const TableInfo info, stores::relational::PlanTable(Known(), shape, generation));
  if (info.id == 0) return {};
  SL_TRY(AddTable(*session, layout_, shape, generation));
  return Refresh(*session);
}

Status PostgresStore::Activate(const std::string& pipeline, std::uint64_t generation) {
  SL_ASSIGN_OR_RETURN(ConnectionPool::Lease session, Session());
  SL_ASSIGN_OR_RETURN(const TableInfo chosen, Generation(*session, pipeline, generation));
  if (chosen.table.active) return {};
  SL_TRY(SwapTable(*session, layout_, pipeline, generation));
  return Refresh(*session);
}

Result<std::vector<StatisticsTable>> PostgresStore::Tables() {
  SL_ASSIGN_OR_RETURN(ConnectionPool::Lease session, ReaderSession());
  SL_TRY(Refresh(*session));
  return stores::relational::Listed(Known());
}

Result<Applied> PostgresStore::Apply(const ApplyRequest& request) {
  SL_ASSIGN_OR_RETURN(ConnectionPool::Lease session, Session());
  SL_ASSIGN_OR_RETURN(const TableInfo table, Generation(*session, request.pipeline, request.generation));
  SL_TRY(stores::relational::CheckRequest(table, request));

  Transaction transaction = Transaction::Adopt(*session);
  auto locked = LockPositions(*session, layout_, table, request);
  if (!locked && locked.error().kind == ErrorKind::kNotFound) {
    // The generation is gone: the next call looks for it anew.
    const std::lock_guard lock(mutex_);
    std::erase_if(tables_, [&](const TableInfo& other) { return other.id == table.id; });
  }
  if (!locked) return std::unexpected(std::move(locked).error());
  StoredPositions& positions = *locked;
  std::map<std::int32_t, Offset> stored;
  stores::relational::CorrectedUntil corrected;
  for (const auto& [partition, position] : positions) {
    stored[partition] = position.next;
    if (position.corrected_until) corrected[partition] = *position.corrected_until;
  }
  SL_TRY(stores::relational::CheckSince(request, stored));

  Applied applied;
  std::vector<std::size_t> chosen;
  const auto& groups = request.results->groups();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].offset < stored[groups[i].partition.value]) {
      ++applied.repeated;
    } else {
      chosen.push_back(i);
    }
  }
  GroupWriter writer(*session, layout_, table, corrected);
  if (!chosen.empty()) SL_TRY(writer.Write(*request.results, chosen, applied));
  for (const auto& consumed : request.consumed) {
    StoredPosition& position = positions[consumed.partition.value];
    position.next = std::max(position.next, consumed.next);
  }
  for (const auto& [partition, until] : writer.corrected()) {
    StoredPosition& position = positions[partition];
    position.corrected_until = std::max(position.corrected_until.value_or(until), until);
  }
  SL_TRY(WritePositions(*session, layout_, table, request.topic, positions));
  SL_TRY(runtime_.failpoints.Hit("statistics.apply.before_commit"));
  SL_TRY(transaction.Commit());
  SL_TRY(runtime_.failpoints.Hit("statistics.apply.after_commit"));
  return applied;
}

Result<std::vector<ApplyRequest::Consumed>> PostgresStore::Offsets(const std::string& pipeline, std::uint64_t generation,
                                                                   const std::string& topic) {
  SL_ASSIGN_OR_RETURN(ConnectionPool::Lease session, Session());
  SL_ASSIGN_OR_RETURN(const TableInfo table, Generation(*session, pipeline, generation));
  SL_ASSIGN_OR_RETURN(const StoredPositions positions, ReadPositions(*session, layout_, table, topic));
  std::vector<ApplyRequest::Consumed> result;
  for (const auto& [partition, position] : positions) result.push_back({Partition(partition), position.next});
  return result;
}

Result<std::unique_ptr<RowStream>> PostgresStore::Select(const RowQuery& query) {
  return OnActive(query.pipeline, [&](ConnectionPool::Lease session, const TableInfo& table) -> Result<std::unique_ptr<RowStream>> {
    SL_ASSIGN_OR_RETURN(stores::relational::RowSelect select, stores::relational::SelectRows(table, layout_.Rows(table), query));
    return OpenRowStream(std::move(session), table, query, std::move(select));
  });
}

Result<std::vector<TopItem>> PostgresStore::Top(const TopQuery& query) {
  return OnActive(query.pipeline, [&](ConnectionPool::Lease session, const TableInfo& table) -> Result<std::vector<TopItem>> {
    SL_ASSIGN_OR_RETURN(const auto sql, stores::relational::SelectTop(table, layout_.Rows(table), query));
    SL_ASSIGN_OR_RETURN(const Answer rows, session->Query(sql.text, ParametersOf(sql.parameters)));
    std::vector<TopItem> items;
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      TopItem item{.name = std::nullopt, .sum = std::nullopt, .rank = static_cast<std::int64_t>(row) + 1};
      if (!rows.IsNull(row, 0)) item.name = rows.Text(row, 0);
      if (!rows.IsNull(row, 1)) item.sum = rows.Int64(row, 1);
      items.push_back(std::move(item));
    }
    return items;
  });
}

Result<std::vector<HistoryPoint>> PostgresStore::History(const HistoryQuery& query) {
  return OnActive(query.pipeline, [&](ConnectionPool::Lease session, const TableInfo& table) -> Result<std::vector<HistoryPoint>> {
    SL_ASSIGN_OR_RETURN(const auto sql, stores::relational::SelectHistory(table, layout_.Rows(table), query));
    SL_ASSIGN_OR_RETURN(const Answer rows, session->Query(sql.text, ParametersOf(sql.parameters)));
    std::vector<HistoryPoint> points;
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      HistoryPoint point{.start = EventTime(rows.Int64(row, 0)), .sum = std::nullopt};
      if (!rows.IsNull(row, 1)) point.sum = rows.Int64(row, 1);
      points.push_back(point);
    }
    return points;
  });
}

Result<std::uint64_t> PostgresStore::DeleteBefore(const std::string& pipeline, EventTime end) {
  return OnActive(pipeline, [&](ConnectionPool::Lease session, const TableInfo&) -> Result<std::uint64_t> {
    std::uint64_t removed = 0;
    for (const TableInfo& table : Known()) {
      if (table.table.shape.pipeline != pipeline) continue;
      SL_ASSIGN_OR_RETURN(const std::uint64_t rows, DeleteWindows(*session, layout_, table, end));
      removed += rows;
    }
    return removed;
  });
}

}  // namespace

Result<std::unique_ptr<stores::StatisticsStore>> OpenStatisticsStore(const runtime::Runtime& runtime, const StatisticsOptions& options) {
  SL_ASSIGN_OR_RETURN(ConnectionParameters parameters, ParseConnection(options.connection));
  return std::make_unique<PostgresStore>(runtime, options, std::move(parameters));
}

}  // namespace sightline::postgres
