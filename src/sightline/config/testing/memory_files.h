#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "sightline/runtime/file_system.h"

namespace sightline::config {

// A file system that holds a few texts and lets nobody write, for tests of what is only read. Not thread-safe.
class MemoryFiles final : public runtime::FileSystem {
 public:
  std::map<std::string, std::string> files;

  Result<std::unique_ptr<runtime::File>> Open(const std::string& path, runtime::OpenMode mode) override;
  Result<std::vector<runtime::FileInfo>> List(const std::string& directory) override;
  Status CreateDirectories(const std::string& directory) override;
  Status SyncDirectory(const std::string& directory) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status RenameNew(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Result<bool> Exists(const std::string& path) override { return files.contains(path); }
  Result<runtime::FileInfo> Stat(const std::string& path) override;
  Result<std::uint64_t> FreeBytes(const std::string& directory) override;
  Result<std::unique_ptr<runtime::DirectoryLock>> Lock(const std::string& directory) override;
};

}  // namespace sightline::config
