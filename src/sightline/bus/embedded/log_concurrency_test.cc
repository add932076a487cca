// Many threads on real files.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/bus/testing/bus_harness.h"
#include "sightline/runtime/clock.h"
#include "sightline/runtime/posix_file_system.h"

namespace sightline::bus::testing {
namespace {

class LogConcurrency : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "log_concurrency.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    Reopen();
  }
  void TearDown() override {
    bus_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Reopen() {
    bus_.reset();
    auto bus = LogBus::Open(runtime_, directory_, {.retention_interval = std::chrono::milliseconds(5)});
    ASSERT_TRUE(bus) << bus.error().ToString();
    bus_ = std::move(*bus);
  }
  // Each producer's values "p/i" in order, each once; how many there are of each.
  static void Check(Reader& reader, std::int64_t until, std::map<std::string, int>& next, const std::atomic<bool>& stop) {
    while (reader.position().value < until && !stop) {
      const auto batch = reader.Next();
      ASSERT_TRUE(batch) << batch.error().ToString();
      if (!*batch) {
        std::this_thread::yield();
        continue;
      }
      for (const std::string_view value : (*batch)->values) {
        const std::size_t slash = value.find('/');
        ASSERT_NE(slash, std::string_view::npos);
        const std::string producer(value.substr(0, slash));
        ASSERT_EQ(std::stoi(std::string(value.substr(slash + 1))), next[producer]++) << "producer " << producer;
      }
    }
  }

  runtime::SystemClock clock_;
  runtime::PosixFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::string directory_;
  std::unique_ptr<LogBus> bus_;
};

TEST_F(LogConcurrency, SixtyFourProducersTwoReadersAndARestart) {
  constexpr int kProducers = 64;
  constexpr int kEach = 12;
  constexpr int kPerBatch = 3;
  constexpr std::int64_t kRecords = std::int64_t{kProducers} * kEach * kPerBatch / 2;
  ASSERT_TRUE(bus_->EnsureTopic({.name = "t", .partitions = 2, .compression = Compression::kLz4, .segment_bytes = 16384}));
  std::atomic<bool> stop = false;
  std::vector<std::map<std::string, int>> seen(2);
  std::vector<std::thread> threads;
  for (int p = 0; p < 2; ++p) {
    threads.emplace_back([&, p] {
      const auto reader = *bus_->OpenReader({"t", Partition(p)}, Offset(0));
      Check(*reader, kRecords, seen[static_cast<std::size_t>(p)], stop);
    });
  }
  std::atomic<int> failures = 0;
  std::vector<std::thread> producers;
  for (int producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&, producer] {
      for (int i = 0; i < kEach; ++i) {
        std::vector<std::string> values;
        for (int k = 0; k < kPerBatch; ++k) {
          values.push_back(std::to_string(producer) + "/" + std::to_string(i * kPerBatch + k));
        }
        const auto views = Views(values);
        const auto appended = AppendAndWait(
            *bus_, {"t", Partition(producer % 2)},
            {.values = views, .producer = static_cast<std::uint64_t>(producer + 1), .sequence = static_cast<std::uint64_t>(i + 1)});
        failures += appended ? 0 : 1;
      }
    });
  }
  for (auto& producer : producers) producer.join();
  EXPECT_EQ(failures, 0);
  if (failures > 0) stop = true;
  for (auto& thread : threads) thread.join();
  for (const auto& counts : seen) {
    EXPECT_EQ(counts.size(), kProducers / 2U);
    for (const auto& [producer, count] : counts) EXPECT_EQ(count, kEach * kPerBatch) << producer;
  }
  Reopen();
  for (int p = 0; p < 2; ++p) {
    std::map<std::string, int> again;
    const auto reader = *bus_->OpenReader({"t", Partition(p)}, Offset(0));
    Check(*reader, kRecords, again, stop);
    EXPECT_EQ(again, seen[static_cast<std::size_t>(p)]);
  }
}

TEST_F(LogConcurrency, RetentionUnderReadersAndWritersTakesNothingFromUnderThem) {
  TopicSpec spec{.name = "t", .durability = Durability::kOs, .retain_bytes = 64 << 10};
  ASSERT_TRUE(bus_->EnsureTopic(spec));
  const TopicPartition topic{"t", Partition(0)};
  constexpr int kBatches = 3000;
  std::thread writer([&] {
    for (int i = 0; i < kBatches; ++i) {
      const std::vector<std::string> values = {std::to_string(i), std::string(200, 'x')};
      const auto views = Views(values);
      ASSERT_TRUE(AppendAndWait(*bus_, topic, {.values = views}));
    }
  });
  const auto reader = *bus_->OpenReader(topic, Offset(0));
  while (reader->position() < Offset(2 * kBatches)) {
    const auto batch = reader->Next();
    if (!batch) {
      // Retention overtook it: it goes on where the log begins now, and nothing else ever fails.
      ASSERT_EQ(batch.error().kind, ErrorKind::kOutOfRange) << batch.error().ToString();
      static_cast<void>(reader->Seek(bus_->Describe("t")->partitions[0].start, std::nullopt));  // which may have moved on again
      continue;
    }
    if (!*batch) continue;
    ASSERT_EQ((*batch)->values.size(), 2U);
    ASSERT_EQ((*batch)->values[0], std::to_string((*batch)->base.value / 2));
  }
  writer.join();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (bus_->Describe("t")->partitions[0].bytes > 2 * spec.retain_bytes) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "retention never came";
    std::this_thread::yield();
  }
}

TEST_F(LogConcurrency, IntervalTopicsBecomeDurableByThemselves) {
  ASSERT_TRUE(bus_->EnsureTopic({.name = "t", .durability = Durability::kInterval, .interval = std::chrono::milliseconds(5)}));
  const TopicPartition topic{"t", Partition(0)};
  for (int round = 1; round <= 3; ++round) {
    const std::vector<std::string_view> value = {"v"};
    ASSERT_TRUE(AppendAndWait(*bus_, topic, {.values = value}));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (bus_->Describe("t")->partitions[0].durable < Offset(round)) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::yield();
    }
  }
}

TEST_F(LogConcurrency, IntervalTopicsWaitForTheirInterval) {
  ASSERT_TRUE(bus_->EnsureTopic({.name = "t", .durability = Durability::kInterval, .interval = std::chrono::hours(1)}));
  const TopicPartition topic{"t", Partition(0)};
  const std::vector<std::string_view> value = {"v"};
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(AppendAndWait(*bus_, topic, {.values = value}));
  EXPECT_EQ(bus_->Describe("t")->partitions[0].durable, Offset(0)) << "a sync an append is what the interval is to avoid";
  EXPECT_EQ(bus_->Describe("t")->partitions[0].visible, Offset(200));
}

TEST_F(LogConcurrency, ClosingWhileProducersAppendAnswersThemAll) {
  ASSERT_TRUE(bus_->EnsureTopic({.name = "t"}));
  std::atomic<int> accepted = 0;
  std::atomic<bool> begun = false;
  std::vector<std::thread> producers;
  for (int p = 0; p < 8; ++p) {
    producers.emplace_back([&] {
      const std::vector<std::string_view> value = {"v"};
      while (true) {
        const auto appended = AppendAndWait(*bus_, {"t", Partition(0)}, {.values = value});
        if (!appended) {
          EXPECT_EQ(appended.error().kind, ErrorKind::kCancelled) << appended.error().ToString();
          return;
        }
        ++accepted;
        begun = true;
      }
    });
  }
  while (!begun) std::this_thread::yield();
  ASSERT_TRUE(bus_->Close());
  for (auto& producer : producers) producer.join();
  Reopen();
  EXPECT_EQ(bus_->Describe("t")->partitions[0].end, Offset(accepted));
}

TEST_F(LogConcurrency, ClosingAnswersEveryProducer) {
  ASSERT_TRUE(bus_->EnsureTopic({.name = "t"}));
  std::atomic<int> answered = 0;
  std::atomic<int> lost = 0;
  const std::vector<std::string_view> value = {"v"};
  constexpr int kAppends = 200;
  for (int i = 0; i < kAppends; ++i) {
    bus_->Append({"t", Partition(0)}, {.values = value}, [&](const Result<Appended>& appended) {
      ++answered;
      lost += appended ? 0 : 1;
    });
  }
  ASSERT_TRUE(bus_->Close());
  EXPECT_EQ(answered, kAppends);
  EXPECT_EQ(lost, 0);
  Reopen();
  EXPECT_EQ(bus_->Describe("t")->partitions[0].end, Offset(kAppends));
  EXPECT_TRUE(bus_->recovered().at(0).report.clean);
}

TEST_F(LogConcurrency, AnOwnerWorksBesideItsReaders) {
  ASSERT_TRUE(bus_->EnsureTopic({.name = "t", .segment_bytes = 8192, .owned = true}));
  const TopicPartition topic{"t", Partition(0)};
  std::atomic<std::int64_t> committed = 0;
  std::thread reader_thread([&] {
    const auto reader = *bus_->OpenReader(topic, Offset(0));
    while (reader->position() < Offset(400)) {
      const auto batch = reader->Next();
      ASSERT_TRUE(batch) << batch.error().ToString();
      if (!*batch) {
        std::this_thread::yield();
        continue;
      }
      ASSERT_LE((*batch)->end().value, committed.load());
      ASSERT_EQ((*batch)->values[0], std::to_string((*batch)->base.value));
    }
  });
  const auto owner = *bus_->OpenOwned(topic);
  const std::string filler(100, 'f');
  while (owner->end() < Offset(400)) {
    for (int i = 0; i < 10; ++i) {
      const std::string number = std::to_string(owner->end().value);
      const std::vector<std::string_view> values = {number, filler};
      ASSERT_TRUE(owner->Append({.values = values}));
    }
    ASSERT_TRUE(owner->Sync());
    committed = owner->end().value;
    ASSERT_TRUE(owner->Publish(owner->end()));
  }
  reader_thread.join();
}

}  // namespace
}  // namespace sightline::bus::testing
