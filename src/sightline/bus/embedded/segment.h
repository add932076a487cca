#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sightline/bus/embedded/format.h"
#include "sightline/runtime/file_system.h"

namespace sightline::bus {

// One file of a partition's log. Its partition appends to the newest one under its own lock; readers hold segments by
// shared_ptr and read what lies below used() without a lock, also after retention removed the name.
//
// The file is given room in steps ahead of the writing, so that a sync seldom has to write a new size; sealing gives the
// unused rest back.
class Segment {
 public:
  // Where a reader that looks for an offset may start: batches begin at `position`.
  struct IndexEntry {
    Offset base;
    std::uint64_t position = 0;
  };
  static constexpr std::uint64_t kIndexEvery = 256 << 10;

  static Result<std::shared_ptr<Segment>> Create(runtime::FileSystem& files, const std::string& directory, const SegmentHeader& header,
                                                 std::uint64_t capacity, std::uint64_t reserve);
  // `capacity`: the size it may grow to, if that is more than it has.
  static Result<std::shared_ptr<Segment>> Open(runtime::FileSystem& files, const std::string& directory, SegmentName name,
                                               std::uint64_t capacity);

  const SegmentName& name() const { return name_; }
  const std::string& path() const { return path_; }
  Offset base() const { return name_.base; }
  std::uint64_t capacity() const { return capacity_; }
  std::uint64_t file_size() const { return file_size_; }

  // The whole capacity as it stands in memory; only what lies below used() (in recovery: below file_size()) may be touched.
  Result<std::string_view> View();

  // Bytes with whole batches. Rises after they are written.
  std::uint64_t used() const { return used_.load(std::memory_order_acquire); }
  bool sealed() const { return sealed_.load(std::memory_order_acquire); }
  // One past the last offset, once sealed.
  Offset end() const { return Offset(end_.load(std::memory_order_relaxed)); }

  // The rest is for the partition alone, under its lock.
  // Writes at `position` and makes room first. `reserve`: stop short of filling the disk up to the last this many bytes.
  Status Write(std::uint64_t position, std::string_view bytes, std::uint64_t reserve);
  void Advance(const BatchHeader& batch);
  // Recovery knows without reading that `used` bytes belong to the log.
  void AssumeUsed(std::uint64_t used) { used_.store(used, std::memory_order_release); }
  void Seal(Offset end);
  // Removes all from `position` on, files and index.
  Status Cut(std::uint64_t position);
  Status Sync() { return file_->Sync(); }
  // Marks everything as written by a program that is not sure it reached the disk: writes it once more, as it is.
  Status Rewrite(std::uint64_t from, std::uint64_t to);

  std::vector<IndexEntry> index;
  AppendTime last_append;
  Epoch last_epoch;        // of its last batch
  bool dirty = false;      // has bytes that no sync began after
  bool described = false;  // its sidecar file is on disk

 private:
  Segment(runtime::FileSystem& files, std::string directory, SegmentName name, std::unique_ptr<runtime::File> file);

  runtime::FileSystem& files_;
  std::string directory_;
  std::string path_;
  SegmentName name_;
  std::unique_ptr<runtime::File> file_;
  std::uint64_t capacity_ = 0;
  std::uint64_t file_size_ = 0;
  std::mutex view_mutex_;
  std::optional<std::string_view> view_;
  std::atomic<std::uint64_t> used_{kSegmentHeaderSize};
  std::atomic<std::int64_t> end_{0};
  std::atomic<bool> sealed_{false};
};

using SegmentPtr = std::shared_ptr<Segment>;

}  // namespace sightline::bus
