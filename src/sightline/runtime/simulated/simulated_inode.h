#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/runtime/random.h"

namespace sightline::runtime {

// The contents of one simulated file: what programs see, and what of it would survive a loss of power. Not thread-safe;
// the simulated file system guards it.
//
// A disk writes sectors whole, in any order, any of those written since the last sync. A truncation is a change of the
// file system's journal: it happened or it did not, as a whole. A failed sync leaves sectors that no later sync writes
// (the page cache believes them clean), as Linux does.
class SimulatedInode {
 public:
  static constexpr std::uint64_t kSector = 512;

  void Write(std::uint64_t position, std::string_view bytes);
  std::size_t Read(std::uint64_t position, char* to, std::size_t size) const;
  void Truncate(std::uint64_t size);
  // The new bytes are zero.
  void Extend(std::uint64_t size);
  void Sync();
  void FailSync();
  std::uint64_t size() const { return size_; }
  std::int64_t modified_ns() const { return modified_ns_; }
  void SetModified(std::int64_t ns) { modified_ns_ = ns; }
  // Addresses that stay, and see later writes up to `size`, as long as the inode lives.
  std::string_view Map(std::uint64_t size);
  // What a loss of power leaves, as a file that was never touched since.
  std::shared_ptr<SimulatedInode> AfterPowerLoss(Random& random) const;
  // Changes bytes behind everybody's back, durably.
  void Flip(std::uint64_t position, std::uint8_t mask);
  bool has_unsynced() const { return !undo_.empty() || durable_size_ != size_ || cut_.has_value(); }

 private:
  struct Release {
    std::uint64_t capacity = 0;
    void operator()(char* bytes) const;
  };
  struct Buffer {
    std::unique_ptr<char, Release> bytes;
    std::uint64_t capacity = 0;
  };
  static Buffer Zeroed(std::uint64_t capacity);
  struct Cut {  // what truncations since the last sync took
    std::uint64_t at = 0;
    std::string tail;
    std::map<std::uint64_t, std::string> undo;  // sectors of the tail that were not synced then
    std::uint64_t durable_size = 0;
  };
  char* data() const { return buffers_.empty() ? nullptr : buffers_.back().bytes.get(); }
  void RecordCut(std::uint64_t size);
  void Reserve(std::uint64_t capacity);
  void Touch(std::uint64_t position, std::uint64_t size);

  std::vector<Buffer> buffers_;  // the last one is the file; mapped ones before it mirror their part
  bool mapped_ = false;
  std::uint64_t size_ = 0;
  std::uint64_t durable_size_ = 0;
  std::int64_t modified_ns_ = 0;
  std::int64_t durable_modified_ns_ = 0;
  std::map<std::uint64_t, std::string> undo_;  // sector number -> its bytes on disk, where they differ
  std::set<std::uint64_t> believed_clean_;     // sectors of undo_ that a failed sync gave up
  std::optional<Cut> cut_;
};

}  // namespace sightline::runtime
