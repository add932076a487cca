#include "sightline/flow/reference_store.h"

#include <charconv>

namespace sightline::flow {
namespace {

constexpr std::uint64_t kTableBytesMax = 4ULL << 30;

}  // namespace

Result<std::map<std::uint64_t, std::string>> ReferenceStore::Versions(const std::string& name) {
  const std::string directory = directory_ + "/" + name;
  constexpr int kLevels = 2;  // <data>/references/<name>
  SL_TRY(runtime::CreateDirectoriesDurably(files_, directory, kLevels));
  SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> entries, files_.List(directory));
  std::map<std::uint64_t, std::string> versions;
  for (const runtime::FileInfo& entry : entries) {
    std::uint64_t version = 0;
    const char* end = entry.name.data() + entry.name.size();
    const auto [stop, error] = std::from_chars(entry.name.data(), end, version);
    if (error == std::errc() && stop == end) versions[version] = directory + "/" + entry.name;
  }
  return versions;
}

Result<ReferenceHandle> ReferenceStore::Load(const std::string& name, const Schema& schema, int key, std::uint64_t version) {
  const std::string path = directory_ + "/" + name + "/" + std::to_string(version);
  SL_ASSIGN_OR_RETURN(std::string bytes, runtime::ReadFile(files_, path, kTableBytesMax));
  return ReferenceTable::Deserialize(name, schema, key, std::move(bytes));
}

Result<ReferenceHandle> ReferenceStore::NewestLocked(const std::string& name, const Schema& schema, int key) {
  SL_ASSIGN_OR_RETURN(const auto versions, Versions(name));
  if (versions.empty()) return ReferenceHandle();
  Result<ReferenceHandle> newest = Load(name, schema, key, versions.rbegin()->first);
  // Kept under another contract: its rows are of no use any more, and the next version takes the number after it.
  if (!newest && newest.error().kind == ErrorKind::kCorruption) return ReferenceHandle();
  return newest;
}

Result<ReferenceHandle> ReferenceStore::Newest(const std::string& name, const Schema& schema, int key) {
  const std::lock_guard lock(mutex_);
  return NewestLocked(name, schema, key);
}

Result<ReferenceHandle> ReferenceStore::Add(const std::string& name, const Schema& schema, int key, ColumnBatch rows) {
  const std::lock_guard lock(mutex_);
  SL_ASSIGN_OR_RETURN(const auto versions, Versions(name));
  const std::uint64_t next = versions.empty() ? 1 : versions.rbegin()->first + 1;
  SL_ASSIGN_OR_RETURN(ReferenceHandle table, ReferenceTable::Make(name, next, schema, key, std::move(rows)));
  const std::string bytes = table->Serialize();
  SL_ASSIGN_OR_RETURN(ReferenceHandle newest, NewestLocked(name, schema, key));
  // The version stands in the first eight bytes.
  if (newest != nullptr && newest->Serialize().substr(8) == bytes.substr(8)) return newest;
  SL_TRY(runtime::WriteFileAtomically(files_, directory_ + "/" + name + "/" + std::to_string(next), bytes));
  for (auto old = versions.begin(); old != versions.end() && old->first + kKept <= next; ++old) SL_TRY(files_.Remove(old->second));
  return table;
}

}  // namespace sightline::flow
