// Input whose offsets have gaps and whose records came one by one, as Kafka's do.
#include <gtest/gtest.h>

#include <numeric>

#include "sightline/flow/processor.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using testing::Event;
using testing::NaiveModel;

constexpr std::int64_t kAheadMax = 60'000;

struct Log {
  std::vector<Event> events;
  std::vector<std::string> values;
  std::vector<Offset> offsets;
  std::vector<AppendTime> times;
};

// Events that come about when they happened, some far too early; every now and then an offset is taken by a marker.
Log MakeLog(std::uint64_t seed, std::size_t count) {
  runtime::Random random(seed);
  Log log;
  std::int64_t clock = 1'700'000'000'000;
  std::int64_t offset = static_cast<std::int64_t>(random.Below(1000));
  for (std::size_t i = 0; i < count; ++i) {
    clock += static_cast<std::int64_t>(random.Below(2'000));
    Event event{static_cast<std::int64_t>(random.Below(5)), static_cast<std::int64_t>(random.Below(count)),
                "item-" + std::to_string(random.Below(7)), clock - static_cast<std::int64_t>(random.Below(20'000))};
    // Just behind and just before the bound, so that a neighbour's time would give another verdict.
    if (random.OneIn(10)) event.time = clock + kAheadMax + static_cast<std::int64_t>(random.Below(3)) - 1;
    if (random.OneIn(30)) event.time = clock - 7'200'000;
    log.events.push_back(event);
    log.values.push_back(testing::Line(event));
    if (random.OneIn(6)) offset += 1 + static_cast<std::int64_t>(random.Below(3));
    log.offsets.emplace_back(offset++);
    log.times.emplace_back(clock);
  }
  return log;
}

struct Fed {
  std::string results;
  std::vector<std::pair<std::int64_t, Verdict>> letters;
  Counters counters;
  std::int64_t watermark = 0;
};

Fed Feed(const testing::TopItems& system, const Log& log, std::uint64_t seed, std::size_t batch_max) {
  runtime::Random random(seed);
  Processor processor(*system.plan, 0, {.seed = 9, .live = nullptr, .only = {}});
  gate::Decoder decoder(system.contract, {});
  gate::Decoded decoded;
  const std::vector<std::string_view> values(log.values.begin(), log.values.end());
  Fed fed;
  for (std::size_t at = 0; at < values.size();) {
    const std::size_t n = std::min(values.size() - at, 1 + static_cast<std::size_t>(random.Below(batch_max)));
    const bus::Batch batch{.type = bus::BatchType::kData,
                           .encoding = bus::Encoding::kJson,
                           .base = log.offsets[at],
                           .append_time = log.times[at],
                           .values = std::span(values).subspan(at, n),
                           .keys = {},
                           .offsets = std::span(log.offsets).subspan(at, n),
                           .append_times = std::span(log.times).subspan(at, n)};
    EXPECT_EQ(batch.end(), log.offsets[at + n - 1] + 1);
    // In two pieces, as a task does where a reference changes between them.
    const std::size_t cut = random.Below(n + 1);
    for (const auto& [begin, end] : {std::pair(std::size_t{0}, cut), std::pair(cut, n)}) {
      if (begin == end) continue;
      decoder.DecodeRecords(batch.encoding, batch.values.subspan(begin, end - begin), decoded);
      processor.Process(Input::Of(batch, begin, end, decoded, {"camera_events", Partition(3)}));
      fed.results += processor.outputs()[0].results.bytes;
      processor.outputs()[0].results.Clear();
      for (std::size_t m = 1; m < processor.outputs().size(); ++m) processor.outputs()[m].results.Clear();
      for (std::size_t i = 0; i < processor.dead_letters().size(); ++i) {
        const auto letter = DecodeDeadLetter(processor.dead_letters().at(i));
        EXPECT_TRUE(letter);
        fed.letters.emplace_back(letter->offset.value, letter->reason);
        const auto record = std::find(log.offsets.begin(), log.offsets.end(), letter->offset);
        EXPECT_NE(record, log.offsets.end()) << "no record lies at " << letter->offset.value;
        if (record == log.offsets.end()) continue;
        const auto index = static_cast<std::size_t>(record - log.offsets.begin());
        EXPECT_EQ(letter->original, log.values[index]);
        EXPECT_EQ(letter->received.value, log.times[index].value);
      }
      processor.dead_letters().Clear();
    }
    at += n;
  }
  fed.counters = processor.counters();
  fed.watermark = processor.watermark().value;
  return fed;
}

TEST(Gaps, EachRecordIsJudgedByItsOwnOffsetAndTime) {
  NaiveModel::Settings settings;
  settings.ahead_max = kAheadMax;
  const auto system = testing::MakeTopItems(settings);
  system->input.datasets[0].watermark.ahead_max = std::chrono::milliseconds(kAheadMax);
  auto plan = CompilePlan(system->input);
  ASSERT_TRUE(plan);
  system->plan = std::make_unique<Plan>(std::move(*plan));
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Log log = MakeLog(seed, 3'000);
    NaiveModel model(settings);
    std::vector<std::pair<std::int64_t, Verdict>> expected;
    for (std::size_t i = 0; i < log.events.size(); ++i) {
      const Verdict verdict = model.Add(log.events[i], log.times[i].value);
      if (verdict == Verdict::kFuture || verdict == Verdict::kLate) expected.emplace_back(log.offsets[i].value, verdict);
    }
    ASSERT_GT(model.future, 50U);
    ASSERT_GT(model.late, 50U);
    const Fed whole = Feed(*system, log, seed, 100'000);
    EXPECT_EQ(whole.letters, expected);
    EXPECT_EQ(whole.counters.of(Verdict::kCounted), model.counted);
    EXPECT_EQ(whole.counters.in(), log.events.size());
    const Fed single = Feed(*system, log, seed, 1);
    const Fed pieces = Feed(*system, log, seed, 97);
    for (const Fed* other : {&single, &pieces}) {
      EXPECT_EQ(other->results, whole.results);
      EXPECT_EQ(other->letters, whole.letters);
      EXPECT_EQ(other->watermark, whole.watermark);
    }
  }
}

TEST(Gaps, CountBeforeFindsTheFirstRecordAtAPosition) {
  const std::vector<std::string_view> values(4, "x");
  const std::vector<Offset> offsets = {Offset(10), Offset(11), Offset(15), Offset(16)};
  bus::Batch batch{.base = Offset(10), .append_time = {}, .values = values, .keys = {}};
  EXPECT_EQ(batch.end(), Offset(14));
  for (const auto& [at, before] : {std::pair(0, 0U), {10, 0}, {11, 1}, {13, 3}, {14, 4}, {99, 4}})
    EXPECT_EQ(batch.CountBefore(Offset(at)), before);
  batch.offsets = offsets;
  EXPECT_EQ(batch.end(), Offset(17));
  for (const auto& [at, before] : {std::pair(10, 0U), {12, 2}, {15, 2}, {16, 3}, {17, 4}}) EXPECT_EQ(batch.CountBefore(Offset(at)), before);
}

}  // namespace
}  // namespace sightline::flow
