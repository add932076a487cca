#include "sightline/model/column_batch.h"

#include <gtest/gtest.h>

namespace sightline {
namespace {

TEST(ColumnBatch, TakeKeepsRowsInTheOrderGiven) {
  ColumnBatch batch;
  batch.rows = 3;
  batch.columns.resize(2);
  batch.columns[0].int64s = {10, 11, 12};
  batch.columns[1].type = FieldType::kString;
  batch.columns[1].strings = {"a", "b", "c"};
  batch.columns[1].nulls = {0, 1, 0};
  const std::uint32_t keep[] = {2, 1};
  batch.Take(keep);
  EXPECT_EQ(batch.rows, 2U);
  EXPECT_EQ(batch.columns[0].int64s, (std::vector<std::int64_t>{12, 11}));
  EXPECT_EQ(batch.columns[1].strings, (std::vector<std::string_view>{"c", "b"}));
  EXPECT_EQ(batch.columns[1].nulls, (std::vector<std::uint8_t>{0, 1}));
}

// The rows of one window after the other go through the same batch, and steps insert columns: a column may have held texts before.
TEST(ColumnBatch, TakeLeavesBuffersOfOtherTypesAlone) {
  ColumnBatch batch;
  batch.rows = 4;
  batch.columns.resize(1);
  batch.columns[0].int64s = {1, 2, 3, 4};
  batch.columns[0].strings = {"of", "before"};
  const std::uint32_t keep[] = {3};
  batch.Take(keep);
  EXPECT_EQ(batch.columns[0].int64s, std::vector<std::int64_t>{4});
  EXPECT_EQ(batch.columns[0].strings.size(), 2U);
}

// The empty text may be the first that a batch keeps.
TEST(ColumnBatch, AllocatesNothingAtFirst) {
  ColumnBatch batch;
  EXPECT_NE(batch.Allocate(0), nullptr);
  EXPECT_NE(batch.Allocate(1), nullptr);
}

}  // namespace
}  // namespace sightline
