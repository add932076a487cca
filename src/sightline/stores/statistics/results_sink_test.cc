#include "sightline/stores/statistics/results_sink.h"

#include <condition_variable>
#include <deque>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/runtime/posix_file_system.h"
#include "sightline/stores/statistics/embedded/duckdb_store.h"
#include "sightline/stores/statistics/testing/conformance.h"

namespace sightline::stores {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::TestRecord;
using testing::TestRow;

constexpr char kTopic[] = "results.top_items";

// A clock that a test moves.
class HandClock final : public runtime::Clock {
 public:
  WallTime Now() const override { return WallTime(ns_ / 1'000'000); }
  std::int64_t MonotonicNs() const override { return ns_; }
  void Move(milliseconds by) { ns_ += std::chrono::nanoseconds(by).count(); }

 private:
  std::int64_t ns_ = 1'000'000'000;
};

// The little of a bus that a consumer of results sees: one topic, its records in memory, a batch for each.
class OneTopic final : public bus::Bus {
 public:
  explicit OneTopic(std::size_t partitions) : records_(partitions), starts_(partitions), wakers_(partitions) {}

  Offset Put(std::size_t partition, std::string value) {
    std::vector<bus::Waker> wakers;
    Offset at;
    {
      const std::lock_guard lock(mutex_);
      records_[partition].push_back(std::move(value));
      at = Offset(static_cast<std::int64_t>(records_[partition].size()) - 1);
      if (wakers_[partition]) wakers.push_back(wakers_[partition]);
    }
    for (const auto& waker : wakers) waker();
    return at;
  }
  void ForgetBelow(std::size_t partition, std::int64_t start) { starts_[partition] = Offset(start); }
  void Break(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
  }

  Status EnsureTopic(const bus::TopicSpec&) override { return {}; }
  Result<std::vector<std::string>> Topics() override { return std::vector<std::string>{kTopic}; }
  Result<bus::TopicInfo> Describe(const std::string& topic) override {
    const std::lock_guard lock(mutex_);
    if (topic != kTopic) return Fail(ErrorKind::kNotFound, "no topic " + topic);
    bus::TopicInfo info;
    for (std::size_t i = 0; i < records_.size(); ++i) {
      bus::TopicInfo::PartitionInfo partition;
      partition.start = starts_[i];
      partition.end = partition.visible = partition.durable = Offset(static_cast<std::int64_t>(records_[i].size()));
      info.partitions.push_back(partition);
    }
    return info;
  }
  void Append(const TopicPartition&, const bus::AppendBatch&, AppendDone) override { std::abort(); }
  Result<std::unique_ptr<bus::Reader>> OpenReader(const TopicPartition& from, Offset at) override;
  Result<std::unique_ptr<bus::OwnedPartition>> OpenOwned(const TopicPartition&) override { std::abort(); }
  Status MakeDurable(const TopicPartition&, Offset) override { return {}; }
  Status CommitOffset(const std::string& group, const TopicPartition& partition, Offset offset) override {
    const std::lock_guard lock(mutex_);
    held_[{group, partition.partition.value}] = offset;
    return {};
  }
  Result<std::optional<Offset>> CommittedOffset(const std::string& group, const TopicPartition& partition) override {
    const std::lock_guard lock(mutex_);
    const auto at = held_.find({group, partition.partition.value});
    return at == held_.end() ? std::nullopt : std::optional(at->second);
  }
  Status DropGroup(const std::string&) override { return {}; }
  Result<std::shared_ptr<void>> Subscribe(const TopicPartition& partition, bus::Waker waker) override {
    const std::lock_guard lock(mutex_);
    wakers_[static_cast<std::size_t>(partition.partition.value)] = std::move(waker);
    return std::make_shared<int>(0);
  }

 private:
  class OneReader;
  std::mutex mutex_;
  std::vector<std::deque<std::string>> records_;
  std::vector<Offset> starts_;
  std::vector<bus::Waker> wakers_;
  std::map<std::pair<std::string, std::int32_t>, Offset> held_;
  std::optional<Error> error_;
};

class OneTopic::OneReader final : public bus::Reader {
 public:
  OneReader(OneTopic& topic, std::size_t partition, Offset at) : topic_(topic), partition_(partition), at_(at) {}
  Result<std::optional<bus::Batch>> Next() override {
    const std::lock_guard lock(topic_.mutex_);
    if (topic_.error_) return std::unexpected(*topic_.error_);
    const auto& records = topic_.records_[partition_];
    if (at_.value >= static_cast<std::int64_t>(records.size())) return std::nullopt;
    value_ = records[static_cast<std::size_t>(at_.value)];
    view_ = value_;
    bus::Batch batch;
    batch.type = value_.empty() ? bus::BatchType::kTick : bus::BatchType::kData;
    batch.encoding = bus::Encoding::kBinary;
    batch.base = at_;
    batch.values = std::span(&view_, 1);
    at_ += 1;
    return batch;
  }
  Offset position() const override { return at_; }
  Status Seek(Offset offset, std::optional<Epoch>) override {
    at_ = offset;
    return {};
  }

 private:
  OneTopic& topic_;
  std::size_t partition_;
  Offset at_;
  std::string value_;
  std::string_view view_;
};

Result<std::unique_ptr<bus::Reader>> OneTopic::OpenReader(const TopicPartition& from, Offset at) {
  const auto partition = static_cast<std::size_t>(from.partition.value);
  if (at < starts_[partition])
    return Fail(ErrorKind::kOutOfRange, "offsets below " + std::to_string(starts_[partition].value) + " are gone");
  return std::make_unique<OneReader>(*this, partition, at);
}

std::string Encoded(std::int64_t start, std::uint32_t revision, const std::vector<TestRow>& rows, std::uint64_t generation = 1) {
  ResultRecord record = TestRecord(start, revision, rows);
  record.header.generation = generation;
  std::string bytes;
  EncodeResult(record.header, testing::TestShape("").schema, record.rows, 0, rows.size(), bytes);
  return bytes;
}

std::string Closed(std::int64_t until) {
  std::string bytes;
  ResultHeader header;
  header.generation = 1;
  header.window_end = EventTime(until);
  EncodeClosed(header, bytes);
  return bytes;
}

class ResultsSinkTest : public ::testing::Test {
 protected:
  void SetUp() override { Restart(); }
  // Everything in memory is gone, as after a crash.
  void Restart(std::uint64_t generation = 1, std::size_t rows_max = 10'000) {
    sink_.reset();
    store_.reset();
    auto opened = OpenDuckDbStore(runtime_, {.directory = directory_.path()});
    ASSERT_TRUE(opened) << opened.error().ToString();
    store_ = *std::move(opened);
    sink_ = std::make_unique<ResultsSink>(bus_, *store_, runtime_, testing::TestShape("top_items"), generation,
                                          ResultsSinkOptions{.topic = kTopic, .rows_max = rows_max});
  }
  std::vector<std::int64_t> Counts() {
    std::vector<std::int64_t> counts;
    auto stream = store_->Select({.pipeline = "top_items", .columns = {"item_count"}});
    EXPECT_TRUE(stream) << stream.error().ToString();
    ColumnBatch batch;
    while (stream && (*stream)->Next(batch).value_or(false)) {
      counts.insert(counts.end(), batch.columns[0].int64s.begin(),
                    batch.columns[0].int64s.begin() + static_cast<std::ptrdiff_t>(batch.rows));
    }
    return counts;
  }
  std::optional<Offset> Held(std::int32_t partition) {
    return bus_.CommittedOffset("statistics.top_items", {kTopic, Partition(partition)}).value();
  }

  testing::TestDirectory directory_;
  HandClock clock_;
  runtime::PosixFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  OneTopic bus_{2};
  std::unique_ptr<StatisticsStore> store_;
  std::unique_ptr<ResultsSink> sink_;
};

TEST_F(ResultsSinkTest, FirstResultsGoInAtOnceAndTheNextAreGathered) {
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}, {1, "x", "b", 2}}));
  bus_.Put(1, Encoded(0, 0, {{2, "x", "a", 3}}));
  sink_->Step();
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(sink_->metrics().transactions, 1u);

  bus_.Put(1, Encoded(60'000, 0, {{2, "x", "a", 4}}));
  EXPECT_EQ(sink_->Step(), milliseconds(100));
  clock_.Move(milliseconds(60));
  bus_.Put(0, Encoded(60'000, 0, {{1, "x", "a", 5}}));
  EXPECT_EQ(sink_->Step(), milliseconds(100));
  EXPECT_EQ(Counts().size(), 3u);
  EXPECT_EQ(sink_->metrics().offset, 2);
  EXPECT_EQ(sink_->metrics().end, 4);
  clock_.Move(milliseconds(100));
  sink_->Step();
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1, 2, 3, 5, 4));
  EXPECT_EQ(sink_->metrics().transactions, 2u);
  EXPECT_EQ(sink_->metrics().offset, 4);
  EXPECT_EQ(sink_->metrics().rows, 5u);
}

TEST_F(ResultsSinkTest, SinksShareThePartitionsAndHandThemOver) {
  const auto make = [&] {
    return std::make_unique<ResultsSink>(bus_, *store_, runtime_, testing::TestShape("top_items"), 1,
                                         ResultsSinkOptions{.topic = kTopic, .all = false});
  };
  const auto one = make();
  const auto other = make();
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
  bus_.Put(1, Encoded(0, 0, {{2, "x", "a", 2}}));
  one->Step();
  EXPECT_THAT(Counts(), ::testing::IsEmpty()) << "works on nothing yet";
  one->Acquire(Partition(0));
  one->Step();
  EXPECT_EQ(one->metrics().end, 1);
  other->Acquire(Partition(1));
  other->Step();
  // A generation is shown once all of it is there; here it is the first.
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1, 2));
  clock_.Move(milliseconds(2000));
  bus_.Put(0, Encoded(60'000, 0, {{1, "x", "a", 3}}));
  one->GiveUp(Partition(0));
  other->Acquire(Partition(0));
  one->Step();
  other->Step();
  other->Step();
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(one->metrics().end, 0);
  EXPECT_EQ(other->metrics().offset, 3);
}

TEST_F(ResultsSinkTest, WhatNeverPausesGoesInOnceASecond) {
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
  sink_->Step();
  for (std::int64_t i = 1; i <= 20; ++i) {
    bus_.Put(0, Encoded(i * 60'000, 0, {{1, "x", "a", i}}));
    EXPECT_EQ(sink_->Step(), milliseconds(std::min<std::int64_t>(100, 1000 - (i - 1) * 50))) << i;
    clock_.Move(milliseconds(50));
  }
  EXPECT_EQ(sink_->metrics().transactions, 1u);
  sink_->Step();
  EXPECT_EQ(sink_->metrics().transactions, 2u);
  EXPECT_EQ(sink_->metrics().rows, 21u);
}

TEST_F(ResultsSinkTest, AnEmptiedGroupLosesItsRows) {
  const auto emptied = [](std::int64_t start, std::uint32_t revision, std::int64_t oid) {
    const ResultRecord record = TestRecord(start, revision, {{oid, "x", "a", 1}});
    std::string bytes;
    EncodeEmptied(record.header, testing::TestShape(""), record.rows, 0, bytes);
    return bytes;
  };
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}, {1, "x", "b", 2}}));
  bus_.Put(1, Encoded(0, 0, {{2, "x", "a", 3}}));
  sink_->Step();
  bus_.Put(0, emptied(0, 1, 1));
  bus_.Put(0, emptied(0, 1, 7));
  clock_.Move(milliseconds(2000));
  sink_->Step();
  EXPECT_THAT(Counts(), ::testing::ElementsAre(3));
  EXPECT_EQ(sink_->metrics().rows, 3u) << "a key is no row";
  bus_.Put(0, Encoded(0, 2, {{1, "x", "c", 4}}));
  clock_.Move(milliseconds(2000));
  sink_->Step();
  EXPECT_THAT(Counts(), ::testing::UnorderedElementsAre(3, 4));
}

TEST_F(ResultsSinkTest, AFullTransactionDoesNotWait) {
  Restart(1, 10);
  for (int i = 0; i < 35; ++i) bus_.Put(0, Encoded(i * 60'000, 0, {{1, "x", "a", i}}));
  while (sink_->Step() == milliseconds(0)) {
  }
  EXPECT_EQ(sink_->metrics().transactions, 4u) << "three full ones, and the rest because the sink has then caught up";
  EXPECT_EQ(Counts().size(), 35u);
}

TEST_F(ResultsSinkTest, ARestartContinuesWhereTheStoreStands) {
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
  sink_->Step();
  bus_.Put(0, Encoded(60'000, 0, {{1, "x", "a", 2}}));
  sink_->Step();  // gathered, not applied: lost with the memory
  Restart();
  sink_->Step();
  Restart();
  sink_->Step();
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1, 2));
  EXPECT_EQ(sink_->metrics().rows, 0u) << "the last start had nothing to do";
}

TEST_F(ResultsSinkTest, FinishAppliesAndHoldsAtTheEnd) {
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
  sink_->Step();
  bus_.Put(0, Encoded(60'000, 0, {{1, "x", "a", 2}}));
  bus_.Put(1, Closed(60'000));
  sink_->Step();
  EXPECT_EQ(Held(0), Offset(1));
  sink_->Finish();
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1, 2));
  EXPECT_EQ(Held(0), Offset(2));
  EXPECT_EQ(Held(1), Offset(1));
}

TEST_F(ResultsSinkTest, MarksAndTicksMoveThePositionInTheirOwnTime) {
  sink_->Step();
  bus_.Put(0, Closed(60'000));
  bus_.Put(0, "");
  sink_->Step();
  const std::uint64_t before = sink_->metrics().transactions;
  clock_.Move(milliseconds(5000));
  bus_.Put(0, Closed(120'000));
  sink_->Step();
  EXPECT_EQ(sink_->metrics().transactions, before + 1);
  EXPECT_EQ(sink_->metrics().offset, 3);
  clock_.Move(milliseconds(5000));
  sink_->Step();
  EXPECT_EQ(Held(0), Offset(3));
}

TEST_F(ResultsSinkTest, TheHoldNeverPassesTheStore) {
  ASSERT_TRUE(runtime::Failpoints::Parse("statistics.apply.before_commit=error@2", failpoints_));
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
  sink_->Step();
  bus_.Put(0, Encoded(60'000, 0, {{1, "x", "a", 2}}));
  clock_.Move(milliseconds(6000));
  EXPECT_EQ(sink_->Step(), milliseconds(100));
  ASSERT_TRUE(sink_->metrics().error);
  EXPECT_EQ(Held(0), Offset(1));
  EXPECT_EQ(sink_->Step(), milliseconds(100)) << "pauses until the time has come";
  clock_.Move(milliseconds(100));
  sink_->Step();
  EXPECT_FALSE(sink_->metrics().error);
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1, 2));
}

TEST_F(ResultsSinkTest, AnErrorIsShownAndTriedAgainAfterLongerAndLongerPauses) {
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
  bus_.Break(Error{ErrorKind::kIo, "the disk of the log is gone"});
  milliseconds expected(100);
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(sink_->Step(), expected);
    EXPECT_THAT(sink_->metrics().error.value_or(""), HasSubstr("the disk of the log is gone"));
    clock_.Move(expected);
    expected = std::min(expected * 2, milliseconds(10'000));
  }
  bus_.Break(std::nullopt);
  sink_->Step();
  EXPECT_FALSE(sink_->metrics().error);
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1));
}

TEST_F(ResultsSinkTest, ABrokenRecordNamesItsPlace) {
  bus_.Put(1, Encoded(0, 0, {{1, "x", "a", 1}}));
  std::string cut = Encoded(0, 0, {{2, "x", "a", 1}});
  cut.pop_back();
  bus_.Put(1, cut);
  sink_->Step();
  EXPECT_THAT(sink_->metrics().error.value_or(""), HasSubstr("offset 1 of partition 1 of results.top_items"));
}

TEST_F(ResultsSinkTest, WhatRetentionTookIsAnErrorAndNotAGap) {
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
  sink_->Step();
  for (int i = 1; i < 5; ++i) bus_.Put(0, Encoded(i * 60'000, 0, {{1, "x", "a", i}}));
  bus_.ForgetBelow(0, 3);
  Restart();
  sink_->Step();
  EXPECT_THAT(sink_->metrics().error.value_or(""), HasSubstr("out_of_range"));
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1));
}

TEST_F(ResultsSinkTest, AnotherGenerationTakesOverWhenItHasCaughtUp) {
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
  sink_->Step();
  Restart(2, 1);
  bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 10}}, 2));
  bus_.Put(1, Encoded(0, 0, {{2, "x", "a", 20}}, 2));
  ASSERT_EQ(sink_->Step(), milliseconds(0));
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1)) << "the former generation is shown while the new one is behind";
  while (sink_->Step() == milliseconds(0)) {
  }
  EXPECT_THAT(Counts(), ::testing::ElementsAre(10, 20));
  EXPECT_EQ(sink_->metrics().other_generation, 1u);
}

TEST_F(ResultsSinkTest, AThreadIsWokenByTheTopicAndFinishes) {
  runtime::SystemClock clock;
  runtime::Runtime real{clock, files_, failpoints_};
  const auto wait_for = [&](auto condition) {
    for (int i = 0; i < 20'000 && !condition(); ++i) std::this_thread::yield();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return condition();
  };
  {
    // A pause that is far longer than the test: only the waker can end it.
    ResultsSinkThread thread(bus_,
                             std::make_unique<ResultsSink>(
                                 bus_, *store_, real, testing::TestShape("top_items"), 1,
                                 ResultsSinkOptions{.topic = kTopic, .gather_max = milliseconds(0), .hold_every = std::chrono::hours(1)}));
    bus_.Put(0, Encoded(0, 0, {{1, "x", "a", 1}}));
    ASSERT_TRUE(wait_for([&] { return thread.metrics().rows == 1; }));
    bus_.Put(1, Encoded(60'000, 0, {{1, "x", "a", 2}}));
    ASSERT_TRUE(wait_for([&] { return thread.metrics().rows == 2; }));
    bus_.Put(1, Closed(60'000));
  }
  EXPECT_EQ(Held(1), Offset(2));
  EXPECT_THAT(Counts(), ::testing::ElementsAre(1, 2));
}

}  // namespace
}  // namespace sightline::stores
