#include "sightline/runtime/posix_file_system.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace sightline::runtime {
namespace {

constexpr mode_t kFileMode = 0640;
constexpr std::string_view kLockFile = "lock";

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// open(2), again after a signal.
int OpenFd(const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, kFileMode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class PosixFile final : public File {
 public:
  PosixFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override {
    if (mapping_ != nullptr) ::munmap(mapping_, mapped_);
  }

  Status WriteAt(std::uint64_t position, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t wrote = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(position));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return FailErrno("writing " + path_, errno);
      position += static_cast<std::uint64_t>(wrote);
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
    }
    return {};
  }

  Result<std::size_t> ReadAt(std::uint64_t position, char* to, std::size_t size) const override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = ::pread(fd_.get(), to + done, size - done, static_cast<off_t>(position + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return FailErrno("reading " + path_, errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status Sync() override {
    if (::fdatasync(fd_.get()) != 0) return FailErrno("fdatasync of " + path_, errno);
    return {};
  }

  Status Truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return FailErrno("truncating " + path_, errno);
    return {};
  }

  Status SetModified(std::int64_t ns) override {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const timespec modified{.tv_sec = static_cast<time_t>(ns / kSecond), .tv_nsec = static_cast<long>(ns % kSecond)};
    const timespec times[2] = {modified, modified};
    if (::futimens(fd_.get(), times) != 0) return FailErrno("setting the time of " + path_, errno);
    return {};
  }

  Status Preallocate(std::uint64_t size) override {
    SL_ASSIGN_OR_RETURN(const std::uint64_t now, Size());
    if (size <= now) return {};
    int failed = 0;
    do {
      failed = ::fallocate(fd_.get(), 0, static_cast<off_t>(now), static_cast<off_t>(size - now)) == 0 ? 0 : errno;
    } while (failed == EINTR);
    // Not every file system can reserve; a sparse file is right as well, only slower and without the promise of room.
    if (failed == EOPNOTSUPP) return Truncate(size);
    if (failed != 0) return FailErrno("reserving room for " + path_, failed);
    return {};
  }

  Result<std::uint64_t> Size() const override {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return FailErrno("looking at " + path_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<std::string_view> Map(std::uint64_t size) override {
    if (mapping_ != nullptr) return Fail(ErrorKind::kInternal, path_ + " is mapped already");
    if (size == 0) return std::string_view();
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd_.get(), 0);
    if (at == MAP_FAILED) return FailErrno("mapping " + path_, errno);
    mapping_ = at;
    mapped_ = size;
    return std::string_view(static_cast<const char*>(at), size);
  }

 private:
  Descriptor fd_;
  std::string path_;
  void* mapping_ = nullptr;
  std::size_t mapped_ = 0;
};

class PosixDirectoryLock final : public DirectoryLock {
 public:
  explicit PosixDirectoryLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  Descriptor fd_;
};

FileInfo InfoOf(std::string name, const struct stat& info) {
  const bool directory = S_ISDIR(info.st_mode);
  return {.name = std::move(name),
          .directory = directory,
          .size = directory ? 0 : static_cast<std::uint64_t>(info.st_size),
          .modified_ns = info.st_mtim.tv_sec * 1'000'000'000L + info.st_mtim.tv_nsec};
}

int OpenFlags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead: return O_RDONLY;
    case OpenMode::kReadWrite: return O_RDWR;
    case OpenMode::kCreate: return O_RDWR | O_CREAT;
    case OpenMode::kCreateExclusive: return O_RDWR | O_CREAT | O_EXCL;
  }
  return O_RDONLY;
}

}  // namespace

Result<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, OpenMode mode) {
  Descriptor fd(OpenFd(path, OpenFlags(mode)));
  if (fd.get() < 0) return FailErrno("opening " + path, errno);
  return std::make_unique<PosixFile>(std::move(fd), path);
}

Result<std::vector<FileInfo>> PosixFileSystem::List(const std::string& directory) {
  std::vector<FileInfo> entries;
  std::error_code error;
  std::filesystem::directory_iterator at(directory, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    struct stat info{};
    if (::stat(at->path().c_str(), &info) != 0) continue;  // an entry may vanish between the listing and the look at it
    entries.push_back(InfoOf(at->path().filename().string(), info));
  }
  if (error) return FailErrno("listing " + directory, error.value());
  std::ranges::sort(entries, {}, &FileInfo::name);
  return entries;
}

Status PosixFileSystem::CreateDirectories(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return FailErrno("making directory " + directory, error.value());
  return {};
}

Status PosixFileSystem::SyncDirectory(const std::string& directory) {
  const Descriptor fd(OpenFd(directory, O_RDONLY | O_DIRECTORY));
  if (fd.get() < 0) return FailErrno("opening directory " + directory, errno);
  if (::fsync(fd.get()) != 0) return FailErrno("fsync of directory " + directory, errno);
  return {};
}

Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return FailErrno("renaming " + from + " to " + to, errno);
  return {};
}

Status PosixFileSystem::RenameNew(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EEXIST) return Fail(ErrorKind::kAlreadyExists, to + " exists");
  if (errno != EINVAL && errno != ENOSYS) return FailErrno("renaming " + from + " to " + to, errno);
  // A file system without that call: a second name, which fails where there is one, and the first one goes.
  if (::link(from.c_str(), to.c_str()) != 0) {
    if (errno == EEXIST) return Fail(ErrorKind::kAlreadyExists, to + " exists");
    return FailErrno("linking " + from + " to " + to, errno);
  }
  if (::unlink(from.c_str()) != 0) return FailErrno("removing " + from, errno);
  return {};
}

Status PosixFileSystem::Remove(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return FailErrno("removing " + path, error.value());
  return {};
}

Result<bool> PosixFileSystem::Exists(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return FailErrno("looking for " + path, errno);
}

Result<FileInfo> PosixFileSystem::Stat(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return FailErrno("looking at " + path, errno);
  return InfoOf(std::filesystem::path(path).filename().string(), info);
}

Result<std::uint64_t> PosixFileSystem::FreeBytes(const std::string& directory) {
  struct statvfs info{};
  if (::statvfs(directory.c_str(), &info) != 0) return FailErrno("asking for free room in " + directory, errno);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Result<std::unique_ptr<DirectoryLock>> PosixFileSystem::Lock(const std::string& directory) {
  const std::string path = directory + "/" + std::string(kLockFile);
  Descriptor fd(OpenFd(path, O_RDWR | O_CREAT));
  if (fd.get() < 0) return FailErrno("opening " + path, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FailErrno("locking " + path, errno);
    char owner[32] = {};
    const ssize_t got = ::pread(fd.get(), owner, sizeof owner - 1, 0);
    const std::string_view pid(owner, got > 0 ? static_cast<std::size_t>(got) : 0);
    return Fail(ErrorKind::kFailedPrecondition, directory + " is in use by process " + (pid.empty() ? "(unknown)" : std::string(pid)) +
                                                    "; stop it, or use another data directory");
  }
  const std::string pid = std::to_string(::getpid());
  // The number only serves the message above, so that a full disk must not keep the owner out.
  if (::ftruncate(fd.get(), 0) == 0 && ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) errno = 0;
  return std::make_unique<PosixDirectoryLock>(std::move(fd));
}

}  // namespace sightline::runtime
