#include "sightline/flow/reference_store.h"

#include <charconv>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "sightline/base/bytes.h"

namespace sightline::flow {
namespace {

constexpr std::uint64_t kTableBytesMax = 4ULL << 30;
constexpr std::size_t kVersionDigits = 20;
constexpr int kOvertakenMax = 16;

std::optional<std::uint64_t> VersionOf(std::string_view text) {
  std::uint64_t version = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return version;
}

// The version stands in the first eight bytes.
bool SameRows(std::string_view a, std::string_view b) { return a.substr(sizeof(std::uint64_t)) == b.substr(sizeof(std::uint64_t)); }

}  // namespace

Result<ReferenceHandle> ReferenceStore::Load(const std::string& name, const Schema& schema, int key, std::uint64_t version) {
  SL_ASSIGN_OR_RETURN(std::string bytes, Read(name, version));
  return ReferenceTable::Deserialize(name, schema, key, std::move(bytes));
}

Result<ReferenceHandle> ReferenceStore::NewestOf(const std::string& name, const Schema& schema, int key,
                                                 const std::set<std::uint64_t>& versions) {
  if (versions.empty()) return ReferenceHandle();
  Result<ReferenceHandle> newest = Load(name, schema, key, *versions.rbegin());
  // Kept under another contract: its rows are of no use any more, and the next version takes the number after it.
  if (!newest && newest.error().kind == ErrorKind::kCorruption) return ReferenceHandle();
  return newest;
}

Result<ReferenceHandle> ReferenceStore::Newest(const std::string& name, const Schema& schema, int key) {
  const std::lock_guard lock(mutex_);
  SL_ASSIGN_OR_RETURN(const auto versions, Versions(name));
  return NewestOf(name, schema, key, versions);
}

Result<std::uint64_t> ReferenceStore::NewestVersion(const std::string& name) {
  const std::lock_guard lock(mutex_);
  SL_ASSIGN_OR_RETURN(const auto versions, Versions(name));
  return versions.empty() ? 0 : *versions.rbegin();
}

Result<ReferenceHandle> ReferenceStore::Add(const std::string& name, const Schema& schema, int key, ColumnBatch rows) {
  const std::lock_guard lock(mutex_);
  SL_ASSIGN_OR_RETURN(const ReferenceHandle made, ReferenceTable::Make(name, 0, schema, key, std::move(rows)));
  std::string bytes = made->Serialize();
  for (int overtaken = 0;; ++overtaken) {
    SL_ASSIGN_OR_RETURN(const auto versions, Versions(name));
    const std::uint64_t next = versions.empty() ? 1 : *versions.rbegin() + 1;
    StoreLe(bytes.data(), next);
    SL_ASSIGN_OR_RETURN(ReferenceHandle newest, NewestOf(name, schema, key, versions));
    if (newest != nullptr && SameRows(newest->Serialize(), bytes)) return newest;
    const Status put = Put(name, next, bytes);
    // Another process read the source at the same moment: its version is the newest, and perhaps it has these very rows.
    if (!put && put.error().kind == ErrorKind::kAlreadyExists && overtaken < kOvertakenMax) continue;
    SL_TRY(put);
    for (const std::uint64_t old : versions) {
      if (old + kKept <= next) SL_TRY(Remove(name, old));
    }
    return ReferenceTable::Deserialize(name, schema, key, std::move(bytes));
  }
}

Result<std::size_t> ReferenceStore::CopyTo(ReferenceStore& other, const std::string& name) {
  const std::lock_guard lock(mutex_);
  SL_ASSIGN_OR_RETURN(const auto versions, Versions(name));
  for (const std::uint64_t version : versions) {
    SL_ASSIGN_OR_RETURN(const std::string bytes, Read(name, version));
    const Status put = other.Put(name, version, bytes);
    if (!put && put.error().kind != ErrorKind::kAlreadyExists) return std::unexpected(put.error());
    SL_ASSIGN_OR_RETURN(const std::string there, other.Read(name, version));
    if (there == bytes) continue;
    return Fail(ErrorKind::kAlreadyExists, "version " + std::to_string(version) + " of the reference " + name +
                                               " is there with other rows: it belongs to another set-up");
  }
  return versions.size();
}

std::string FileReferenceStore::PathOf(const std::string& name, std::uint64_t version) const {
  return directory_ + "/" + name + "/" + std::to_string(version);
}

Result<std::set<std::uint64_t>> FileReferenceStore::Versions(const std::string& name) {
  const std::string directory = directory_ + "/" + name;
  constexpr int kLevels = 2;  // <data>/references/<name>
  SL_TRY(runtime::CreateDirectoriesDurably(files_, directory, kLevels));
  SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> entries, files_.List(directory));
  std::set<std::uint64_t> versions;
  for (const runtime::FileInfo& entry : entries) {
    if (const auto version = VersionOf(entry.name)) versions.insert(*version);
  }
  return versions;
}

Result<std::string> FileReferenceStore::Read(const std::string& name, std::uint64_t version) {
  return runtime::ReadFile(files_, PathOf(name, version), kTableBytesMax);
}

Status FileReferenceStore::Put(const std::string& name, std::uint64_t version, const std::string& bytes) {
  return runtime::WriteFileAtomically(files_, PathOf(name, version), bytes);
}

Status FileReferenceStore::Remove(const std::string& name, std::uint64_t version) { return files_.Remove(PathOf(name, version)); }

// All of one length: the order of keys is that of versions.
std::string ObjectReferenceStore::KeyOf(const std::string& name, std::uint64_t version) const {
  const std::string digits = std::to_string(version);
  return prefix_ + "/" + name + "/" + std::string(kVersionDigits - digits.size(), '0') + digits;
}

Result<std::set<std::uint64_t>> ObjectReferenceStore::Versions(const std::string& name) {
  const std::string folder = prefix_ + "/" + name + "/";
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<stores::ObjectLister> lister, store_.List(folder, ""));
  std::set<std::uint64_t> versions;
  for (;;) {
    SL_ASSIGN_OR_RETURN(const std::vector<stores::ObjectInfo> some, lister->Next());
    if (some.empty()) return versions;
    for (const stores::ObjectInfo& object : some) {
      if (const auto version = VersionOf(std::string_view(object.key).substr(folder.size()))) versions.insert(*version);
    }
  }
}

Result<std::string> ObjectReferenceStore::Read(const std::string& name, std::uint64_t version) {
  SL_ASSIGN_OR_RETURN(stores::Object object, store_.Get(KeyOf(name, version)));
  return std::move(object.bytes);
}

Status ObjectReferenceStore::Put(const std::string& name, std::uint64_t version, const std::string& bytes) {
  SL_ASSIGN_OR_RETURN(const stores::ObjectInfo put, store_.Put(KeyOf(name, version), bytes, stores::PutCondition::IfAbsent()));
  return {};
}

Status ObjectReferenceStore::Remove(const std::string& name, std::uint64_t version) { return store_.Delete(KeyOf(name, version)); }

}  // namespace sightline::flow
