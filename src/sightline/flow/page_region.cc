#include "sightline/flow/page_region.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

namespace sightline::flow {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = 2U << 20;
constexpr std::size_t kSmall = 512U << 10;
// Address space costs nothing: with this much more than is needed a region moves rarely, and then by its page tables alone.
constexpr std::size_t kReserveFactor = 8;
constexpr int kMadviseCollapse = 25;  // MADV_COLLAPSE of Linux 6.1, which Debian 12's C library does not name

std::size_t RoundUp(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

// ThreadSanitizer does not see mremap, and takes what a thread finds at a place that another has moved from for a race: there bytes are
// copied.
#if defined(__SANITIZE_THREAD__)
constexpr bool kMovePages = false;
#else
constexpr bool kMovePages = true;
#endif

// The pages themselves, or what is in them where the kernel sees several mappings of memory. Nothing is mapped at `from` afterwards:
// another thread may have a mapping of its own there at once, so that it must not be unmapped once more.
void Move(char* to, char* from, std::size_t size) {
  if (size == 0 || (kMovePages && mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED)) return;
  if (mmap(to, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) throw std::bad_alloc();
  std::memcpy(to, from, size);
  munmap(from, size);
}

}  // namespace

void AdviseHugePages(void* data, std::size_t size) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t from = RoundUp(begin, kHugePage);
  const std::uintptr_t to = (begin + size) / kHugePage * kHugePage;
  if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
}

PageRegion::~PageRegion() {
  if (data_ != nullptr) munmap(data_, reserved_);
  for (const Piece& piece : pieces_) GiveBack(piece.size, piece.file);
}

void PageRegion::GiveBack(std::size_t bytes, bool file) {
  if (memory_ == nullptr) return;
  if (file) {
    memory_->ReturnDisk(bytes);
  } else {
    memory_->ReturnMemory(bytes);
  }
}

// Takes address space at a huge page's boundary and moves what there is into it.
void PageRegion::Reserve(std::size_t bytes) {
  const std::size_t wanted = RoundUp(bytes * kReserveFactor, kHugePage);
  void* const mapped = mmap(nullptr, wanted + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  char* const begin = static_cast<char*>(mapped);
  char* const aligned = begin + (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  if (aligned != begin) munmap(begin, static_cast<std::size_t>(aligned - begin));
  munmap(aligned + wanted, static_cast<std::size_t>(begin + kHugePage - aligned));
  const auto move = [&](std::size_t from, std::size_t to) { Move(aligned + from, data_ + from, to - from); };
  for (const Piece& piece : pieces_) {
    // Huge pages and small ones are mappings of their own, and mremap takes one at a time.
    const std::size_t low = std::min(RoundUp(piece.begin, kHugePage), piece.end());
    const std::size_t high = std::max(low, piece.end() / kHugePage * kHugePage);
    if (piece.file) {
      move(piece.begin, piece.end());
    } else {
      move(piece.begin, low);
      move(low, high);
      move(high, piece.end());
    }
  }
  if (reserved_ > size_) munmap(data_ + size_, reserved_ - size_);
  data_ = aligned;
  reserved_ = wanted;
  small_ = false;
}

// Where there are none, or an old kernel, small pages do.
void PageRegion::UseHugePages(const Piece& piece, std::size_t before) {
  const std::size_t from = std::max(before / kHugePage * kHugePage, RoundUp(piece.begin, kHugePage));
  const std::size_t to = size_ / kHugePage * kHugePage;
  if (to <= from) return;
  madvise(data_ + from, to - from, MADV_HUGEPAGE);
  if (before > from) madvise(data_ + from, kHugePage, kMadviseCollapse);
}

// Pages of a file at the end, where there is no memory left for them.
bool PageRegion::TakeFile(std::size_t bytes) {
  if (memory_ == nullptr || memory_->TakeMemory(bytes)) return false;
  if (memory_->MapFile(data_ + size_, bytes) != nullptr) return true;
  memory_->OverdrawMemory(bytes);
  return false;
}

// A small region is one mapping, and no more: there may be thousands, and a process has only so many mappings.
void PageRegion::GrowSmall(std::size_t size) {
  void* const at = data_ == nullptr || !kMovePages ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                                   : mremap(data_, size_, size, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) {
    GiveBack(size - size_, false);
    throw std::bad_alloc();
  }
  if (data_ != nullptr && !kMovePages) {
    std::memcpy(at, data_, size_);
    munmap(data_, size_);
  }
  data_ = static_cast<char*>(at);
  size_ = reserved_ = size;
  pieces_ = {{.begin = 0, .size = size, .file = false}};
}

// Whole pages; and where little is wanting to the end's huge page, all of it, so that it is one too.
std::size_t PageRegion::SizeFor(std::size_t bytes) const {
  const std::size_t size = RoundUp(bytes, kPage);
  const std::size_t whole = RoundUp(size, kHugePage);
  if (size <= kSmall || whole - size > std::min(kHugePage / 2, size / 5) || size <= size_) return size;
  const bool room = memory_ == nullptr || memory_->memory_bytes() + (whole - size_) <= memory_->limits().memory_max;
  return room ? whole : size;
}

void PageRegion::Grow(std::size_t bytes) {
  const std::size_t size = SizeFor(bytes);
  if (size <= size_) return;
  if (small_ && size <= kSmall && (memory_ == nullptr || memory_->TakeMemory(size - size_))) return GrowSmall(size);
  if (size > reserved_) Reserve(size);
  const std::size_t before = size_;
  const std::size_t added = size - before;
  const bool file = TakeFile(added);
  if (!file && mprotect(data_ + before, added, PROT_READ | PROT_WRITE) != 0) {
    GiveBack(added, false);
    throw std::bad_alloc();
  }
  size_ = size;
  if (!file && !pieces_.empty() && !pieces_.back().file) {
    pieces_.back().size += added;
  } else {
    pieces_.push_back({.begin = before, .size = added, .file = file});
  }
  if (file) return;
  UseHugePages(pieces_.back(), before);
  // All of it is about to be used: one call instead of a fault a page.
  madvise(data_ + before, added, MADV_POPULATE_WRITE);
}

void PageRegion::Shrink(std::size_t bytes) {
  const std::size_t kept = RoundUp(bytes, kPage);
  while (!pieces_.empty() && pieces_.back().end() > kept) {
    Piece& last = pieces_.back();
    // A file is one piece of the disk: it goes as a whole or stays.
    const std::size_t from = std::max(last.begin, last.file ? last.begin : kept);
    if (last.file && last.begin < kept) break;
    const std::size_t gone = last.end() - from;
    if (mmap(data_ + from, gone, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) break;
    GiveBack(gone, last.file);
    small_ = false;
    size_ = from;
    last.size -= gone;
    if (last.size == 0) pieces_.pop_back();
  }
}

}  // namespace sightline::flow
