#include "sightline/stores/objects/embedded/file_store.h"

#include <algorithm>
#include <map>
#include <vector>

#include "sightline/base/text.h"
#include "sightline/stores/objects/part_sizes.h"

namespace sightline::stores {
namespace {

constexpr std::string_view kHidden = ".sightline";
constexpr std::size_t kPage = 1000;
constexpr std::uint64_t kCopyBytes = 4ULL << 20;
constexpr int kReadsMax = 10;

std::string Hex(std::uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), kDigits[value & 15]);
    value >>= 4;
  } while (value != 0);
  return text;
}

ObjectInfo InfoOfFile(std::string key, const runtime::FileInfo& file) {
  return {.key = std::move(key),
          .etag = Hex(static_cast<std::uint64_t>(file.modified_ns)) + "-" + Hex(file.size),
          .size = file.size,
          .modified = WallTime(file.modified_ns / 1'000'000)};
}

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

Error In(const std::string& directory, const std::string& key, Error error) { return std::move(error).In(directory + "/" + key); }

}  // namespace

// Removes its file unless that became an object.
struct FileObjectStore::Draft {
  runtime::FileSystem* files = nullptr;
  std::string path;
  std::unique_ptr<runtime::File> file;

  Draft() = default;
  Draft(Draft&& other) noexcept : files(std::exchange(other.files, nullptr)), path(std::move(other.path)), file(std::move(other.file)) {}
  Draft& operator=(Draft&&) = delete;
  ~Draft() {
    if (files == nullptr) return;
    file.reset();
    (void)files->Remove(path);  // what stays is removed at the next start
  }
};

Result<std::unique_ptr<FileObjectStore>> FileObjectStore::Open(const runtime::Runtime& runtime, const std::string& directory,
                                                               Access access) {
  std::unique_ptr<FileObjectStore> store(new FileObjectStore(runtime, directory));
  if (access == Access::kRead) return store;
  const std::string hidden = directory + "/" + std::string(kHidden);
  SL_TRY(runtime::CreateDirectoriesDurably(runtime.files, hidden, 3));
  SL_ASSIGN_OR_RETURN(store->owned_, runtime.files.Lock(hidden));
  SL_TRY(runtime.files.Remove(hidden + "/tmp"));
  SL_TRY(runtime.files.CreateDirectories(hidden + "/tmp"));
  SL_TRY(runtime.files.SyncDirectory(hidden));
  return store;
}

Status FileObjectStore::Writable() const {
  if (owned_ != nullptr) return {};
  return Fail(ErrorKind::kFailedPrecondition, directory_ + " is open for reading; the server that owns it writes");
}

Result<ObjectInfo> FileObjectStore::InfoOf(const std::string& key) {
  const Result<runtime::FileInfo> file = runtime_.files.Stat(PathOf(key));
  const bool missing = file ? file->directory : file.error().kind == ErrorKind::kNotFound;
  // A part of the key that is a file is no directory: the system has another error for it, and it means the same here.
  if (missing || (!file && runtime_.files.Exists(PathOf(key)).value_or(true) == false)) {
    return Fail(ErrorKind::kNotFound, PathOf(key) + ": there is no such object");
  }
  if (!file) return std::unexpected(file.error());
  return InfoOfFile(key, *file);
}

Result<FileObjectStore::Draft> FileObjectStore::Begin() {
  SL_TRY(Writable());
  Draft draft;
  draft.path = directory_ + "/" + std::string(kHidden) + "/tmp/" + std::to_string(drafts_.fetch_add(1));
  SL_ASSIGN_OR_RETURN(draft.file, runtime_.files.Open(draft.path, runtime::OpenMode::kCreateExclusive));
  draft.files = &runtime_.files;
  return draft;
}

Result<ObjectInfo> FileObjectStore::Finish(Draft draft, const std::string& key, const PutCondition& condition) {
  const std::int64_t now = runtime_.clock.Now().value * 1'000'000;
  std::int64_t last = last_stamp_.load();
  std::int64_t stamp = 0;
  do {
    stamp = std::max(now, last + 1);
  } while (!last_stamp_.compare_exchange_weak(last, stamp));
  SL_TRY(draft.file->SetModified(stamp));
  SL_TRY(draft.file->Sync());
  SL_ASSIGN_OR_RETURN(const std::uint64_t size, draft.file->Size());
  SL_TRY(Commit(draft.path, key, condition));
  draft.files = nullptr;
  return InfoOfFile(key, {.name = "", .directory = false, .size = size, .modified_ns = stamp});
}

Status FileObjectStore::CheckCondition(const std::string& key, const PutCondition& condition) {
  if (condition.kind() == PutCondition::Kind::kAnyhow) return {};
  const Result<ObjectInfo> now = InfoOf(key);
  const bool absent = !now && now.error().kind == ErrorKind::kNotFound;
  if (!now && !absent) return std::unexpected(now.error());
  if (condition.kind() == PutCondition::Kind::kIfAbsent) {
    if (absent) return {};
    return Fail(ErrorKind::kAlreadyExists, PathOf(key) + ": there is an object already");
  }
  if (absent) return Fail(ErrorKind::kFailedPrecondition, PathOf(key) + ": the object is gone, and has no etag to match");
  if (now->etag == condition.etag()) return {};
  return Fail(ErrorKind::kFailedPrecondition, PathOf(key) + ": the object has another etag");
}

Status FileObjectStore::Commit(const std::string& temporary, const std::string& key, const PutCondition& condition) {
  const std::string path = PathOf(key);
  const std::lock_guard key_lock(MutexOf(key));
  SL_TRY(CheckCondition(key, condition));
  SL_TRY(ClearPlace(key));
  SL_TRY(EnsureDirectories(key));
  const std::shared_lock tree_lock(tree_mutex_);
  if (condition.kind() == PutCondition::Kind::kIfAbsent) {
    SL_TRY(runtime_.files.RenameNew(temporary, path));
  } else {
    SL_TRY(runtime_.files.Rename(temporary, path));
  }
  return runtime_.files.SyncDirectory(ParentOf(path));
}

Status FileObjectStore::EnsureDirectories(const std::string& key) {
  const std::string parent = ParentOf(PathOf(key));
  {
    const std::shared_lock lock(tree_mutex_);
    if (directories_.contains(parent)) return {};
  }
  const std::unique_lock lock(tree_mutex_);
  const auto levels = static_cast<int>(std::ranges::count(key, '/'));
  for (std::string above = parent; above.size() > directory_.size(); above = ParentOf(above)) {
    const Result<runtime::FileInfo> there = runtime_.files.Stat(above);
    if (there && !there->directory) {
      return Fail(ErrorKind::kFailedPrecondition, PathOf(key) + ": " + above + " is an object itself, and a file cannot hold others");
    }
  }
  SL_TRY(runtime::CreateDirectoriesDurably(runtime_.files, parent, levels));
  for (std::string above = parent; above.size() >= directory_.size(); above = ParentOf(above)) directories_.insert(above);
  return {};
}

Result<bool> FileObjectStore::HoldsFiles(const std::string& directory) {
  SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> entries, runtime_.files.List(directory));
  for (const runtime::FileInfo& entry : entries) {
    if (!entry.directory) return true;
    SL_ASSIGN_OR_RETURN(const bool holds, HoldsFiles(directory + "/" + entry.name));
    if (holds) return true;
  }
  return false;
}

Status FileObjectStore::ClearPlace(const std::string& key) {
  const std::string path = PathOf(key);
  const Result<runtime::FileInfo> there = runtime_.files.Stat(path);
  if (!there || !there->directory) return {};
  const std::unique_lock lock(tree_mutex_);
  SL_ASSIGN_OR_RETURN(const bool holds, HoldsFiles(path));
  if (holds) {
    return Fail(ErrorKind::kFailedPrecondition, path + ": objects below this key exist, and a directory cannot be an object");
  }
  std::erase_if(directories_, [&](const std::string& known) { return known == path || known.starts_with(path + "/"); });
  return runtime_.files.Remove(path);
}

Result<ObjectInfo> FileObjectStore::Put(const std::string& key, std::string_view bytes, const PutCondition& condition) {
  SL_TRY(ValidateObjectKey(key));
  SL_TRY(Writable());
  SL_TRY(CheckCondition(key, condition));  // what must fail need not be written first
  SL_ASSIGN_OR_RETURN(Draft draft, Begin());
  if (const Status written = draft.file->WriteAt(0, bytes); !written) return std::unexpected(In(directory_, key, written.error()));
  return Finish(std::move(draft), key, condition);
}

Result<Object> FileObjectStore::Get(const std::string& key, const std::optional<ByteRange>& range, const std::string& if_match) {
  SL_TRY(ValidateObjectKey(key));
  if (range && range->length == 0) return Fail(ErrorKind::kInvalidArgument, PathOf(key) + ": a range has at least one byte");
  for (int reads = 0; reads < kReadsMax; ++reads) {
    SL_ASSIGN_OR_RETURN(ObjectInfo info, InfoOf(key));
    if (!if_match.empty() && info.etag != if_match) {
      return Fail(ErrorKind::kFailedPrecondition, PathOf(key) + ": the object has another etag");
    }
    if (range && range->offset >= info.size) {
      return Fail(ErrorKind::kOutOfRange, PathOf(key) + ": the range begins at " + std::to_string(range->offset) + ", and the object has " +
                                              std::to_string(info.size) + " bytes");
    }
    auto file = runtime_.files.Open(PathOf(key), runtime::OpenMode::kRead);
    if (!file && file.error().kind == ErrorKind::kNotFound) continue;  // deleted just now
    if (!file) return std::unexpected(file.error());
    const std::uint64_t offset = range ? range->offset : 0;
    std::string bytes(range ? std::min(range->length, info.size - offset) : info.size, '\0');
    SL_ASSIGN_OR_RETURN(const std::size_t got, (*file)->ReadAt(offset, bytes.data(), bytes.size()));
    // Replaced between the look and the opening: what was read may be of another object than the etag.
    const Result<ObjectInfo> after = InfoOf(key);
    if (!after || after->etag != info.etag) continue;
    if (got != bytes.size()) return Fail(ErrorKind::kCorruption, PathOf(key) + " is shorter than it was; another program writes to it");
    return Object{.info = std::move(info), .bytes = std::move(bytes)};
  }
  return Fail(ErrorKind::kUnavailable, PathOf(key) + ": the object is replaced faster than it can be read");
}

Result<ObjectInfo> FileObjectStore::Head(const std::string& key) {
  SL_TRY(ValidateObjectKey(key));
  return InfoOf(key);
}

Status FileObjectStore::Delete(std::span<const std::string> keys) {
  for (const std::string& key : keys) SL_TRY(ValidateObjectKey(key));
  SL_TRY(Writable());
  std::set<std::string> touched;
  for (const std::string& key : keys) {
    const std::lock_guard lock(MutexOf(key));
    const Result<ObjectInfo> there = InfoOf(key);
    if (!there && there.error().kind == ErrorKind::kNotFound) continue;
    if (!there) return std::unexpected(there.error());
    SL_TRY(runtime_.files.Remove(PathOf(key)));
    touched.insert(ParentOf(PathOf(key)));
  }
  for (const std::string& directory : touched) SL_TRY(runtime_.files.SyncDirectory(directory));
  return {};
}

Result<ObjectInfo> FileObjectStore::Copy(const std::string& from, const std::string& to) {
  SL_TRY(ValidateObjectKey(from));
  SL_TRY(ValidateObjectKey(to));
  SL_TRY(InfoOf(from));
  // The open file stays what it is, whoever replaces the name.
  SL_ASSIGN_OR_RETURN(const auto source, runtime_.files.Open(PathOf(from), runtime::OpenMode::kRead));
  SL_ASSIGN_OR_RETURN(Draft draft, Begin());
  std::string piece(kCopyBytes, '\0');
  for (std::uint64_t at = 0;;) {
    SL_ASSIGN_OR_RETURN(const std::size_t got, source->ReadAt(at, piece.data(), piece.size()));
    if (got == 0) break;
    SL_TRY(draft.file->WriteAt(at, std::string_view(piece).substr(0, got)));
    at += got;
  }
  return Finish(std::move(draft), to, PutCondition::Anyhow());
}

// Looks into a directory when its turn comes: what is to come is kept in the order of keys, a directory by its name with '/'.
class FileLister final : public ObjectLister {
 public:
  FileLister(FileObjectStore& store, std::string prefix, std::string start_after)
      : store_(store), prefix_(std::move(prefix)), start_after_(std::move(start_after)) {
    const std::size_t slash = prefix_.rfind('/');
    to_come_.emplace(slash == std::string::npos ? "" : prefix_.substr(0, slash + 1), std::nullopt);
  }

  Result<std::vector<ObjectInfo>> Next() override {
    std::vector<ObjectInfo> page;
    while (page.size() < kPage && !to_come_.empty()) {
      auto first = to_come_.extract(to_come_.begin());
      if (first.mapped()) {
        page.push_back(std::move(*first.mapped()));
      } else {
        SL_TRY(LookInto(first.key()));
      }
    }
    return page;
  }

 private:
  Status LookInto(const std::string& directory) {
    std::string path = store_.PathOf(directory);
    path.pop_back();
    const Result<runtime::FileInfo> there = store_.runtime_.files.Stat(path);
    if (!there || !there->directory) {
      // Nothing of that name, or gone meanwhile.
      if (there || there.error().kind == ErrorKind::kNotFound || !store_.runtime_.files.Exists(path).value_or(true)) return {};
      return std::unexpected(there.error());
    }
    SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> entries, store_.runtime_.files.List(path));
    for (const runtime::FileInfo& entry : entries) {
      std::string key = directory + entry.name + (entry.directory ? "/" : "");
      if (entry.directory) {
        const bool may_match = key.starts_with(prefix_) || prefix_.starts_with(key);
        const bool passed = key < start_after_ && !start_after_.starts_with(key);
        if (may_match && !passed && entry.name != kHidden) to_come_.emplace(std::move(key), std::nullopt);
      } else if (key.starts_with(prefix_) && key > start_after_) {
        ObjectInfo info = InfoOfFile(key, entry);
        to_come_.emplace(std::move(key), std::move(info));
      }
    }
    return {};
  }

  FileObjectStore& store_;
  std::string prefix_;
  std::string start_after_;
  std::map<std::string, std::optional<ObjectInfo>> to_come_;
};

Result<std::unique_ptr<ObjectLister>> FileObjectStore::List(const std::string& prefix, const std::string& start_after) {
  SL_TRY(ValidateObjectKeyPrefix(prefix));
  return std::make_unique<FileLister>(*this, prefix, start_after);
}

// Parts go to their place in one file.
class FileUpload final : public ObjectUpload {
 public:
  FileUpload(FileObjectStore& store, FileObjectStore::Draft draft, std::string key, std::uint64_t part_bytes)
      : store_(store), key_(std::move(key)), sizes_(part_bytes) {
    draft_.emplace(std::move(draft));
  }

  Status PutPart(std::uint32_t number, std::string_view bytes) override {
    SL_TRY(ValidatePart(number, bytes.size(), sizes_.part_bytes()));
    const std::shared_lock lock(mutex_);
    if (!draft_) return Ended();
    SL_TRY(draft_->file->WriteAt((number - 1) * sizes_.part_bytes(), bytes));
    sizes_.Add(number, bytes.size());
    return {};
  }

  Result<ObjectInfo> Complete() override {
    const std::unique_lock lock(mutex_);
    if (!draft_) return std::unexpected(Ended().error());
    SL_TRY(sizes_.CheckWhole(store_.PathOf(key_)));
    FileObjectStore::Draft draft = std::move(*draft_);
    draft_.reset();
    return store_.Finish(std::move(draft), key_, PutCondition::Anyhow());
  }

  Status Abort() override {
    const std::unique_lock lock(mutex_);
    draft_.reset();
    return {};
  }

 private:
  Status Ended() const { return Fail(ErrorKind::kFailedPrecondition, store_.PathOf(key_) + ": the upload was completed or aborted"); }

  FileObjectStore& store_;
  std::string key_;
  PartSizes sizes_;
  std::shared_mutex mutex_;                       // exclusive: the upload ends
  std::optional<FileObjectStore::Draft> draft_;  // none: it has ended
};

Result<std::unique_ptr<ObjectUpload>> FileObjectStore::StartUpload(const std::string& key, std::uint64_t part_bytes) {
  SL_TRY(ValidateObjectKey(key));
  if (part_bytes < kPartBytesMin) {
    return Fail(ErrorKind::kInvalidArgument, "an upload's parts have at least " + FormatBytes(kPartBytesMin));
  }
  SL_ASSIGN_OR_RETURN(Draft draft, Begin());
  return std::make_unique<FileUpload>(*this, std::move(draft), key, part_bytes);
}

}  // namespace sightline::stores
