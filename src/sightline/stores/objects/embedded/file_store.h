#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>

#include "sightline/runtime/runtime.h"
#include "sightline/stores/objects/port.h"

namespace sightline::stores {

// Objects as plain files below a directory, a key as its path: what it keeps can be read by any program.
//
// A put writes a file below .sightline/tmp, syncs it, renames it to its place and syncs the directory, so that after a crash the old
// object or the new one is there, whole. The time of the file's last change is set to a value that no other put of this store had: with
// the size it is the etag. Thread-safe; conditional puts are compared under a lock of this process, which therefore owns the directory.
class FileObjectStore final : public ObjectStore {
 public:
  enum class Access : std::uint8_t {
    kOwn,   // the one process that may write; removes what a crash left half done. kFailedPrecondition when another owns the directory
    kRead,  // beside an owner; everything that writes is kFailedPrecondition
  };
  static Result<std::unique_ptr<FileObjectStore>> Open(const runtime::Runtime& runtime, const std::string& directory, Access access);

  using ObjectStore::Delete;
  using ObjectStore::Get;
  using ObjectStore::Put;
  Result<ObjectInfo> Put(const std::string& key, std::string_view bytes, const PutCondition& condition) override;
  Result<Object> Get(const std::string& key, const std::optional<ByteRange>& range, const std::string& if_match) override;
  Result<ObjectInfo> Head(const std::string& key) override;
  Result<std::unique_ptr<ObjectLister>> List(const std::string& prefix, const std::string& start_after) override;
  Status Delete(std::span<const std::string> keys) override;
  Result<ObjectInfo> Copy(const std::string& from, const std::string& to) override;
  Result<std::unique_ptr<ObjectUpload>> StartUpload(const std::string& key, std::uint64_t part_bytes) override;
  const std::string& location() const override { return directory_; }

 private:
  friend class FileUpload;
  friend class FileLister;
  struct Draft;  // a file that is not an object yet

  FileObjectStore(const runtime::Runtime& runtime, std::string directory) : runtime_(runtime), directory_(std::move(directory)) {}
  std::string PathOf(const std::string& key) const { return directory_ + "/" + key; }
  Result<ObjectInfo> InfoOf(const std::string& key);
  Status Writable() const;
  Result<Draft> Begin();
  // Stamps and syncs the draft and makes it the object, if the condition holds.
  Result<ObjectInfo> Finish(Draft draft, const std::string& key, const PutCondition& condition);
  Status Commit(const std::string& temporary, const std::string& key, const PutCondition& condition);
  Status CheckCondition(const std::string& key, const PutCondition& condition);
  // The directories above an object, durable, whoever made them.
  Status EnsureDirectories(const std::string& key);
  // An empty tree of directories in the object's place goes.
  Status ClearPlace(const std::string& key);
  Result<bool> HoldsFiles(const std::string& directory);
  std::mutex& MutexOf(const std::string& key) { return key_mutexes_[std::hash<std::string>{}(key) % key_mutexes_.size()]; }

  runtime::Runtime runtime_;
  std::string directory_;
  std::unique_ptr<runtime::DirectoryLock> owned_;  // null: access is kRead
  std::atomic<std::uint64_t> drafts_{0};
  std::atomic<std::int64_t> last_stamp_{0};
  std::array<std::mutex, 64> key_mutexes_;  // taken before tree_mutex_
  std::shared_mutex tree_mutex_;            // exclusive: directories come or go
  std::set<std::string> directories_;       // known to be durable
};

}  // namespace sightline::stores
