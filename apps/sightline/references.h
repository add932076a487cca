#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apps/sightline/objects.h"
#include "connectors/postgres/reference_follower.h"
#include "sightline/config/config.h"
#include "sightline/flow/committed_partition.h"
#include "sightline/flow/reference_store.h"
#include "sightline/ops/log.h"
#include "sightline/runtime/runtime.h"

namespace sightline::app {

// The rows of a reference, from its file, its object, or its table as it is now. Errors name the reference's source and the place in it.
Result<ColumnBatch> ReadReferenceRows(const config::ReferenceConfig& reference, const runtime::Runtime& runtime, Objects& objects);

// Reads references from their sources into the catalog; a changed one becomes a new kept version first. Thread-safe. What is handed in
// must outlive it.
class ReferenceLoader {
 public:
  ReferenceLoader(const config::Config& config, const runtime::Runtime& runtime, Objects& objects, flow::ReferenceStore& store,
                  flow::ReferenceCatalog& catalog)
      : config_(config), runtime_(runtime), objects_(objects), store_(store), catalog_(catalog) {}

  // A reference whose service did not answer, so that the version read last is used.
  struct Outdated {
    std::string reference;
    Error error;
  };
  // Tables on Postgres servers.
  enum class Tables : std::uint8_t { kReadOnce, kLeaveOut };
  // All of the configuration. Errors name the reference and the place in its source.
  Result<std::vector<Outdated>> LoadAll(Tables tables);
  // One of them again; the version in effect. An object whose etag is the one that was read last is not read again.
  Result<flow::ReferenceHandle> Reload(const config::ReferenceConfig& reference);
  // Rows that somebody else read.
  Result<flow::ReferenceHandle> Install(const config::ReferenceConfig& reference, ColumnBatch rows);
  // Puts a version in effect that another process made since; the version in effect, null when there is none.
  Result<flow::ReferenceHandle> TakeUpNewer(const config::ReferenceConfig& reference);
  // The version that is kept from before, now in effect; null when none is.
  Result<flow::ReferenceHandle> InstallKept(const config::ReferenceConfig& reference);

 private:
  const config::Config& config_;
  runtime::Runtime runtime_;
  Objects& objects_;
  flow::ReferenceStore& store_;
  flow::ReferenceCatalog& catalog_;
  std::mutex mutex_;
  std::map<std::string, std::string> etags_;  // by reference
};

// The references that are followed on Postgres servers while a server runs: each change of a table is a new version. Everything given
// outlives it. Thread-safe.
class FollowedReferences {
 public:
  // Installs the versions that are kept and begins to follow. Waits for the first version of a table of which none is kept: without it
  // results would go out without its names.
  static Result<std::unique_ptr<FollowedReferences>> Start(const config::Config& config, const runtime::Runtime& runtime,
                                                           const std::string& data, ReferenceLoader& loader, const ops::Log& log);
  std::map<std::string, postgres::FollowerStatus> status() const;

 private:
  std::map<std::string, std::unique_ptr<postgres::ReferenceFollower>> followers_;
};
// Who else follows with the same slot.
enum class Sharing : std::uint8_t { kNobody, kProcesses };
postgres::FollowerOptions FollowerOptionsOf(const config::ReferenceConfig& reference, const std::string& data, Sharing sharing);

// Kept versions of the plan's references, for input that is processed again. Both must outlive the answer.
flow::ReferenceVersions VersionsOf(flow::ReferenceStore& store, const flow::Plan& plan);

}  // namespace sightline::app
