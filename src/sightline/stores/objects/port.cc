#include "sightline/stores/objects/port.h"

#include <algorithm>
#include <iterator>

namespace sightline::stores {

Status ValidatePart(std::uint32_t number, std::uint64_t size, std::uint64_t part_bytes) {
  if (number < 1 || number > kPartsMax) {
    return Fail(ErrorKind::kInvalidArgument,
                "part " + std::to_string(number) + ": parts are numbered from 1 to " + std::to_string(kPartsMax));
  }
  if (size == 0 || size > part_bytes) {
    return Fail(ErrorKind::kInvalidArgument, "part " + std::to_string(number) + " has " + std::to_string(size) +
                                                 " bytes; the upload's parts have " + std::to_string(part_bytes) +
                                                 ", the last of them at least 1");
  }
  return {};
}

Result<std::vector<ObjectInfo>> ListAll(ObjectStore& store, const std::string& prefix) {
  std::vector<ObjectInfo> all;
  SL_ASSIGN_OR_RETURN(const auto lister, store.List(prefix, ""));
  while (true) {
    SL_ASSIGN_OR_RETURN(std::vector<ObjectInfo> page, lister->Next());
    if (page.empty()) return all;
    std::ranges::move(page, std::back_inserter(all));
  }
}

}  // namespace sightline::stores
