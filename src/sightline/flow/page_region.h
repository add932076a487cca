#pragma once

#include <cstddef>
#include <vector>

#include "sightline/flow/state_memory.h"

namespace sightline::flow {

// Asks for huge pages where whole ones lie within `size` bytes from `data` on: fewer page faults. Advice, which may do nothing.
void AdviseHugePages(void* data, std::size_t size);

// Zeroed memory that grows where it stands: what was written stays, and only what is new costs page faults. Each whole huge page within
// it becomes one, so that far-apart accesses find their translation cached; where little is wanting to the last one, it is taken up, too.
// What is new when memory is used up is pages of a file. Not thread-safe.
class PageRegion {
 public:
  PageRegion() = default;
  PageRegion(const PageRegion&) = delete;
  PageRegion& operator=(const PageRegion&) = delete;
  ~PageRegion();

  // Where pages come from, before the first Grow; null: memory without a limit.
  void UseMemory(StateMemory* memory) { memory_ = memory; }
  // At least `bytes` from data() on, which may move. Throws std::bad_alloc.
  void Grow(std::size_t bytes);
  // Gives back what it can beyond the first `bytes`.
  void Shrink(std::size_t bytes);
  void* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  // Neighbours in memory are one piece; each file is a mapping of its own.
  struct Piece {
    std::size_t begin = 0;
    std::size_t size = 0;
    bool file = false;
    std::size_t end() const { return begin + size; }
  };
  std::size_t SizeFor(std::size_t bytes) const;
  void GrowSmall(std::size_t size);
  void Reserve(std::size_t bytes);
  bool TakeFile(std::size_t bytes);
  void UseHugePages(const Piece& piece, std::size_t before);
  void GiveBack(std::size_t bytes, bool file);

  StateMemory* memory_ = nullptr;
  char* data_ = nullptr;
  std::size_t size_ = 0;      // usable, whole pages
  std::size_t reserved_ = 0;  // of address space
  bool small_ = true;         // one mapping, without address space to grow into
  std::vector<Piece> pieces_;
};

}  // namespace sightline::flow
