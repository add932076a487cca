#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "apps/sightline/objects.h"
#include "sightline/config/config.h"
#include "sightline/flow/committed_partition.h"
#include "sightline/flow/reference_store.h"

namespace sightline::app {

// The rows of a reference, from its file or object. Errors name the reference's source and the place in it.
Result<ColumnBatch> ReadReferenceRows(const config::ReferenceConfig& reference, runtime::FileSystem& files, Objects& objects);

// Reads references from their sources into the catalog; a changed one becomes a new kept version first. Thread-safe. What is handed in
// must outlive it.
class ReferenceLoader {
 public:
  ReferenceLoader(const config::Config& config, runtime::FileSystem& files, Objects& objects, flow::ReferenceStore& store,
                  flow::ReferenceCatalog& catalog)
      : config_(config), files_(files), objects_(objects), store_(store), catalog_(catalog) {}

  // A reference whose service did not answer, so that the version read last is used.
  struct Outdated {
    std::string reference;
    Error error;
  };
  // All of the configuration. Errors name the reference and the place in its source.
  Result<std::vector<Outdated>> LoadAll();
  // One of them again; the version in effect. An object whose etag is the one that was read last is not read again.
  Result<flow::ReferenceHandle> Reload(const config::ReferenceConfig& reference);

 private:
  const config::Config& config_;
  runtime::FileSystem& files_;
  Objects& objects_;
  flow::ReferenceStore& store_;
  flow::ReferenceCatalog& catalog_;
  std::mutex mutex_;
  std::map<std::string, std::string> etags_;  // by reference
};

// Kept versions of the plan's references, for input that is processed again. Both must outlive the answer.
flow::ReferenceVersions VersionsOf(flow::ReferenceStore& store, const flow::Plan& plan);

}  // namespace sightline::app
