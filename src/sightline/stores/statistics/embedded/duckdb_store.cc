#include "sightline/stores/statistics/embedded/duckdb_store.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "sightline/stores/statistics/embedded/catalog.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"
#include "sightline/stores/statistics/embedded/row_stream.h"
#include "sightline/stores/statistics/embedded/table_layout.h"
#include "sightline/stores/statistics/embedded/table_writer.h"
#include "sightline/stores/statistics/relational/row_queries.h"
#include "sightline/stores/statistics/relational/tables.h"

namespace sightline::stores {
namespace {

using relational::TableInfo;

// What is known of a table's writing besides its rows; the same as what is stored, kept to save a query at each Apply.
struct WriteState {
  std::map<std::string, std::map<std::int32_t, Offset>> offsets;  // by topic and partition
  duck::CorrectedUntil corrected;
};

// Locks: `write_` is held for a whole change and orders changes; `shared_` guards the members below it for moments only, so that a
// query never waits for a transaction. `write_` is taken first.
class DuckDbStore final : public StatisticsStore {
 public:
  DuckDbStore(const runtime::Runtime& runtime, const DuckDbOptions& options) : runtime_(runtime), options_(options) {}

  Status Open() {
    const std::lock_guard lock(write_);
    SL_TRY(runtime_.files.CreateDirectories(options_.directory));
    return Reopen();
  }

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
  Status Reopen();
  // The connection for changes; opens the database again if it was given up.
  Result<duck::Connection*> Writer();
  // After a change that failed: nothing of it is kept, but what we remember may be ahead, and the database may be gone.
  Error Failed(Error error);
  Result<duck::Connection> Reader();
  Result<TableInfo> Active(const std::string& pipeline);
  Result<TableInfo> Generation(const std::string& pipeline, std::uint64_t generation);
  Result<WriteState*> StateOf(const TableInfo& table, duck::Connection& writer);
  void Publish(std::vector<TableInfo> tables);

  runtime::Runtime runtime_;
  const DuckDbOptions options_;

  std::mutex write_;
  std::optional<duck::Connection> writer_;
  std::map<std::int32_t, WriteState> states_;

  mutable std::shared_mutex shared_;
  std::shared_ptr<duck::Database> database_;
  std::weak_ptr<duck::Database> given_up_;
  std::vector<TableInfo> tables_;
};

Status DuckDbStore::Reopen() {
  if (!given_up_.expired()) {
    return Fail(ErrorKind::kUnavailable, "the statistics database failed and is opened again when the running queries have ended");
  }
  const std::vector<duck::Database::Setting> settings = {
      {"threads", std::to_string(options_.threads)},
      {"memory_limit", std::to_string(options_.memory_bytes_max) + "B"},
      {"temp_directory", options_.directory + "/spill"},
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
  };
  SL_ASSIGN_OR_RETURN(auto database, duck::Database::Open(options_.directory + "/statistics.duckdb", settings));
  SL_ASSIGN_OR_RETURN(auto writer, duck::Connection::Open(database));
  SL_TRY(duck::PrepareCatalog(writer));
  SL_ASSIGN_OR_RETURN(auto tables, duck::ReadCatalog(writer));
  states_.clear();
  writer_.emplace(std::move(writer));
  const std::unique_lock lock(shared_);
  database_ = std::move(database);
  tables_ = std::move(tables);
  return {};
}

Result<duck::Connection*> DuckDbStore::Writer() {
  if (!writer_) SL_TRY(Reopen());
  return &*writer_;
}

Error DuckDbStore::Failed(Error error) {
  states_.clear();
  const bool lost = error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kIo || error.kind == ErrorKind::kInternal ||
                    error.kind == ErrorKind::kResourceExhausted;
  // Opening again is cheap next to guessing whether DuckDB still trusts its file.
  if (lost) {
    writer_.reset();
    const std::unique_lock lock(shared_);
    given_up_ = database_;
    database_.reset();
  }
  return error;
}

Result<duck::Connection> DuckDbStore::Reader() {
  std::shared_ptr<duck::Database> database;
  {
    const std::shared_lock lock(shared_);
    database = database_;
  }
  if (!database) return Fail(ErrorKind::kUnavailable, "the statistics database failed and is being opened again; try again shortly");
  return duck::Connection::Open(std::move(database));
}

Result<TableInfo> DuckDbStore::Active(const std::string& pipeline) {
  const std::shared_lock lock(shared_);
  return relational::FindActive(tables_, pipeline);
}

Result<TableInfo> DuckDbStore::Generation(const std::string& pipeline, std::uint64_t generation) {
  const std::shared_lock lock(shared_);
  return relational::FindGeneration(tables_, pipeline, generation);
}

void DuckDbStore::Publish(std::vector<TableInfo> tables) {
  const std::unique_lock lock(shared_);
  tables_ = std::move(tables);
}

Status DuckDbStore::Ensure(const ResultShape& shape, std::uint64_t generation) {
  SL_TRY(relational::CheckShape(shape));
  const std::lock_guard lock(write_);
  SL_ASSIGN_OR_RETURN(duck::Connection * writer, Writer());
  std::vector<TableInfo> tables = tables_;
  SL_ASSIGN_OR_RETURN(TableInfo info, relational::PlanTable(tables, shape, generation));
  if (info.id == 0) return {};
  if (auto status = duck::AddTable(*writer, info); !status) return std::unexpected(Failed(std::move(status).error()));
  tables.push_back(std::move(info));
  Publish(std::move(tables));
  return {};
}

Status DuckDbStore::Activate(const std::string& pipeline, std::uint64_t generation) {
  const std::lock_guard lock(write_);
  SL_ASSIGN_OR_RETURN(duck::Connection * writer, Writer());
  SL_ASSIGN_OR_RETURN(TableInfo chosen, Generation(pipeline, generation));
  if (chosen.table.active) return {};
  std::vector<TableInfo> kept;
  std::vector<TableInfo> dropped;
  for (const TableInfo& info : tables_) {
    if (info.table.shape.pipeline != pipeline) {
      kept.push_back(info);
    } else if (info.id != chosen.id) {
      dropped.push_back(info);
      states_.erase(info.id);
    }
  }
  if (auto status = duck::SwapTable(*writer, chosen, dropped); !status) return std::unexpected(Failed(std::move(status).error()));
  chosen.table.active = true;
  kept.push_back(std::move(chosen));
  Publish(std::move(kept));
  return {};
}

Result<std::vector<StatisticsTable>> DuckDbStore::Tables() {
  const std::shared_lock lock(shared_);
  return relational::Listed(tables_);
}

Result<WriteState*> DuckDbStore::StateOf(const TableInfo& table, duck::Connection& writer) {
  const auto at = states_.find(table.id);
  if (at != states_.end()) return &at->second;
  WriteState state;
  SL_TRY(duck::ReadOffsets(writer, table, state.offsets));
  SL_TRY(duck::ReadCorrected(writer, table, state.corrected));
  return &(states_[table.id] = std::move(state));
}

Result<Applied> DuckDbStore::Apply(const ApplyRequest& request) {
  const std::lock_guard lock(write_);
  SL_ASSIGN_OR_RETURN(duck::Connection * writer, Writer());
  SL_ASSIGN_OR_RETURN(const TableInfo table, Generation(request.pipeline, request.generation));
  SL_TRY(relational::CheckRequest(table, request));
  auto found = StateOf(table, *writer);
  if (!found) return std::unexpected(Failed(std::move(found).error()));
  WriteState& state = **found;
  auto& stored = state.offsets[request.topic];
  SL_TRY(relational::CheckSince(request, stored));

  Applied applied;
  std::vector<std::size_t> chosen;
  const auto& groups = request.results->groups();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto at = stored.find(groups[i].partition.value);
    if (at != stored.end() && groups[i].offset < at->second) {
      ++applied.repeated;
    } else {
      chosen.push_back(i);
    }
  }
  duck::TableWriter tables(*writer, table, state.corrected);
  const auto write = [&]() -> Status {
    SL_ASSIGN_OR_RETURN(duck::Transaction transaction, duck::Transaction::Begin(*writer));
    if (!chosen.empty()) SL_TRY(tables.Write(*request.results, chosen, applied));
    SL_TRY(duck::WriteOffsets(*writer, table, request.topic, request.consumed, stored));
    SL_TRY(runtime_.failpoints.Hit("statistics.apply.before_commit"));
    SL_TRY(transaction.Commit());
    return runtime_.failpoints.Hit("statistics.apply.after_commit");
  };
  if (auto status = write(); !status) return std::unexpected(Failed(std::move(status).error()));
  for (const auto& consumed : request.consumed) {
    auto [at, fresh] = stored.try_emplace(consumed.partition.value, consumed.next);
    if (!fresh) at->second = std::max(at->second, consumed.next);
  }
  for (const auto& [partition, until] : tables.corrected()) {
    auto [at, fresh] = state.corrected.try_emplace(partition, until);
    if (!fresh) at->second = std::max(at->second, until);
  }
  return applied;
}

Result<std::vector<ApplyRequest::Consumed>> DuckDbStore::Offsets(const std::string& pipeline, std::uint64_t generation,
                                                                 const std::string& topic) {
  SL_ASSIGN_OR_RETURN(const TableInfo table, Generation(pipeline, generation));
  SL_ASSIGN_OR_RETURN(duck::Connection reader, Reader());
  std::map<std::string, std::map<std::int32_t, Offset>> offsets;
  SL_TRY(duck::ReadOffsets(reader, table, offsets));
  std::vector<ApplyRequest::Consumed> result;
  for (const auto& [partition, next] : offsets[topic]) result.push_back({Partition(partition), next});
  return result;
}

Result<std::unique_ptr<RowStream>> DuckDbStore::Select(const RowQuery& query) {
  SL_ASSIGN_OR_RETURN(const TableInfo table, Active(query.pipeline));
  SL_ASSIGN_OR_RETURN(relational::RowSelect select, relational::SelectRows(table, duck::RowTable(table), query));
  SL_ASSIGN_OR_RETURN(duck::Connection reader, Reader());
  return duck::OpenRowStream(std::move(reader), table, query, std::move(select));
}

Result<std::vector<TopItem>> DuckDbStore::Top(const TopQuery& query) {
  SL_ASSIGN_OR_RETURN(const TableInfo table, Active(query.pipeline));
  SL_ASSIGN_OR_RETURN(const duck::SqlText sql, relational::SelectTop(table, duck::RowTable(table), query));
  SL_ASSIGN_OR_RETURN(duck::Connection reader, Reader());
  return duck::ReadTop(reader, sql);
}

Result<std::vector<HistoryPoint>> DuckDbStore::History(const HistoryQuery& query) {
  SL_ASSIGN_OR_RETURN(const TableInfo table, Active(query.pipeline));
  SL_ASSIGN_OR_RETURN(const duck::SqlText sql, relational::SelectHistory(table, duck::RowTable(table), query));
  SL_ASSIGN_OR_RETURN(duck::Connection reader, Reader());
  return duck::ReadHistory(reader, sql);
}

Result<std::uint64_t> DuckDbStore::DeleteBefore(const std::string& pipeline, EventTime end) {
  const std::lock_guard lock(write_);
  SL_ASSIGN_OR_RETURN(duck::Connection * writer, Writer());
  std::uint64_t removed = 0;
  const auto remove = [&]() -> Status {
    SL_ASSIGN_OR_RETURN(duck::Transaction transaction, duck::Transaction::Begin(*writer));
    for (const TableInfo& info : tables_) {
      if (info.table.shape.pipeline != pipeline) continue;
      SL_ASSIGN_OR_RETURN(const std::uint64_t rows, duck::DeleteWindows(*writer, info, end));
      removed += rows;
    }
    return transaction.Commit();
  };
  if (auto active = Active(pipeline); !active) return std::unexpected(std::move(active).error());
  if (auto status = remove(); !status) return std::unexpected(Failed(std::move(status).error()));
  return removed;
}

}  // namespace

Result<std::unique_ptr<StatisticsStore>> OpenDuckDbStore(const runtime::Runtime& runtime, const DuckDbOptions& options) {
  auto store = std::make_unique<DuckDbStore>(runtime, options);
  SL_TRY(store->Open());
  return store;
}

}  // namespace sightline::stores
