#include "sightline/config/testing/memory_files.h"

#include <algorithm>
#include <cstring>

namespace sightline::config {
namespace {

std::unexpected<Error> ReadOnly() { return Fail(ErrorKind::kPermissionDenied, "this file system is read only"); }

class MemoryFile final : public runtime::File {
 public:
  explicit MemoryFile(std::string_view text) : text_(text) {}
  Status WriteAt(std::uint64_t, std::string_view) override { return ReadOnly(); }
  Result<std::size_t> ReadAt(std::uint64_t position, char* to, std::size_t size) const override {
    if (position >= text_.size()) return std::size_t{0};
    const std::size_t got = std::min(size, text_.size() - position);
    std::memcpy(to, text_.data() + position, got);
    return got;
  }
  Status Sync() override { return ReadOnly(); }
  Status Truncate(std::uint64_t) override { return ReadOnly(); }
  Status SetModified(std::int64_t) override { return ReadOnly(); }
  Status Preallocate(std::uint64_t) override { return ReadOnly(); }
  Result<std::uint64_t> Size() const override { return text_.size(); }
  Result<std::string_view> Map(std::uint64_t size) override { return text_.substr(0, size); }

 private:
  std::string_view text_;
};

}  // namespace

Result<std::unique_ptr<runtime::File>> MemoryFiles::Open(const std::string& path, runtime::OpenMode mode) {
  if (mode != runtime::OpenMode::kRead) return ReadOnly();
  const auto found = files.find(path);
  if (found == files.end()) return Fail(ErrorKind::kNotFound, "there is no file " + path);
  return std::make_unique<MemoryFile>(found->second);
}
Result<std::vector<runtime::FileInfo>> MemoryFiles::List(const std::string&) {
  std::vector<runtime::FileInfo> all;
  for (const auto& [name, text] : files) all.push_back({.name = name, .directory = false, .size = text.size()});
  return all;
}
Status MemoryFiles::CreateDirectories(const std::string&) { return ReadOnly(); }
Status MemoryFiles::SyncDirectory(const std::string&) { return ReadOnly(); }
Status MemoryFiles::Rename(const std::string&, const std::string&) { return ReadOnly(); }
Status MemoryFiles::RenameNew(const std::string&, const std::string&) { return ReadOnly(); }
Status MemoryFiles::Remove(const std::string&) { return ReadOnly(); }
Result<runtime::FileInfo> MemoryFiles::Stat(const std::string& path) {
  const auto found = files.find(path);
  if (found == files.end()) return Fail(ErrorKind::kNotFound, "there is no file " + path);
  return runtime::FileInfo{.name = path, .directory = false, .size = found->second.size()};
}
Result<std::uint64_t> MemoryFiles::FreeBytes(const std::string&) { return std::uint64_t{0}; }
Result<std::unique_ptr<runtime::DirectoryLock>> MemoryFiles::Lock(const std::string&) { return ReadOnly(); }

}  // namespace sightline::config
