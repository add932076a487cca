#include "sightline/stores/statistics/embedded/duckdb_store.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/runtime/posix_file_system.h"
#include "sightline/stores/statistics/testing/conformance.h"

namespace sightline::stores {
namespace {

using ::testing::HasSubstr;

struct World {
  runtime::SystemClock clock;
  runtime::PosixFileSystem files;
  runtime::Failpoints failpoints;
  runtime::Runtime runtime{clock, files, failpoints};
};

World& TheWorld() {
  static World world;
  return world;
}

Result<std::unique_ptr<StatisticsStore>> OpenIn(const std::string& directory) {
  return OpenDuckDbStore(TheWorld().runtime, {.directory = directory + "/statistics"});
}

const bool kRegistered = [] {
  testing::RegisterConformance("DuckDb", OpenIn);
  return true;
}();

Result<Applied> ApplyOne(StatisticsStore& store, std::int64_t offset, std::int64_t count) {
  const ResultShape shape = testing::TestShape("p");
  ResultBatch batch(shape.schema);
  SL_TRY(batch.Add(Partition(0), Offset(offset), testing::TestRecord(offset * 60'000, 0, {{1, "x", "a", count}}), shape));
  return store.Apply({.pipeline = "p", .generation = 1, .topic = "t", .results = &batch, .consumed = {{Partition(0), Offset(offset + 1)}}});
}

std::size_t CountRows(StatisticsStore& store) {
  auto stream = store.Select({.pipeline = "p", .order = RowQuery::Order::kNone});
  EXPECT_TRUE(stream) << stream.error().ToString();
  std::size_t rows = 0;
  ColumnBatch batch;
  while (stream && (*stream)->Next(batch).value_or(false)) rows += batch.rows;
  return rows;
}

std::int64_t StoredNext(StatisticsStore& store) {
  const auto offsets = store.Offsets("p", 1, "t");
  return offsets && !offsets->empty() ? offsets->at(0).next.value : -1;
}

TEST(DuckDbStore, AnErrorBeforeTheCommitLeavesNothing) {
  testing::TestDirectory directory;
  World world;
  ASSERT_TRUE(runtime::Failpoints::Parse("statistics.apply.before_commit=error@2", world.failpoints));
  auto store = OpenDuckDbStore(world.runtime, {.directory = directory.path()});
  ASSERT_TRUE(store) << store.error().ToString();
  ASSERT_TRUE((*store)->Ensure(testing::TestShape("p"), 1));
  ASSERT_TRUE(ApplyOne(**store, 0, 1));
  EXPECT_FALSE(ApplyOne(**store, 1, 1));
  // The next call opens the database again and finds the first transaction alone.
  auto again = ApplyOne(**store, 1, 1);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->rows, 1u);
  EXPECT_EQ(CountRows(**store), 2u);
  EXPECT_EQ(StoredNext(**store), 2);
}

TEST(DuckDbStore, AnErrorAfterTheCommitIsNoSecondDelivery) {
  testing::TestDirectory directory;
  World world;
  ASSERT_TRUE(runtime::Failpoints::Parse("statistics.apply.after_commit=error@1", world.failpoints));
  auto store = OpenDuckDbStore(world.runtime, {.directory = directory.path()});
  ASSERT_TRUE(store) << store.error().ToString();
  ASSERT_TRUE((*store)->Ensure(testing::TestShape("p"), 1));
  EXPECT_FALSE(ApplyOne(**store, 0, 1));
  auto again = ApplyOne(**store, 0, 1);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->repeated, 1u);
  EXPECT_EQ(CountRows(**store), 1u);
}

TEST(DuckDbStore, AGivenUpDatabaseWaitsForItsReaders) {
  testing::TestDirectory directory;
  World world;
  ASSERT_TRUE(runtime::Failpoints::Parse("statistics.apply.before_commit=error@2", world.failpoints));
  auto store = OpenDuckDbStore(world.runtime, {.directory = directory.path()});
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->Ensure(testing::TestShape("p"), 1));
  ASSERT_TRUE(ApplyOne(**store, 0, 1));
  auto reading = (*store)->Select({.pipeline = "p"});
  ASSERT_TRUE(reading);
  EXPECT_FALSE(ApplyOne(**store, 1, 1));
  EXPECT_EQ(ApplyOne(**store, 1, 1).error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ((*store)->Select({.pipeline = "p"}).error().kind, ErrorKind::kUnavailable);
  ColumnBatch batch;
  EXPECT_TRUE((*reading)->Next(batch).value_or(false));
  reading->reset();
  EXPECT_TRUE(ApplyOne(**store, 1, 1));
  EXPECT_EQ(CountRows(**store), 2u);
}

// The process ends by SIGKILL within or after a transaction; what the store then has is a prefix of what was applied, with its
// offset.
struct Kill {
  std::string place;
  int hit;
};
class DuckDbStoreDeathTest : public ::testing::TestWithParam<Kill> {};

void ApplyUntilKilled(const std::string& path, const Kill& kill) {
  World world;
  const std::string spec = "statistics.apply." + kill.place + "=kill@" + std::to_string(kill.hit);
  if (!runtime::Failpoints::Parse(spec, world.failpoints)) std::exit(2);
  auto store = OpenDuckDbStore(world.runtime, {.directory = path});
  if (!store || !(*store)->Ensure(testing::TestShape("p"), 1)) std::exit(3);
  for (std::int64_t offset = 0; offset < 10; ++offset) {
    if (!ApplyOne(**store, offset, 1)) std::exit(4);
  }
}

TEST_P(DuckDbStoreDeathTest, HasWholeTransactions) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto& [place, hit] = GetParam();
  const std::string path = std::filesystem::temp_directory_path() / ("sightline-killed-" + place + std::to_string(hit));
  std::filesystem::remove_all(path);
  EXPECT_EXIT(ApplyUntilKilled(path, GetParam()), ::testing::KilledBySignal(SIGKILL), "");
  auto store = OpenDuckDbStore(TheWorld().runtime, {.directory = path});
  ASSERT_TRUE(store) << store.error().ToString();
  const auto whole = static_cast<std::int64_t>(place == "before_commit" ? hit - 1 : hit);
  EXPECT_EQ(CountRows(**store), static_cast<std::size_t>(whole));
  EXPECT_EQ(StoredNext(**store), whole == 0 ? -1 : whole);
  for (std::int64_t offset = 0; offset < 10; ++offset) ASSERT_TRUE(ApplyOne(**store, offset, 1));
  EXPECT_EQ(CountRows(**store), 10u);
  store->reset();
  std::filesystem::remove_all(path);
}

INSTANTIATE_TEST_SUITE_P(KilledAt, DuckDbStoreDeathTest,
                         ::testing::Values(Kill{"before_commit", 1}, Kill{"before_commit", 4}, Kill{"after_commit", 1},
                                           Kill{"after_commit", 3}));

TEST(DuckDbStore, ADamagedFileIsNamed) {
  testing::TestDirectory directory;
  const std::string path = directory.path() + "/statistics.duckdb";
  {
    auto store = OpenDuckDbStore(TheWorld().runtime, {.directory = directory.path()});
    ASSERT_TRUE(store);
  }
  auto file = TheWorld().files.Open(path, runtime::OpenMode::kReadWrite);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->WriteAt(0, std::string(64, '\x5A')));
  file->reset();
  auto store = OpenDuckDbStore(TheWorld().runtime, {.directory = directory.path()});
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr(path));
}

}  // namespace
}  // namespace sightline::stores
