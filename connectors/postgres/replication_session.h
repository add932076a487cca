#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connectors/postgres/connection.h"
#include "connectors/postgres/followed_table.h"
#include "connectors/postgres/reference_follower.h"
#include "sightline/base/result.h"

namespace sightline::postgres {

// What the server has of the table that is to be followed.
struct TableDescription {
  std::string schema;
  std::string name;
  std::vector<std::string> columns;
  std::vector<bool> identity;
  std::string Quoted() const;
};
// kNotFound when there is no such table or no column of the contract's; kFailedPrecondition without a replica identity, since a publication
// would then make updates of the table fail: with what to do.
Result<TableDescription> DescribeTable(Connection& connection, const FollowerOptions& options);
// Makes the publication when it is missing; kFailedPrecondition when one of that name does not publish the whole table.
Status EnsurePublication(Connection& connection, const FollowerOptions& options, const TableDescription& table);

struct SlotState {
  Lsn confirmed = 0;
  bool active = false;
  bool usable = false;  // of our plugin and database, and the server still has the log for it
  std::string why;  // when it is not
  std::int64_t lag_bytes = 0;
};
Result<std::optional<SlotState>> ReadSlot(Connection& connection, const FollowerOptions& options);
// The server's identifier and timeline: another one is another log.
Result<std::string> SystemIdentifier(Connection& replication);
// The described columns of the table as the transaction of the connection, if any, sees it.
Status ReadRows(Connection& connection, const TableDescription& description, FollowedTable& into);

// Makes the slot and reads the table as it was at that moment; `replication` is a connection for replication.
Status TakeSnapshot(Connection& connection, Connection& replication, const FollowerOptions& options, const TableDescription& description,
                    FollowedTable& into);

}  // namespace sightline::postgres
