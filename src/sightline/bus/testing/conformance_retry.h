#pragma once

// Part of conformance.h: appends that a request repeats.
#include "sightline/bus/testing/bus_harness.h"

namespace sightline::bus::testing {

TEST_P(RetryConformance, IdempotencyTagIsAppendedOnce) {
  const auto topic = EnsureTopic("t");
  const auto tagged = [](std::uint64_t key, std::uint32_t part, std::uint32_t digest) {
    return [=](AppendBatch& b) { b.idempotency = IdempotencyTag{.key = {key, 7}, .part = part, .digest = digest}; };
  };
  ASSERT_TRUE(Append(topic, {"before"}));
  const auto first = Append(topic, {"a", "b"}, tagged(1, 0, 99));
  ASSERT_TRUE(first);
  ASSERT_TRUE(Append(topic, {"c"}, tagged(1, 1, 99)));
  ASSERT_TRUE(Append(topic, {"d"}, tagged(2, 0, 99)));
  for (int round = 0; round < 2; ++round) {
    const auto again = Append(topic, {"a", "b"}, tagged(1, 0, 99));
    ASSERT_TRUE(again) << again.error().ToString();
    EXPECT_TRUE(again->repeated);
    EXPECT_EQ(again->base, first->base);
    EXPECT_EQ(again->count, 2U);
    EXPECT_EQ(Append(topic, {"x"}, tagged(1, 0, 98)).error().kind, ErrorKind::kAlreadyExists);
    EXPECT_EQ(Values(topic), (std::vector<std::string>{"before", "a", "b", "c", "d"}));
    harness_->Reopen();
  }
}

}  // namespace sightline::bus::testing
