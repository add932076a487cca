#include "sightline/flow/page_region.h"

#include <sys/mman.h>

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

// The pages themselves, or what is in them where the kernel sees several mappings.
void Move(char* to, char* from, std::size_t size) {
  if (size == 0 || mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED) return;
  if (mmap(to, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) throw std::bad_alloc();
  std::memcpy(to, from, size);
}

}  // namespace

PageRegion::~PageRegion() {
  if (data_ != nullptr) munmap(data_, reserved_);
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
  if (size_ > 0) {
    // Huge pages and small ones are mappings of their own, and mremap takes one at a time.
    const std::size_t huge = size_ / kHugePage * kHugePage;
    Move(aligned, data_, huge);
    Move(aligned + huge, data_ + huge, size_ - huge);
    munmap(data_, reserved_);
  }
  data_ = aligned;
  reserved_ = wanted;
}

// Where there are none, or an old kernel, small pages do.
void PageRegion::UseHugePages(std::size_t before) {
  const std::size_t from = before / kHugePage * kHugePage;
  const std::size_t to = size_ / kHugePage * kHugePage;
  if (to <= from) return;
  madvise(data_ + from, to - from, MADV_HUGEPAGE);
  if (before > from) madvise(data_ + from, kHugePage, kMadviseCollapse);
}

// A small region is one mapping, and no more: there may be thousands, and a process has only so many mappings.
void PageRegion::GrowSmall(std::size_t size) {
  void* const at = data_ == nullptr ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                    : mremap(data_, size_, size, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<char*>(at);
  size_ = reserved_ = size;
}

void PageRegion::Grow(std::size_t bytes) {
  const std::size_t size = RoundUp(bytes, kPage);
  if (size <= size_) return;
  if (size <= kSmall) return GrowSmall(size);
  if (size > reserved_) Reserve(size);
  if (mprotect(data_ + size_, size - size_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  const std::size_t before = size_;
  size_ = size;
  UseHugePages(before);
  // All of it is about to be used: one call instead of a fault a page.
  madvise(data_ + before, size_ - before, MADV_POPULATE_WRITE);
}

}  // namespace sightline::flow
