#pragma once

#include <map>
#include <memory>
#include <string>

#include "connectors/postgres/reference_follower.h"
#include "sightline/config/config.h"
#include "sightline/flow/committed_partition.h"
#include "sightline/flow/reference_store.h"
#include "sightline/ops/log.h"
#include "sightline/runtime/runtime.h"

namespace sightline::app {

// Reads every reference of the configuration from its source and installs it in the catalog; a changed one becomes a new kept
// version first. Tables on a Postgres server are read once, as they are. Errors name the reference and the place in its file.
Status LoadReferences(const config::Config& config, const runtime::Runtime& runtime, flow::ReferenceStore& store,
                      flow::ReferenceCatalog& catalog);
// One of them again; the version in effect.
Result<flow::ReferenceHandle> ReloadReference(const config::ReferenceConfig& reference, const runtime::Runtime& runtime,
                                              flow::ReferenceStore& store, flow::ReferenceCatalog& catalog);

// The references that are followed on Postgres servers while a server runs: each change of a table is a new version. Everything given
// outlives it. Thread-safe.
class FollowedReferences {
 public:
  // Installs the versions that are kept and begins to follow. Waits for the first version of a table of which none is kept: without it
  // results would go out without its names.
  static Result<std::unique_ptr<FollowedReferences>> Start(const config::Config& config, const runtime::Runtime& runtime,
                                                           const std::string& data, flow::ReferenceStore& store,
                                                           flow::ReferenceCatalog& catalog, const ops::Log& log);
  std::map<std::string, postgres::FollowerStatus> status() const;

 private:
  std::map<std::string, std::unique_ptr<postgres::ReferenceFollower>> followers_;
};
postgres::FollowerOptions FollowerOptionsOf(const config::ReferenceConfig& reference, const std::string& data);

// Kept versions of the plan's references, for input that is processed again. Both must outlive the answer.
flow::ReferenceVersions VersionsOf(flow::ReferenceStore& store, const flow::Plan& plan);

}  // namespace sightline::app
