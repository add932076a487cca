#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>

#include "sightline/flow/reference.h"
#include "sightline/runtime/file_system.h"
#include "sightline/stores/objects/port.h"

namespace sightline::flow {

// Keeps the versions of references, so that input joined with an old one can be processed again with the same result. Thread-safe.
class ReferenceStore {
 public:
  virtual ~ReferenceStore() = default;
  // Makes `rows` the newest version, durably, and gives it; the present newest when the rows are the same. Old versions beyond
  // kKept are removed.
  Result<ReferenceHandle> Add(const std::string& name, const Schema& schema, int key, ColumnBatch rows);
  // kNotFound when that version is no longer kept.
  Result<ReferenceHandle> Load(const std::string& name, const Schema& schema, int key, std::uint64_t version);
  // The newest version, or null when there is none.
  Result<ReferenceHandle> Newest(const std::string& name, const Schema& schema, int key);
  // Puts every version that is kept here into another store, under its number; how many there are. kAlreadyExists when that store has other
  // rows under one of the numbers. The same again changes nothing.
  Result<std::size_t> CopyTo(ReferenceStore& other, const std::string& name);
  // Its number alone; 0 when there is none.
  Result<std::uint64_t> NewestVersion(const std::string& name);

 protected:
  static constexpr std::size_t kKept = 64;
  virtual Result<std::set<std::uint64_t>> Versions(const std::string& name) = 0;
  virtual Result<std::string> Read(const std::string& name, std::uint64_t version) = 0;
  // kAlreadyExists when somebody else has put this version.
  virtual Status Put(const std::string& name, std::uint64_t version, const std::string& bytes) = 0;
  virtual Status Remove(const std::string& name, std::uint64_t version) = 0;

 private:
  Result<ReferenceHandle> NewestOf(const std::string& name, const Schema& schema, int key, const std::set<std::uint64_t>& versions);

  std::mutex mutex_;
};

// On disk, of one process: <directory>/<reference>/<version>.
class FileReferenceStore final : public ReferenceStore {
 public:
  FileReferenceStore(runtime::FileSystem& files, std::string directory) : files_(files), directory_(std::move(directory)) {}

 private:
  Result<std::set<std::uint64_t>> Versions(const std::string& name) override;
  Result<std::string> Read(const std::string& name, std::uint64_t version) override;
  Status Put(const std::string& name, std::uint64_t version, const std::string& bytes) override;
  Status Remove(const std::string& name, std::uint64_t version) override;
  std::string PathOf(const std::string& name, std::uint64_t version) const;

  runtime::FileSystem& files_;
  const std::string directory_;
};

// In an object store that several processes share, so that a version has one number for all of them: <prefix>/<reference>/<version>,
// twenty digits. The store must outlive it.
class ObjectReferenceStore final : public ReferenceStore {
 public:
  ObjectReferenceStore(stores::ObjectStore& store, std::string prefix) : store_(store), prefix_(std::move(prefix)) {}

 private:
  Result<std::set<std::uint64_t>> Versions(const std::string& name) override;
  Result<std::string> Read(const std::string& name, std::uint64_t version) override;
  Status Put(const std::string& name, std::uint64_t version, const std::string& bytes) override;
  Status Remove(const std::string& name, std::uint64_t version) override;
  std::string KeyOf(const std::string& name, std::uint64_t version) const;

  stores::ObjectStore& store_;
  const std::string prefix_;
};

}  // namespace sightline::flow
