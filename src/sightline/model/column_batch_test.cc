#include "sightline/model/column_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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

// A text of unknown size is written into room; only what is kept of it is out of reach of the next one.
TEST(ColumnBatch, HandsOutRoomAgainThatIsNotKept) {
  ColumnBatch batch;
  const std::span<char> first = batch.Room(10);
  ASSERT_GE(first.size(), 10U);
  EXPECT_EQ(batch.Room(10).data(), first.data());
  batch.Keep(4);
  EXPECT_EQ(batch.Allocate(3), first.data() + 4);
  EXPECT_EQ(batch.Room(1).data(), first.data() + 7);
  // More than what is left of the chunk begins another, and what was kept stays where it was.
  std::copy_n("kept", 4, first.data());
  const std::span<char> large = batch.Room(1 << 20);
  ASSERT_GE(large.size(), std::size_t{1} << 20);
  std::ranges::fill(large, 'x');
  batch.Keep(large.size());
  EXPECT_EQ(std::string_view(first.data(), 4), "kept");
}

// What the batch owns stays, whatever it hands out.
TEST(ColumnBatch, OwnsMemoryBesideItsArena) {
  ColumnBatch batch;
  auto memory = std::make_unique<char[]>(8);
  char* const owned = memory.get();
  std::copy_n("of other", 8, owned);
  batch.Own(std::move(memory));
  char* const allocated = batch.Allocate(8);
  EXPECT_NE(allocated, owned);
  std::fill_n(allocated, 8, 'x');
  EXPECT_EQ(std::string_view(owned, 8), "of other");
  batch.Reset(Schema{}, 0);
  EXPECT_NE(batch.Allocate(8), nullptr);
}

// Many texts of all sizes over several uses: none overlaps another.
TEST(ColumnBatch, KeepsTextsApart) {
  ColumnBatch batch;
  for (int use = 0; use < 3; ++use) {
    batch.Reset(Schema{}, 0);
    std::vector<std::string_view> texts;
    for (std::size_t i = 0; i < 3000; ++i) {
      const std::size_t size = i % 500 == 499 ? 100'000 : i % 97;
      char* const at = batch.Allocate(size);
      std::fill_n(at, size, static_cast<char>('a' + i % 26));
      texts.emplace_back(at, size);
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(texts[i], std::string(texts[i].size(), static_cast<char>('a' + i % 26)));
    }
  }
}

}  // namespace
}  // namespace sightline
