#include "sightline/stores/statistics/sql.h"

#include <algorithm>
#include <atomic>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>

#include "sightline/base/text.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"
#include "sightline/stores/statistics/sql/isolated_database.h"
#include "sightline/stores/statistics/sql/relations.h"
#include "sightline/stores/statistics/sql/sql_guard.h"
#include "sightline/stores/statistics/sql/watchdog.h"

namespace sightline::stores {
namespace {

using duck::Relation;

// A principal's DuckDB and what it shows. Never changed, but made anew when pipelines or grants are others.
struct Instance {
  std::string principal;
  std::vector<Relation> relations;
  std::shared_ptr<duck::Database> database;
};

bool SameFilter(const ColumnFilter& a, const ColumnFilter& b) { return a.column == b.column && a.any_of == b.any_of; }

bool SameRelation(const Relation& a, const Relation& b) {
  return a.table.generation == b.table.generation && a.table.shape.pipeline == b.table.shape.pipeline &&
         a.table.shape.schema == b.table.shape.schema && std::ranges::equal(a.grants, b.grants, SameFilter);
}

// The type as which a column of DuckDB's leaves, and the cast it needs; none if it is of that type already.
struct ColumnPlan {
  FieldType type;
  const char* cast;
};
ColumnPlan PlanOf(duckdb_type type) {
  switch (type) {
    case DUCKDB_TYPE_BIGINT: return {FieldType::kInt64, nullptr};
    case DUCKDB_TYPE_DOUBLE: return {FieldType::kDouble, nullptr};
    case DUCKDB_TYPE_BOOLEAN: return {FieldType::kBool, nullptr};
    case DUCKDB_TYPE_VARCHAR: return {FieldType::kString, nullptr};
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT: return {FieldType::kInt64, "BIGINT"};
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DECIMAL: return {FieldType::kDouble, "DOUBLE"};
    default: return {FieldType::kString, "VARCHAR"};
  }
}

struct Plan {
  duck::Statement statement;
  Schema schema;
};

// Prepares the statement so that its columns have types of ours. `canonical` is the same statement, fit to stand in brackets.
Result<Plan> PlanStatement(duck::Connection& connection, const std::string& sql, const std::string& canonical) {
  SL_ASSIGN_OR_RETURN(duck::Statement statement, connection.Prepare(sql));
  if (duckdb_nparams(statement.handle()) > 0) {
    return Fail(ErrorKind::kInvalidArgument, "SQL: parameters (?, $1) have no values here; write them into the statement");
  }
  Schema schema;
  std::string casts;
  std::string names;
  bool plain = true;
  for (idx_t i = 0; i < duckdb_prepared_statement_column_count(statement.handle()); ++i) {
    const char* name = duckdb_prepared_statement_column_name(statement.handle(), i);
    const ColumnPlan plan = PlanOf(duckdb_prepared_statement_column_type(statement.handle(), i));
    schema.fields.push_back({.name = name, .type = plan.type, .nullable = true});
    duckdb_free(const_cast<char*>(name));
    const std::string column = "c" + std::to_string(i);
    names += (i > 0 ? ", " : "") + column;
    casts += (i > 0 ? ", " : "") + (plan.cast == nullptr ? column : "CAST(" + column + " AS " + plan.cast + ")");
    plain = plain && plan.cast == nullptr;
  }
  if (plain) return Plan{std::move(statement), std::move(schema)};
  SL_ASSIGN_OR_RETURN(duck::Statement wrapped,
                      connection.Prepare("SELECT " + casts + " FROM (" + canonical + ") AS answer(" + names + ")"));
  return Plan{std::move(wrapped), std::move(schema)};
}

std::uint64_t BytesOf(const ColumnBatch& batch, std::size_t from) {
  std::uint64_t bytes = 0;
  for (const Column& column : batch.columns) {
    bytes += 8 * (batch.rows - from);
    if (column.type != FieldType::kString) continue;
    for (std::size_t row = from; row < batch.rows; ++row) bytes += column.strings[row].size();
  }
  return bytes;
}

// What the service counts of its queries, so that one too many is refused.
class Slot {
 public:
  Slot(std::atomic<int>& used, int max) : used_(used), taken_(used.fetch_add(1) < max) {}
  ~Slot() { --used_; }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  bool taken() const { return taken_; }

 private:
  std::atomic<int>& used_;
  const bool taken_;
};

class DuckDbSql final : public SqlService {
 public:
  DuckDbSql(StatisticsStore& store, const runtime::Clock& clock, const SqlOptions& options)
      : store_(store), options_(options), watchdog_(clock) {}

  Result<SqlAnswer> Run(const SqlRequest& request) override {
    if (request.sql.size() > options_.sql_bytes_max) {
      return Fail(ErrorKind::kInvalidArgument, "SQL: longer than " + FormatBytes(options_.sql_bytes_max));
    }
    if (!IsUtf8(request.sql)) return Fail(ErrorKind::kInvalidArgument, "SQL: not UTF-8");
    const Slot slot(running_, options_.concurrent_max);
    if (!slot.taken()) {
      return Fail(ErrorKind::kResourceExhausted,
                  std::to_string(options_.concurrent_max) + " SQL queries are running, no more are let in; try again shortly");
    }
    SL_ASSIGN_OR_RETURN(const std::shared_ptr<const Instance> instance, InstanceOf(request));
    std::set<std::string> functions;
    for (const Relation& relation : instance->relations) functions.insert(duck::BetweenName(relation));
    SL_ASSIGN_OR_RETURN(duck::SqlGuard * guard, Guard());
    SL_ASSIGN_OR_RETURN(const std::string canonical, guard->Check(request.sql, functions));
    SL_ASSIGN_OR_RETURN(duck::Connection connection, duck::Connection::Open(instance->database));
    const duck::Watchdog::Watch watch(watchdog_, connection, options_.time_max);
    auto answer = Answer(connection, request.sql, canonical);
    if (!answer && answer.error().kind == ErrorKind::kCancelled && watch.expired()) {
      return Fail(ErrorKind::kDeadlineExceeded, "SQL: stopped after " + FormatDuration(options_.time_max) +
                                                    "; ask for less, for example a shorter range with <pipeline>_between(from_ms, to_ms)");
    }
    return answer;
  }

 private:
  Result<SqlAnswer> Answer(duck::Connection& connection, const std::string& sql, const std::string& canonical) {
    SL_ASSIGN_OR_RETURN(Plan plan, PlanStatement(connection, sql, canonical));
    SL_ASSIGN_OR_RETURN(duck::Rows rows, plan.statement.Stream());
    SqlAnswer answer;
    answer.rows.Reset(plan.schema, 0);
    std::uint64_t bytes = 0;
    while (true) {
      SL_ASSIGN_OR_RETURN(duckdb_data_chunk chunk, rows.Next());
      if (chunk == nullptr) break;
      const std::size_t size = duckdb_data_chunk_get_size(chunk);
      const std::size_t from = answer.rows.rows;
      const std::size_t count = std::min<std::uint64_t>(size, options_.rows_max - from);
      duck::AppendChunk(chunk, 0, count, answer.rows);
      bytes += BytesOf(answer.rows, from);
      answer.truncated = count < size || bytes > options_.bytes_max;
      if (answer.truncated) break;
    }
    answer.schema = std::move(plan.schema);
    return answer;
  }

  // Made at the first use, as it costs a DuckDB instance.
  Result<duck::SqlGuard*> Guard() {
    const std::lock_guard lock(mutex_);
    if (!guard_) {
      SL_ASSIGN_OR_RETURN(guard_, duck::SqlGuard::Make());
    }
    return guard_.get();
  }

  Result<std::shared_ptr<const Instance>> InstanceOf(const SqlRequest& request) {
    SL_ASSIGN_OR_RETURN(const std::vector<StatisticsTable> tables, store_.Tables());
    std::vector<Relation> relations;
    for (const StatisticsTable& table : tables) {
      if (table.active) relations.push_back({table, request.grants ? request.grants(table) : std::vector<ColumnFilter>()});
    }
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(instances_, request.principal, [](const auto& instance) { return instance->principal; });
    if (found != instances_.end()) {
      if (std::ranges::equal((*found)->relations, relations, SameRelation)) {
        instances_.splice(instances_.begin(), instances_, found);
        return instances_.front();
      }
      instances_.erase(found);
    }
    auto instance = std::make_shared<Instance>();
    instance->principal = request.principal;
    SL_ASSIGN_OR_RETURN(instance->database, duck::OpenIsolated(options_.memory_bytes_max));
    SL_ASSIGN_OR_RETURN(duck::Connection connection, duck::Connection::Open(instance->database));
    int number = 0;
    for (const Relation& relation : relations) SL_TRY(duck::ShowRelation(connection, store_, relation, number++));
    SL_TRY(duck::LockConfiguration(connection));
    instance->relations = std::move(relations);
    instances_.push_front(instance);
    if (instances_.size() > options_.principals_max) instances_.pop_back();
    return instance;
  }

  StatisticsStore& store_;
  const SqlOptions options_;
  duck::Watchdog watchdog_;
  std::atomic<int> running_ = 0;
  std::mutex mutex_;
  std::unique_ptr<duck::SqlGuard> guard_;
  std::list<std::shared_ptr<const Instance>> instances_;  // the last used first
};

}  // namespace

std::unique_ptr<SqlService> MakeSqlService(StatisticsStore& store, const runtime::Clock& clock, const SqlOptions& options) {
  return std::make_unique<DuckDbSql>(store, clock, options);
}

}  // namespace sightline::stores
