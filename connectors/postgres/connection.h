#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connectors/postgres/connection_options.h"
#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/runtime/clock.h"
#include "sightline/stores/statistics/port.h"

struct pg_conn;
struct pg_result;

// libpq with owners, deadlines and errors of ours. Nothing else in the program calls libpq but connection_options.cc.
namespace sightline::postgres {

// The error in our terms, by SQLSTATE. `sqlstate` empty: the connection is gone.
Error ToError(std::string_view sqlstate, std::string_view message, const ConnectionParameters& parameters);

// A parameter of a statement in Postgres's binary form.
struct Parameter {
  std::uint32_t type = 0;  // its OID
  std::optional<std::string> bytes{};

  static Parameter Int64(std::int64_t value);
  static Parameter Text(std::string value);
  static Parameter Of(const stores::Value& value);
  // Arrays of one dimension.
  static Parameter Int64s(std::span<const std::int64_t> values);
  static Parameter Doubles(std::span<const double> values);
  static Parameter Bools(std::span<const std::int64_t> values);
  static Parameter Texts(std::span<const std::string_view> values);
};
std::vector<Parameter> ParametersOf(std::span<const stores::Value> values);

// The whole answer of one statement, in binary form (or text, from Connection::Execute).
class Answer {
 public:
  explicit Answer(pg_result* result);
  std::size_t rows() const;
  std::size_t columns() const;
  bool IsNull(std::size_t row, std::size_t column) const;
  std::string_view Bytes(std::size_t row, std::size_t column) const;
  std::string Text(std::size_t row, std::size_t column) const { return std::string(Bytes(row, column)); }
  std::int64_t Int64(std::size_t row, std::size_t column) const;  // int2, int4, int8
  double Double(std::size_t row, std::size_t column) const;
  bool Bool(std::size_t row, std::size_t column) const;
  stores::Value ValueAt(std::size_t row, std::size_t column, FieldType type) const;
  // Rows that the statement has changed.
  std::uint64_t changed() const;
  // Copies the first `into.columns.size()` columns of the first `count` rows behind the rows of `into`.
  void AppendTo(std::size_t count, ColumnBatch& into) const;

 private:
  std::shared_ptr<pg_result> result_;
};

// One session with a server. Every call ends by a deadline, whatever the server or the network does; one that was missed, or a connection
// that broke, leaves it broken() for good. One thread at a time.
class Connection {
 public:
  enum class Purpose : std::uint8_t { kSql, kReplication };
  // kUnavailable (nobody answers), kUnauthenticated, kPermissionDenied, kNotFound (no such database), kFailedPrecondition (a server or
  // database that does not serve): with what to do.
  static Result<Connection> Open(const ConnectionParameters& parameters, const runtime::Clock& clock, Purpose purpose = Purpose::kSql);
  Connection(Connection&&) noexcept = default;
  Connection& operator=(Connection&&) noexcept = default;

  // Runs statements without parameters; the answer of the last that has rows, as text.
  Result<Answer> Execute(const std::string& sql);
  // Runs one statement.
  Result<Answer> Query(const std::string& sql, std::span<const Parameter> parameters = {});
  // `sql` is COPY … FROM STDIN (FORMAT binary); `body` the rows, without header and trailer. The number of rows.
  Result<std::uint64_t> CopyIn(const std::string& sql, std::string_view body);

  // Replication: begins a stream; the next message (none when nothing came within `patience`), and an answer.
  Status StartStream(const std::string& command);
  Result<std::optional<std::string>> ReceiveMessage(std::chrono::milliseconds patience);
  Status SendMessage(std::string_view message);
  bool broken() const { return broken_; }
  bool idle() const;  // not in a transaction
  // Looks, without waiting, whether the server has closed the connection.
  bool Alive();
  int version() const;  // 150018
  bool encrypted() const;
  const ConnectionParameters& parameters() const { return *parameters_; }

 private:
  Connection() = default;
  Status Connect(Purpose purpose);
  Status Settle();
  Status Await(short events, std::int64_t deadline_ns, std::string_view doing);
  Status Flush(std::int64_t deadline_ns);
  Result<pg_result*> NextResult(std::int64_t deadline_ns);
  Result<Answer> Collect(std::int64_t deadline_ns);
  Error Lost(std::string_view doing);
  std::int64_t Deadline() const;

  std::unique_ptr<pg_conn, void (*)(pg_conn*)> handle_{nullptr, nullptr};
  std::shared_ptr<const ConnectionParameters> parameters_;
  const runtime::Clock* clock_ = nullptr;
  bool broken_ = false;
};

// A transaction that is rolled back unless committed.
class Transaction {
 public:
  // `begin` is BEGIN with its options.
  static Result<Transaction> Begin(Connection& connection, const std::string& begin = "BEGIN");
  // One that a statement of the caller begins.
  static Transaction Adopt(Connection& connection) { return Transaction(connection); }
  ~Transaction();
  Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  // kUnavailable and kDeadlineExceeded: it is not known whether the server has committed; ask what is stored.
  Status Commit();
  // It stays open, for somebody else to end.
  void Keep() { connection_ = nullptr; }

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// "name" with its quotes doubled: an identifier whatever it contains. 'text': a literal.
std::string Quote(std::string_view name);
std::string Literal(std::string_view text);

}  // namespace sightline::postgres
