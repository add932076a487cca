#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"

namespace sightline::runtime {

// One open file. Writes go to the page cache; only Sync makes them durable. A failed Sync leaves it unknown what is
// durable: the caller must stop using the file (never retry). Calls from several threads are safe as long as they touch
// different byte ranges.
class File {
 public:
  virtual ~File() = default;
  // Writes all of `bytes`, extending the file where needed. kResourceExhausted when the disk is full; a part may be written.
  virtual Status WriteAt(std::uint64_t position, std::string_view bytes) = 0;
  // Reads up to `size` bytes; fewer only at the end of the file.
  virtual Result<std::size_t> ReadAt(std::uint64_t position, char* to, std::size_t size) const = 0;
  // fdatasync: contents and size.
  virtual Status Sync() = 0;
  virtual Status Truncate(std::uint64_t size) = 0;
  // Sets the time that Stat gives; as durable as the contents. Writes set it again.
  virtual Status SetModified(std::int64_t ns) = 0;
  // Reserves room and extends the size; the new bytes read as zero.
  virtual Status Preallocate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> Size() const = 0;
  // A read-only view of the first `size` bytes, which sees later writes; valid while the file is open. One mapping a file.
  // It may reach past Size(): the bytes there must not be touched until the file has grown over them.
  virtual Result<std::string_view> Map(std::uint64_t size) = 0;
};

enum class OpenMode : std::uint8_t {
  kRead,            // must exist
  kReadWrite,       // must exist
  kCreate,          // made when missing
  kCreateExclusive, // must not exist
};

struct FileInfo {
  std::string name;  // within its directory
  bool directory = false;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  // since 1970
};

// Held by the process that owns a directory; released when destroyed or when the process ends.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

// The local file system, or a simulated one. Thread-safe. A created, renamed or removed name is durable only after
// SyncDirectory of its parent.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // Entries in order of their names.
  virtual Result<std::vector<FileInfo>> List(const std::string& directory) = 0;
  virtual Status CreateDirectories(const std::string& directory) = 0;
  virtual Status SyncDirectory(const std::string& directory) = 0;
  // Replaces `to` atomically.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  // Rename for a `to` that must not exist: kAlreadyExists, and nothing happened.
  virtual Status RenameNew(const std::string& from, const std::string& to) = 0;
  // A file, or a directory with everything below it. Not an error when missing.
  virtual Status Remove(const std::string& path) = 0;
  virtual Result<bool> Exists(const std::string& path) = 0;
  // Of a file or directory; `name` is the last part of the path.
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  // Bytes that can still be written below `directory`.
  virtual Result<std::uint64_t> FreeBytes(const std::string& directory) = 0;
  // kFailedPrecondition, naming the owner's process id, when another process holds it.
  virtual Result<std::unique_ptr<DirectoryLock>> Lock(const std::string& directory) = 0;
};

// The whole of a file. kResourceExhausted when it is larger than `size_max`.
Result<std::string> ReadFile(FileSystem& files, const std::string& path, std::uint64_t size_max);

// Makes `directory` so that a crash does not take it away again: the `levels` directories above it, whose names a caller may have
// made just now, are synced too.
Status CreateDirectoriesDurably(FileSystem& files, const std::string& directory, int levels);

// Replaces a file as a unit: temporary name, write, sync, rename, sync of the directory. After a crash it has the old or
// the new contents.
Status WriteFileAtomically(FileSystem& files, const std::string& path, std::string_view contents);

}  // namespace sightline::runtime
