#include "sightline/model/partitioner.h"

#include <gtest/gtest.h>

#include <vector>

namespace sightline {
namespace {

// Records on disk stand where this function put them: these numbers, which docs/formats/partitioning.md shows too, never change.
TEST(Partitioner, KnownInt64s) {
  const Partitioner eight(8);
  const std::vector<std::pair<std::int64_t, int>> known = {{0, 0}, {1, 5}, {2, 2}, {12, 4}, {999, 0}, {-1, 3}};
  for (const auto& [value, partition] : known) EXPECT_EQ(eight.OfInt64(value), Partition(partition)) << value;
}

TEST(Partitioner, ZeroesAreEqualAndNullIsPartitionZero) {
  const Partitioner many(1000003);
  EXPECT_EQ(many.OfDouble(0.0), many.OfDouble(-0.0));
  Column column;
  column.int64s = {7, 7};
  column.nulls = {0, 1};
  EXPECT_EQ(many.Of(column, 0), many.OfInt64(7));
  EXPECT_EQ(many.Of(column, 1), Partition(0));
}

TEST(Partitioner, SpreadsSmallIdsEvenly) {
  const Partitioner eight(8);
  std::vector<int> counts(8);
  for (std::int64_t id = 0; id < 8000; ++id) ++counts[static_cast<std::size_t>(eight.OfInt64(id).value)];
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
}

}  // namespace
}  // namespace sightline
