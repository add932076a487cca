#include "sightline/flow/page_region.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

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

// A region that moves leaves its place to whoever asks for memory next, and must not take it away again.
TEST(PageRegion, MovesWhileOtherThreadsMapMemoryOfTheirOwn) {
  constexpr int kThreads = 4;
  constexpr int kRegions = 150;
  std::atomic<int> broken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&broken, t] {
      for (int i = 0; i < kRegions; ++i) {
        PageRegion region;
        std::size_t words = 0;
        for (const std::size_t size : {4UL << 10, 64UL << 10, 500UL << 10, 700UL << 10}) {  // small until the last
          region.Grow(size);
          auto* const data = static_cast<std::uint64_t*>(region.data());
          for (; words < size / 8; ++words) data[words] = words * kThreads + static_cast<std::size_t>(t);
        }
        const auto* const data = static_cast<const std::uint64_t*>(region.data());
        for (std::size_t w = 0; w < words; ++w) broken += data[w] == w * kThreads + static_cast<std::size_t>(t) ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(broken, 0);
}

}  // namespace
}  // namespace sightline::flow
