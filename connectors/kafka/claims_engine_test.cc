// Retried requests on a real broker: whichever process they reach, their records are there once.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "connectors/kafka/testing/kafka_engine.h"

namespace sightline::kafka::testing {
namespace {

using std::chrono::seconds;

std::unique_ptr<KafkaBus> Open(const std::string& prefix) {
  auto bus = KafkaBus::Open(KafkaEngine::Get().Options(prefix));
  EXPECT_TRUE(bus) << bus.error().ToString();
  return bus ? std::move(*bus) : nullptr;
}

Result<bus::Appended> Append(KafkaBus& bus, std::uint64_t key, std::uint32_t part, const std::string& value, std::uint32_t digest = 1) {
  const std::vector<std::string_view> one = {value};
  return bus::AppendAndWait(bus, {"t", Partition(static_cast<std::int32_t>(part % 2))},
                            {.values = one, .idempotency = bus::IdempotencyTag{.key = {key, 9}, .part = part, .digest = digest}});
}

std::vector<std::string> Values(KafkaBus& bus, std::int32_t partition) {
  std::vector<std::string> values;
  for (const std::string& record : ReadAll(bus, {"t", Partition(partition)})) values.push_back(record.substr(record.find(':') + 1));
  std::sort(values.begin(), values.end());
  return values;
}

TEST(KafkaClaims, ManyRetriesOverTwoProcessesAreTakenOnce) {
  const std::string prefix = KafkaEngine::Get().NewPrefix();
  const auto first = Open(prefix);
  const auto second = Open(prefix);
  ASSERT_TRUE(first->EnsureTopic({.name = "t", .partitions = 2}));
  constexpr std::uint64_t kKeys = 40;
  std::vector<std::thread> senders;
  std::atomic<int> fresh = 0, failed = 0;
  for (int s = 0; s < 6; ++s) {
    senders.emplace_back([&, s] {
      KafkaBus& bus = s % 2 == 0 ? *first : *second;
      for (std::uint64_t key = 0; key < kKeys; ++key) {
        for (const std::uint32_t part : {0U, 1U}) {
          Result<bus::Appended> appended = Fail(ErrorKind::kUnavailable, "");
          for (int attempt = 0; attempt < 10 && !appended && appended.error().kind == ErrorKind::kUnavailable; ++attempt) {
            appended = Append(bus, key, part, "k" + std::to_string(100 + key));
          }
          if (!appended) ADD_FAILURE() << appended.error().ToString();
          failed += appended ? 0 : 1;
          fresh += appended && !appended->repeated ? 1 : 0;
        }
      }
    });
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(fresh, 2 * static_cast<int>(kKeys));
  std::vector<std::string> expected;
  for (std::uint64_t key = 0; key < kKeys; ++key) expected.push_back("k" + std::to_string(100 + key));
  for (const std::int32_t partition : {0, 1}) EXPECT_EQ(Values(*first, partition), expected);
  EXPECT_EQ(Append(*second, 3, 0, "k103", 2).error().kind, ErrorKind::kAlreadyExists);
  EXPECT_EQ(*first->Topics(), std::vector<std::string>{"t"}) << "the log of claims is nobody's topic";

  // Another process, later.
  const auto third = Open(prefix);
  const auto again = Append(*third, 3, 1, "k103");
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(Values(*third, 1), expected);
}

TEST(KafkaClaims, ARestartOfTheBrokerDoublesAndLosesNothing) {
  const std::string prefix = KafkaEngine::Get().NewPrefix();
  const auto bus = Open(prefix);
  ASSERT_TRUE(bus->EnsureTopic({.name = "t", .partitions = 2}));
  ASSERT_TRUE(Append(*bus, 1000, 0, "k1000"));
  std::vector<std::string> expected = {"k1000"};
  auto sending = std::async(std::launch::async, [&] {
    for (std::uint64_t key = 1001; key < 1200; ++key) {
      const std::string value = "k" + std::to_string(key);
      expected.push_back(value);
      const auto until = std::chrono::steady_clock::now() + seconds(120);
      Result<bus::Appended> appended = Fail(ErrorKind::kUnavailable, "");
      while (!appended && std::chrono::steady_clock::now() < until) appended = Append(*bus, key, 0, value);
      if (!appended) return appended.error().ToString();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return std::string();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  KafkaEngine::Get().Kill();
  KafkaEngine::Get().Start();
  EXPECT_EQ(sending.get(), "");
  EXPECT_EQ(Values(*bus, 0), expected);
}

}  // namespace
}  // namespace sightline::kafka::testing
