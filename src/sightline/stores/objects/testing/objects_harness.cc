#include "sightline/stores/objects/testing/objects_harness.h"

#include "sightline/runtime/random.h"

namespace sightline::stores::testing {

std::vector<std::string> ObjectsConformance::Keys(const std::string& prefix, const std::string& start_after) {
  std::vector<std::string> keys;
  const auto lister = store().List(prefix, start_after);
  EXPECT_OK(lister);
  if (!lister) return keys;
  while (true) {
    const auto page = (*lister)->Next();
    EXPECT_OK(page);
    if (!page || page->empty()) return keys;
    for (const ObjectInfo& info : *page) keys.push_back(info.key);
  }
}

std::string Noise(std::size_t size, std::uint64_t seed) {
  runtime::Random random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Next());
  return bytes;
}

}  // namespace sightline::stores::testing
