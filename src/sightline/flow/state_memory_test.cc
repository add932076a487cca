#include "sightline/flow/state_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <vector>

#include "sightline/base/testing/rounds.h"
#include "sightline/flow/dedupe_table.h"
#include "sightline/flow/page_region.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

constexpr std::size_t kPiece = 1U << 20;

std::string MakeDirectory() {
  std::string path = ::testing::TempDir() + "state_memory_XXXXXX";
  if (mkdtemp(path.data()) == nullptr) ADD_FAILURE() << path;
  return path;
}

class StateMemoryTest : public ::testing::Test {
 protected:
  ~StateMemoryTest() override { std::filesystem::remove_all(directory_); }
  StateMemory::Limits Limits(std::uint64_t memory_max, std::uint64_t disk_max) const {
    return {.memory_max = memory_max, .disk_max = disk_max, .directory = directory_, .probe_every = std::chrono::milliseconds(0)};
  }
  std::string directory_ = MakeDirectory();
};

// No file of this process may grow beyond `bytes`: what a disk without room answers.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(StateMemoryTest, WhatGoesBeyondMemoryLivesInFilesWithoutANameAndComesBack) {
  StateMemory memory(Limits(kPiece, 4 * kPiece));
  {
    std::pmr::vector<std::uint64_t> first(kPiece / 8, 1, &memory);
    EXPECT_EQ(memory.memory_bytes(), kPiece);
    EXPECT_EQ(memory.disk_bytes(), 0U);
    std::pmr::vector<std::uint64_t> second(kPiece / 8, 2, &memory);
    EXPECT_EQ(memory.memory_bytes(), kPiece);
    EXPECT_EQ(memory.disk_bytes(), kPiece);
    EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "nothing may stay of a process that is killed";
    second.resize(kPiece / 4, 3);
    EXPECT_EQ(memory.disk_bytes(), 2 * kPiece);
    EXPECT_EQ(second[0], 2U);
    EXPECT_EQ(second[kPiece / 8 - 1], 2U);
    EXPECT_EQ(second.back(), 3U);
    const std::pmr::vector<char> small(100, 'a', &memory);
    EXPECT_EQ(memory.memory_bytes(), kPiece + 100) << "a small piece is in memory whatever the limit";
  }
  EXPECT_EQ(memory.memory_bytes(), 0U);
  EXPECT_EQ(memory.disk_bytes(), 0U);
}

TEST_F(StateMemoryTest, ThereIsRoomUntilBothLimitsAreReachedAndAgainWhenSomethingGoes) {
  StateMemory memory(Limits(kPiece, kPiece));
  EXPECT_TRUE(memory.HasRoom(kPiece));
  std::pmr::vector<char> first(kPiece, 'a', &memory);
  EXPECT_TRUE(memory.HasRoom(kPiece));
  EXPECT_FALSE(memory.HasRoom(2 * kPiece));
  std::pmr::vector<char> second(kPiece, 'b', &memory);
  EXPECT_FALSE(memory.HasRoom(1));
  EXPECT_TRUE(memory.HasRoom(0)) << "what needs nothing new can always go on";
  EXPECT_NE(memory.WhyFull().find("state.disk_max"), std::string::npos) << memory.WhyFull();
  const std::pmr::vector<char> begun(kPiece, 'c', &memory);  // asked for all the same: it is there
  EXPECT_EQ(begun.back(), 'c');
  EXPECT_EQ(memory.disk_bytes(), kPiece);
  first = std::pmr::vector<char>(&memory);
  second = std::pmr::vector<char>(&memory);
  EXPECT_TRUE(memory.HasRoom(kPiece));
}

TEST_F(StateMemoryTest, ADiskThatRefusesIsSaidSoAndAskedAgain) {
  StateMemory memory(Limits(0, 1ULL << 40));
  {
    const FullDisk full(kPiece / 2);
    EXPECT_TRUE(memory.HasRoom(kPiece)) << "nobody has asked the disk yet";
    std::pmr::vector<char> piece(kPiece, 'a', &memory);
    std::memset(piece.data(), 'b', piece.size());  // a fault here would end the test
    EXPECT_EQ(memory.disk_bytes(), 0U);
    EXPECT_EQ(memory.memory_bytes(), kPiece);
    EXPECT_FALSE(memory.HasRoom(kPiece));
    EXPECT_NE(memory.WhyFull().find(directory_), std::string::npos) << memory.WhyFull();
    PageRegion region;
    region.UseMemory(&memory);
    region.Grow(kPiece);
    std::memset(region.data(), 1, region.size());
    EXPECT_EQ(memory.disk_bytes(), 0U);
  }
  EXPECT_TRUE(memory.HasRoom(kPiece));
  const std::pmr::vector<char> piece(kPiece, 'a', &memory);
  EXPECT_EQ(memory.disk_bytes(), kPiece);
}

TEST_F(StateMemoryTest, ARegionKeepsItsContentsThroughFilesMemoryAndMoves) {
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(8); ++seed) {
    runtime::Random random(seed);
    StateMemory memory(Limits(random.Below(8U << 20), random.Below(64U << 20)));
    std::vector<std::uint64_t> expected;
    {
      PageRegion region;
      region.UseMemory(&memory);
      for (int step = 0; step < 60; ++step) {
        const std::uint64_t other = random.Below(2U << 20);
        std::pmr::vector<char> meanwhile(other, 'x', &memory);  // so that pieces of both kinds alternate
        const std::size_t words = expected.size() + random.Below(40'000);
        region.Grow(words * 8);
        auto* const data = static_cast<std::uint64_t*>(region.data());
        for (std::size_t i = expected.size(); i < words; ++i) {
          ASSERT_EQ(data[i], 0U) << "what is new is zeroed";
          expected.push_back(data[i] = random.Next());
        }
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), data)) << "seed " << seed << " step " << step;
        if (!random.OneIn(10)) continue;
        expected.resize(random.Below(expected.size() + 1));
        region.Shrink(expected.size() * 8);
        auto* const rest = static_cast<char*>(region.data());
        std::memset(rest + expected.size() * 8, 0, region.size() - expected.size() * 8);
      }
    }
    EXPECT_EQ(memory.memory_bytes(), 0U);
    EXPECT_EQ(memory.disk_bytes(), 0U);
  }
}

// A table that lives in files and is compacted at any time answers as one in memory does, and gives room back.
TEST_F(StateMemoryTest, ADedupeTableInFilesAnswersTheSameAndShrinks) {
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(4); ++seed) {
    runtime::Random random(seed);
    const std::int64_t within = 60'000;
    StateMemory memory(Limits(random.Below(1U << 20), 1ULL << 30));
    DedupeTable<std::uint64_t> plain(within, 1000, seed);
    DedupeTable<std::uint64_t> spilled(within, 1000, seed, &memory);
    std::int64_t clock = 1'700'000'000'000;
    std::uint64_t most = 0;
    std::uint64_t most_on_disk = 0;
    for (int round = 0; round < 400; ++round) {
      const std::size_t n = 1 + random.Below(1000);
      std::vector<std::uint64_t> keys;
      std::vector<std::int64_t> times, watermarks;
      for (std::size_t i = 0; i < n; ++i) {
        keys.push_back(random.Below(300'000));
        times.push_back(clock);
        watermarks.push_back(clock - 1000);
      }
      std::vector<std::uint8_t> one(n), other(n);
      if (random.OneIn(5)) spilled.Compact(clock - 1000);
      const std::uint64_t before = spilled.bytes();
      const std::uint64_t growth = spilled.GrowthFor(n);
      plain.Probe(keys, times, watermarks, one);
      spilled.Probe(keys, times, watermarks, other);
      ASSERT_EQ(one, other) << "seed " << seed << " round " << round;
      EXPECT_LE(spilled.bytes(), before + growth);
      most = std::max(most, memory.memory_bytes() + memory.disk_bytes());
      most_on_disk = std::max(most_on_disk, memory.disk_bytes());
      clock += round < 200 ? 100 : 2000;
    }
    EXPECT_GT(most_on_disk, 0U);
    clock += 2 * within;
    spilled.Compact(clock);
    EXPECT_EQ(spilled.size(), 0U);
    EXPECT_LT(memory.memory_bytes() + memory.disk_bytes(), most / 2);
  }
}

}  // namespace
}  // namespace sightline::flow
