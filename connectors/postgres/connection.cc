#include "connectors/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "connectors/postgres/binary.h"

namespace sightline::postgres {
namespace {

constexpr int kVersionLeast = 130000;
// The server's own time-out comes first, and with a better message.
constexpr std::chrono::milliseconds kGrace{2'000};
constexpr std::size_t kCopyPiece = 256U << 10;

std::int64_t Ns(std::chrono::milliseconds time) { return std::chrono::nanoseconds(time).count(); }

std::string Trimmed(const char* text) {
  std::string out(text == nullptr ? "" : text);
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  std::ranges::replace(out, '\n', ' ');
  return out;
}

// libpq says why a connection failed in words only.
Error ConnectError(const std::string& message, const ConnectionParameters& to) {
  const auto says = [&](std::string_view part) { return message.find(part) != std::string::npos; };
  const std::string at = "Postgres at " + to.place + ": ";
  if (says("password authentication failed") || says("no password supplied") || says("authentication failed")) {
    return {ErrorKind::kUnauthenticated, at + message + "; correct user and password in " + to.source};
  }
  if (says("no pg_hba.conf entry")) {
    return {ErrorKind::kPermissionDenied,
            at + message + "; its pg_hba.conf must let this user in from here (with TLS where it says hostssl)"};
  }
  if (says("certificate") || says("SSL error") || says("does not support SSL") || says("root certificate")) {
    return {ErrorKind::kUnauthenticated,
            at + message +
                (says("verify failed") ? "; its certificate has run out, or the authority named (tls.ca) has not signed it: openssl "
                                         "s_client -starttls postgres -connect HOST:PORT shows it"
                                       : "; look at the server's certificate, and at sslmode and the authority (tls.ca)")};
  }
  if (says("database \"") && says("does not exist"))
    return {ErrorKind::kNotFound, at + message + "; make it with encoding UTF8: createdb -E UTF8 -T template0 " + to.database};
  if (says("role \"") && (says("does not exist") || says("is not permitted to log in")))
    return {ErrorKind::kUnauthenticated, at + message + "; make the role, or correct the user in " + to.source};
  if (says("replication role")) {
    return {ErrorKind::kPermissionDenied, at + message + "; ALTER ROLE " + Quote(to.user) + " REPLICATION"};
  }
  if (says("permission denied")) return {ErrorKind::kPermissionDenied, at + message};
  if (says("too many connections") || says("connection slots")) {
    return {ErrorKind::kResourceExhausted, at + message + "; raise max_connections there, or lower connections_max here"};
  }
  return {ErrorKind::kUnavailable, at + message};
}

}  // namespace

Error ToError(std::string_view sqlstate, std::string_view message, const ConnectionParameters& to) {
  const std::string text = "Postgres at " + to.place + ": " + std::string(message);
  const std::string_view family = sqlstate.substr(0, 2);
  const std::string code = sqlstate.empty() ? "" : " (" + std::string(sqlstate) + ")";
  if (sqlstate.empty() || family == "08" || sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03" || sqlstate == "57P05") {
    return {ErrorKind::kUnavailable, text + code};
  }
  if (sqlstate == "57014") return {ErrorKind::kDeadlineExceeded, text + code + "; ask for less, or raise statement_timeout"};
  if (sqlstate == "25P03" || sqlstate == "55P03" || family == "40") return {ErrorKind::kUnavailable, text + code};
  if (sqlstate == "55006") return {ErrorKind::kAlreadyExists, text + code};  // in use: somebody holds the slot
  if (sqlstate == "25006") {
    return {ErrorKind::kUnavailable, text + code + ": the server is read only; connect to the primary (target_session_attrs=read-write)"};
  }
  if (family == "28") return {ErrorKind::kUnauthenticated, text + code};
  if (sqlstate == "42501") return {ErrorKind::kPermissionDenied, text + code};
  if (sqlstate == "53100") return {ErrorKind::kResourceExhausted, text + code + "; make room on the server's disk"};
  if (family == "53" || family == "54") return {ErrorKind::kResourceExhausted, text + code};
  if (sqlstate == "42P01" || sqlstate == "42703" || sqlstate == "42804" || sqlstate == "3F000" || sqlstate == "22P04" || family == "23") {
    return {ErrorKind::kFailedPrecondition, text + code};
  }
  if (sqlstate == "XX001" || sqlstate == "XX002") return {ErrorKind::kCorruption, text + code};
  if (family == "58") return {ErrorKind::kIo, text + code};
  if (family == "22") return {ErrorKind::kInvalidArgument, text + code};
  return {ErrorKind::kInternal, text + code};
}

Answer::Answer(pg_result* result) : result_(result, PQclear) {}
std::size_t Answer::rows() const { return result_ ? static_cast<std::size_t>(PQntuples(result_.get())) : 0; }
std::size_t Answer::columns() const { return result_ ? static_cast<std::size_t>(PQnfields(result_.get())) : 0; }
bool Answer::IsNull(std::size_t row, std::size_t column) const {
  return PQgetisnull(result_.get(), static_cast<int>(row), static_cast<int>(column)) != 0;
}
std::string_view Answer::Bytes(std::size_t row, std::size_t column) const {
  const int r = static_cast<int>(row);
  const int c = static_cast<int>(column);
  return {PQgetvalue(result_.get(), r, c), static_cast<std::size_t>(PQgetlength(result_.get(), r, c))};
}
std::int64_t Answer::Int64(std::size_t row, std::size_t column) const {
  const std::string_view bytes = Bytes(row, column);
  switch (bytes.size()) {
    case 8: return LoadBe<std::int64_t>(bytes.data());
    case 4: return LoadBe<std::int32_t>(bytes.data());
    case 2: return LoadBe<std::int16_t>(bytes.data());
    default: return 0;
  }
}
double Answer::Double(std::size_t row, std::size_t column) const {
  const std::string_view bytes = Bytes(row, column);
  return bytes.size() == 8 ? std::bit_cast<double>(LoadBe<std::uint64_t>(bytes.data())) : 0;
}
bool Answer::Bool(std::size_t row, std::size_t column) const {
  const std::string_view bytes = Bytes(row, column);
  return !bytes.empty() && bytes[0] != 0;
}
stores::Value Answer::ValueAt(std::size_t row, std::size_t column, FieldType type) const {
  if (IsNull(row, column)) return {};
  switch (type) {
    case FieldType::kInt64: return Int64(row, column);
    case FieldType::kDouble: return Double(row, column);
    case FieldType::kBool: return Bool(row, column);
    case FieldType::kString: return Text(row, column);
  }
  return {};
}
std::uint64_t Answer::changed() const {
  if (!result_) return 0;
  const std::string_view text = PQcmdTuples(result_.get());
  return text.empty() ? 0 : std::strtoull(text.data(), nullptr, 10);
}

Result<Connection> Connection::Open(const ConnectionParameters& parameters, const runtime::Clock& clock, Purpose purpose) {
  Connection connection;
  connection.parameters_ = std::make_shared<const ConnectionParameters>(parameters);
  connection.clock_ = &clock;
  SL_TRY(connection.Connect(purpose));
  if (purpose == Purpose::kSql) SL_TRY(connection.Settle());
  return connection;
}

std::int64_t Connection::Deadline() const { return clock_->MonotonicNs() + Ns(parameters_->statement_timeout + kGrace); }
int Connection::version() const { return PQserverVersion(handle_.get()); }
bool Connection::encrypted() const { return PQsslInUse(handle_.get()) != 0; }
bool Connection::idle() const { return PQtransactionStatus(handle_.get()) == PQTRANS_IDLE; }

Status Connection::Connect(Purpose purpose) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const auto& [keyword, value] : parameters_->keywords) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  if (purpose == Purpose::kReplication) {
    keywords.push_back("replication");
    values.push_back("database");
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  handle_ = {PQconnectStartParams(keywords.data(), values.data(), 0), PQfinish};
  if (!handle_) return Fail(ErrorKind::kResourceExhausted, "out of memory for a connection to Postgres");
  const std::int64_t deadline = clock_->MonotonicNs() + Ns(parameters_->connect_timeout);
  PostgresPollingStatusType state = PQstatus(handle_.get()) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) {
      broken_ = true;
      return std::unexpected(ConnectError(Trimmed(PQerrorMessage(handle_.get())), *parameters_));
    }
    SL_TRY(Await(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, "connecting"));
    state = PQconnectPoll(handle_.get());
  }
  PQsetnonblocking(handle_.get(), 1);
  PQsetNoticeProcessor(handle_.get(), [](void*, const char*) {}, nullptr);
  return {};
}

// What every session of ours relies on, whatever role, database and server have as their defaults.
Status Connection::Settle() {
  if (version() < kVersionLeast) {
    return Fail(ErrorKind::kFailedPrecondition, "Postgres at " + parameters_->place + " has version " + std::to_string(version() / 10000) +
                                                    "; at least " + std::to_string(kVersionLeast / 10000) + " is needed");
  }
  const char* encoding = PQparameterStatus(handle_.get(), "server_encoding");
  if (encoding == nullptr || std::string_view(encoding) != "UTF8") {
    return Fail(ErrorKind::kFailedPrecondition, "Postgres at " + parameters_->place + ": the database has encoding " +
                                                    (encoding == nullptr ? "unknown" : encoding) +
                                                    "; make one with UTF8: createdb -E UTF8 -T template0 NAME");
  }
  const std::string timeout = std::to_string(parameters_->statement_timeout.count());
  SL_TRY(
      Execute("SET TimeZone = 'UTC'; SET search_path = pg_catalog; SET standard_conforming_strings = on; SET cursor_tuple_fraction = 1;"
              "SET statement_timeout = " +
              timeout + "; SET lock_timeout = " + timeout +
              "; SET idle_in_transaction_session_timeout = 600000;"
              "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"));
  return {};
}

Error Connection::Lost(std::string_view doing) {
  broken_ = true;
  const std::string message = Trimmed(PQerrorMessage(handle_.get()));
  return ToError("", (message.empty() ? "the connection is gone" : message) + " (" + std::string(doing) + ")", *parameters_);
}

Status Connection::Await(short events, std::int64_t deadline_ns, std::string_view doing) {
  while (true) {
    const std::int64_t left = deadline_ns - clock_->MonotonicNs();
    if (left <= 0) {
      broken_ = true;
      return Fail(ErrorKind::kDeadlineExceeded, "Postgres at " + parameters_->place + " does not answer (" + std::string(doing) + ")");
    }
    pollfd descriptor{.fd = PQsocket(handle_.get()), .events = events, .revents = 0};
    const int ready = poll(&descriptor, 1, static_cast<int>(std::min<std::int64_t>(left / 1'000'000 + 1, 60'000)));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return std::unexpected(Lost(doing));
  }
}

Status Connection::Flush(std::int64_t deadline_ns) {
  while (true) {
    const int left = PQflush(handle_.get());
    if (left == 0) return {};
    if (left < 0) return std::unexpected(Lost("sending"));
    // The server may have something to say before it takes more.
    SL_TRY(Await(POLLIN | POLLOUT, deadline_ns, "sending"));
    if (PQconsumeInput(handle_.get()) == 0) return std::unexpected(Lost("sending"));
  }
}

Result<pg_result*> Connection::NextResult(std::int64_t deadline_ns) {
  SL_TRY(Flush(deadline_ns));
  while (PQisBusy(handle_.get()) != 0) {
    SL_TRY(Await(POLLIN, deadline_ns, "waiting for an answer"));
    if (PQconsumeInput(handle_.get()) == 0) return std::unexpected(Lost("waiting for an answer"));
  }
  return PQgetResult(handle_.get());
}

// Every result of what was sent; the last with rows is the answer, the first error the error.
Result<Answer> Connection::Collect(std::int64_t deadline_ns) {
  Answer answer(nullptr);
  std::optional<Error> failure;
  while (true) {
    SL_ASSIGN_OR_RETURN(pg_result * result, NextResult(deadline_ns));
    if (result == nullptr) break;
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || (status == PGRES_COMMAND_OK && answer.columns() == 0)) {
      answer = Answer(result);
      continue;
    }
    const Answer owner(result);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_BOTH || status == PGRES_COPY_OUT) return Answer(nullptr);
    if (status == PGRES_COMMAND_OK || failure) continue;
    const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    failure = ToError(code == nullptr ? "" : code, Trimmed(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)), *parameters_);
    if (const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL)) failure->message += ": " + Trimmed(detail);
    if (PQstatus(handle_.get()) == CONNECTION_BAD) {
      broken_ = true;
      break;
    }
  }
  if (failure) return std::unexpected(*std::move(failure));
  return answer;
}

Result<Answer> Connection::Execute(const std::string& sql) {
  if (PQsendQuery(handle_.get(), sql.c_str()) == 0) return std::unexpected(Lost("sending a statement"));
  return Collect(Deadline());
}

Result<Answer> Connection::Query(const std::string& sql, std::span<const Parameter> parameters) {
  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
  for (const Parameter& parameter : parameters) {
    types.push_back(parameter.type);
    values.push_back(parameter.bytes ? parameter.bytes->data() : nullptr);
    lengths.push_back(parameter.bytes ? static_cast<int>(parameter.bytes->size()) : 0);
    formats.push_back(1);
  }
  if (PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(types.size()), types.data(), values.data(), lengths.data(),
                        formats.data(), 1) == 0) {
    return std::unexpected(Lost("sending a statement"));
  }
  return Collect(Deadline());
}

Result<std::uint64_t> Connection::CopyIn(const std::string& sql, std::string_view body) {
  SL_TRY(Execute(sql));
  static constexpr char kHeader[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
  static constexpr char kTrailer[] = "\377\377";
  const std::int64_t deadline = Deadline();
  const auto put = [&](std::string_view bytes) -> Status {
    for (std::size_t at = 0; at < bytes.size(); at += kCopyPiece) {
      const std::string_view piece = bytes.substr(at, kCopyPiece);
      int taken = 0;
      while ((taken = PQputCopyData(handle_.get(), piece.data(), static_cast<int>(piece.size()))) == 0) {
        SL_TRY(Await(POLLIN | POLLOUT, deadline, "sending rows"));
        if (PQconsumeInput(handle_.get()) == 0 || PQflush(handle_.get()) < 0) return std::unexpected(Lost("sending rows"));
      }
      if (taken < 0) return std::unexpected(Lost("sending rows"));
    }
    return {};
  };
  SL_TRY(put(std::string_view(kHeader, 19)));
  SL_TRY(put(body));
  SL_TRY(put(std::string_view(kTrailer, 2)));
  int ended = 0;
  while ((ended = PQputCopyEnd(handle_.get(), nullptr)) == 0) {
    SL_TRY(Await(POLLOUT, deadline, "sending rows"));
    if (PQflush(handle_.get()) < 0) return std::unexpected(Lost("sending rows"));
  }
  if (ended < 0) return std::unexpected(Lost("sending rows"));
  SL_ASSIGN_OR_RETURN(const Answer answer, Collect(deadline));
  return answer.changed();
}

Status Connection::StartStream(const std::string& command) {
  if (PQsendQuery(handle_.get(), command.c_str()) == 0) return std::unexpected(Lost("starting the stream"));
  SL_TRY(Collect(Deadline()));
  return {};
}

Result<std::optional<std::string>> Connection::ReceiveMessage(std::chrono::milliseconds patience) {
  const std::int64_t until = clock_->MonotonicNs() + Ns(patience);
  while (true) {
    char* buffer = nullptr;
    const int size = PQgetCopyData(handle_.get(), &buffer, 1);
    if (size > 0) {
      std::string message(buffer, static_cast<std::size_t>(size));
      PQfreemem(buffer);
      return std::optional(std::move(message));
    }
    if (size == -1) {
      broken_ = true;
      SL_TRY(Collect(Deadline()));
      return Fail(ErrorKind::kUnavailable, "Postgres at " + parameters_->place + " ended the replication stream");
    }
    if (size < -1) return std::unexpected(Lost("reading the replication stream"));
    const std::int64_t left = until - clock_->MonotonicNs();
    if (left <= 0) return std::optional<std::string>();
    pollfd descriptor{.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0};
    const int ready = poll(&descriptor, 1, static_cast<int>(left / 1'000'000 + 1));
    if (ready == 0) return std::optional<std::string>();
    if (ready < 0 && errno != EINTR) return std::unexpected(Lost("reading the replication stream"));
    if (ready > 0 && PQconsumeInput(handle_.get()) == 0) return std::unexpected(Lost("reading the replication stream"));
  }
}

Status Connection::SendMessage(std::string_view message) {
  const std::int64_t deadline = Deadline();
  int taken = 0;
  while ((taken = PQputCopyData(handle_.get(), message.data(), static_cast<int>(message.size()))) == 0) {
    SL_TRY(Await(POLLOUT, deadline, "confirming"));
    if (PQflush(handle_.get()) < 0) return std::unexpected(Lost("confirming"));
  }
  if (taken < 0) return std::unexpected(Lost("confirming"));
  return Flush(deadline);
}

bool Connection::Alive() {
  if (broken_) return false;
  pollfd descriptor{.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0};
  if (poll(&descriptor, 1, 0) > 0 && (PQconsumeInput(handle_.get()) == 0 || PQstatus(handle_.get()) == CONNECTION_BAD)) broken_ = true;
  // A server that shuts down says so and closes: the words are there before the end of the stream is.
  if (!broken_ && (descriptor.revents & (POLLHUP | POLLERR)) != 0) broken_ = true;
  return !broken_;
}

Result<Transaction> Transaction::Begin(Connection& connection, const std::string& begin) {
  SL_TRY(connection.Execute(begin));
  return Transaction(connection);
}

Transaction::~Transaction() {
  if (connection_ != nullptr && !connection_->broken() && !connection_->idle()) (void)connection_->Execute("ROLLBACK");
}

Status Transaction::Commit() {
  Connection& connection = *std::exchange(connection_, nullptr);
  auto committed = connection.Execute("COMMIT");
  if (committed) return {};
  Error error = std::move(committed).error();
  if (connection.broken()) error.message += "; whether the transaction is there will be seen by the stored offsets";
  return std::unexpected(std::move(error));
}

std::string Quote(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

std::string Literal(std::string_view text) {
  // Sessions have standard_conforming_strings on: only the quote is special.
  std::string out = "'";
  for (const char c : text) out.append(c == '\'' ? 2 : 1, c);
  return out + "'";
}

}  // namespace sightline::postgres
