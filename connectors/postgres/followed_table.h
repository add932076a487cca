#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/postgres/pgoutput.h"
#include "sightline/base/result.h"
#include "sightline/model/schema.h"

namespace sightline::postgres {

// The rows of a table that is followed, as texts, of the columns that are needed: those of the contract and the replica identity. Its
// state as bytes lets a restart go on from a position. One thread.
class FollowedTable {
 public:
  using Row = std::vector<std::optional<std::string>>;  // by column
  // What the state belongs to: another server, slot or set of columns makes it void.
  struct Origin {
    std::string system;  // the server's system identifier
    std::string slot;
    std::string table;
    std::vector<std::string> columns;
    std::vector<bool> identity;  // by column
    friend bool operator==(const Origin&, const Origin&) = default;
  };

  // Empty, at no position.
  void Begin(Origin origin, Lsn position);
  void Put(Row row);
  // Takes a relation's columns; kFailedPrecondition when a needed one is gone or the identity is another: a new snapshot is needed.
  Status Describe(const pgoutput::Relation& relation);
  // kCorruption for rows of other columns than described.
  Status Insert(const pgoutput::Tuple& row);
  Status Update(const pgoutput::Update& update);
  Status Remove(const pgoutput::Tuple& old);
  void Clear() { rows_.clear(); }

  // Every row as a line of JSON with the fields of the schema, in the order of the identity.
  std::string Lines(const Schema& schema) const;
  std::size_t size() const { return rows_.size(); }
  const Origin& origin() const { return origin_; }
  Lsn position() const { return position_; }
  void MoveTo(Lsn position) { position_ = position; }

  // Layout: docs/formats/followed_table.md.
  std::string Serialize() const;
  static Result<FollowedTable> Deserialize(std::string_view bytes);

 private:
  Result<Row> Take(const pgoutput::Tuple& tuple) const;
  std::string KeyOf(const Row& row) const;

  Origin origin_;
  Lsn position_ = 0;
  std::map<std::string, Row> rows_;   // by the identity's values
  std::vector<std::size_t> places_;   // of our columns among the relation's
  std::size_t relation_columns_ = 0;
};

}  // namespace sightline::postgres
