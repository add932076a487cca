#pragma once

// Part of conformance.h: topics that a pipeline owns, as a log with one owner a partition keeps them.
#include "sightline/bus/testing/bus_harness.h"

namespace sightline::bus::testing {

inline void MakeOwned(TopicSpec& spec) { spec.owned = true; }

inline Result<Appended> AppendOwned(OwnedPartition& owner, const std::vector<std::string>& values) {
  const auto views = Views(values);
  return owner.Append({.values = views});
}

TEST_P(LogConformance, OwnedTopicsShowWhatIsPublishedAndNothingElse) {
  const auto topic = EnsureTopic("t", MakeOwned);
  const auto owner = *bus().OpenOwned(topic);
  EXPECT_EQ(AppendOwned(*owner, Numbered(3))->base, Offset(0));
  EXPECT_EQ(AppendOwned(*owner, Numbered(2, 3))->base, Offset(3));
  EXPECT_TRUE(Values(topic).empty());
  ASSERT_TRUE(owner->Sync());
  EXPECT_TRUE(Values(topic).empty());
  ASSERT_TRUE(owner->Publish(Offset(3)));
  EXPECT_EQ(Values(topic), Numbered(3));
  ASSERT_TRUE(owner->Publish(Offset(5)));
  EXPECT_EQ(Values(topic), Numbered(5));
  EXPECT_EQ(owner->end(), Offset(5));
}

TEST_P(LogConformance, OnlyDurableRecordsArePublished) {
  const auto topic = EnsureTopic("t", MakeOwned);
  const auto owner = *bus().OpenOwned(topic);
  ASSERT_TRUE(AppendOwned(*owner, Numbered(3)));
  EXPECT_EQ(owner->Publish(Offset(3)).error().kind, ErrorKind::kOutOfRange);
  ASSERT_TRUE(owner->Sync());
  ASSERT_TRUE(owner->Publish(Offset(3)));
  EXPECT_FALSE(owner->Publish(Offset(0)));
}

TEST_P(LogConformance, AnOwnedPartitionHasOneOwner) {
  const auto topic = EnsureTopic("t", MakeOwned);
  auto owner = bus().OpenOwned(topic);
  ASSERT_TRUE(owner);
  EXPECT_EQ(bus().OpenOwned(topic).error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_EQ(Append(topic, {"x"}).error().kind, ErrorKind::kFailedPrecondition);
  owner->reset();
  EXPECT_TRUE(bus().OpenOwned(topic));
  EXPECT_EQ(bus().OpenOwned(EnsureTopic("free")).error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_EQ(bus().EnsureTopic({.name = "t"}).error().kind, ErrorKind::kFailedPrecondition);
}

TEST_P(LogConformance, TruncationRemovesWhatNobodySawAndRaisesTheEpoch) {
  const auto topic = EnsureTopic("t", MakeOwned);
  auto owner = *bus().OpenOwned(topic);
  ASSERT_TRUE(AppendOwned(*owner, Numbered(3)));
  ASSERT_TRUE(owner->Sync());
  ASSERT_TRUE(owner->Publish(Offset(3)));
  ASSERT_TRUE(AppendOwned(*owner, {"gone", "gone too"}));
  const Epoch before = bus().Describe("t")->partitions[0].epoch;
  ASSERT_TRUE(owner->TruncateTo(Offset(3)));
  EXPECT_GT(bus().Describe("t")->partitions[0].epoch, before);
  EXPECT_EQ(owner->end(), Offset(3));
  EXPECT_EQ(AppendOwned(*owner, {"v3"})->base, Offset(3));
  ASSERT_TRUE(owner->Sync());
  ASSERT_TRUE(owner->Publish(Offset(4)));
  EXPECT_EQ(Values(topic), Numbered(4));
  EXPECT_FALSE(owner->TruncateTo(Offset(2))) << "readers have seen it";
  EXPECT_EQ(owner->TruncateTo(Offset(9)).error().kind, ErrorKind::kOutOfRange);
}

TEST_P(LogConformance, TruncationToTheEndChangesNothing) {
  const auto topic = EnsureTopic("t", MakeOwned);
  const auto owner = *bus().OpenOwned(topic);
  ASSERT_TRUE(AppendOwned(*owner, Numbered(3)));
  const Epoch before = bus().Describe("t")->partitions[0].epoch;
  ASSERT_TRUE(owner->TruncateTo(Offset(3)));
  EXPECT_EQ(bus().Describe("t")->partitions[0].epoch, before);
  ASSERT_TRUE(owner->Sync());
  ASSERT_TRUE(owner->Publish(Offset(3)));
  EXPECT_EQ(Values(topic), Numbered(3));
}

TEST_P(LogConformance, SeekInAnOldEpochPastTheCutSaysWhatWasLost) {
  const auto topic = EnsureTopic("t", MakeOwned);
  const auto owner = *bus().OpenOwned(topic);
  ASSERT_TRUE(AppendOwned(*owner, Numbered(5)));
  ASSERT_TRUE(AppendOwned(*owner, Numbered(5, 5)));
  const Epoch old = bus().Describe("t")->partitions[0].epoch;
  ASSERT_TRUE(owner->TruncateTo(Offset(5)));
  ASSERT_TRUE(AppendOwned(*owner, {"a", "b", "c", "d", "e", "f"}));
  ASSERT_TRUE(owner->Sync());
  ASSERT_TRUE(owner->Publish(Offset(11)));
  const auto reader = *bus().OpenReader(topic, Offset(0));
  EXPECT_TRUE(reader->Seek(Offset(5), old));
  const auto lost = reader->Seek(Offset(8), old);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, ErrorKind::kOutOfRange);
  EXPECT_NE(lost.error().message.find("3 records"), std::string::npos) << lost.error().message;
  EXPECT_TRUE(reader->Seek(Offset(8), bus().Describe("t")->partitions[0].epoch));
}

TEST_P(LogConformance, TheOwnerDecidesAfterARestartWhatIsSeen) {
  const auto topic = EnsureTopic("t", MakeOwned);
  auto owner = *bus().OpenOwned(topic);
  ASSERT_TRUE(AppendOwned(*owner, Numbered(3)));
  ASSERT_TRUE(owner->Sync());
  ASSERT_TRUE(owner->Publish(Offset(3)));
  ASSERT_TRUE(AppendOwned(*owner, Numbered(4, 3)));
  ASSERT_TRUE(owner->Sync());
  owner.reset();
  if (!harness_->Crash()) harness_->Reopen();

  EXPECT_LE(Values(topic).size(), 3U) << "what the owner may still take back must not be seen";
  owner = *bus().OpenOwned(topic);
  ASSERT_EQ(owner->end(), Offset(7));
  ASSERT_TRUE(owner->TruncateTo(Offset(3)));
  ASSERT_TRUE(owner->Publish(Offset(3)));
  EXPECT_EQ(Values(topic), Numbered(3));
  ASSERT_TRUE(AppendOwned(*owner, {"again"}));
  ASSERT_TRUE(owner->Sync());
  ASSERT_TRUE(owner->Publish(Offset(4)));
  owner.reset();
  harness_->Reopen();
  EXPECT_LE(Values(topic).size(), 4U);
  owner = *bus().OpenOwned(topic);
  ASSERT_TRUE(owner->Publish(Offset(4)));
  EXPECT_EQ(Values(topic), (std::vector<std::string>{"v0", "v1", "v2", "again"}));
}

}  // namespace sightline::bus::testing
