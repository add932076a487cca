#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "connectors/postgres/connection_options.h"
#include "connectors/postgres/examination.h"
#include "sightline/base/result.h"
#include "sightline/model/schema.h"
#include "sightline/ops/log.h"
#include "sightline/runtime/runtime.h"

namespace sightline::postgres {

struct FollowerOptions {
  ConnectionOptions connection{};
  std::string reference{};    // its name, for messages
  std::string table{};        // "locations", "public.locations"
  std::string slot{};
  std::string publication{};
  Schema schema{};            // of the contract
  std::string state_file{};   // where rows and position are kept
  bool shared = false;        // several processes of ours share the slot: one follows, the others stand by
  std::uint64_t lag_bytes_max = 1ULL << 30;
  std::chrono::milliseconds heartbeat{10'000};
  // Changes that come close together make one version: those of `gather`, and no two versions within `between`.
  std::chrono::milliseconds gather{50};
  std::chrono::milliseconds between{500};
};

struct FollowerStatus {
  bool following = false;                // connected, and everything up to a moment ago is in effect
  bool standing_by = false;              // another process follows with the same slot; this one does when it goes
  std::optional<std::string> error{};    // while it is neither, or while the rows are refused
  std::int64_t slot_lag_bytes = 0;       // of the server's log that wait for us, when last looked at
  bool slot_lag_alarm = false;           // more than lag_bytes_max
  std::uint64_t snapshots = 0;           // since the start
  std::uint64_t transactions = 0;        // of others, with changes to the table
  std::uint64_t versions = 0;            // given to `take`
};

// Follows a table of a Postgres database: a consistent snapshot first, then every change by logical replication (pgoutput). Rows and the
// position they belong to are kept in a file before the server is told so; a restart goes on from there, and the server keeps its log
// meanwhile. A slot that is gone, of another server or behind what the server still has is said, and a new snapshot is taken. A slot that
// another process has is left to it until it goes. A thread of its own; after an error it tries again with a pause that doubles up to ten
// seconds.
class ReferenceFollower {
 public:
  // Gets the table as lines of JSON (see FollowedTable::Lines), from the follower's thread. An error means that the rows break the
  // contract: the version in effect stays, and the next change is another chance.
  using Take = std::function<Status(const std::string& lines)>;

  // kInvalidArgument when the connection's text is none.
  static Result<std::unique_ptr<ReferenceFollower>> Start(const runtime::Runtime& runtime, FollowerOptions options, Take take,
                                                          ops::Log log);
  ~ReferenceFollower();
  ReferenceFollower(const ReferenceFollower&) = delete;
  ReferenceFollower& operator=(const ReferenceFollower&) = delete;

  // Waits until a first version was taken, here or by who has the slot; the last error when `patience` is over.
  Status AwaitFirst(std::chrono::milliseconds patience);
  FollowerStatus status() const;

 private:
  class Session;
  ReferenceFollower(const runtime::Runtime& runtime, FollowerOptions options, ConnectionParameters parameters, Take take, ops::Log log);
  void Run(const std::stop_token& stop);
  template <typename Change>
  void Note(Change change);

  const runtime::Runtime runtime_;
  const FollowerOptions options_;
  const ConnectionParameters parameters_;
  const Take take_;
  const ops::Log log_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  FollowerStatus status_;
  std::jthread thread_;
};

// The table as it is now, as lines of JSON; without slot and publication.
Result<std::string> ReadTableOnce(const FollowerOptions& options, const runtime::Clock& clock);

// Looks at a server as a followed table needs it, and changes nothing.
std::vector<Check> ExamineReference(const FollowerOptions& options, const runtime::Clock& clock);

}  // namespace sightline::postgres
