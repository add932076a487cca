#pragma once

#include "sightline/runtime/file_system.h"

namespace sightline::runtime {

// The files of this machine, through POSIX calls. Thread-safe, without state.
class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<std::vector<FileInfo>> List(const std::string& directory) override;
  Status CreateDirectories(const std::string& directory) override;
  Status SyncDirectory(const std::string& directory) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status RenameNew(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Result<bool> Exists(const std::string& path) override;
  Result<FileInfo> Stat(const std::string& path) override;
  Result<std::uint64_t> FreeBytes(const std::string& directory) override;
  Result<std::unique_ptr<DirectoryLock>> Lock(const std::string& directory) override;
};

}  // namespace sightline::runtime
