#include "sightline/flow/state_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

namespace sightline::flow {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint64_t kOverdraftMin = 8U << 20;

std::size_t WholePages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

bool StateMemory::TakeMemory(std::size_t bytes) {
  if (memory_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limits_.memory_max) return true;
  memory_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

// Small pieces stay in memory whatever the limit: only so many more of them are fine.
std::uint64_t StateMemory::OverdraftMax() const { return std::max(limits_.memory_max / 8, kOverdraftMin); }

bool StateMemory::HasRoom(std::uint64_t bytes) {
  const std::uint64_t memory = memory_bytes();
  if (bytes == 0 || limits_.memory_max == UINT64_MAX || memory + bytes <= limits_.memory_max) return true;
  if (memory > limits_.memory_max && memory - limits_.memory_max > OverdraftMax()) return false;
  if (limits_.directory.empty() || disk_bytes() + WholePages(bytes) > limits_.disk_max) return false;
  return refused_.load(std::memory_order_relaxed) == 0 || DiskTakes(bytes);
}

// A disk that refused may have room again.
bool StateMemory::DiskTakes(std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - probed_ < limits_.probe_every) return false;
    probed_ = now;
  }
  int descriptor = -1;
  const int error = MakeFile(WholePages(bytes), descriptor);
  if (error == 0) close(descriptor);
  refused_.store(error, std::memory_order_relaxed);
  return error == 0;
}

std::string StateMemory::WhyFull() const {
  std::string why = "no room for what would have to be remembered of it: state.memory_max (" + std::to_string(limits_.memory_max) +
                    " bytes) is used up, and ";
  if (const int error = refused_.load(std::memory_order_relaxed); error != 0) {
    why += "the disk takes no more pages in " + limits_.directory + " (" + std::generic_category().message(error) + "): make room there";
  } else {
    why += "so is state.disk_max (" + std::to_string(limits_.disk_max) + " bytes): raise one of them";
  }
  return why + ", then offer it again";
}

int StateMemory::MakeFile(std::size_t bytes, int& descriptor) const {
  descriptor = open(limits_.directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {  // not every file system has files without a name
    std::string path = limits_.directory + "/pages-XXXXXX";
    descriptor = mkostemp(path.data(), O_CLOEXEC);
    if (descriptor >= 0) unlink(path.c_str());
  }
  if (descriptor < 0) return errno;
  const int error = posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  if (error != 0) close(descriptor);
  return error;
}

void* StateMemory::MapFile(void* at, std::size_t bytes) {
  const std::size_t size = WholePages(bytes);
  if (limits_.directory.empty()) return nullptr;
  if (disk_.fetch_add(size, std::memory_order_relaxed) + size > limits_.disk_max) {
    disk_.fetch_sub(size, std::memory_order_relaxed);
    return nullptr;
  }
  int descriptor = -1;
  int error = MakeFile(size, descriptor);
  void* mapped = MAP_FAILED;
  if (error == 0) {
    mapped = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | (at != nullptr ? MAP_FIXED : 0), descriptor, 0);
    if (mapped == MAP_FAILED) error = errno;
    close(descriptor);
  }
  if (error == 0) return mapped;
  refused_.store(error, std::memory_order_relaxed);
  disk_.fetch_sub(size, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  probed_ = std::chrono::steady_clock::now();
  return nullptr;
}

void StateMemory::ReturnDisk(std::size_t bytes) { disk_.fetch_sub(WholePages(bytes), std::memory_order_relaxed); }

void* StateMemory::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes < limits_.file_from || alignment > kPage) {
    OverdrawMemory(bytes);
  } else if (!TakeMemory(bytes)) {
    if (void* const pages = MapFile(nullptr, bytes); pages != nullptr) {
      const std::lock_guard lock(mutex_);
      files_.insert(pages);
      return pages;
    }
    OverdrawMemory(bytes);
  }
  void* const made = ::operator new(bytes, std::align_val_t(alignment), std::nothrow);
  if (made != nullptr) return made;
  ReturnMemory(bytes);
  throw std::bad_alloc();
}

bool StateMemory::TakeOut(void* piece) {
  const std::lock_guard lock(mutex_);
  return files_.erase(piece) > 0;
}

void StateMemory::do_deallocate(void* at, std::size_t bytes, std::size_t alignment) {
  if (bytes >= limits_.file_from && disk_bytes() > 0 && TakeOut(at)) {
    munmap(at, WholePages(bytes));
    ReturnDisk(bytes);
    return;
  }
  ::operator delete(at, std::align_val_t(alignment));
  ReturnMemory(bytes);
}

}  // namespace sightline::flow
