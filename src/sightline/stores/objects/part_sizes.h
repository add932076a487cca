#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "sightline/base/result.h"
#include "sightline/stores/objects/port.h"

namespace sightline::stores {

// Which parts of an upload are there, held to the port's rules. Thread-safe.
class PartSizes {
 public:
  explicit PartSizes(std::uint64_t part_bytes) : part_bytes_(part_bytes) {}
  std::uint64_t part_bytes() const { return part_bytes_; }

  void Add(std::uint32_t number, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    sizes_[number] = size;
  }
  std::uint64_t total() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    for (const auto& [number, size] : sizes_) sum += size;
    return sum;
  }
  // kFailedPrecondition unless the parts are a whole object; `what` is its name.
  Status CheckWhole(const std::string& what) const {
    const std::lock_guard lock(mutex_);
    if (sizes_.empty()) return Fail(ErrorKind::kFailedPrecondition, what + ": the upload has no part");
    std::uint32_t expected = 1;
    for (const auto& [number, size] : sizes_) {
      if (number != expected) return Fail(ErrorKind::kFailedPrecondition, what + ": part " + std::to_string(expected) + " is missing");
      if (size != part_bytes_ && number != sizes_.rbegin()->first) {
        return Fail(ErrorKind::kFailedPrecondition, what + ": part " + std::to_string(number) + " is short and not the last");
      }
      ++expected;
    }
    return {};
  }

 private:
  const std::uint64_t part_bytes_;
  mutable std::mutex mutex_;
  std::map<std::uint32_t, std::uint64_t> sizes_;
};

}  // namespace sightline::stores
