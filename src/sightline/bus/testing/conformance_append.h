#pragma once

// Part of conformance.h: topics, appends, durability.
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "sightline/bus/testing/bus_harness.h"

namespace sightline::bus::testing {

TEST_P(BusConformance, OffsetsBeginAtZeroAndHaveNoGaps) {
  const auto topic = EnsureTopic("t");
  EXPECT_EQ(Append(topic, {"a", "b", "c"})->base, Offset(0));
  EXPECT_EQ(Append(topic, {"d"})->base, Offset(3));
  const auto last = Append(topic, {"e", "f"});
  EXPECT_EQ(last->base, Offset(4));
  EXPECT_EQ(last->count, 2U);
  EXPECT_FALSE(last->repeated);
  EXPECT_EQ(Values(topic), (std::vector<std::string>{"a", "b", "c", "d", "e", "f"}));
}

TEST_P(BusConformance, ValuesAndKeysComeBackByteForByte) {
  const auto topic = EnsureTopic("t");
  const std::vector<std::string> values = {"", std::string("\0\xff\n", 3), std::string(100'000, 'x'), "ü"};
  const std::vector<std::string> keys = {"k", "", std::string(1, '\0'), std::string(300, 'k')};
  const auto key_views = Views(keys);
  ASSERT_TRUE(Append(topic, values, [&](AppendBatch& batch) { batch.keys = key_views; }));
  const auto records = ReadFrom(topic, 0);
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ((*records)[i].value, values[i]);
    EXPECT_EQ((*records)[i].key, keys[i]);
  }
}

TEST_P(BusConformance, CompressedTopicsGiveTheSameBytes) {
  for (const Compression compression : {Compression::kLz4, Compression::kZstd}) {
    const auto topic =
        EnsureTopic(compression == Compression::kLz4 ? "lz4" : "zstd", [&](TopicSpec& spec) { spec.compression = compression; });
    std::vector<std::string> values = Numbered(500);
    values.push_back(std::string(50'000, 'z'));
    ASSERT_TRUE(Append(topic, values));
    ASSERT_TRUE(Append(topic, {"x"}));
    values.emplace_back("x");
    EXPECT_EQ(Values(topic), values);
  }
}

TEST_P(BusConformance, TickIsOneRecordThatMovesTheAppendTime) {
  const auto topic = EnsureTopic("t");
  ASSERT_TRUE(Append(topic, {"a"}));
  const bool moved = harness_->Advance(std::chrono::milliseconds(5000));
  ASSERT_TRUE(AppendAndWait(bus(), topic, AppendBatch{.type = BatchType::kTick}));
  ASSERT_TRUE(Append(topic, {"b"}));
  const auto reader = *bus().OpenReader(topic, Offset(0));
  const AppendTime first = (*reader->Next())->append_time;
  const auto tick = *reader->Next();
  ASSERT_TRUE(tick);
  EXPECT_EQ(tick->type, BatchType::kTick);
  EXPECT_EQ(tick->base, Offset(1));
  EXPECT_EQ(tick->end(), Offset(2));
  EXPECT_EQ(tick->append_time - first, moved ? 5000 : tick->append_time - first);
  EXPECT_EQ((*reader->Next())->type, BatchType::kData);
}

TEST_P(BusConformance, BadBatchesAreRefusedAndLeaveNothing) {
  const auto topic = EnsureTopic("t");
  const std::vector<std::string_view> one = {"k"};
  EXPECT_EQ(Append(topic, {}).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(Append(topic, {"a", "b"}, [&](AppendBatch& b) { b.keys = one; }).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(Append(topic, {"a", "b"}, [](AppendBatch& b) { b.type = BatchType::kTick; }).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(Append({"nowhere", Partition(0)}, {"a"}).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(Append({"t", Partition(1)}, {"a"}).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(Append({"t", Partition(-1)}, {"a"}).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(Values(topic).empty());
}

TEST_P(BusConformance, UnknownTopicNamesTheNearest) {
  EnsureTopic("camera_events");
  const auto described = bus().Describe("camera_event");
  ASSERT_FALSE(described);
  EXPECT_EQ(described.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(described.error().message.find("camera_events"), std::string::npos) << described.error().message;
}

TEST_P(BusConformance, TopicNamesAreChecked) {
  for (const std::string& name : {std::string(), std::string("Upper"), std::string("a/b"), std::string(".."), std::string(201, 'a')}) {
    EXPECT_EQ(bus().EnsureTopic({.name = name}).error().kind, ErrorKind::kInvalidArgument) << name;
  }
  EXPECT_TRUE(bus().EnsureTopic({.name = std::string(200, 'a')}));
}

TEST_P(BusConformance, EnsuringATopicAgainKeepsItAndTakesSettingsOver) {
  const auto topic = EnsureTopic("t", [](TopicSpec& spec) { spec.partitions = 2; });
  ASSERT_TRUE(Append(topic, {"a"}));
  EnsureTopic("t", [](TopicSpec& spec) {
    spec.partitions = 2;
    spec.retain_time = std::chrono::hours(5);
  });
  EXPECT_EQ(bus().Describe("t")->spec.retain_time, std::chrono::hours(5));
  EXPECT_EQ(Values(topic), std::vector<std::string>{"a"});
  EXPECT_EQ(bus().EnsureTopic({.name = "t", .partitions = 3}).error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_EQ(*bus().Topics(), std::vector<std::string>{"t"});
}

TEST_P(BusConformance, AcknowledgedRecordsOutliveACrash) {
  const auto topic = EnsureTopic("t");
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    const auto values = Numbered(3, 3 * i);
    ASSERT_TRUE(Append(topic, values));
    expected.insert(expected.end(), values.begin(), values.end());
    if (i % 5 == 4 && !harness_->Crash()) harness_->Reopen();
    ASSERT_EQ(Values(topic), expected) << "after " << i;
  }
}

TEST_P(BusConformance, MakeDurableOutlivesACrashInEveryMode) {
  for (const Durability durability : {Durability::kInterval, Durability::kOs}) {
    const auto topic = EnsureTopic(durability == Durability::kOs ? "os" : "interval", [&](TopicSpec& spec) {
      spec.durability = durability;
      spec.interval = std::chrono::hours(1);
    });
    ASSERT_TRUE(Append(topic, Numbered(10)));
    ASSERT_TRUE(bus().MakeDurable(topic, Offset(10)));
    EXPECT_EQ(bus().Describe(topic.topic)->partitions[0].durable, Offset(10));
    EXPECT_EQ(bus().MakeDurable(topic, Offset(11)).error().kind, ErrorKind::kOutOfRange);
    if (!harness_->Crash()) harness_->Reopen();
    EXPECT_EQ(Values(topic), Numbered(10));
  }
}

TEST_P(BusConformance, ManyProducersKeepTheirOwnOrder) {
  const auto topic = EnsureTopic("t");
  constexpr int kProducers = 8;
  constexpr int kEach = 40;
  std::vector<std::thread> threads;
  std::atomic<int> failed = 0;
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i) {
        const std::vector<std::string> values = {std::to_string(p) + "/" + std::to_string(i)};
        if (!Append(topic, values)) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  std::map<std::string, int> next;
  for (const std::string& value : Values(topic)) {
    const std::string producer = value.substr(0, value.find('/'));
    EXPECT_EQ(std::stoi(value.substr(value.find('/') + 1)), next[producer]++) << "producer " << producer;
  }
  ASSERT_EQ(next.size(), static_cast<std::size_t>(kProducers));
  for (const auto& [producer, count] : next) EXPECT_EQ(count, kEach) << "producer " << producer;
}

}  // namespace sightline::bus::testing
