// Dead letters that are offered again end up in their windows, each once, and the rows are those of a world in which nothing was late.

#include <gtest/gtest.h>

#include "sightline/base/testing/rounds.h"
#include "sightline/flow/processor.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using testing::Event;
using testing::NaiveModel;

// What a partition's log holds: events, or letters offered again.
struct LogBatch {
  std::int64_t base = 0;
  std::vector<std::string> values;
  std::vector<std::string> keys;  // of a replay
};

// A partition with its log, and a reader of its results and dead letters.
class World {
 public:
  explicit World(const testing::TopItems& system, StateMemory* memory = nullptr)
      : system_(system), memory_(memory), decoder_(system.contract, {}), ranked_(Pipeline("top_items")) {
    processor_ = Make();
  }

  void Append(const std::vector<Event>& events) {
    LogBatch batch{.base = end_, .values = {}, .keys = {}};
    for (const Event& event : events) batch.values.push_back(testing::Line(event));
    Add(std::move(batch));
  }
  // Offers letters [from, to) again.
  void Replay(std::size_t from, std::size_t to) {
    LogBatch batch{.base = end_, .values = {}, .keys = {}};
    for (std::size_t i = from; i < to; ++i) {
      const Result<DeadLetter> letter = DecodeDeadLetter(letters_[i]);
      ASSERT_TRUE(letter);
      batch.values.emplace_back(letter->original);
      std::string key;
      EncodeReplayKey({.pipeline = "item_counts",
                       .reason = letter->reason,
                       .origin = letter->origin,
                       .topic = "dead_letters.item_counts",
                       .partition = Partition(0),
                       .offset = Offset(static_cast<std::int64_t>(i)),
                       .received = letter->received},
                      key);
      batch.keys.push_back(std::move(key));
    }
    Add(std::move(batch));
  }
  // As after a crash: state saved, and loaded by a new processor.
  void Restart() {
    std::string state;
    processor_->SaveState(state);
    runs_.push_back(processor_->TakeDedupeDelta().bytes);
    processor_ = Make();
    ASSERT_TRUE(processor_->LoadState(state));
    for (const std::string& run : runs_) ASSERT_TRUE(processor_->LoadDedupe(run));
  }
  void Finish() {
    processor_->Finish();
    Drain();
  }
  void ForgetLogBefore(std::int64_t offset) { log_start_ = offset; }

  const Counters& counters() const { return processor_->counters(); }
  const std::vector<std::string>& letters() const { return letters_; }
  std::vector<NaiveModel::Row> rows() const { return ranked_.rows(); }
  std::uint64_t corrected() const { return ranked_.corrected; }
  std::map<std::pair<std::int64_t, std::string>, std::uint32_t> revisions;

 private:
  const PipelinePlan& Pipeline(const char* name) const {
    return system_.plan->pipelines[static_cast<std::size_t>(system_.plan->Find(name))];
  }
  std::unique_ptr<Processor> Make() const {
    return std::make_unique<Processor>(*system_.plan, 0, Processor::Options{.seed = 99, .live = nullptr, .only = {}, .memory = memory_});
  }
  void Add(LogBatch batch) {
    end_ += static_cast<std::int64_t>(batch.values.size());
    log_.push_back(std::move(batch));
    ASSERT_TRUE(Feed(*processor_, decoder_, decoded_, log_.back(), log_.back().base));
    Drain();
  }
  Status Feed(Processor& processor, gate::Decoder& decoder, gate::Decoded& decoded, const LogBatch& batch, std::int64_t here) {
    const std::vector<std::string_view> values(batch.values.begin(), batch.values.end());
    decoder.DecodeRecords(bus::Encoding::kJson, values, decoded);
    const Input input{.decoded = &decoded,
                      .topic = "camera_events",
                      .partition = Partition(0),
                      .base = Offset(batch.base),
                      .append_time = std::nullopt,
                      .encoding = RecordEncoding::kJson};
    if (batch.keys.empty()) {
      processor.Process(input);
      return {};
    }
    std::vector<ReplayKey> keys;
    for (const std::string& key : batch.keys) keys.push_back(*DecodeReplayKey(key));
    return processor.Replay(input, keys, log_start_, [&, here](Processor& shadow, std::int64_t from) -> Status {
      EXPECT_GE(from, log_start_);
      gate::Decoder again(system_.contract, {});
      gate::Decoded piece;
      for (const LogBatch& past : log_) {
        if (past.base < from || past.base >= here) continue;
        SL_TRY(Feed(shadow, again, piece, past, past.base));
      }
      return {};
    });
  }
  void Drain() {
    for (std::size_t m = 0; m < processor_->members().size(); ++m) {
      EncodedRecords& records = processor_->outputs()[m].results;
      const PipelinePlan& plan = system_.plan->pipelines[static_cast<std::size_t>(processor_->members()[m])];
      for (std::size_t i = 0; i < records.size(); ++i) {
        if (plan.name == "top_items") Take(plan, records.at(i));
      }
      records.Clear();
    }
    EncodedRecords& letters = processor_->dead_letters();
    for (std::size_t i = 0; i < letters.size(); ++i) letters_.emplace_back(letters.at(i));
    letters.Clear();
  }
  void Take(const PipelinePlan& plan, std::string_view bytes) {
    ranked_.Take(bytes);
    ResultRecord record;
    ASSERT_TRUE(DecodeResult(bytes, plan.shape.schema, record));
    if (record.closed) return;
    const std::pair<std::int64_t, std::string> key{record.header.window_start.value, GroupKey(plan.shape, record.rows, 0)};
    const auto known = revisions.find(key);
    if (known == revisions.end()) {
      EXPECT_LE(record.header.revision, 1U);
      EXPECT_EQ(record.header.revision, record.header.state == ResultState::kFinal ? 0U : 1U);
    } else {
      EXPECT_EQ(record.header.revision, known->second + 1) << "each correction is the next revision";
    }
    revisions[key] = record.header.revision;
  }

  const testing::TopItems& system_;
  StateMemory* memory_;
  gate::Decoder decoder_;
  gate::Decoded decoded_;
  std::unique_ptr<Processor> processor_;
  std::vector<std::string> runs_;
  std::vector<LogBatch> log_;
  std::int64_t end_ = 0;
  std::int64_t log_start_ = 0;
  testing::RankedRows ranked_;
  std::vector<std::string> letters_;
};

std::vector<Event> MakeEvents(runtime::Random& random, std::int64_t& clock, std::size_t count) {
  std::vector<Event> events;
  for (std::size_t i = 0; i < count; ++i) {
    clock += static_cast<std::int64_t>(random.Below(900));
    Event event{static_cast<std::int64_t>(random.Below(4)), static_cast<std::int64_t>(random.Next() >> 1),
                "item-" + std::to_string(random.Below(5)), clock - static_cast<std::int64_t>(random.Below(20'000))};
    if (random.OneIn(20)) event.time -= static_cast<std::int64_t>(random.Below(1'200'000));
    if (!events.empty() && random.OneIn(10)) event = events[random.Below(events.size())];
    events.push_back(event);
  }
  return events;
}

TEST(ReplayTest, WhenAllLateEventsAreOfferedAgainTheRowsAreThoseOfAWorldWithoutLateness) {
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(40); ++seed) {
    SCOPED_TRACE(seed);
    runtime::Random random(seed);
    NaiveModel::Settings settings;
    settings.out_of_orderness = 5'000;
    settings.size = 60'000;
    settings.every = seed % 3 == 0 ? 20'000 : 60'000;
    settings.lateness = seed % 2 == 0 ? 30'000 : 0;
    settings.within = 24 * 3'600'000;
    settings.top = 3;
    const auto system = testing::MakeTopItems(settings);
    ASSERT_NE(system->plan, nullptr);
    World world(*system);
    std::vector<Event> all;
    std::int64_t clock = 1'700'000'000'000;
    std::size_t offered = 0;
    for (int round = 0; round < 12; ++round) {
      const std::vector<Event> events = MakeEvents(random, clock, 1 + random.Below(60));
      all.insert(all.end(), events.begin(), events.end());
      world.Append(events);
      if (random.OneIn(3)) world.Restart();
      if (world.letters().size() > offered && random.OneIn(2)) {
        const std::size_t to = offered + 1 + random.Below(world.letters().size() - offered);
        world.Replay(offered, to);
        if (random.OneIn(2)) world.Replay(offered, to);  // once more: taken already
        offered = to;
      }
    }
    if (world.letters().size() > offered) world.Replay(offered, world.letters().size());
    world.Finish();
    // Nothing is late where lateness is allowed without end; but sliding windows take a partially late event in the open ones alone.
    const Counters& counters = world.counters();
    EXPECT_EQ(counters.in(), all.size());
    EXPECT_EQ(counters.of(Verdict::kLate), counters.replayed[static_cast<std::size_t>(Verdict::kLate)]);
    EXPECT_EQ(counters.of(Verdict::kLate), world.letters().size());
    EXPECT_GT(world.letters().size(), 0U);
    if (counters.partially_late > 0) continue;
    settings.lateness = 1LL << 50;
    NaiveModel model(settings);
    for (const Event& event : all) model.Add(event);
    EXPECT_EQ(world.rows(), model.Ranked());
  }
}

// What a processor takes that remembers nothing yet.
std::uint64_t StateAtStart(const testing::TopItems& system) {
  StateMemory memory;
  const World world(system, &memory);
  return memory.memory_bytes();
}

TEST(ReplayTest, WhatFoundNoRoomIsALetterUntilItIsOfferedAgain) {
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(4); ++seed) {
    SCOPED_TRACE(seed);
    runtime::Random random(seed);
    NaiveModel::Settings settings;
    settings.out_of_orderness = 1'000;
    settings.size = 60'000;
    settings.every = seed % 2 == 0 ? 20'000 : 60'000;
    settings.within = 60'000;
    settings.top = 1'000'000;
    const auto system = testing::MakeTopItems(settings);
    StateMemory memory({.memory_max = StateAtStart(*system) + 400'000, .disk_max = 0});
    World world(*system, &memory);
    NaiveModel model(settings);
    std::size_t offered = 0;
    std::int64_t clock = 1'700'000'000'000 / 60'000 * 60'000;
    std::int64_t id = 1;
    const auto append = [&](std::size_t events, std::size_t items) {
      std::vector<Event> batch;
      for (std::size_t i = 0; i < events; ++i) {
        clock += static_cast<std::int64_t>(random.Below(2));
        batch.push_back({static_cast<std::int64_t>(random.Below(3)), id++, "item-" + std::to_string(random.Below(items)), clock});
        model.Add(batch.back());
      }
      offered += events;
      world.Append(batch);
    };
    // More keys than there is room for, window after window: each time the room comes back.
    for (int window = 0; window < 3; ++window) {
      const std::uint64_t counted = world.counters().of(Verdict::kCounted);
      const std::uint64_t refused = world.counters().of(Verdict::kStateLimit);
      for (int i = 0; i < 20; ++i) append(1 + random.Below(500), 1'000'000);
      if (random.OneIn(2)) world.Restart();
      EXPECT_GT(world.counters().of(Verdict::kCounted), counted + 500) << "window " << window;
      EXPECT_GT(world.counters().of(Verdict::kStateLimit), refused) << "window " << window;
      EXPECT_EQ(world.counters().in(), offered);
      clock += 200'000;
    }
    ASSERT_EQ(world.letters().size(), world.counters().of(Verdict::kStateLimit));
    const Result<DeadLetter> letter = DecodeDeadLetter(world.letters().front());
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter->reason, Verdict::kStateLimit);
    EXPECT_NE(letter->cause.find("state.memory_max"), std::string_view::npos) << letter->cause;
    // Offered again they are late, and as late ones they are counted: no record is lost or counted twice.
    append(1, 1);
    std::size_t from = 0;
    int rounds = 0;
    for (std::size_t to = world.letters().size(); from < to; from = to, to = world.letters().size()) {
      ASSERT_LT(++rounds, 50) << "there is room, and letters stay letters";
      for (std::size_t at = from; at < to; at += 1000) world.Replay(at, std::min(at + 1000, to));
      world.Replay(from, std::min(from + 100, to));  // taken already
    }
    world.Finish();
    EXPECT_EQ(world.counters().in(), offered);
    EXPECT_EQ(world.counters().of(Verdict::kCounted), offered);
    EXPECT_EQ(world.counters().of(Verdict::kStateLimit), world.counters().replayed[static_cast<std::size_t>(Verdict::kStateLimit)]);
    EXPECT_EQ(world.rows(), model.Ranked());
  }
}

TEST(ReplayTest, WhereTheLogNoLongerReachesBackALateEventStaysLate) {
  NaiveModel::Settings settings;
  settings.out_of_orderness = 0;
  settings.size = settings.every = 60'000;
  settings.within = 3'600'000;
  const auto system = testing::MakeTopItems(settings);
  World world(*system);
  const std::int64_t t = 1'700'000'000'000 / 60'000 * 60'000;
  world.Append({{1, 1, "a", t}, {1, 2, "b", t + 600'000}, {1, 3, "late", t + 1}});
  ASSERT_EQ(world.letters().size(), 1U);
  world.ForgetLogBefore(1);
  world.Replay(0, 1);
  ASSERT_EQ(world.letters().size(), 2U);
  const Result<DeadLetter> letter = DecodeDeadLetter(world.letters()[1]);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->reason, Verdict::kLate);
  EXPECT_NE(letter->cause.find("no longer reaches back"), std::string_view::npos) << letter->cause;
  EXPECT_EQ(world.counters().in(), 3U);
  world.Finish();
  EXPECT_EQ(world.corrected(), 0U);
}

}  // namespace
}  // namespace sightline::flow
