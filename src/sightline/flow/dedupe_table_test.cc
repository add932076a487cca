#include "sightline/flow/dedupe_table.h"

#include <gtest/gtest.h>

#include <map>

#include "sightline/base/testing/rounds.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

// An id is remembered while the end of its epoch plus `within` lies after the watermark.
class NaiveTable {
 public:
  NaiveTable(std::int64_t within, std::int64_t quantum) : within_(within), quantum_(quantum) {}
  bool Probe(std::uint64_t key, std::int64_t time, std::int64_t watermark) {
    const auto at = ids_.find(key);
    if (at != ids_.end() && (watermark == INT64_MIN || at->second >= Floor(watermark - within_))) return true;
    ids_[key] = Floor(time);
    return false;
  }

 private:
  std::int64_t Floor(std::int64_t a) const { return a >= 0 ? a / quantum_ : -((-a + quantum_ - 1) / quantum_); }
  std::int64_t within_, quantum_;
  std::map<std::uint64_t, std::int64_t> ids_;
};

TEST(DedupeTable, AgreesWithANaiveTableThroughGrowthExpiryAndJumps) {
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(6); ++seed) {
    runtime::Random random(seed);
    const auto within = static_cast<std::int64_t>(1 + random.Below(5'000'000));
    const std::int64_t disorder = 30'000;
    DedupeTable<std::uint64_t> table(within, disorder, seed);
    NaiveTable naive(within, table.quantum());
    std::int64_t watermark = INT64_MIN;
    std::int64_t clock = static_cast<std::int64_t>(random.Below(1'000'000'000'000)) - 500'000'000'000;
    std::vector<std::uint64_t> keys;
    std::vector<std::int64_t> times, watermarks;
    std::vector<std::uint8_t> wanted;
    for (int i = 0; i < 120'000; ++i) {
      clock += static_cast<std::int64_t>(random.Below(100));
      if (random.OneIn(20'000)) clock += static_cast<std::int64_t>(random.Below(static_cast<std::uint64_t>(within) * 3));
      const std::int64_t time = clock - static_cast<std::int64_t>(random.Below(20'000));
      const std::uint64_t key = random.Below(60'000);
      if (watermark != INT64_MIN && time <= watermark - within) continue;
      keys.push_back(key);
      times.push_back(time);
      watermarks.push_back(watermark);
      wanted.push_back(naive.Probe(key, time, watermark) ? 1 : 0);
      watermark = std::max(watermark, time - disorder);
    }
    std::vector<std::uint8_t> seen(keys.size());
    for (std::size_t at = 0; at < keys.size();) {
      const std::size_t n = std::min(keys.size() - at, 1 + random.Below(3000));
      table.Probe(std::span(keys).subspan(at, n), std::span(times).subspan(at, n), std::span(watermarks).subspan(at, n),
                  std::span(seen).subspan(at, n));
      at += n;
    }
    EXPECT_EQ(seen, wanted) << "seed " << seed;
  }
}

TEST(DedupeTable, RunsLoadIntoAnEqualTable) {
  DedupeTable<Hash128> table(3'600'000, 0, 1);
  std::vector<Hash128> keys;
  for (std::uint64_t i = 0; i < 50'000; ++i) keys.push_back({Mix64(i), i});
  std::vector<std::int64_t> times(keys.size(), 1'700'000'000'000), watermarks(keys.size(), 1'700'000'000'000);
  std::vector<std::uint8_t> seen(keys.size());
  table.Probe(keys, times, watermarks, seen);
  std::string run;
  const std::int64_t forgotten_at = table.TakeDelta(run);
  EXPECT_EQ(run.size(), keys.size() * DedupeTable<Hash128>::kRunEntryBytes);
  EXPECT_GE(forgotten_at, 1'700'000'000'000 + 3'600'000);
  DedupeTable<Hash128> other(3'600'000, 0, 2);
  ASSERT_TRUE(other.Load(run, EventTime(1'700'000'000'000)));
  other.Probe(keys, times, watermarks, seen);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(keys.size()));
  DedupeTable<Hash128> later(3'600'000, 0, 3);
  ASSERT_TRUE(later.Load(run, EventTime(forgotten_at)));
  EXPECT_EQ(later.size(), 0U);
  EXPECT_FALSE(other.Load("short", EventTime(0)));
}

TEST(DedupeTable, KeepsEveryIdInFewBytes) {
  DedupeTable<std::uint64_t> table(86'400'000, 30'000, 5);
  constexpr std::size_t kIds = 2'000'000;
  std::vector<std::uint64_t> keys(kIds);
  for (std::size_t i = 0; i < kIds; ++i) keys[i] = Mix64(i + 1);
  const std::vector<std::int64_t> times(kIds, 1'700'000'000'000), watermarks(kIds, 1'699'999'970'000);
  std::vector<std::uint8_t> seen(kIds);
  table.Probe(keys, times, watermarks, seen);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), 0);
  EXPECT_EQ(table.size(), kIds);
  EXPECT_LT(table.bytes(), kIds * 21);
  table.Probe(keys, times, watermarks, seen);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0);
}

// What overflows at a segment's end has no bucket to go to: the segment grows until it has.
TEST(DedupeTable, KeysThatCrowdTheEndOfASegmentAreAllRemembered) {
  DedupeTable<Hash128> table(3'600'000, 0, 1);
  std::vector<Hash128> keys;
  for (std::uint64_t i = 0; i < 1500; ++i) keys.push_back({(std::uint64_t{1} << 60) - 1 - (i << 42), i});
  const std::vector<std::int64_t> times(keys.size(), 1'700'000'000'000), watermarks(keys.size(), 1'700'000'000'000);
  std::vector<std::uint8_t> seen(keys.size());
  for (const std::uint8_t known : {0, 1}) {
    table.Probe(keys, times, watermarks, seen);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), known), static_cast<std::ptrdiff_t>(keys.size()));
  }
  EXPECT_EQ(table.size(), keys.size());
}

}  // namespace
}  // namespace sightline::flow
