#pragma once

#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "sightline/runtime/file_system.h"
#include "sightline/runtime/random.h"
#include "sightline/runtime/simulated/simulated_inode.h"

namespace sightline::runtime {

// A disk in memory that can lose its power, fill up, fail and rot, all decided by a seed. Thread-safe; for equal results
// the callers must come in an equal order.
//
// Names are durable after SyncDirectory of their parent. A power loss keeps, of the changes since, the first few in their
// order, a directory at a time. After it every call fails with kIo until Restart.
class SimulatedFileSystem final : public FileSystem {
 public:
  explicit SimulatedFileSystem(std::uint64_t seed) : random_(seed) {}

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

  // The power goes at the `operations`-th change from now (1: the next), which happens in part.
  void CutPowerAfter(std::uint64_t operations);
  void CutPower();
  bool powered() const;
  // Drops what did not survive and gives the power back. Files opened before stay dead.
  void Restart();
  // Ends the process, not the machine: open files die, nothing is lost.
  void KillProcess();
  // Changes so far: writes, syncs, names.
  std::uint64_t operations() const;

  void SetCapacity(std::uint64_t bytes);
  // The next `count` syncs of files whose path contains `part` fail.
  void FailSyncs(const std::string& part, int count);
  // The next `count` writes to files whose path contains `part` fail with kIo after half of their bytes.
  void FailWrites(const std::string& part, int count);
  // Flips bits of a byte on the disk and in the page cache.
  Status Flip(const std::string& path, std::uint64_t position, std::uint8_t mask);

 private:
  friend class SimulatedFile;
  friend class SimulatedLock;
  using Inode = std::shared_ptr<SimulatedInode>;  // null: a directory
  using Names = std::map<std::string, Inode>;
  // A change of names below one directory, to be redone on what a power loss left.
  struct NameChange {
    std::string directory;
    std::string path;
    std::string renamed_to;  // empty: `path` was made (`made`) or removed
    bool made = false;
    Inode inode;
  };
  struct Fault {
    std::string part;
    int count = 0;
    bool Strikes(const std::string& path);
  };

  static FileInfo InfoOf(const std::string& path, const Inode& inode);
  Status MoveName(const std::string& from, const std::string& to);
  Status Change();  // counts one; kIo when the power is off
  Status CheckPower() const;
  Status WriteAt(SimulatedInode& inode, const std::string& path, std::uint64_t generation, std::uint64_t position, std::string_view bytes);
  Status Grow(SimulatedInode& inode, std::uint64_t size);
  void RecordName(NameChange change);
  static void Apply(Names& names, const NameChange& change);
  bool IsDirectory(const std::string& path) const;
  std::uint64_t Room() const;

  mutable std::mutex mutex_;
  Random random_;
  Names names_;
  Names durable_names_;
  std::vector<NameChange> pending_;
  std::set<std::string> locks_;
  std::uint64_t generation_ = 0;  // raised when all open files die
  std::uint64_t operations_ = 0;
  std::uint64_t power_until_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t capacity_ = std::numeric_limits<std::uint64_t>::max();
  bool powered_ = true;
  Fault sync_fault_;
  Fault write_fault_;
};

}  // namespace sightline::runtime
