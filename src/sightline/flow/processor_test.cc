#include "sightline/flow/processor.h"

#include <gtest/gtest.h>

#include "sightline/base/testing/rounds.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using testing::Event;
using testing::NaiveModel;

// Disordered events with duplicates, ties, gaps and stragglers, some of them hours old.
std::vector<Event> MakeEvents(std::uint64_t seed, std::size_t count, std::int64_t disorder) {
  runtime::Random random(seed);
  std::vector<Event> events;
  std::int64_t clock = 1'700'000'000'000;
  for (std::size_t i = 0; i < count; ++i) {
    clock += static_cast<std::int64_t>(random.Below(400));
    if (random.OneIn(500)) clock += static_cast<std::int64_t>(random.Below(600'000));
    Event event{static_cast<std::int64_t>(random.Below(5)) - 2, static_cast<std::int64_t>(random.Next() >> 1),
                "item-" + std::to_string(random.Below(7)),
                clock - static_cast<std::int64_t>(random.Below(static_cast<std::uint64_t>(disorder)))};
    if (random.OneIn(50)) event.time -= static_cast<std::int64_t>(random.Below(7'200'000));
    if (!events.empty() && random.OneIn(8)) event = events[events.size() - 1 - random.Below(std::min<std::size_t>(events.size(), 200))];
    events.push_back(event);
  }
  return events;
}

// Feeds events in batches of random size, with a save and load of the state in between now and then.
struct Outcome {
  std::vector<NaiveModel::Row> rows;
  Counters counters;
  std::map<std::string, std::string> results;  // every byte that was put out, by pipeline
  std::string dead_letters;
  std::uint64_t corrected = 0;
};

Outcome Feed(const testing::TopItems& system, const std::vector<Event>& events, std::uint64_t seed, std::size_t batch_max, bool restarts) {
  runtime::Random random(seed);
  const Plan& plan = *system.plan;
  const auto make = [&] { return std::make_unique<Processor>(plan, 0, Processor::Options{.seed = 99, .live = nullptr, .only = {}}); };
  auto processor = make();
  std::vector<std::string> runs;
  testing::RankedRows ranked(plan.pipelines[static_cast<std::size_t>(plan.Find("top_items"))]);
  Outcome outcome;
  gate::Decoder decoder(system.contract, {});
  gate::Decoded decoded;
  const auto drain = [&] {
    for (std::size_t m = 0; m < processor->members().size(); ++m) {
      EncodedRecords& records = processor->outputs()[m].results;
      for (std::size_t i = 0; i < records.size(); ++i) {
        const std::string& pipeline = plan.pipelines[static_cast<std::size_t>(processor->members()[m])].name;
        outcome.results[pipeline] += records.at(i);
        if (pipeline == "top_items") ranked.Take(records.at(i));
      }
      records.Clear();
    }
    outcome.dead_letters += processor->dead_letters().bytes;
    processor->dead_letters().Clear();
  };
  for (std::size_t at = 0; at < events.size();) {
    const std::size_t n = std::min(events.size() - at, 1 + random.Below(batch_max));
    std::string text;
    for (std::size_t i = at; i < at + n; ++i) text += testing::Line(events[i]) + "\n";
    decoder.DecodeLines(text, true, SIZE_MAX, decoded);
    processor->Process({.decoded = &decoded,
                        .topic = "camera_events",
                        .partition = Partition(0),
                        .base = Offset(static_cast<std::int64_t>(at)),
                        .append_time = std::nullopt,
                        .encoding = RecordEncoding::kJson});
    drain();
    at += n;
    if (restarts && random.OneIn(4)) {
      std::string state;
      processor->SaveState(state);
      IdRun run = processor->TakeDedupeDelta();
      if (!run.bytes.empty()) runs.push_back(std::move(run.bytes));
      processor = make();
      EXPECT_TRUE(processor->LoadState(state));
      for (const std::string& ids : runs) EXPECT_TRUE(processor->LoadDedupe(ids));
    }
  }
  processor->Finish();
  drain();
  outcome.rows = ranked.rows();
  outcome.corrected = ranked.corrected;
  outcome.counters = processor->counters();
  EXPECT_EQ(ranked.broken, 0U);
  return outcome;
}

struct WindowCase {
  std::string name;
  NaiveModel::Settings settings;
  std::int64_t disorder = 45'000;
};

class ProcessorProperty : public ::testing::TestWithParam<WindowCase> {};

TEST_P(ProcessorProperty, EqualsTheNaiveModelWhateverBatchesAndRestarts) {
  const auto system = testing::MakeTopItems(GetParam().settings);
  ASSERT_NE(system->plan, nullptr);
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(8); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<Event> events = MakeEvents(seed, 4000, GetParam().disorder);
    NaiveModel model(GetParam().settings);
    for (const Event& event : events) model.Add(event);
    const Outcome whole = Feed(*system, events, seed, 100'000, false);
    EXPECT_EQ(whole.counters.of(Verdict::kCounted), model.counted);
    EXPECT_EQ(whole.counters.of(Verdict::kDuplicate), model.duplicates);
    EXPECT_EQ(whole.counters.of(Verdict::kLate), model.late);
    EXPECT_EQ(whole.counters.partially_late, model.partially_late);
    EXPECT_EQ(whole.counters.in(), events.size());
    EXPECT_EQ(whole.rows, model.Ranked());
    const Outcome pieces = Feed(*system, events, seed, 37, true);
    EXPECT_TRUE(pieces.results == whole.results);
    EXPECT_EQ(pieces.dead_letters, whole.dead_letters);
    EXPECT_EQ(pieces.counters.verdicts, whole.counters.verdicts);
    if (GetParam().settings.lateness > 0) {
      EXPECT_GT(whole.corrected, 0U);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Windows, ProcessorProperty,
                         ::testing::Values(WindowCase{"tumbling", {}}, WindowCase{"tumbling_late", {.lateness = 60'000}},
                                           WindowCase{"sliding", {.size = 60'000, .every = 5'000}},
                                           WindowCase{"sliding_uneven", {.size = 60'000, .every = 25'000}},
                                           WindowCase{"sliding_late", {.size = 60'000, .every = 20'000, .lateness = 90'000}},
                                           WindowCase{"no_disorder_allowed", {.out_of_orderness = 0}, 5'000},
                                           WindowCase{"short_memory", {.within = 60'000, .top = 3}, 10'000}),
                         [](const ::testing::TestParamInfo<WindowCase>& param) { return param.param.name; });

// The naive model remembers ids for ever; within the horizon both agree. This one forgets.
TEST(Processor, AnIdIsForgottenAfterItsHorizon) {
  const auto system = testing::MakeTopItems({.out_of_orderness = 0, .within = 60'000});
  std::vector<Event> events = {
      {1, 7, "person", 1'700'000'000'000}, {1, 8, "person", 1'700'000'500'000}, {1, 7, "person", 1'700'000'500'001}};
  const Outcome outcome = Feed(*system, events, 1, 1, false);
  EXPECT_EQ(outcome.counters.of(Verdict::kCounted), 3U);
  EXPECT_EQ(outcome.counters.of(Verdict::kDuplicate), 0U);
}

// Groups that no window needs are dropped when there are many, at another time after a restart; one that comes back then has another
// number. What is put out must not show it.
TEST(Processor, CorrectionsComeInTheSameOrderWhateverWasForgotten) {
  const auto system = testing::MakeTopItems({.out_of_orderness = 0, .lateness = 60'000});
  std::vector<Event> events;
  const auto add = [&](std::int64_t location, const std::string& item, std::int64_t time) {
    events.push_back({location, static_cast<std::int64_t>(events.size()), item, time});
  };
  const auto add_many = [&](int count, std::int64_t time) {
    for (int i = 0; i < count; ++i) add(9, std::to_string(time) + "-" + std::to_string(i), time);
  };
  add_many(70'000, 0);
  add(1, "x", 60'000);
  add_many(50'000, 60'000);
  add(2, "y", 120'000);  // the first window is forgotten here, and with it its groups
  add_many(20'000, 120'000);
  add(9, "z", 180'000);  // the second, and location 1 with it, or not yet
  add(1, "x", 120'001);
  add(2, "y", 120'001);
  add(9, "z", 240'000);
  const Outcome whole = Feed(*system, events, 1, 1'000'000, false);
  const Outcome pieces = Feed(*system, events, 1, 5'000, true);
  EXPECT_EQ(whole.corrected, 2U);
  EXPECT_TRUE(pieces.results == whole.results);
}

}  // namespace
}  // namespace sightline::flow
