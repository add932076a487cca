#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <mutex>
#include <set>
#include <string>

namespace sightline::flow {

// Room for what pipelines remember: memory up to a limit, then pages of files, which the operating system writes out when it needs their
// memory for something else. Where a byte lives changes nothing in what it means. docs/adr/0008-state-beyond-memory.md.
//
// A page file has no name from the moment it is there, so that nothing stays of a process that ends. Its blocks are taken before it is
// used: a full disk is an answer here, never a fault at a later write.
//
// Asking for room never fails for lack of it: what fits neither here nor there is overdrawn from memory, since a piece of work that was
// begun must be ended. Whoever begins one asks HasRoom first. One a process. Thread-safe.
class StateMemory final : public std::pmr::memory_resource {
 public:
  struct Limits {
    std::uint64_t memory_max = UINT64_MAX;
    std::uint64_t disk_max = 0;
    std::string directory = {};            // of the page files, which is there; empty: no files
    std::size_t file_from = 64U << 10;     // a smaller piece is not worth a mapping of its own and always stays in memory
    std::chrono::milliseconds probe_every{1000};  // a disk that refused is asked again so often
  };
  StateMemory() : StateMemory(Limits()) {}
  explicit StateMemory(Limits limits) : limits_(std::move(limits)) {}
  StateMemory(const StateMemory&) = delete;
  StateMemory& operator=(const StateMemory&) = delete;

  // Whether `bytes` more can be had without overdrawing; none always can.
  bool HasRoom(std::uint64_t bytes);
  // Why there is none, for people: what is used up and what to do.
  std::string WhyFull() const;
  std::uint64_t memory_bytes() const { return memory_.load(std::memory_order_relaxed); }
  std::uint64_t disk_bytes() const { return disk_.load(std::memory_order_relaxed); }
  const Limits& limits() const { return limits_; }

  // For those who manage pages on their own: each counts, or gives back what was counted.
  bool TakeMemory(std::size_t bytes);      // false: beyond the limit
  void OverdrawMemory(std::size_t bytes) { memory_.fetch_add(bytes, std::memory_order_relaxed); }
  void ReturnMemory(std::size_t bytes) { memory_.fetch_sub(bytes, std::memory_order_relaxed); }
  // Zeroed pages of a file, in place of what is mapped `at` (a page's boundary) or anywhere; null: no room, or the disk refuses.
  void* MapFile(void* at, std::size_t bytes);
  void ReturnDisk(std::size_t bytes);      // after they were unmapped

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* at, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
  // The errno of a file of that size that can't be had, 0 and its descriptor otherwise.
  int MakeFile(std::size_t bytes, int& descriptor) const;
  bool DiskTakes(std::size_t bytes);
  // False if the piece is none of a file.
  bool TakeOut(void* piece);
  std::uint64_t OverdraftMax() const;

  const Limits limits_;
  std::atomic<std::uint64_t> memory_{0};
  std::atomic<std::uint64_t> disk_{0};
  std::atomic<int> refused_{0};            // errno of the disk's last refusal; 0: it takes pages
  std::mutex mutex_;                       // of what follows
  std::set<void*> files_;                  // pieces of do_allocate that are pages of a file
  std::chrono::steady_clock::time_point probed_;
};

}  // namespace sightline::flow
