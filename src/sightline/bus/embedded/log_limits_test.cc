// Full disks, failing syncs, retention, backpressure, memory of retries: the log at its limits.
#include <gtest/gtest.h>

#include "sightline/base/testing/rounds.h"
#include "sightline/bus/testing/bus_harness.h"
#include "sightline/bus/testing/simulated_log.h"

namespace sightline::bus::testing {
namespace {

const TopicPartition kTopic{"t", Partition(0)};

class LogLimitsTest : public ::testing::Test {
 protected:
  void Open(const TopicSpec& spec) {
    ASSERT_TRUE(log_.Open());
    ASSERT_TRUE(log_.bus->EnsureTopic(spec));
  }
  void Reopen() { ASSERT_TRUE(log_.Open()); }
  Result<Appended> Append(const std::vector<std::string>& values, std::optional<IdempotencyTag> tag = std::nullopt) {
    const auto views = Views(values);
    return AppendAndWait(*log_.bus, kTopic, {.values = views, .idempotency = tag});
  }
  std::vector<std::string> Values(std::int64_t from = 0) {
    std::vector<std::string> values;
    const auto reader = log_.bus->OpenReader(kTopic, Offset(from));
    EXPECT_TRUE(reader) << reader.error().ToString();
    while (reader) {
      const auto batch = (*reader)->Next();
      EXPECT_TRUE(batch) << batch.error().ToString();
      if (!batch || !*batch) return values;
      for (const auto value : (*batch)->values) values.emplace_back(value);
    }
    return values;
  }
  TopicInfo::PartitionInfo Info() { return log_.bus->Describe("t")->partitions[0]; }

  SimulatedLog log_{11};
};

TEST_F(LogLimitsTest, AFullDiskRefusesLosesNothingAndRecoversByItself) {
  Open({.name = "t", .segment_bytes = 16384});
  log_.files.SetCapacity(100'000);
  std::vector<std::string> accepted;
  Result<Appended> last = Appended{};
  for (int i = 0; i < 500 && last; ++i) {
    const std::string value = std::to_string(i) + std::string(777, 'x');
    last = Append({value});
    if (last) accepted.push_back(value);
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().kind, ErrorKind::kResourceExhausted);
  EXPECT_GT(accepted.size(), 50U);
  const auto again_refused = Append({std::string(5000, 'y')});
  EXPECT_EQ(again_refused.error().kind, ErrorKind::kResourceExhausted);
  for (const Error& error : {last.error(), again_refused.error()}) {
    EXPECT_NE(error.message.find("; make room on that disk or keep less (datasets.NAME.retain), then send it again"), std::string::npos)
        << error.message;
  }
  EXPECT_EQ(Values(), accepted);

  log_.files.SetCapacity(200'000);
  const auto again = Append({"room"});
  ASSERT_TRUE(again) << again.error().ToString();
  accepted.emplace_back("room");
  EXPECT_EQ(Values(), accepted);
  log_.PowerCycle();
  Reopen();
  EXPECT_TRUE(log_.bus->recovered().at(0).report.damages.empty());
  EXPECT_EQ(log_.bus->recovered().at(0).report.cut_bytes, 0U) << "half a batch was left behind";
  EXPECT_EQ(Values(), accepted);
}

TEST_F(LogLimitsTest, AFullDiskMakesADroppingTopicGiveUpItsOldest) {
  Open({.name = "t", .when_full = WhenFull::kDrop, .segment_bytes = 16384});
  ASSERT_TRUE(Append({"first"}));
  ASSERT_TRUE(log_.bus->CommitOffset("g", kTopic, Offset(0)));
  log_.files.SetCapacity(100'000);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(Append({std::string(777, 'x')})) << i;
  const auto info = Info();
  EXPECT_EQ(info.end, Offset(301));
  EXPECT_GT(info.start, Offset(0));
  EXPECT_EQ(static_cast<std::int64_t>(info.dropped), info.start.value);
  log_.PowerCycle();
  Reopen();
  EXPECT_EQ(Info().dropped, info.dropped);
  EXPECT_EQ(Info().start, info.start);
  EXPECT_EQ(static_cast<std::int64_t>(Values(info.start.value).size()), 301 - info.start.value);
}

TEST_F(LogLimitsTest, TheReserveOfTheDiskIsKept) {
  log_.options.disk_reserve_bytes = 50'000;
  Open({.name = "t", .segment_bytes = 8192});
  log_.files.SetCapacity(100'000);
  Result<Appended> last = Appended{};
  for (int i = 0; i < 500 && last; ++i) last = Append({std::string(777, 'x')});
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().kind, ErrorKind::kResourceExhausted);
  EXPECT_GE(*log_.files.FreeBytes("/data"), 41'000U);
}

TEST_F(LogLimitsTest, AFailedSyncStopsThePartitionAndIsNeverRetried) {
  Open({.name = "t"});
  ASSERT_TRUE(Append({"durable"}));
  log_.files.FailSyncs(".log", 1);
  const auto failed = Append({"unknown"});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::kIo);
  EXPECT_EQ(Append({"later"}).error().kind, ErrorKind::kIo) << "a sync that works now proves nothing";
  EXPECT_EQ(log_.bus->MakeDurable(kTopic, Offset(2)).error().kind, ErrorKind::kIo);
  EXPECT_EQ(Values(), std::vector<std::string>{"durable"}) << "only durable batches are seen";
  EXPECT_EQ(Info().durable, Offset(1));
}

TEST_F(LogLimitsTest, WhatIsSeenAfterAFailedSyncAndARestartIsReallyOnDisk) {
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(30); ++seed) {
    SimulatedLog log(seed);
    ASSERT_TRUE(log.Open());
    ASSERT_TRUE(log.bus->EnsureTopic({.name = "t"}));
    const std::vector<std::string_view> value = {"v"};
    ASSERT_TRUE(AppendAndWait(*log.bus, kTopic, {.values = value}));
    log.files.FailSyncs(".log", 1);
    ASSERT_FALSE(AppendAndWait(*log.bus, kTopic, {.values = value}));
    // The kernel believes those pages clean: only writing them again brings them to the disk.
    log.Kill();
    ASSERT_TRUE(log.Open());
    const Offset seen = log.bus->Describe("t")->partitions[0].visible;
    EXPECT_GE(seen, Offset(1));
    log.PowerCycle();
    ASSERT_TRUE(log.Open());
    ASSERT_GE(log.bus->Describe("t")->partitions[0].visible, seen) << "seed " << seed;
  }
}

TEST_F(LogLimitsTest, AFailedWriteStopsThePartitionAndLosesNothing) {
  Open({.name = "t"});
  ASSERT_TRUE(Append({"a"}));
  log_.files.FailWrites(".log", 1);
  EXPECT_EQ(Append({"half"}).error().kind, ErrorKind::kIo);
  EXPECT_EQ(Append({"b"}).error().kind, ErrorKind::kIo);
  log_.Kill();
  Reopen();
  EXPECT_EQ(Values(), std::vector<std::string>{"a"});
  EXPECT_EQ(Append({"b"})->base, Offset(1));
}

TEST_F(LogLimitsTest, ConsumersSeeDurableBatchesOnlyUnderFsync) {
  log_.options.flushing = LogBus::Flushing::kManual;
  for (const Durability durability : {Durability::kFsync, Durability::kOs}) {
    Open({.name = "t", .durability = durability});
    int answered = 0;
    const std::vector<std::string_view> value = {"v"};
    const std::size_t before = Values().size();
    log_.bus->Append(kTopic, {.values = value}, [&](const Result<Appended>& appended) { answered += appended ? 1 : 0; });
    const bool at_once = durability == Durability::kOs;
    EXPECT_EQ(answered, at_once ? 1 : 0);
    EXPECT_EQ(Values().size(), before + (at_once ? 1 : 0));
    log_.bus->FlushOnce();
    EXPECT_EQ(answered, 1);
    EXPECT_EQ(Values().size(), before + 1);
  }
}

TEST_F(LogLimitsTest, AppendsThatPileUpAreRefusedUntilTheDiskFollows) {
  log_.options.flushing = LogBus::Flushing::kManual;
  log_.options.pending_bytes_max = 10'000;
  Open({.name = "t"});
  const std::string big(3000, 'x');
  const std::vector<std::string_view> value = {big};
  int accepted = 0;
  std::vector<ErrorKind> refused;
  const auto done = [&](const Result<Appended>& appended) {
    if (appended) {
      ++accepted;
    } else {
      refused.push_back(appended.error().kind);
    }
  };
  for (int i = 0; i < 5; ++i) log_.bus->Append(kTopic, {.values = value}, done);
  EXPECT_EQ(refused, std::vector<ErrorKind>(2, ErrorKind::kResourceExhausted));
  EXPECT_EQ(accepted, 0);
  EXPECT_EQ(log_.bus->FlushOnce(), 3U);
  EXPECT_EQ(accepted, 3);
  log_.bus->Append(kTopic, {.values = value}, done);
  log_.bus->FlushOnce();
  EXPECT_EQ(accepted, 4);
}

TEST_F(LogLimitsTest, TagsOutliveTheirSegmentForADayAndNoLonger) {
  Open({.name = "t", .retain_time = std::chrono::minutes(10), .segment_bytes = 4096});
  const IdempotencyTag tag{.key = {1, 2}, .part = 3, .digest = 4};
  ASSERT_TRUE(Append({"once"}, tag));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Append({std::string(1000, 'x')}));
  log_.clock.Advance(std::chrono::hours(1));
  ASSERT_TRUE(Append({"now"}));
  ASSERT_TRUE(log_.bus->ApplyRetention(log_.clock.Now()));
  ASSERT_GT(Info().start, Offset(0)) << "the segment with the tag must be gone";
  for (int round = 0; round < 3; ++round) {
    const auto again = Append({"once"}, tag);
    ASSERT_TRUE(again) << again.error().ToString();
    EXPECT_TRUE(again->repeated);
    EXPECT_EQ(again->base, Offset(0));
    ASSERT_TRUE(round != 0 || log_.bus->Close());
    if (round == 1) log_.PowerCycle();
    if (round < 2) Reopen();
  }
  log_.clock.Advance(std::chrono::hours(24));
  EXPECT_FALSE(Append({"once"}, tag)->repeated);
}

TEST_F(LogLimitsTest, ProducersAreRememberedWhenRetentionTookAllTheirBatches) {
  Open({.name = "t", .retain_time = std::chrono::minutes(10), .segment_bytes = 4096});
  const auto send = [&](std::uint64_t sequence) {
    const std::vector<std::string_view> value = {"v"};
    return AppendAndWait(*log_.bus, kTopic, {.values = value, .producer = 9, .sequence = sequence});
  };
  ASSERT_TRUE(send(1));
  ASSERT_TRUE(send(2));
  log_.clock.Advance(std::chrono::hours(48));
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(log_.bus->ApplyRetention(log_.clock.Now()));
    EXPECT_EQ(Info().start, Offset(2));
    EXPECT_TRUE(send(2)->repeated);
    EXPECT_EQ(send(4).error().kind, ErrorKind::kFailedPrecondition);
    log_.PowerCycle();
    Reopen();
  }
}

TEST_F(LogLimitsTest, RetentionBySizeKeepsTheNewest) {
  Open({.name = "t", .retain_bytes = 40'000});
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(Append({std::string(1000, 'x')}));
  const auto info = Info();
  EXPECT_LE(info.bytes, 40'000U + 10'000U);
  EXPECT_GE(info.bytes, 25'000U);
  EXPECT_EQ(info.end, Offset(200));
  EXPECT_EQ(info.dropped, 0U) << "nobody needed it";
}

TEST_F(LogLimitsTest, AppendTimesDoNotFallWhenTheClockIsSetBackALittle) {
  Open({.name = "t"});
  const auto append_at = [&](std::chrono::milliseconds jump) {
    log_.clock.Jump(jump);
    EXPECT_TRUE(Append({"x"}));
    const auto reader = *log_.bus->OpenReader(kTopic, Info().end - 1);
    return (*reader->Next())->append_time;
  };
  const AppendTime first = append_at(std::chrono::minutes(0));
  EXPECT_EQ(append_at(std::chrono::minutes(-30)), first);
  EXPECT_EQ(append_at(std::chrono::minutes(31)), first + 60'000);
  const AppendTime far = append_at(std::chrono::hours(24 * 365));
  EXPECT_EQ(far - first, 60'000 + 24LL * 365 * 3'600'000);
  EXPECT_EQ(append_at(-std::chrono::hours(24 * 365)), first + 60'000) << "the wrong time was the later one";
}

TEST_F(LogLimitsTest, ASecondOwnerOfTheDirectoryIsRefused) {
  Open({.name = "t"});
  const auto second = LogBus::Open(log_.runtime, SimulatedLog::kData, log_.options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_NE(second.error().message.find("process"), std::string::npos);
}

TEST_F(LogLimitsTest, BatchesOverTheLimitAreRefused) {
  log_.options.batch_bytes_max = 1000;
  Open({.name = "t"});
  EXPECT_EQ(Append({std::string(1000, 'x')}).error().kind, ErrorKind::kInvalidArgument);
  EXPECT_TRUE(Append({std::string(500, 'x')}));
}

TEST_F(LogLimitsTest, ABatchLargerThanASegmentGetsOneOfItsOwn) {
  Open({.name = "t", .segment_bytes = 4096});
  std::vector<std::string> expected;
  for (int i = 0; i < 6; ++i) {
    expected.push_back(std::string(i % 2 == 0 ? 20'000 : 10, static_cast<char>('a' + i)));
    ASSERT_TRUE(Append({expected.back()}));
  }
  EXPECT_EQ(Values(), expected);
  log_.PowerCycle();
  Reopen();
  EXPECT_EQ(Values(), expected);
}

TEST_F(LogLimitsTest, AnOffsetOfALostTailIsToldWhatIsGone) {
  log_.options.flushing = LogBus::Flushing::kManual;
  Open({.name = "t", .durability = Durability::kOs});
  const auto append = [&](int count) {
    const auto values = Numbered(count);
    const auto views = Views(values);
    log_.bus->Append(kTopic, {.values = views}, [](const Result<Appended>& appended) { ASSERT_TRUE(appended); });
  };
  append(4);
  ASSERT_TRUE(log_.bus->MakeDurable(kTopic, Offset(4)));
  append(6);
  const Epoch epoch = Info().epoch;
  ASSERT_TRUE(log_.bus->CommitOffset("g", kTopic, Offset(10)));
  // Cut behind the durable part, as a power failure may.
  log_.Kill();
  const std::string file = log_.FilesOf("t", 0, ".log").at(0);
  {
    auto handle = *log_.files.Open(file, runtime::OpenMode::kReadWrite);
    ASSERT_TRUE(handle->Truncate(kSegmentHeaderSize + kBatchHeaderSize + 4 * 4 + 4 * 2));
  }
  Reopen();
  EXPECT_GT(Info().epoch, epoch);
  append(8);
  const auto position = log_.bus->CommittedOffset("g", kTopic);
  ASSERT_FALSE(position) << "offset 10 now holds another record";
  EXPECT_EQ(position.error().kind, ErrorKind::kOutOfRange);
  EXPECT_NE(position.error().message.find("6 records"), std::string::npos) << position.error().message;
  const auto reader = *log_.bus->OpenReader(kTopic, Offset(0));
  EXPECT_FALSE(reader->Seek(Offset(10), epoch));
  EXPECT_TRUE(reader->Seek(Offset(4), epoch));
}

}  // namespace
}  // namespace sightline::bus::testing
