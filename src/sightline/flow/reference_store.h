#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "sightline/flow/reference.h"
#include "sightline/runtime/file_system.h"

namespace sightline::flow {

// Keeps the versions of references on disk, so that input joined with an old one can be processed again with the same result.
//   <directory>/<reference>/<version>
// Thread-safe.
class ReferenceStore {
 public:
  ReferenceStore(runtime::FileSystem& files, std::string directory) : files_(files), directory_(std::move(directory)) {}

  // Makes `rows` the newest version, durably, and gives it; the present newest when the rows are the same. Old versions beyond
  // kKept are removed.
  Result<ReferenceHandle> Add(const std::string& name, const Schema& schema, int key, ColumnBatch rows);
  // kNotFound when that version is no longer kept.
  Result<ReferenceHandle> Load(const std::string& name, const Schema& schema, int key, std::uint64_t version);
  // The newest version, or null when there is none.
  Result<ReferenceHandle> Newest(const std::string& name, const Schema& schema, int key);

 private:
  static constexpr std::size_t kKept = 64;
  Result<std::map<std::uint64_t, std::string>> Versions(const std::string& name);
  Result<ReferenceHandle> NewestLocked(const std::string& name, const Schema& schema, int key);

  runtime::FileSystem& files_;
  std::string directory_;
  std::mutex mutex_;
};

}  // namespace sightline::flow
