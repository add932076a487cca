#pragma once

// Part of conformance.h: readers, wakers, consumer groups, retention.
#include <condition_variable>
#include <mutex>

#include "sightline/bus/testing/bus_harness.h"

namespace sightline::bus::testing {

TEST_P(BusConformance, ReaderBeginsInTheMiddleOfABatch) {
  const auto topic = EnsureTopic("t");
  ASSERT_TRUE(Append(topic, Numbered(10)));
  ASSERT_TRUE(Append(topic, Numbered(10, 10)));
  for (const int at : {0, 1, 9, 10, 15, 19, 20}) {
    EXPECT_EQ(Values(topic, at), Numbered(20 - at, at)) << "from " << at;
  }
}

TEST_P(BusConformance, ReaderAtTheEndSeesWhatComes) {
  const auto topic = EnsureTopic("t");
  const auto reader = *bus().OpenReader(topic, Offset(0));
  EXPECT_FALSE(*reader->Next());
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(Append(topic, Numbered(2, 2 * i)));
    const auto batch = *reader->Next();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->base, Offset(2 * i));
    EXPECT_EQ(batch->values[1], "v" + std::to_string(2 * i + 1));
    EXPECT_FALSE(*reader->Next());
  }
}

TEST_P(BusConformance, SeekGoesAnywhereThatIsThere) {
  const auto topic = EnsureTopic("t");
  ASSERT_TRUE(Append(topic, Numbered(30)));
  const auto reader = *bus().OpenReader(topic, Offset(0));
  const Epoch epoch = bus().Describe("t")->partitions[0].epoch;
  for (const int at : {29, 3, 30, 0}) {
    ASSERT_TRUE(reader->Seek(Offset(at), epoch));
    EXPECT_EQ(reader->position(), Offset(at));
    const auto batch = *reader->Next();
    EXPECT_EQ(batch.has_value(), at < 30);
    EXPECT_EQ(batch ? batch->values[0] : "", at < 30 ? "v" + std::to_string(at) : "");
  }
}

TEST_P(BusConformance, PositionsPastTheEndSayWhatIsLost) {
  const auto topic = EnsureTopic("t");
  ASSERT_TRUE(Append(topic, Numbered(5)));
  const auto opened = bus().OpenReader(topic, Offset(9));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kOutOfRange);
  EXPECT_NE(opened.error().message.find("4 records"), std::string::npos) << opened.error().message;
  const auto reader = *bus().OpenReader(topic, Offset(5));
  EXPECT_EQ(reader->Seek(Offset(6), std::nullopt).error().kind, ErrorKind::kOutOfRange);
  EXPECT_EQ(reader->position(), Offset(5));
}

TEST_P(BusConformance, PartitionsAreApart) {
  EnsureTopic("t", [](TopicSpec& spec) { spec.partitions = 3; });
  for (int p = 0; p < 3; ++p) ASSERT_TRUE(Append({"t", Partition(p)}, {"p" + std::to_string(p)}));
  for (int p = 0; p < 3; ++p) {
    EXPECT_EQ(Values({"t", Partition(p)}), std::vector<std::string>{"p" + std::to_string(p)});
  }
  EXPECT_EQ(bus().Describe("t")->partitions.size(), 3U);
}

TEST_P(BusConformance, WakerIsCalledForEverythingNewUntilItIsGone) {
  const auto topic = EnsureTopic("t");
  std::mutex mutex;
  std::condition_variable woken;
  int calls = 0;
  auto subscription = *bus().Subscribe(topic, [&] {
    const std::lock_guard lock(mutex);
    ++calls;
    woken.notify_all();
  });
  const auto reader = *bus().OpenReader(topic, Offset(0));
  int seen = 0;
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(Append(topic, Numbered(1)));
    std::unique_lock lock(mutex);
    ASSERT_TRUE(woken.wait_for(lock, std::chrono::seconds(30), [&] { return calls > seen; })) << "append " << i;
    seen = calls;
    lock.unlock();
    ASSERT_TRUE(*reader->Next());
  }
  subscription.reset();
  ASSERT_TRUE(Append(topic, Numbered(1)));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(calls, seen);
  EXPECT_EQ(bus().Subscribe({"t", Partition(9)}, [] {}).error().kind, ErrorKind::kNotFound);
}

TEST_P(BusConformance, GroupPositionsAreDurable) {
  const auto topic = EnsureTopic("t");
  ASSERT_TRUE(Append(topic, Numbered(10)));
  EXPECT_FALSE(*bus().CommittedOffset("g", topic));
  ASSERT_TRUE(bus().CommitOffset("g", topic, Offset(4)));
  ASSERT_TRUE(bus().CommitOffset("h", topic, Offset(10)));
  ASSERT_TRUE(bus().CommitOffset("g", topic, Offset(7)));
  if (!harness_->Crash()) harness_->Reopen();
  EXPECT_EQ(*bus().CommittedOffset("g", topic), Offset(7));
  EXPECT_EQ(*bus().CommittedOffset("h", topic), Offset(10));
  ASSERT_TRUE(bus().CommitOffset("g", topic, Offset(2)));
  ASSERT_TRUE(bus().DropGroup("h"));
  harness_->Reopen();
  EXPECT_EQ(*bus().CommittedOffset("g", topic), Offset(2));
  EXPECT_FALSE(*bus().CommittedOffset("h", topic));
  EXPECT_EQ(bus().DropGroup("h").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(bus().CommitOffset("g", topic, Offset(11)).error().kind, ErrorKind::kOutOfRange);
  EXPECT_EQ(bus().CommitOffset("no/name", topic, Offset(1)).error().kind, ErrorKind::kInvalidArgument);
}

TEST_P(BusConformance, RetentionRemovesTheOldAndKeepsWhatAGroupNeeds) {
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

TEST_P(BusConformance, AFullTopicRefusesWhileAGroupHoldsIt) {
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

TEST_P(BusConformance, AFullTopicThatDropsAccountsForIt) {
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
