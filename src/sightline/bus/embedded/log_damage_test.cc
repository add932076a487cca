// What the log does about bytes that are not what it wrote: torn tails, flipped bits, missing files.
#include <gtest/gtest.h>

#include "sightline/base/testing/rounds.h"
#include "sightline/bus/testing/bus_harness.h"
#include "sightline/bus/testing/simulated_log.h"

namespace sightline::bus::testing {
namespace {

const TopicPartition kTopic{"t", Partition(0)};

class LogDamage : public ::testing::Test {
 protected:
  // A log with one batch for each list of values, each synced before the next, whose process was killed.
  std::unique_ptr<SimulatedLog> Killed(const std::vector<std::vector<std::string>>& batches, std::uint64_t segment_bytes = 1 << 20) {
    auto log = std::make_unique<SimulatedLog>(7);
    EXPECT_TRUE(log->Open());
    EXPECT_TRUE(log->bus->EnsureTopic({.name = "t", .segment_bytes = segment_bytes}));
    sizes_.clear();
    for (const auto& values : batches) {
      const std::uint64_t before = Bytes(*log);
      EXPECT_TRUE(Append(*log, values));
      sizes_.push_back(Bytes(*log) - std::max<std::uint64_t>(before, kSegmentHeaderSize));
    }
    log->Kill();
    return log;
  }
  static std::uint64_t Bytes(SimulatedLog& log) { return log.bus->Describe("t")->partitions[0].bytes; }
  static Result<Appended> Append(SimulatedLog& log, const std::vector<std::string>& values) {
    const auto views = Views(values);
    return AppendAndWait(*log.bus, kTopic, {.values = views});
  }
  // What can be read from an offset on, and the error that ended it, if one did.
  static std::pair<std::vector<std::string>, std::optional<Error>> Read(SimulatedLog& log, std::int64_t from = 0) {
    std::vector<std::string> values;
    const auto reader = log.bus->OpenReader(kTopic, Offset(from));
    if (!reader) return {values, reader.error()};
    while (true) {
      const auto batch = (*reader)->Next();
      if (!batch) return {values, batch.error()};
      if (!*batch) return {values, std::nullopt};
      for (const auto value : (*batch)->values) values.emplace_back(value);
    }
  }
  static std::string OnlyFile(SimulatedLog& log) { return log.FilesOf("t", 0, ".log").at(0); }
  static const RecoveryReport& Report(SimulatedLog& log) { return log.bus->recovered().at(0).report; }

  std::vector<std::uint64_t> sizes_;
};

TEST_F(LogDamage, TornTailIsCutAtEveryLengthOfTheLastBatch) {
  Killed({{"a", "b"}, {"c"}, {"last", "batch"}});
  const std::uint64_t last = sizes_[2];
  for (std::uint64_t kept = 0; kept < last; kept += kOneThreadRoundOf) {
    SCOPED_TRACE("bytes kept: " + std::to_string(kept));
    for (const bool zeros_follow : {false, true}) {
      auto log = Killed({{"a", "b"}, {"c"}, {"last", "batch"}});
      {
        auto file = *log->files.Open(OnlyFile(*log), runtime::OpenMode::kReadWrite);
        const std::uint64_t end = kSegmentHeaderSize + sizes_[0] + sizes_[1] + kept;
        ASSERT_TRUE(file->Truncate(end));
        ASSERT_TRUE(file->Preallocate(zeros_follow ? end + 10'000 : end));
      }
      ASSERT_TRUE(log->Open());
      EXPECT_TRUE(Report(*log).damages.empty());
      const auto info = log->bus->Describe("t")->partitions[0];
      EXPECT_EQ(info.end, Offset(3));
      EXPECT_EQ(info.epoch, Epoch(kept == 0 ? 0 : 1));
      EXPECT_EQ(Read(*log).first, (std::vector<std::string>{"a", "b", "c"}));
      EXPECT_EQ(Append(*log, {"new"})->base, Offset(3));
      log->PowerCycle();
      ASSERT_TRUE(log->Open());
      EXPECT_EQ(Read(*log).first, (std::vector<std::string>{"a", "b", "c", "new"}));
      if (HasFailure()) return;
    }
  }
}

TEST_F(LogDamage, AnyFlippedBitOfADurableBatchIsFoundReportedAndRepaired) {
  Killed({{"a", "b"}, {"c", "d", "e"}, {"f"}});
  const std::uint64_t begin = kSegmentHeaderSize + sizes_[0];
  for (std::uint64_t at = begin; at < begin + sizes_[1]; at += kOneThreadRoundOf) {
    SCOPED_TRACE("byte " + std::to_string(at));
    auto log = Killed({{"a", "b"}, {"c", "d", "e"}, {"f"}});
    ASSERT_TRUE(log->files.Flip(OnlyFile(*log), at, static_cast<std::uint8_t>(1U << (at % 8))));
    ASSERT_TRUE(log->Open());
    ASSERT_EQ(Report(*log).damages.size(), 1U);
    EXPECT_EQ(Report(*log).damages[0].from, Offset(2));
    EXPECT_EQ(Report(*log).damages[0].to, Offset(5));
    EXPECT_EQ(Report(*log).damages[0].position, begin);

    const auto [values, error] = Read(*log);
    EXPECT_EQ(values, (std::vector<std::string>{"a", "b"}));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind, ErrorKind::kCorruption);
    EXPECT_NE(error->message.find("offset 2"), std::string::npos) << error->message;
    EXPECT_NE(error->message.find(".log"), std::string::npos) << error->message;
    EXPECT_EQ(Append(*log, {"g"})->base, Offset(6)) << "the log goes on at its end";
    EXPECT_EQ(Read(*log, 5).first, (std::vector<std::string>{"f", "g"}));

    const auto repaired = log->bus->Repair(kTopic);
    ASSERT_TRUE(repaired);
    ASSERT_EQ(repaired->damages.size(), 1U);
    for (int round = 0; round < 2; ++round) {
      EXPECT_EQ(Read(*log).first, (std::vector<std::string>{"a", "b", "f", "g"}));
      EXPECT_FALSE(Read(*log).second);
      EXPECT_EQ(log->bus->Describe("t")->partitions[0].dropped, 3U);
      const auto verified = log->bus->Verify("t");
      ASSERT_TRUE(verified);
      EXPECT_TRUE((*verified)[0].damages.empty());
      EXPECT_EQ((*verified)[0].repaired, 1U);
      log->PowerCycle();
      ASSERT_TRUE(log->Open());
      EXPECT_TRUE(Report(*log).damages.empty());
    }
    if (HasFailure()) return;
  }
}

TEST_F(LogDamage, AFlippedBitInTheLastBatchNeverShowsWrongRecords) {
  Killed({{"a"}, {"b", "c"}});
  const std::uint64_t begin = kSegmentHeaderSize + sizes_[0];
  for (std::uint64_t at = begin; at < begin + sizes_[1]; at += kOneThreadRoundOf) {
    auto log = Killed({{"a"}, {"b", "c"}});
    ASSERT_TRUE(log->files.Flip(OnlyFile(*log), at, 0x10));
    ASSERT_TRUE(log->Open());
    ASSERT_EQ(Read(*log).first, std::vector<std::string>{"a"}) << "byte " << at;
    ASSERT_EQ(Report(*log).cut_bytes > 0, true) << "byte " << at;
  }
}

TEST_F(LogDamage, TheHeaderOfASegmentIsNotNeededToReadIt) {
  for (std::uint64_t at = 0; at < kSegmentHeaderSize; at += kOneThreadRoundOf) {
    auto log = Killed({{"a"}, {"b"}});
    ASSERT_TRUE(log->files.Flip(OnlyFile(*log), at, 0xff));
    ASSERT_TRUE(log->Open());
    ASSERT_EQ(Read(*log).first, (std::vector<std::string>{"a", "b"}));
    const auto verified = log->bus->Verify("t");
    ASSERT_TRUE(verified);
    EXPECT_EQ((*verified)[0].remarks.size(), 1U) << "byte " << at;
    EXPECT_TRUE((*verified)[0].damages.empty());
  }
}

TEST_F(LogDamage, DamageInOldSegmentsIsFoundByReadingAndByVerify) {
  SimulatedLog log(3);
  ASSERT_TRUE(log.Open());
  ASSERT_TRUE(log.bus->EnsureTopic({.name = "t", .segment_bytes = 4096}));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Append(log, {std::string(900, static_cast<char>('a' + i))}));
  ASSERT_TRUE(log.bus->Close());
  const auto segments = log.FilesOf("t", 0, ".log");
  ASSERT_GE(segments.size(), 4U);
  ASSERT_TRUE(log.files.Flip(segments[1], 1500, 1));
  ASSERT_TRUE(log.Open());
  EXPECT_TRUE(Report(log).clean) << "nobody read it yet";
  const auto [values, error] = Read(log);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::kCorruption);
  const auto verified = log.bus->Verify("t");
  ASSERT_TRUE(verified);
  ASSERT_EQ((*verified)[0].damages.size(), 1U);
  EXPECT_EQ((*verified)[0].damages[0].from.value, static_cast<std::int64_t>(values.size()));
  EXPECT_EQ((*verified)[0].records, 19U);
  ASSERT_TRUE(log.bus->Repair(kTopic));
  EXPECT_EQ(Read(log).first.size(), 19U);
}

TEST_F(LogDamage, AMissingSegmentIsDamageThatSaysHowMuch) {
  SimulatedLog log(3);
  ASSERT_TRUE(log.Open());
  ASSERT_TRUE(log.bus->EnsureTopic({.name = "t", .segment_bytes = 4096}));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Append(log, {std::string(900, static_cast<char>('a' + i))}));
  ASSERT_TRUE(log.bus->Close());
  const auto segments = log.FilesOf("t", 0, ".log");
  ASSERT_TRUE(log.files.Remove(segments[1]));
  ASSERT_TRUE(log.Open());
  ASSERT_EQ(Report(log).damages.size(), 1U);
  const Damage damage = Report(log).damages[0];
  EXPECT_EQ(damage.to - damage.from, 3);
  EXPECT_EQ(Read(log).second->kind, ErrorKind::kCorruption);
  EXPECT_EQ(Append(log, {"on"})->base, Offset(20));
  ASSERT_TRUE(log.bus->Repair(kTopic));
  EXPECT_EQ(Read(log).first.size(), 18U);
  EXPECT_EQ(log.bus->Describe("t")->partitions[0].dropped, 3U);
}

TEST_F(LogDamage, AFileShorterThanACleanCloseLeftItIsDamage) {
  SimulatedLog log(3);
  ASSERT_TRUE(log.Open());
  ASSERT_TRUE(log.bus->EnsureTopic({.name = "t"}));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Append(log, Numbered(2, 2 * i)));
  ASSERT_TRUE(log.bus->Close());
  {
    auto file = *log.files.Open(OnlyFile(log), runtime::OpenMode::kReadWrite);
    ASSERT_TRUE(file->Truncate(*file->Size() - 1));
  }
  ASSERT_TRUE(log.Open());
  ASSERT_EQ(Report(log).damages.size(), 1U);
  EXPECT_EQ(Report(log).damages[0].from, Offset(8));
  EXPECT_EQ(Report(log).damages[0].to, Offset(10));
  EXPECT_EQ(Append(log, {"next"})->base, Offset(10)) << "no offset is given out twice";
  EXPECT_EQ(Read(log).first, Numbered(8));
  ASSERT_TRUE(log.bus->Repair(kTopic));
  auto expected = Numbered(8);
  expected.emplace_back("next");
  EXPECT_EQ(Read(log).first, expected);
  log.PowerCycle();
  ASSERT_TRUE(log.Open());
  EXPECT_EQ(Read(log).first, expected);
}

TEST_F(LogDamage, DamagedSidecarsCostTimeAndNothingElse) {
  SimulatedLog log(3);
  ASSERT_TRUE(log.Open());
  ASSERT_TRUE(log.bus->EnsureTopic({.name = "t", .segment_bytes = 4096}));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Append(log, {std::string(900, 'x')}));
  ASSERT_TRUE(log.bus->Close());
  for (const std::string& sidecar : log.FilesOf("t", 0, ".meta")) ASSERT_TRUE(log.files.Flip(sidecar, 20, 4));
  ASSERT_TRUE(log.Open());
  EXPECT_TRUE(Report(log).damages.empty());
  EXPECT_GT(Report(log).scanned_bytes, 18'000U);
  EXPECT_EQ(Read(log).first.size(), 20U);
  EXPECT_TRUE(Report(log).damaged_sidecars.empty());
}

TEST_F(LogDamage, ADamagedSidecarOfARemovedSegmentIsReportedUntilItIsRemoved) {
  SimulatedLog log(3);
  ASSERT_TRUE(log.Open());
  ASSERT_TRUE(log.bus->EnsureTopic({.name = "t", .retain_bytes = 20'000}));
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Append(log, {std::string(900, 'x')}));
  const std::int64_t start = log.bus->Describe("t")->partitions[0].start.value;
  ASSERT_GT(start, 0);
  ASSERT_TRUE(log.bus->Close());
  const std::string sidecar = log.FilesOf("t", 0, ".meta").at(0);
  ASSERT_LT(sidecar.substr(0, sidecar.rfind('.')), log.FilesOf("t", 0, ".log").at(0)) << "its segment is there";
  ASSERT_TRUE(log.files.Flip(sidecar, 20, 4));
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(log.Open());
    EXPECT_EQ(Report(log).damaged_sidecars, std::vector<std::string>{sidecar});
    EXPECT_TRUE(Report(log).damages.empty());
    EXPECT_EQ(Read(log, start).first.size(), static_cast<std::size_t>(60 - start));
    ASSERT_TRUE(log.bus->Close());
  }
  ASSERT_TRUE(log.files.Remove(sidecar));
  ASSERT_TRUE(log.Open());
  EXPECT_TRUE(Report(log).damaged_sidecars.empty());
}

TEST_F(LogDamage, ADamagedStateFileIsAnErrorWithARemedy) {
  SimulatedLog log(3);
  ASSERT_TRUE(log.Open());
  ASSERT_TRUE(log.bus->EnsureTopic({.name = "t", .owned = true}));
  {
    auto owner = *log.bus->OpenOwned(kTopic);
    const std::vector<std::string_view> values = {"x"};
    ASSERT_TRUE(owner->Append({.values = values}));
    ASSERT_TRUE(owner->TruncateTo(Offset(0)));
    ASSERT_TRUE(owner->Append({.values = values}));
  }
  ASSERT_TRUE(log.bus->Close());
  const std::string state = log.FilesOf("t", 0, "state").at(0);
  ASSERT_TRUE(log.files.Flip(state, 14, 4));
  const Status opened = log.Open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(opened.error().message.find("removing it"), std::string::npos) << opened.error().message;
  ASSERT_TRUE(log.files.Remove(state));
  ASSERT_TRUE(log.Open());
  EXPECT_GT(log.bus->Describe("t")->partitions[0].epoch, Epoch(1)) << "no epoch is used twice";
}

}  // namespace
}  // namespace sightline::bus::testing
