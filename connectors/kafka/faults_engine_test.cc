// The broker goes away while records come and go: nothing acknowledged is lost, nothing is doubled, order is kept.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <thread>

#include "connectors/kafka/testing/kafka_engine.h"

namespace sightline::kafka::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What a producer sent and what became of it.
struct Sent {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::int64_t, bool> answered;  // value -> acknowledged
  std::map<std::int64_t, std::string> failures;
  std::int64_t next = 0;
};

class KafkaFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    KafkaBusOptions options = engine().Options(engine().NewPrefix());
    options.client.delivery_timeout = seconds(60);
    auto bus = KafkaBus::Open(options);
    ASSERT_TRUE(bus) << bus.error().ToString();
    bus_ = std::move(*bus);
    ASSERT_TRUE(bus_->EnsureTopic({.name = "t"}));
  }
  static KafkaEngine& engine() { return KafkaEngine::Get(); }

  // Sends and reads while `fault` happens and for a while after it, then compares.
  void Run(const std::function<void()>& fault) {
    Sent sent;
    std::atomic<bool> stop = false, read_stop = false;
    std::thread sender([&] { Send(sent, stop); });
    std::vector<std::string> seen;
    std::string read_error;
    std::thread reader([&] { Read(seen, read_error, read_stop); });
    std::this_thread::sleep_for(seconds(1));
    fault();
    const std::int64_t after = [&] {
      const std::lock_guard lock(sent.mutex);
      return sent.next;
    }();
    {
      // It goes on by itself.
      std::unique_lock lock(sent.mutex);
      EXPECT_TRUE(sent.changed.wait_for(lock, seconds(60), [&] {
        const auto last = sent.answered.rbegin();
        return last != sent.answered.rend() && last->first > after + 500 && last->second;
      }));
    }
    stop = true;
    sender.join();
    {
      std::unique_lock lock(sent.mutex);
      ASSERT_TRUE(sent.changed.wait_for(lock, seconds(90), [&] { return std::ssize(sent.answered) == sent.next; }));
    }
    std::int64_t acknowledged = 0;
    for (const auto& [value, ok] : sent.answered) acknowledged += ok ? 1 : 0;
    // Until the reader has what is there.
    const auto end = bus_->Describe("t")->partitions[0].visible;
    const auto until = std::chrono::steady_clock::now() + seconds(60);
    while (position_ < end.value && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(10));
    read_stop = true;
    reader.join();
    EXPECT_EQ(read_error, "");
    std::map<std::int64_t, int> times;
    std::int64_t last = -1;
    for (const std::string& value : seen) {
      const std::int64_t number = std::stoll(value);
      ++times[number];
      EXPECT_GT(number, last) << "out of order or twice";
      last = number;
    }
    for (const auto& [value, ok] : sent.answered) {
      if (ok) {
        EXPECT_EQ(times[value], 1) << "acknowledged";
      }
      EXPECT_LE(times[value], 1);
    }
    EXPECT_EQ(seen.size(), ReadAll(*bus_, {"t", Partition(0)}).size()) << "the reader that went through it, and one that did not";
    EXPECT_GT(acknowledged, 1'000);
    for (const auto& [value, failure] : sent.failures) EXPECT_EQ(failure, "") << value;
  }

  void Send(Sent& sent, std::atomic<bool>& stop) {
    std::vector<std::unique_ptr<std::string>> values;
    while (!stop) {
      for (int i = 0; i < 20; ++i) {
        values.push_back(std::make_unique<std::string>(std::to_string(sent.next)));
        const std::vector<std::string_view> one = {*values.back()};
        std::int64_t number = 0;
        {
          const std::lock_guard lock(sent.mutex);
          number = sent.next++;
        }
        bus_->Append({"t", Partition(0)}, {.values = one}, [&sent, number](Result<bus::Appended> result) {
          const std::lock_guard lock(sent.mutex);
          sent.answered[number] = result.has_value();
          // The time-out is longer than the fault: everything gets through.
          if (!result && result.error().kind != ErrorKind::kResourceExhausted) sent.failures[number] = result.error().ToString();
          sent.changed.notify_all();
        });
      }
      std::this_thread::sleep_for(milliseconds(2));
    }
    std::unique_lock lock(sent.mutex);
    sent.changed.wait_for(lock, seconds(90), [&] { return std::ssize(sent.answered) == sent.next; });
  }

  void Read(std::vector<std::string>& seen, std::string& error, std::atomic<bool>& stop) {
    auto reader = bus_->OpenReader({"t", Partition(0)}, Offset(0));
    if (!reader) {
      error = reader.error().ToString();
      return;
    }
    while (!stop) {
      const auto batch = (*reader)->Next();
      if (!batch) {
        // A broker that does not answer is no end: the reader says so, and goes on where it stood.
        if (batch.error().kind != ErrorKind::kUnavailable && batch.error().kind != ErrorKind::kDeadlineExceeded) {
          error = batch.error().ToString();
          return;
        }
        continue;
      }
      if (*batch) {
        for (std::string_view value : (*batch)->values) seen.emplace_back(value);
      } else {
        std::this_thread::sleep_for(milliseconds(1));
      }
      position_ = (*reader)->position().value;
    }
  }

  std::unique_ptr<KafkaBus> bus_;
  std::atomic<std::int64_t> position_ = 0;
};

TEST_F(KafkaFaults, TheBrokerIsStoppedAndStarted) {
  Run([] {
    engine().Stop();
    std::this_thread::sleep_for(seconds(1));
    engine().Start();
  });
}

TEST_F(KafkaFaults, TheBrokerIsKilledAndStarted) {
  Run([] {
    engine().Kill();
    std::this_thread::sleep_for(seconds(1));
    engine().Start();
  });
}

TEST_F(KafkaFaults, TheBrokerIsPaused) {
  Run([] {
    engine().Pause();
    std::this_thread::sleep_for(seconds(8));
    engine().Resume();
  });
}

TEST_F(KafkaFaults, WhatIsNotAcknowledgedInTimeIsSaidWithTheBroker) {
  KafkaBusOptions options = engine().Options(engine().NewPrefix());
  options.client.delivery_timeout = seconds(3);
  options.client.request_timeout = seconds(3);
  const auto bus = std::move(*KafkaBus::Open(options));
  ASSERT_TRUE(bus->EnsureTopic({.name = "t"}));
  const std::vector<std::string_view> one = {"x"};
  ASSERT_TRUE(bus::AppendAndWait(*bus, {"t", Partition(0)}, {.values = one}));
  engine().Stop();
  const auto refused = bus::AppendAndWait(*bus, {"t", Partition(0)}, {.values = one});
  const auto described = bus->Describe("t");
  engine().Start();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().kind == ErrorKind::kUnavailable || refused.error().kind == ErrorKind::kDeadlineExceeded)
      << refused.error().ToString();
  EXPECT_NE(refused.error().message.find(engine().clear()), std::string::npos) << refused.error().message;
  ASSERT_FALSE(described);
  EXPECT_NE(described.error().message.find(engine().clear()), std::string::npos) << described.error().message;
  // And it goes on.
  const auto again = bus::AppendAndWait(*bus, {"t", Partition(0)}, {.values = one});
  EXPECT_TRUE(again) << again.error().ToString();
}

}  // namespace
}  // namespace sightline::kafka::testing
