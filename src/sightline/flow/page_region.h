#pragma once

#include <cstddef>

namespace sightline::flow {

// Zeroed memory that grows where it stands: what was written stays, and only what is new costs page faults. Each whole huge page within
// it becomes one, so that far-apart accesses find their translation cached; its end never takes up more than it needs. Not thread-safe.
class PageRegion {
 public:
  PageRegion() = default;
  PageRegion(const PageRegion&) = delete;
  PageRegion& operator=(const PageRegion&) = delete;
  ~PageRegion();

  // At least `bytes` from data() on, which may move. Never shrinks. Throws std::bad_alloc.
  void Grow(std::size_t bytes);
  void* data() const { return data_; }

 private:
  void GrowSmall(std::size_t size);
  void Reserve(std::size_t bytes);
  void UseHugePages(std::size_t before);

  char* data_ = nullptr;
  std::size_t size_ = 0;      // usable, whole pages
  std::size_t reserved_ = 0;  // of address space
};

}  // namespace sightline::flow
