#include "sightline/bus/embedded/retry_table.h"

#include <gtest/gtest.h>

namespace sightline::bus {
namespace {

constexpr AppendTime kNow{1'000'000'000'000};

BatchHeader FromProducer(std::uint64_t producer, std::uint64_t sequence, std::int64_t base = 0, std::uint32_t count = 1) {
  BatchHeader batch;
  batch.producer = producer;
  batch.sequence = sequence;
  batch.base = Offset(base);
  batch.count = count;
  batch.append_time = kNow;
  return batch;
}

BatchHeader Tagged(std::uint64_t key, std::int64_t base, AppendTime at = kNow) {
  BatchHeader batch;
  batch.flags = kBatchHasIdempotency;
  batch.tag = {.key = {key, 1}, .part = 0, .digest = 5};
  batch.base = Offset(base);
  batch.count = 2;
  batch.append_time = at;
  return batch;
}

TEST(RetryTable, AnswersTheNewestSequencesAndRefusesOlderOnes) {
  RetryTable table;
  for (std::uint64_t sequence = 1; sequence <= 40; ++sequence) {
    const auto batch = FromProducer(1, sequence, static_cast<std::int64_t>(10 * sequence), 3);
    ASSERT_FALSE(*table.Find(batch, kNow));
    table.Remember(batch);
  }
  for (std::uint64_t sequence = 40; sequence > 40 - RetryTable::kSequencesKept; --sequence) {
    const auto known = table.Find(FromProducer(1, sequence), kNow);
    ASSERT_TRUE(known && *known) << sequence;
    EXPECT_EQ((**known).base, Offset(static_cast<std::int64_t>(10 * sequence)));
    EXPECT_EQ((**known).count, 3U);
  }
  EXPECT_EQ(table.Find(FromProducer(1, 40 - RetryTable::kSequencesKept), kNow).error().kind, ErrorKind::kAlreadyExists);
  EXPECT_EQ(table.Find(FromProducer(1, 42), kNow).error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_FALSE(*table.Find(FromProducer(2, 17), kNow)) << "a producer begins where it likes";
}

TEST(RetryTable, WhatDidNotHappenIsForgottenAndTheOrderStays) {
  RetryTable table;
  for (std::uint64_t sequence = 1; sequence <= 30; ++sequence) {
    table.Remember(FromProducer(1, sequence, static_cast<std::int64_t>(sequence)));
  }
  table.Remember(Tagged(1, 31));
  table.Remember(Tagged(2, 33));
  table.ForgetFrom(Offset(33));
  EXPECT_TRUE(*table.Find(Tagged(1, 0), kNow));
  EXPECT_FALSE(*table.Find(Tagged(2, 0), kNow));
  // More than is remembered: the next one expected is the oldest that is known and was taken back.
  table.ForgetFrom(Offset(5));
  EXPECT_EQ(table.tags(), 0U);
  EXPECT_FALSE(table.Find(FromProducer(1, 31), kNow));
  EXPECT_EQ(table.Find(FromProducer(1, 15), kNow).has_value(), true);
  EXPECT_FALSE(*table.Find(FromProducer(1, 15), kNow));
}

TEST(RetryTable, TagsAreForgottenAfterADay) {
  RetryTable table;
  table.Remember(Tagged(1, 0));
  table.Remember(Tagged(2, 2, kNow + 3'600'000));
  const AppendTime before_a_day = kNow + (24LL * 3'600'000 - 1);
  EXPECT_TRUE(*table.Find(Tagged(1, 0), before_a_day));
  EXPECT_FALSE(*table.Find(Tagged(1, 0), before_a_day + 1));
  EXPECT_EQ(table.tags(), 1U);
}

TEST(RetryTable, ProducersSurviveSavingByteForByte) {
  RetryTable table;
  for (std::uint64_t producer = 1; producer < 50; ++producer) {
    for (std::uint64_t sequence = 1; sequence <= producer; ++sequence) {
      table.Remember(FromProducer(producer, sequence, static_cast<std::int64_t>(100 * producer + sequence)));
    }
  }
  std::string saved;
  ByteWriter out(saved);
  table.SaveProducers(out);
  RetryTable loaded;
  ByteReader in(saved);
  ASSERT_TRUE(loaded.LoadProducers(in));
  EXPECT_TRUE(in.done());
  std::string again;
  ByteWriter out_again(again);
  loaded.SaveProducers(out_again);
  EXPECT_EQ(again, saved);
  EXPECT_EQ((**loaded.Find(FromProducer(30, 20), kNow)).base, Offset(3020));
  for (std::size_t cut = 0; cut < saved.size(); cut += 7) {
    ByteReader broken(std::string_view(saved).substr(0, cut));
    RetryTable other;
    EXPECT_FALSE(other.LoadProducers(broken));
  }
}

}  // namespace
}  // namespace sightline::bus
