#include "sightline/stores/statistics/embedded/duckdb_internal.h"

#include <algorithm>

#include "sightline/tabular/append.h"

namespace sightline::stores::duck {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::unexpected<Error> Failed(duckdb_error_type type, const char* message) {
  return std::unexpected(ToError(type, message == nullptr ? "no message" : message));
}

duckdb_value ToDuck(const Value& value) {
  struct Visitor {
    duckdb_value operator()(std::monostate) const { return duckdb_create_null_value(); }
    duckdb_value operator()(std::int64_t v) const { return duckdb_create_int64(v); }
    duckdb_value operator()(double v) const { return duckdb_create_double(v); }
    duckdb_value operator()(bool v) const { return duckdb_create_bool(v); }
    duckdb_value operator()(const std::string& v) const { return duckdb_create_varchar_length(v.data(), v.size()); }
  };
  return std::visit(Visitor{}, value);
}

}  // namespace

Error ToError(duckdb_error_type type, std::string_view message) {
  const std::string text = "statistics database: " + std::string(message);
  switch (type) {
    case DUCKDB_ERROR_OUT_OF_MEMORY: return {ErrorKind::kResourceExhausted, text};
    case DUCKDB_ERROR_INTERRUPT: return {ErrorKind::kCancelled, text};
    case DUCKDB_ERROR_FATAL: return {ErrorKind::kUnavailable, text};
    case DUCKDB_ERROR_TRANSACTION: return {ErrorKind::kUnavailable, text};
    case DUCKDB_ERROR_SERIALIZATION: return {ErrorKind::kCorruption, text};
    case DUCKDB_ERROR_PERMISSION: return {ErrorKind::kPermissionDenied, text};
    case DUCKDB_ERROR_IO:
      if (Contains(message, "No space left") || Contains(message, "File too large")) return {ErrorKind::kResourceExhausted, text};
      if (Contains(message, "Could not set lock")) return {ErrorKind::kFailedPrecondition, text};
      if (Contains(message, "Corrupt") || Contains(message, "checksum")) return {ErrorKind::kCorruption, text};
      return {ErrorKind::kIo, text};
    case DUCKDB_ERROR_INTERNAL: return {ErrorKind::kInternal, text};
    case DUCKDB_ERROR_INVALID: return {Contains(message, "IO Error") ? ErrorKind::kIo : ErrorKind::kInternal, text};
    default: return {ErrorKind::kInvalidArgument, text};
  }
}

Result<std::shared_ptr<Database>> Database::Open(const std::string& path, std::span<const Setting> settings) {
  duckdb_config config = nullptr;
  if (duckdb_create_config(&config) != DuckDBSuccess) return Fail(ErrorKind::kResourceExhausted, "statistics database: no memory");
  for (const auto& [name, value] : settings) {
    if (duckdb_set_config(config, name.c_str(), value.c_str()) != DuckDBSuccess) {
      duckdb_destroy_config(&config);
      return Fail(ErrorKind::kInternal, "statistics database: no such setting as " + name + " = " + value);
    }
  }
  std::shared_ptr<Database> database(new Database);
  char* error = nullptr;
  const duckdb_state state = duckdb_open_ext(path.c_str(), &database->handle_, config, &error);
  duckdb_destroy_config(&config);
  if (state == DuckDBSuccess) return database;
  const std::string message = error == nullptr ? "cannot be opened" : error;
  if (error != nullptr) duckdb_free(error);
  Error mapped = ToError(Contains(message, "INTERNAL") ? DUCKDB_ERROR_INTERNAL : DUCKDB_ERROR_IO, message);
  return std::unexpected(std::move(mapped).In(path));
}

Database::~Database() {
  if (handle_ != nullptr) duckdb_close(&handle_);
}

Rows::~Rows() {
  if (chunk_ != nullptr) duckdb_destroy_data_chunk(&chunk_);
  if (result_) duckdb_destroy_result(&*result_);
}

Rows::Rows(Rows&& other) noexcept : result_(std::exchange(other.result_, std::nullopt)), chunk_(std::exchange(other.chunk_, nullptr)) {}

Rows& Rows::operator=(Rows&& other) noexcept {
  std::swap(result_, other.result_);
  std::swap(chunk_, other.chunk_);
  return *this;
}

std::size_t Rows::columns() const { return duckdb_column_count(const_cast<duckdb_result*>(&*result_)); }
std::string Rows::name(std::size_t column) const { return duckdb_column_name(const_cast<duckdb_result*>(&*result_), column); }
duckdb_type Rows::type(std::size_t column) const { return duckdb_column_type(const_cast<duckdb_result*>(&*result_), column); }
std::uint64_t Rows::changed() const { return duckdb_rows_changed(const_cast<duckdb_result*>(&*result_)); }

Result<duckdb_data_chunk> Rows::Next() {
  if (chunk_ != nullptr) duckdb_destroy_data_chunk(&chunk_);
  chunk_ = duckdb_fetch_chunk(*result_);
  if (chunk_ == nullptr) {
    const char* message = duckdb_result_error(&*result_);
    if (message != nullptr && *message != 0) return Failed(duckdb_result_error_type(&*result_), message);
  }
  return chunk_;
}

Result<Connection> Connection::Open(std::shared_ptr<Database> database) {
  Connection connection;
  if (duckdb_connect(database->handle(), &connection.handle_) != DuckDBSuccess) {
    return Fail(ErrorKind::kUnavailable, "statistics database: no further connection");
  }
  connection.database_ = std::move(database);
  return connection;
}

Connection::~Connection() {
  if (handle_ != nullptr) duckdb_disconnect(&handle_);
}

Connection::Connection(Connection&& other) noexcept
    : database_(std::move(other.database_)), handle_(std::exchange(other.handle_, nullptr)) {}

Status Connection::Execute(const std::string& sql) {
  duckdb_result result;
  const duckdb_state state = duckdb_query(handle_, sql.c_str(), &result);
  Status status;
  if (state != DuckDBSuccess) status = Failed(duckdb_result_error_type(&result), duckdb_result_error(&result));
  duckdb_destroy_result(&result);
  return status;
}

Result<Statement> Connection::Prepare(const std::string& sql) {
  Statement statement;
  if (duckdb_prepare(handle_, sql.c_str(), &statement.handle_) != DuckDBSuccess) {
    const char* message = duckdb_prepare_error(statement.handle_);
    // A prepared statement has no error type; the message begins with it.
    return Failed(Contains(message == nullptr ? "" : message, "INTERNAL") ? DUCKDB_ERROR_INTERNAL : DUCKDB_ERROR_BINDER, message);
  }
  return statement;
}

Result<Rows> Connection::Query(const std::string& sql, std::span<const Value> parameters) {
  SL_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  SL_TRY(statement.Bind(parameters));
  return statement.Execute();
}

Statement::~Statement() {
  if (handle_ != nullptr) duckdb_destroy_prepare(&handle_);
}

Status Statement::Bind(std::span<const Value> parameters) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    duckdb_value value = ToDuck(parameters[i]);
    const duckdb_state state = duckdb_bind_value(handle_, i + 1, value);
    duckdb_destroy_value(&value);
    if (state != DuckDBSuccess) return Failed(DUCKDB_ERROR_BINDER, duckdb_prepare_error(handle_));
  }
  return {};
}

Result<Rows> Statement::Execute() {
  Rows rows;
  rows.result_.emplace();
  if (duckdb_execute_prepared(handle_, &*rows.result_) != DuckDBSuccess) {
    return Failed(duckdb_result_error_type(&*rows.result_), duckdb_result_error(&*rows.result_));
  }
  return rows;
}

Result<Rows> Statement::Stream() {
  duckdb_pending_result pending = nullptr;
  Rows rows;
  if (duckdb_pending_prepared_streaming(handle_, &pending) != DuckDBSuccess) {
    const std::string message = duckdb_pending_error(pending);
    duckdb_destroy_pending(&pending);
    return Failed(DUCKDB_ERROR_BINDER, message.c_str());
  }
  rows.result_.emplace();
  const duckdb_state state = duckdb_execute_pending(pending, &*rows.result_);
  duckdb_destroy_pending(&pending);
  if (state != DuckDBSuccess) return Failed(duckdb_result_error_type(&*rows.result_), duckdb_result_error(&*rows.result_));
  return rows;
}

Result<Transaction> Transaction::Begin(Connection& connection) {
  SL_TRY(connection.Execute("BEGIN TRANSACTION"));
  return Transaction(connection);
}

Transaction::~Transaction() {
  // Fails only when the database has become unusable, and then nothing is kept of the transaction either.
  if (connection_ != nullptr) (void)connection_->Execute("ROLLBACK");
}

Status Transaction::Commit() { return std::exchange(connection_, nullptr)->Execute("COMMIT"); }

Result<Appender> Appender::Open(Connection& connection, const char* catalog, const char* schema, const std::string& table,
                                std::span<const duckdb_type> types) {
  Appender appender;
  if (duckdb_appender_create_ext(connection.handle(), catalog, schema, table.c_str(), &appender.handle_) != DuckDBSuccess) {
    return std::unexpected(appender.LastError());
  }
  std::vector<duckdb_logical_type> logical;
  for (const duckdb_type type : types) logical.push_back(duckdb_create_logical_type(type));
  appender.chunk_ = duckdb_create_data_chunk(logical.data(), logical.size());
  for (auto& type : logical) duckdb_destroy_logical_type(&type);
  return appender;
}

Appender::~Appender() {
  if (chunk_ != nullptr) duckdb_destroy_data_chunk(&chunk_);
  if (handle_ == nullptr) return;
  // Destroying flushes: what an abandoned appender still holds must not reach the table.
  duckdb_appender_clear(handle_);
  duckdb_appender_destroy(&handle_);
}

Appender::Appender(Appender&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), chunk_(std::exchange(other.chunk_, nullptr)) {}

Error Appender::LastError() const {
  duckdb_error_data data = duckdb_appender_error_data(handle_);
  const char* message = duckdb_error_data_message(data);
  Error error = ToError(duckdb_error_data_error_type(data), message == nullptr ? "no message" : message);
  duckdb_destroy_error_data(&data);
  return error;
}

void Appender::SetNull(std::size_t index, std::size_t row) const {
  const duckdb_vector vector = column(index);
  duckdb_vector_ensure_validity_writable(vector);
  duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), row);
}

Status Appender::Append(std::size_t rows) {
  if (rows == 0) return {};
  duckdb_data_chunk_set_size(chunk_, rows);
  if (duckdb_append_data_chunk(handle_, chunk_) != DuckDBSuccess) return std::unexpected(LastError());
  duckdb_data_chunk_reset(chunk_);
  return {};
}

Status Appender::Flush() {
  if (duckdb_appender_flush(handle_) != DuckDBSuccess) return std::unexpected(LastError());
  return {};
}

std::string Quote(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

duckdb_type TypeOf(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return DUCKDB_TYPE_BIGINT;
    case FieldType::kDouble: return DUCKDB_TYPE_DOUBLE;
    case FieldType::kBool: return DUCKDB_TYPE_BOOLEAN;
    case FieldType::kString: return DUCKDB_TYPE_VARCHAR;
  }
  return DUCKDB_TYPE_INVALID;
}

std::string_view SqlTypeOf(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return "BIGINT";
    case FieldType::kDouble: return "DOUBLE";
    case FieldType::kBool: return "BOOLEAN";
    case FieldType::kString: return "VARCHAR";
  }
  return "";
}

namespace {

bool ValidAt(const std::uint64_t* validity, std::size_t row) { return validity == nullptr || (validity[row / 64] >> (row % 64) & 1) != 0; }

// Values [begin, begin + count) of a vector to the places from `base` on; those of nulls are whatever the vector has there.
void CopyValues(const void* data, const std::uint64_t* validity, std::size_t begin, std::size_t count, std::size_t base, std::size_t index,
                ColumnBatch& into) {
  Column& column = into.columns[index];
  switch (column.type) {
    case FieldType::kInt64: std::copy_n(static_cast<const std::int64_t*>(data) + begin, count, column.int64s.data() + base); break;
    case FieldType::kDouble: std::copy_n(static_cast<const double*>(data) + begin, count, column.doubles.data() + base); break;
    case FieldType::kBool:
      for (std::size_t i = 0; i < count; ++i) {
        column.int64s[base + i] = ValidAt(validity, begin + i) && static_cast<const std::uint8_t*>(data)[begin + i] != 0 ? 1 : 0;
      }
      break;
    case FieldType::kString:
      for (std::size_t i = 0; i < count; ++i) {
        const bool valid = ValidAt(validity, begin + i);
        column.strings[base + i] = valid ? tabular::Keep(into, Text(data, begin + i)) : std::string_view();
      }
      break;
  }
}

}  // namespace

void AppendChunk(duckdb_data_chunk chunk, std::size_t begin, std::size_t count, ColumnBatch& into) {
  const std::size_t base = into.rows;
  tabular::Grow(into, base + count);
  for (std::size_t c = 0; c < into.columns.size(); ++c) {
    const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, c);
    const std::uint64_t* validity = duckdb_vector_get_validity(vector);
    CopyValues(duckdb_vector_get_data(vector), validity, begin, count, base, c, into);
    Column& column = into.columns[c];
    if (!column.nulls.empty()) std::fill_n(column.nulls.data() + base, count, std::uint8_t{0});
    for (std::size_t i = 0; validity != nullptr && i < count; ++i) {
      if (!ValidAt(validity, begin + i)) tabular::SetNull(column, base + i);
    }
  }
  into.rows = base + count;
}

}  // namespace sightline::stores::duck
