#include "sightline/runtime/simulated/simulated_file_system.h"

#include <algorithm>
#include <utility>

namespace sightline::runtime {
namespace {

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool IsBelow(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

std::unexpected<Error> NoSuch(const std::string& path) { return Fail(ErrorKind::kNotFound, path + ": No such file or directory"); }

std::unexpected<Error> NoPower() { return Fail(ErrorKind::kIo, "the simulated machine is without power"); }

}  // namespace

// One handle. Dies with its generation.
class SimulatedFile final : public File {
 public:
  SimulatedFile(SimulatedFileSystem& files, std::shared_ptr<SimulatedInode> inode, std::string path, bool writable)
      : files_(files), inode_(std::move(inode)), path_(std::move(path)), generation_(files.generation_), writable_(writable) {}

  Status WriteAt(std::uint64_t position, std::string_view bytes) override {
    if (!writable_) return Fail(ErrorKind::kIo, path_ + " is open for reading");
    const std::lock_guard lock(files_.mutex_);
    return files_.WriteAt(*inode_, path_, generation_, position, bytes);
  }
  Result<std::size_t> ReadAt(std::uint64_t position, char* to, std::size_t size) const override {
    const std::lock_guard lock(files_.mutex_);
    SL_TRY(Alive());
    return inode_->Read(position, to, size);
  }
  Status Sync() override {
    const std::lock_guard lock(files_.mutex_);
    SL_TRY(Alive());
    SL_TRY(files_.Change());
    if (files_.sync_fault_.Strikes(path_)) {
      inode_->FailSync();
      return Fail(ErrorKind::kIo, "fdatasync of " + path_ + ": simulated I/O error");
    }
    inode_->Sync();
    return {};
  }
  Status Truncate(std::uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    SL_TRY(Alive());
    SL_TRY(files_.Change());
    if (size > inode_->size()) return files_.Grow(*inode_, size);
    inode_->Truncate(size);
    return {};
  }
  Status SetModified(std::int64_t ns) override {
    const std::lock_guard lock(files_.mutex_);
    SL_TRY(Alive());
    SL_TRY(files_.Change());
    inode_->SetModified(ns);
    return {};
  }
  Status Preallocate(std::uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    SL_TRY(Alive());
    SL_TRY(files_.Change());
    return size <= inode_->size() ? Status{} : files_.Grow(*inode_, size);
  }
  Result<std::uint64_t> Size() const override {
    const std::lock_guard lock(files_.mutex_);
    SL_TRY(Alive());
    return inode_->size();
  }
  Result<std::string_view> Map(std::uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    SL_TRY(Alive());
    if (std::exchange(mapped_, true)) return Fail(ErrorKind::kInternal, path_ + " is mapped already");
    return inode_->Map(size);
  }

 private:
  Status Alive() const {
    if (generation_ != files_.generation_) return NoPower();
    return files_.CheckPower();
  }

  SimulatedFileSystem& files_;
  std::shared_ptr<SimulatedInode> inode_;
  std::string path_;
  std::uint64_t generation_;
  bool writable_;
  bool mapped_ = false;
};

class SimulatedLock final : public DirectoryLock {
 public:
  SimulatedLock(SimulatedFileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)), generation_(files.generation_) {}
  SimulatedLock(const SimulatedLock&) = delete;
  SimulatedLock& operator=(const SimulatedLock&) = delete;
  ~SimulatedLock() override {
    const std::lock_guard lock(files_.mutex_);
    if (generation_ == files_.generation_) files_.locks_.erase(directory_);
  }

 private:
  SimulatedFileSystem& files_;
  std::string directory_;
  std::uint64_t generation_;
};

bool SimulatedFileSystem::Fault::Strikes(const std::string& path) {
  if (count == 0 || path.find(part) == std::string::npos) return false;
  --count;
  return true;
}

Status SimulatedFileSystem::CheckPower() const {
  if (!powered_) return NoPower();
  return {};
}

Status SimulatedFileSystem::Change() {
  if (!powered_) return NoPower();
  if (++operations_ >= power_until_) {
    powered_ = false;
    return NoPower();
  }
  return {};
}

Status SimulatedFileSystem::Grow(SimulatedInode& inode, std::uint64_t size) {
  if (size - inode.size() > Room()) {
    return Fail(ErrorKind::kResourceExhausted, "simulated disk: No space left on device");
  }
  inode.Extend(size);
  return {};
}

std::uint64_t SimulatedFileSystem::Room() const {
  if (capacity_ == std::numeric_limits<std::uint64_t>::max()) return capacity_;
  std::uint64_t used = 0;
  for (const auto& [path, inode] : names_) used += inode ? inode->size() : 0;
  return capacity_ - std::min(capacity_, used);
}

Status SimulatedFileSystem::WriteAt(SimulatedInode& inode, const std::string& path, std::uint64_t generation, std::uint64_t position,
                                    std::string_view bytes) {
  if (generation != generation_) return NoPower();
  SL_TRY(CheckPower());
  std::string_view written = bytes;
  Status outcome = Change();
  if (!outcome) {
    written = bytes.substr(0, random_.Below(bytes.size() + 1));  // the write that the power loss interrupts
  } else if (write_fault_.Strikes(path)) {
    written = bytes.substr(0, bytes.size() / 2);
    outcome = Fail(ErrorKind::kIo, "writing " + path + ": simulated I/O error");
  }
  const std::uint64_t room = Room();
  const std::uint64_t end = position + written.size();
  if (end > inode.size() && end - inode.size() > room) {
    const std::uint64_t last = inode.size() + room;
    written = written.substr(0, last > position ? last - position : 0);
    if (outcome) outcome = Fail(ErrorKind::kResourceExhausted, "writing " + path + ": No space left on device");
  }
  inode.Write(position, written);
  return outcome;
}

void SimulatedFileSystem::Apply(Names& names, const NameChange& change) {
  if (change.made) {
    names.insert_or_assign(change.path, change.inode);
    return;
  }
  if (change.renamed_to.empty()) {
    std::erase_if(names, [&](const auto& name) { return name.first == change.path || IsBelow(name.first, change.path); });
    return;
  }
  Names moved;
  for (const auto& [path, inode] : names) {
    if (path == change.path || IsBelow(path, change.path)) {
      moved.emplace(change.renamed_to + path.substr(change.path.size()), inode);
    }
  }
  // A name that was made and renamed without a sync between has its file all the same.
  if (moved.empty() && change.inode) moved.emplace(change.renamed_to, change.inode);
  std::erase_if(names, [&](const auto& name) { return name.first == change.path || IsBelow(name.first, change.path); });
  for (auto& [path, inode] : moved) names.insert_or_assign(path, inode);
}

void SimulatedFileSystem::RecordName(NameChange change) {
  Apply(names_, change);
  pending_.push_back(std::move(change));
}

bool SimulatedFileSystem::IsDirectory(const std::string& path) const {
  if (path == "." || path == "/") return true;
  const auto found = names_.find(path);
  return found != names_.end() && !found->second;
}

Result<std::unique_ptr<File>> SimulatedFileSystem::Open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  auto found = names_.find(path);
  if (found != names_.end() && !found->second) return Fail(ErrorKind::kIo, "opening " + path + ": Is a directory");
  if (found != names_.end() && mode == OpenMode::kCreateExclusive) {
    return Fail(ErrorKind::kAlreadyExists, "opening " + path + ": File exists");
  }
  if (found == names_.end()) {
    if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite || !IsDirectory(ParentOf(path))) return NoSuch(path);
    SL_TRY(Change());
    RecordName({.directory = ParentOf(path), .path = path, .renamed_to = "", .made = true, .inode = std::make_shared<SimulatedInode>()});
    found = names_.find(path);
  }
  return std::make_unique<SimulatedFile>(*this, found->second, path, mode != OpenMode::kRead);
}

Result<std::vector<FileInfo>> SimulatedFileSystem::List(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  if (!IsDirectory(directory)) return NoSuch(directory);
  std::vector<FileInfo> entries;
  for (const auto& [path, inode] : names_) {
    if (ParentOf(path) != directory) continue;
    entries.push_back(InfoOf(path, inode));
  }
  return entries;
}

Status SimulatedFileSystem::CreateDirectories(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  for (std::size_t at = 1; at != std::string::npos;) {
    at = directory.find('/', at);
    const std::string path = directory.substr(0, at);
    if (at != std::string::npos) ++at;
    const auto found = names_.find(path);
    if (found != names_.end() && found->second) return Fail(ErrorKind::kIo, path + ": Not a directory");
    if (found != names_.end() || path == ".") continue;
    SL_TRY(Change());
    RecordName({.directory = ParentOf(path), .path = path, .renamed_to = "", .made = true, .inode = nullptr});
  }
  return {};
}

Status SimulatedFileSystem::SyncDirectory(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  SL_TRY(Change());
  if (!IsDirectory(directory)) return NoSuch(directory);
  if (sync_fault_.Strikes(directory + "/")) {
    return Fail(ErrorKind::kIo, "fsync of directory " + directory + ": simulated I/O error");
  }
  std::erase_if(pending_, [&](const NameChange& change) {
    if (change.directory != directory) return false;
    Apply(durable_names_, change);
    return true;
  });
  return {};
}

Status SimulatedFileSystem::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  return MoveName(from, to);
}

Status SimulatedFileSystem::RenameNew(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  if (names_.contains(to)) return Fail(ErrorKind::kAlreadyExists, to + " exists");
  return MoveName(from, to);
}

// The new name is durable with its directory; that the old one is gone then is what a journal gives.
Status SimulatedFileSystem::MoveName(const std::string& from, const std::string& to) {
  SL_TRY(Change());
  const auto found = names_.find(from);
  if (found == names_.end()) return NoSuch(from);
  if (!IsDirectory(ParentOf(to))) return NoSuch(to);
  const auto there = names_.find(to);
  if (there != names_.end() && !there->second && found->second) return Fail(ErrorKind::kIo, to + ": Is a directory");
  RecordName({.directory = ParentOf(to), .path = from, .renamed_to = to, .made = false, .inode = found->second});
  return {};
}

FileInfo SimulatedFileSystem::InfoOf(const std::string& path, const Inode& inode) {
  return {.name = path.substr(path.rfind('/') + 1),
          .directory = !inode,
          .size = inode ? inode->size() : 0,
          .modified_ns = inode ? inode->modified_ns() : 0};
}

Status SimulatedFileSystem::Remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  if (!names_.contains(path)) return {};
  SL_TRY(Change());
  RecordName({.directory = ParentOf(path), .path = path, .renamed_to = "", .made = false, .inode = nullptr});
  return {};
}

Result<bool> SimulatedFileSystem::Exists(const std::string& path) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  return names_.contains(path) || IsDirectory(path);
}

Result<FileInfo> SimulatedFileSystem::Stat(const std::string& path) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  const auto found = names_.find(path);
  if (found == names_.end()) return NoSuch(path);
  return InfoOf(path, found->second);
}

Result<std::uint64_t> SimulatedFileSystem::FreeBytes(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  if (!IsDirectory(directory)) return NoSuch(directory);
  return Room();
}

Result<std::unique_ptr<DirectoryLock>> SimulatedFileSystem::Lock(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  SL_TRY(CheckPower());
  if (!IsDirectory(directory)) return NoSuch(directory);
  if (!locks_.insert(directory).second) {
    return Fail(ErrorKind::kFailedPrecondition, directory + " is in use by process 1; stop it, or use another data directory");
  }
  return std::make_unique<SimulatedLock>(*this, directory);
}

void SimulatedFileSystem::CutPowerAfter(std::uint64_t operations) {
  const std::lock_guard lock(mutex_);
  power_until_ = operations_ + operations;
}

void SimulatedFileSystem::CutPower() {
  const std::lock_guard lock(mutex_);
  powered_ = false;
}

bool SimulatedFileSystem::powered() const {
  const std::lock_guard lock(mutex_);
  return powered_;
}

void SimulatedFileSystem::Restart() {
  const std::lock_guard lock(mutex_);
  // Of each directory's changes a first few survive, in their order; of each file what its inode says.
  std::map<std::string, bool> lost;
  for (const NameChange& change : pending_) {
    bool& gone = lost.try_emplace(change.directory, false).first->second;
    gone = gone || random_.OneIn(3);
    if (!gone) Apply(durable_names_, change);
  }
  pending_.clear();
  // What hangs below a directory that did not survive is gone with it.
  std::erase_if(durable_names_, [this](const auto& name) {
    const std::string parent = ParentOf(name.first);
    return parent != "." && parent != "/" && !durable_names_.contains(parent);
  });
  std::map<SimulatedInode*, Inode> survivors;
  for (auto& [path, inode] : durable_names_) {
    if (!inode) continue;
    auto& survivor = survivors[inode.get()];
    if (!survivor) survivor = inode->AfterPowerLoss(random_);
    inode = survivor;
  }
  names_ = durable_names_;
  locks_.clear();
  ++generation_;
  powered_ = true;
  power_until_ = std::numeric_limits<std::uint64_t>::max();
}

void SimulatedFileSystem::KillProcess() {
  const std::lock_guard lock(mutex_);
  locks_.clear();
  ++generation_;
}

std::uint64_t SimulatedFileSystem::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

void SimulatedFileSystem::SetCapacity(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

void SimulatedFileSystem::FailSyncs(const std::string& part, int count) {
  const std::lock_guard lock(mutex_);
  sync_fault_ = {.part = part, .count = count};
}

void SimulatedFileSystem::FailWrites(const std::string& part, int count) {
  const std::lock_guard lock(mutex_);
  write_fault_ = {.part = part, .count = count};
}

Status SimulatedFileSystem::Flip(const std::string& path, std::uint64_t position, std::uint8_t mask) {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(path);
  if (found == names_.end() || !found->second) return NoSuch(path);
  if (position >= found->second->size()) return Fail(ErrorKind::kOutOfRange, path + " is shorter");
  found->second->Flip(position, mask);
  return {};
}

}  // namespace sightline::runtime
