#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sightline/base/result.h"

// What a replication stream says: PostgreSQL documentation, "Streaming Replication Protocol" and "Logical Replication Message Formats"
// (protocol version 1). A position in the server's log is a number of bytes (LSN).
namespace sightline::postgres {

using Lsn = std::uint64_t;
std::string LsnText(Lsn lsn);            // "0/16B3748"
std::optional<Lsn> ParseLsn(std::string_view text);

namespace pgoutput {

// A value of a row in text form.
struct Cell {
  enum class Kind : std::uint8_t { kNull, kText, kUnchanged };  // unchanged: a large value that an update left as it was
  Kind kind = Kind::kNull;
  std::string_view text{};
};
using Tuple = std::vector<Cell>;

struct Begin {
  Lsn final = 0;
};
struct Commit {
  Lsn end = 0;  // the transaction ends here: what is to be confirmed
};
struct Relation {
  struct Column {
    bool key = false;  // part of the replica identity
    std::string name;
  };
  std::uint32_t id = 0;
  std::string schema;
  std::string name;
  std::vector<Column> columns;
};
struct Insert {
  std::uint32_t relation = 0;
  Tuple row;
};
struct Update {
  std::uint32_t relation = 0;
  std::optional<Tuple> old;  // when the identity changed, or all of the row is it
  Tuple row;
};
struct Delete {
  std::uint32_t relation = 0;
  Tuple old;
};
struct Truncate {
  std::vector<std::uint32_t> relations;
};
struct Other {};  // origins, types, messages
using Message = std::variant<Begin, Commit, Relation, Insert, Update, Delete, Truncate, Other>;

// kCorruption when the bytes are no such message. Views point into `bytes`.
Result<Message> Parse(std::string_view bytes);

// The envelope of the stream.
struct Data {
  Lsn end = 0;
  std::string_view payload{};
};
struct KeepAlive {
  Lsn end = 0;
  bool answer = false;  // the server asks for a sign of life
};
Result<std::variant<Data, KeepAlive>> ParseEnvelope(std::string_view bytes);
// "Up to here everything is kept": the standby status update. `now_us` is microseconds since 2000.
std::string StatusUpdate(Lsn kept, std::int64_t now_us);

}  // namespace pgoutput
}  // namespace sightline::postgres
