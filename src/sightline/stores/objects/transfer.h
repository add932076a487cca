#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sightline/base/result.h"
#include "sightline/stores/objects/port.h"

namespace sightline::stores {

struct TransferOptions {
  std::uint64_t part_bytes = kPartBytes;
  int in_flight = 4;  // parts at once, each on a thread of its own
};

// Puts an object of any size: what fits into a part at once, more in parts beside each other. Nothing is there after an error; the
// first part's error is the one given.
Result<ObjectInfo> PutLarge(ObjectStore& store, const std::string& key, std::string_view bytes, const TransferOptions& options = {});

// Gets an object of any size by ranges beside each other, all of them of one etag: the object as it was, or kFailedPrecondition when it
// is replaced meanwhile. kResourceExhausted when it has more than `size_max` bytes.
Result<Object> GetLarge(ObjectStore& store, const std::string& key, std::uint64_t size_max, const TransferOptions& options = {});

}  // namespace sightline::stores
