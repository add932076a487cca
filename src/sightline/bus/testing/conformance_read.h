#pragma once

// Part of conformance.h: readers, wakers, consumer groups.
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
    // What was appended at once may come in pieces.
    std::vector<std::string> seen;
    for (auto batch = reader->Next(); batch && *batch; batch = reader->Next()) {
      EXPECT_EQ((*batch)->base, Offset(2 * i + static_cast<std::int64_t>(seen.size())));
      seen.insert(seen.end(), (*batch)->values.begin(), (*batch)->values.end());
    }
    EXPECT_EQ(seen, Numbered(2, 2 * i));
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
  seen = calls;
  ASSERT_TRUE(Append(topic, Numbered(1)));
  ASSERT_TRUE(*reader->Next());
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

}  // namespace sightline::bus::testing
