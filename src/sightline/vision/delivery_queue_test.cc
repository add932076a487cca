#include "sightline/vision/delivery_queue.h"

#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sightline::vision {
namespace {

using std::chrono::milliseconds;
using Outcome = DeliveryQueue::Outcome;

constexpr std::int64_t kMs = 1'000'000;
constexpr DeliveryOptions kOptions{.events_max = 10,
                                   .batch_events_max = 4,
                                   .batch_wait = milliseconds(100),
                                   .backoff_first = milliseconds(250),
                                   .backoff_max = milliseconds(2000)};

std::string Line(int i) { return "{" + std::to_string(i) + "}\n"; }

TEST(DeliveryQueue, WaitsForCompanyThenSendsInOrder) {
  DeliveryQueue queue(kOptions, "k");
  EXPECT_EQ(queue.DueNs(), std::nullopt);
  queue.Add(Line(1), 0);
  queue.Add(Line(2), 50 * kMs);
  EXPECT_EQ(queue.DueNs(), 100 * kMs);
  EXPECT_EQ(queue.Next(99 * kMs, false), nullptr);
  const auto* batch = queue.Next(100 * kMs, false);
  ASSERT_NE(batch, nullptr);
  EXPECT_EQ(batch->body, "{1}\n{2}\n");
  EXPECT_EQ(batch->key, "k-0");
  queue.Settle(Outcome::kDelivered, 2, std::nullopt, 120 * kMs);
  EXPECT_EQ(queue.counters().delivered, 2);
  EXPECT_EQ(queue.waiting(), 0U);
}

TEST(DeliveryQueue, AFullBatchDoesNotWait) {
  DeliveryQueue queue(kOptions, "k");
  for (int i = 0; i < 5; ++i) queue.Add(Line(i), 0);
  const auto* batch = queue.Next(0, false);
  ASSERT_NE(batch, nullptr);
  EXPECT_EQ(batch->events, 4U);
}

TEST(DeliveryQueue, FlushDoesNotWait) {
  DeliveryQueue queue(kOptions, "k");
  queue.Add(Line(1), 0);
  EXPECT_EQ(queue.Next(0, false), nullptr);
  EXPECT_NE(queue.Next(0, true), nullptr);
}

TEST(DeliveryQueue, ABatchIsTriedAgainUnchangedWithGrowingPauses) {
  DeliveryQueue queue(kOptions, "k");
  for (int i = 0; i < 4; ++i) queue.Add(Line(i), 0);
  std::int64_t now = 0;
  const std::string body = queue.Next(now, false)->body;
  std::vector<std::int64_t> pauses_ms;
  for (int i = 0; i < 6; ++i) {
    queue.Settle(Outcome::kTryAgain, 0, std::nullopt, now);
    queue.Add(Line(100 + i), now);
    EXPECT_EQ(queue.Next(now, true), nullptr) << "even a flush keeps to the pause";
    pauses_ms.push_back((*queue.DueNs() - now) / kMs);
    now = *queue.DueNs();
    const auto* again = queue.Next(now, false);
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->body, body);
    EXPECT_EQ(again->key, "k-0");
  }
  EXPECT_THAT(pauses_ms, ::testing::ElementsAre(250, 500, 1000, 2000, 2000, 2000));
  queue.Settle(Outcome::kDelivered, 4, std::nullopt, now);
  EXPECT_EQ(queue.Next(now, true)->key, "k-1");
}

TEST(DeliveryQueue, TheServersWishForALongerPauseHolds) {
  DeliveryQueue queue(kOptions, "k");
  queue.Add(Line(1), 0);
  ASSERT_NE(queue.Next(0, true), nullptr);
  queue.Settle(Outcome::kTryAgain, 0, milliseconds(3000), 0);
  EXPECT_EQ(queue.DueNs(), 3000 * kMs);
}

TEST(DeliveryQueue, WhenFullTheOldestThatIsNotUnderWayIsDropped) {
  DeliveryQueue queue(kOptions, "k");
  for (int i = 0; i < 4; ++i) queue.Add(Line(i), 0);
  ASSERT_EQ(queue.Next(0, false)->body, "{0}\n{1}\n{2}\n{3}\n");
  for (int i = 4; i < 10; ++i) EXPECT_TRUE(queue.Add(Line(i), 0));
  EXPECT_FALSE(queue.Add(Line(10), 0));
  EXPECT_EQ(queue.counters().dropped, 1);
  EXPECT_EQ(queue.waiting(), 10U);
  queue.Settle(Outcome::kDelivered, 4, std::nullopt, 0);
  EXPECT_EQ(queue.Next(0, false)->body, "{5}\n{6}\n{7}\n{8}\n");
}

TEST(DeliveryQueue, ARefusedBatchIsGoneAndAPartlyTakenOneIsCountedSo) {
  DeliveryQueue queue(kOptions, "k");
  for (int i = 0; i < 8; ++i) queue.Add(Line(i), 0);
  ASSERT_NE(queue.Next(0, false), nullptr);
  queue.Settle(Outcome::kRefused, 0, std::nullopt, 0);
  ASSERT_NE(queue.Next(0, false), nullptr);
  queue.Settle(Outcome::kDelivered, 3, std::nullopt, 0);
  EXPECT_EQ(queue.counters().refused, 5);
  EXPECT_EQ(queue.counters().delivered, 3);
}

// Whatever happens: each event ends in exactly one count, and those delivered are in order and none twice.
TEST(DeliveryQueue, AccountsForEveryEventUnderRandomTreatment) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    DeliveryQueue queue(kOptions, "k");
    std::int64_t now = 0;
    int next = 0;
    std::string delivered;
    std::set<std::string> keys;
    for (int step = 0; step < 300; ++step) {
      now += static_cast<std::int64_t>(random() % 400) * kMs;
      for (unsigned n = random() % 4; n > 0; --n) queue.Add(Line(next++), now);
      const auto* batch = queue.Next(now, random() % 5 == 0);
      if (batch != nullptr) {
        const unsigned fate = random() % 3;
        if (fate == 0) {
          queue.Settle(Outcome::kTryAgain, 0, std::nullopt, now);
        } else if (fate == 1) {
          EXPECT_TRUE(keys.insert(batch->key).second);
          delivered += batch->body;
          queue.Settle(Outcome::kDelivered, batch->events, std::nullopt, now);
        } else {
          EXPECT_TRUE(keys.insert(batch->key).second);
          queue.Settle(Outcome::kRefused, 0, std::nullopt, now);
        }
      }
      const DeliveryCounters& c = queue.counters();
      ASSERT_EQ(c.taken, next);
      ASSERT_EQ(c.taken, c.delivered + c.refused + c.dropped + static_cast<std::int64_t>(queue.waiting())) << "seed " << seed;
      ASSERT_LE(queue.waiting(), kOptions.events_max);
    }
    int last = -1;
    std::int64_t lines = 0;
    for (std::size_t at = 0; at < delivered.size(); at = delivered.find('\n', at) + 1, ++lines) {
      const int number = std::stoi(delivered.substr(at + 1));
      ASSERT_GT(number, last);
      last = number;
    }
    ASSERT_EQ(lines, queue.counters().delivered);
  }
}

}  // namespace
}  // namespace sightline::vision
