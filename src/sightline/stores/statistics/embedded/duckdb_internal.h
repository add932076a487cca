#pragma once

#include <duckdb.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/stores/statistics/port.h"

// DuckDB's C API with owners and errors of ours. Nothing else in the program calls DuckDB, so what it throws or reports ends here.
namespace sightline::stores::duck {

// The error in our terms. `what` is the place: "applying results of item_counts".
Error ToError(duckdb_error_type type, std::string_view message);

// A database instance; destroyed after everything that was opened in it. Thread-safe.
class Database {
 public:
  using Setting = std::pair<std::string, std::string>;
  // `path` is a file, or ":memory:".
  static Result<std::shared_ptr<Database>> Open(const std::string& path, std::span<const Setting> settings);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  duckdb_database handle() const { return handle_; }

 private:
  Database() = default;
  duckdb_database handle_ = nullptr;
};

// A result, read chunk by chunk. Keeps its statement and connection alive.
class Rows {
 public:
  Rows() = default;
  ~Rows();
  Rows(Rows&& other) noexcept;
  Rows& operator=(Rows&& other) noexcept;

  std::size_t columns() const;
  std::string name(std::size_t column) const;
  duckdb_type type(std::size_t column) const;
  // Rows that a statement without result has changed.
  std::uint64_t changed() const;
  // The next chunk, or null at the end. Valid until the next call.
  Result<duckdb_data_chunk> Next();

 private:
  friend class Statement;
  friend class Connection;
  std::optional<duckdb_result> result_;
  duckdb_data_chunk chunk_ = nullptr;
};

class Statement;

// One session. One thread at a time, except Interrupt.
class Connection {
 public:
  static Result<Connection> Open(std::shared_ptr<Database> database);
  ~Connection();
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;

  // Runs statements and forgets their results.
  Status Execute(const std::string& sql);
  // Runs one statement with parameters and keeps its whole result in memory.
  Result<Rows> Query(const std::string& sql, std::span<const Value> parameters = {});
  Result<Statement> Prepare(const std::string& sql);
  // Ends the running query with kCancelled; from any thread.
  void Interrupt() { duckdb_interrupt(handle_); }
  duckdb_connection handle() const { return handle_; }

 private:
  Connection() = default;
  std::shared_ptr<Database> database_;
  duckdb_connection handle_ = nullptr;
};

class Statement {
 public:
  ~Statement();
  Statement(Statement&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;

  // Parameters from 1, in their order.
  Status Bind(std::span<const Value> parameters);
  Result<Rows> Execute();
  // Rows are computed as they are asked for.
  Result<Rows> Stream();
  duckdb_prepared_statement handle() const { return handle_; }

 private:
  friend class Connection;
  Statement() = default;
  duckdb_prepared_statement handle_ = nullptr;
};

// A transaction that is rolled back unless committed.
class Transaction {
 public:
  static Result<Transaction> Begin(Connection& connection);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  Status Commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// Bulk insert into one table, chunk by chunk, within the connection's transaction.
class Appender {
 public:
  // `types` are those of the table's columns. `schema` null: the default one.
  static Result<Appender> Open(Connection& connection, const char* catalog, const char* schema, const std::string& table,
                               std::span<const duckdb_type> types);
  ~Appender();
  Appender(Appender&& other) noexcept;
  Appender& operator=(Appender&&) = delete;

  // The chunk to fill: up to capacity() rows. Append hands over its first `rows` rows and empties it.
  duckdb_vector column(std::size_t index) const { return duckdb_data_chunk_get_vector(chunk_, index); }
  template <typename T>
  T* data(std::size_t index) const {
    return static_cast<T*>(duckdb_vector_get_data(column(index)));
  }
  void SetNull(std::size_t index, std::size_t row) const;
  static std::size_t capacity() { return duckdb_vector_size(); }
  Status Append(std::size_t rows);
  // Everything is in the table when this returns; without it, nothing can be relied on.
  Status Flush();

 private:
  Appender() = default;
  Error LastError() const;
  duckdb_appender handle_ = nullptr;
  duckdb_data_chunk chunk_ = nullptr;
};

// "name" with its quotes doubled: an identifier whatever it contains.
std::string Quote(std::string_view name);
// The string of a vector of VARCHAR.
inline std::string_view Text(const void* data, std::size_t row) {
  auto* value = const_cast<duckdb_string_t*>(static_cast<const duckdb_string_t*>(data)) + row;
  return {duckdb_string_t_data(value), duckdb_string_t_length(*value)};
}
// Copies the first `into.columns.size()` columns of rows [begin, begin + count) behind the rows of `into`: BIGINT, DOUBLE,
// BOOLEAN and VARCHAR as the batch's types say.
void AppendChunk(duckdb_data_chunk chunk, std::size_t begin, std::size_t count, ColumnBatch& into);
duckdb_type TypeOf(FieldType type);
std::string_view SqlTypeOf(FieldType type);

}  // namespace sightline::stores::duck
