#pragma once

// Part of conformance.h: retries by sequence, and what a log does that keeps records for its groups and limits its size.
#include "sightline/bus/testing/bus_harness.h"

namespace sightline::bus::testing {

TEST_P(LogConformance, ProducerSequenceIsAppendedOnceAndInOrder) {
  const auto topic = EnsureTopic("t");
  const auto from = [](std::uint64_t producer, std::uint64_t sequence) {
    return [=](AppendBatch& b) {
      b.producer = producer;
      b.sequence = sequence;
    };
  };
  ASSERT_TRUE(Append(topic, {"a"}, from(5, 1)));
  ASSERT_TRUE(Append(topic, {"other"}, from(6, 1)));
  ASSERT_TRUE(Append(topic, {"b", "c"}, from(5, 2)));
  for (int round = 0; round < 2; ++round) {
    const auto again = Append(topic, {"b", "c"}, from(5, 2));
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->repeated);
    EXPECT_EQ(again->base, Offset(2));
    EXPECT_EQ(again->count, 2U);
    EXPECT_TRUE(Append(topic, {"a"}, from(5, 1))->repeated);
    EXPECT_EQ(Append(topic, {"e"}, from(5, 4)).error().kind, ErrorKind::kFailedPrecondition);
    harness_->Reopen();
  }
  ASSERT_TRUE(Append(topic, {"d"}, from(5, 3)));
  EXPECT_EQ(Values(topic), (std::vector<std::string>{"a", "other", "b", "c", "d"}));
}

TEST_P(LogConformance, RetentionRemovesTheOldAndKeepsWhatAGroupNeeds) {
  const auto topic = EnsureTopic("t", [](TopicSpec& spec) {
    spec.segment_bytes = 4096;
    spec.retain_time = std::chrono::minutes(1);
  });
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Append(topic, {std::string(1000, static_cast<char>('a' + i))}));
  ASSERT_TRUE(bus().CommitOffset("g", topic, Offset(10)));
  const auto slow = *bus().OpenReader(topic, Offset(0));
  ASSERT_TRUE(*slow->Next());
  if (!harness_->Advance(std::chrono::hours(1)) || !harness_->ApplyRetention()) {
    GTEST_SKIP() << "this bus applies its retention when it likes";
  }
  const auto after = bus().Describe("t")->partitions[0];
  EXPECT_GT(after.start, Offset(0));
  EXPECT_LE(after.start, Offset(10));
  EXPECT_EQ(Values(topic, 10).size(), 10U);
  const auto passed = bus().OpenReader(topic, Offset(0));
  ASSERT_FALSE(passed);
  EXPECT_EQ(passed.error().kind, ErrorKind::kOutOfRange);
  // The slow reader finishes the segment that it holds, and is told then.
  Result<std::optional<Batch>> next = std::nullopt;
  do next = slow->Next();
  while (next && next->has_value());
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().kind, ErrorKind::kOutOfRange);

  ASSERT_TRUE(bus().DropGroup("g"));
  ASSERT_TRUE(harness_->ApplyRetention());
  EXPECT_EQ(bus().Describe("t")->partitions[0].start, Offset(20));
  harness_->Reopen();
  EXPECT_EQ(Append(topic, {"next"})->base, Offset(20));
  EXPECT_EQ(Values(topic, 20), std::vector<std::string>{"next"});
}

TEST_P(LogConformance, AFullTopicRefusesWhileAGroupHoldsIt) {
  const auto topic = EnsureTopic("t", [](TopicSpec& spec) { spec.retain_bytes = 32768; });
  ASSERT_TRUE(Append(topic, {"first"}));
  ASSERT_TRUE(bus().CommitOffset("slow", topic, Offset(1)));
  std::int64_t accepted = 1;
  Result<Appended> refused = Appended{};
  for (int i = 0; i < 1000 && refused; ++i) {
    refused = Append(topic, {std::string(1000, 'x')});
    accepted += refused ? 1 : 0;
  }
  if (refused) GTEST_SKIP() << "this bus has no limit by size";
  EXPECT_EQ(refused.error().kind, ErrorKind::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("slow"), std::string::npos) << refused.error().message;
  EXPECT_EQ(static_cast<std::int64_t>(Values(topic, 1).size()), accepted - 1);
  ASSERT_TRUE(bus().CommitOffset("slow", topic, Offset(accepted)));
  const auto again = Append(topic, {"y"});
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->base, Offset(accepted));
}

TEST_P(LogConformance, AFullTopicThatDropsAccountsForIt) {
  const auto topic = EnsureTopic("t", [](TopicSpec& spec) {
    spec.retain_bytes = 32768;
    spec.when_full = WhenFull::kDrop;
  });
  ASSERT_TRUE(Append(topic, {"first"}));
  ASSERT_TRUE(bus().CommitOffset("slow", topic, Offset(1)));
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(Append(topic, {std::string(1000, 'x')}));
  for (int round = 0; round < 2; ++round) {
    const auto info = bus().Describe("t")->partitions[0];
    if (info.start == Offset(0)) GTEST_SKIP() << "this bus has no limit by size";
    EXPECT_EQ(info.end, Offset(201));
    EXPECT_LE(info.bytes, 32768U + 8192U);
    EXPECT_EQ(static_cast<std::int64_t>(info.dropped), info.start.value - 1);
    harness_->Reopen();
  }
}

}  // namespace sightline::bus::testing
