#include "sightline/flow/page_region.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace sightline::flow {
namespace {

TEST(PageRegion, KeepsWhatWasWrittenAndGivesZeros) {
  PageRegion region;
  std::size_t words = 0;
  for (std::size_t size : {1UL, 4096UL, 5000UL, 1UL << 20, 3UL << 20, 5UL << 20, 40UL << 20, 39UL << 20, 90UL << 20}) {
    region.Grow(size);
    auto* const data = static_cast<std::uint64_t*>(region.data());
    for (std::size_t i = 0; i < words; ++i) ASSERT_EQ(data[i], i + 1) << size;
    for (; words < size / 8; ++words) {
      ASSERT_EQ(data[words], 0U) << size;
      data[words] = words + 1;
    }
  }
}

}  // namespace
}  // namespace sightline::flow
