#include "sightline/flow/offset_map.h"

#include <gtest/gtest.h>

#include "sightline/flow/offset_set.h"

namespace sightline::flow {
namespace {

// Offsets 100 to 109 but 105 at 3, 4, 5, then behind a gap 8, 9, then 10 …
OffsetMap Sample() {
  OffsetMap map(Offset(100), Offset(2));
  std::int64_t to = 3;
  for (std::int64_t from = 100; from < 110; ++from) {
    if (from == 103) to = 8;
    if (from != 105) map.Add(Offset(from), Offset(to++));
  }
  return map;
}

TEST(OffsetMapTest, EachRecordIsFoundAndWhatWasNotMovedIsNot) {
  const OffsetMap map = Sample();
  EXPECT_EQ(map.records(), 9U);
  EXPECT_EQ(map.RecordAt(Offset(100)), Offset(3));
  EXPECT_EQ(map.RecordAt(Offset(102)), Offset(5));
  EXPECT_EQ(map.RecordAt(Offset(103)), Offset(8));
  EXPECT_EQ(map.RecordAt(Offset(104)), Offset(9));
  EXPECT_EQ(map.RecordAt(Offset(105)), std::nullopt);
  EXPECT_EQ(map.RecordAt(Offset(106)), Offset(10));
  EXPECT_EQ(map.RecordAt(Offset(99)), std::nullopt);
  EXPECT_EQ(map.RecordAt(Offset(110)), std::nullopt);
}

TEST(OffsetMapTest, AReaderGoesOnBehindTheLastRecordThatItRead) {
  const OffsetMap map = Sample();
  EXPECT_EQ(map.PositionAt(Offset(100)), Offset(2));
  EXPECT_EQ(map.PositionAt(Offset(50)), Offset(2));
  EXPECT_EQ(map.PositionAt(Offset(101)), Offset(4));
  EXPECT_EQ(map.PositionAt(Offset(103)), Offset(6));
  EXPECT_EQ(map.PositionAt(Offset(105)), Offset(10));
  EXPECT_EQ(map.PositionAt(Offset(106)), Offset(10));
  EXPECT_EQ(map.PositionAt(Offset(110)), Offset(14));
  EXPECT_EQ(map.PositionAt(Offset(400)), Offset(14));
}

TEST(OffsetMapTest, WhatBeganBeforeTheLogStaysBeforeIt) {
  const OffsetMap map = Sample();
  EXPECT_EQ(map.OriginAt(Offset(0)), Offset(0));
  EXPECT_EQ(map.OriginAt(Offset(99)), Offset(0));
  EXPECT_EQ(map.OriginAt(Offset(100)), Offset(2));
  EXPECT_EQ(map.OriginAt(Offset(104)), Offset(9));
  const OffsetMap whole;
  EXPECT_EQ(whole.OriginAt(Offset(0)), Offset(0));
}

TEST(OffsetMapTest, ASetMovesWithItsTopicAndTakesNoRecordForOneThatIsGone) {
  OffsetSet set;
  const TopicPartition letters{"dead_letters.item_counts", Partition(1)};
  for (const std::int64_t offset : {7, 98, 99, 100, 101, 103}) set.Insert(letters, Offset(offset));
  set.Insert({"unknown", Partition(0)}, Offset(100));
  const OffsetSet moved = set.Moved({{letters, Sample()}});
  EXPECT_EQ(moved.size(), set.size());
  for (const std::int64_t offset : {3, 4, 8}) EXPECT_TRUE(moved.Contains(letters, Offset(offset))) << offset;
  for (const std::int64_t offset : {5, 7, 98, 99, 100, 101}) EXPECT_FALSE(moved.Contains(letters, Offset(offset))) << offset;
  const TopicPartition gone{GoneTopic(letters.topic), letters.partition};
  for (const std::int64_t offset : {7, 98, 99}) EXPECT_TRUE(moved.Contains(gone, Offset(offset))) << offset;
  EXPECT_TRUE(moved.Contains({GoneTopic("unknown"), Partition(0)}, Offset(100)));
}

}  // namespace
}  // namespace sightline::flow
