// Groups that lose all their rows: on the live board while a window is open and when it becomes final, and by late records that are
// offered again.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "sightline/flow/processor.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using testing::Event;
using testing::NaiveModel;

constexpr std::int64_t kMinute = 60'000;

// The preset's counts, of which `rare` keeps those below 3.
std::unique_ptr<testing::TopItems> MakeRare(const NaiveModel::Settings& settings) {
  auto made = testing::MakeTopItems(settings);
  PipelineSpec rare;
  rare.name = "rare";
  rare.from = "item_counts";
  rare.to_live = true;
  rare.steps.push_back({WhereStep{"item_count < 3"}, {}});
  made->input.pipelines.push_back(rare);
  auto plan = CompilePlan(made->input);
  EXPECT_TRUE(plan);
  if (plan) made->plan = std::make_unique<Plan>(std::move(*plan));
  return made;
}

// Window and location -> item -> count, as somebody has it who takes one result after the other.
using Rows = std::map<std::pair<std::int64_t, std::int64_t>, std::map<std::string, std::int64_t>>;

void Replace(const ResultShape& shape, const ResultHeader& header, const ColumnBatch& rows, std::size_t begin, std::size_t end,
             Rows& into) {
  const auto column = [&](const char* name) -> const Column& { return rows.columns[static_cast<std::size_t>(shape.schema.Find(name))]; };
  std::map<std::string, std::int64_t> items;
  for (std::size_t row = begin; row < end; ++row) items[std::string(column("item_name").strings[row])] = column("item_count").int64s[row];
  const std::pair<std::int64_t, std::int64_t> at{header.window_start.value, column("geographical_location_oid").int64s[begin]};
  if (items.empty()) {
    into.erase(at);
  } else {
    into[at] = std::move(items);
  }
}

Rows RareOf(const NaiveModel::Counts& counts) {
  Rows rows;
  for (const auto& [start, locations] : counts) {
    for (const auto& [location, items] : locations) {
      for (const auto& [item, count] : items) {
        if (count < 3) rows[{start, location}][item] = count;
      }
    }
  }
  return rows;
}

// Takes what open windows show, and nothing else.
class OpenBoard final : public LiveSink {
 public:
  void Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) override {
    for (const LiveGroup& group : groups) {
      EXPECT_EQ(group.header.state, ResultState::kOpen);
      Replace(*shape, group.header, *group.rows, group.begin, group.end, pipelines[shape->pipeline]);
    }
  }
  std::map<std::string, Rows> pipelines;
};

// One partition: its log, its processor, what a reader of `rare` has.
class World {
 public:
  explicit World(const testing::TopItems& system, LiveSink* live = nullptr)
      : system_(system),
        live_(live),
        decoder_(system.contract, {}),
        rare_(system.plan->pipelines[static_cast<std::size_t>(system.plan->Find("rare"))]) {
    processor_ = Make();
  }
  void Append(const std::vector<Event>& events) {
    std::vector<std::string>& batch = log_.emplace_back();
    for (const Event& event : events) batch.push_back(testing::Line(event));
    Feed(*processor_, batch, end_);
    bases_.push_back(end_);
    end_ += static_cast<std::int64_t>(batch.size());
    Drain();
  }
  // Offers all letters from `from` on again.
  void Replay(std::size_t from) {
    std::vector<std::string> lines;
    std::vector<ReplayKey> offered;
    for (std::size_t i = from; i < letters_.size(); ++i) {
      const Result<DeadLetter> letter = DecodeDeadLetter(letters_[i]);
      ASSERT_TRUE(letter);
      lines.emplace_back(letter->original);
      offered.push_back({.pipeline = "item_counts",
                         .reason = Verdict::kLate,
                         .origin = DeadLetterOrigin::kTopic,
                         .topic = "dead_letters.item_counts",
                         .partition = Partition(0),
                         .offset = Offset(static_cast<std::int64_t>(i)),
                         .received = WallTime(0)});
    }
    const std::vector<std::string_view> values(lines.begin(), lines.end());
    decoder_.DecodeRecords(bus::Encoding::kJson, values, decoded_);
    const Status done =
        processor_->Replay(InputOf(decoded_, end_), offered, 0, [&](Processor& shadow, std::int64_t from_position) -> Status {
          for (std::size_t i = 0; i < log_.size(); ++i) {
            if (bases_[i] >= from_position) Feed(shadow, log_[i], bases_[i]);
          }
          return {};
        });
    ASSERT_TRUE(done);
    // In the log it is a batch of its own, which this test never reads again: its records are in no other window.
    end_ += static_cast<std::int64_t>(lines.size());
    Drain();
  }
  void Restart() {
    std::string state;
    processor_->SaveState(state);
    ids_.push_back(processor_->TakeDedupeDelta().bytes);
    processor_ = Make();
    ASSERT_TRUE(processor_->LoadState(state));
    for (const std::string& run : ids_) ASSERT_TRUE(processor_->LoadDedupe(run));
  }
  void PublishLive() { processor_->PublishLive(); }
  void Finish() {
    processor_->Finish();
    Drain();
  }
  const std::vector<std::string>& letters() const { return letters_; }
  Rows rows;                      // of `rare`
  std::vector<std::string> bytes;  // of `rare`, a record each
  std::size_t emptied = 0;

 private:
  std::unique_ptr<Processor> Make() const {
    return std::make_unique<Processor>(*system_.plan, 0, Processor::Options{.seed = 99, .live = live_, .only = {}});
  }
  static Input InputOf(gate::Decoded& decoded, std::int64_t base) {
    return {.decoded = &decoded,
            .topic = "camera_events",
            .partition = Partition(0),
            .base = Offset(base),
            .append_time = std::nullopt,
            .encoding = RecordEncoding::kJson};
  }
  void Feed(Processor& processor, const std::vector<std::string>& lines, std::int64_t base) {
    gate::Decoder decoder(system_.contract, {});
    gate::Decoded decoded;
    const std::vector<std::string_view> values(lines.begin(), lines.end());
    decoder.DecodeRecords(bus::Encoding::kJson, values, decoded);
    processor.Process(InputOf(decoded, base));
  }
  void Drain() {
    for (std::size_t m = 0; m < processor_->members().size(); ++m) {
      EncodedRecords& records = processor_->outputs()[m].results;
      const PipelinePlan& plan = system_.plan->pipelines[static_cast<std::size_t>(processor_->members()[m])];
      for (std::size_t i = 0; plan.name == "rare" && i < records.size(); ++i) Take(records.at(i));
      records.Clear();
    }
    EncodedRecords& letters = processor_->dead_letters();
    for (std::size_t i = 0; i < letters.size(); ++i) letters_.emplace_back(letters.at(i));
    letters.Clear();
  }
  void Take(std::string_view record) {
    bytes.emplace_back(record);
    ResultRecord decoded;
    ASSERT_TRUE(DecodeResult(record, rare_.shape.schema, decoded));
    if (decoded.closed) return;
    emptied += decoded.emptied ? 1 : 0;
    Replace(rare_.shape, decoded.header, decoded.rows, 0, decoded.rows.rows, rows);
    const std::pair<std::int64_t, std::string> key{decoded.header.window_start.value, GroupKey(rare_.shape, decoded.rows, 0)};
    const auto [known, first] = revisions_.try_emplace(key, decoded.header.revision);
    EXPECT_TRUE(first || decoded.header.revision == known->second + 1) << "each correction is the next revision";
    EXPECT_EQ(decoded.header.revision == 0, decoded.header.state == ResultState::kFinal);
    known->second = decoded.header.revision;
  }

  const testing::TopItems& system_;
  LiveSink* live_;
  gate::Decoder decoder_;
  gate::Decoded decoded_;
  const PipelinePlan& rare_;
  std::unique_ptr<Processor> processor_;
  std::vector<std::vector<std::string>> log_;
  std::vector<std::int64_t> bases_;
  std::int64_t end_ = 0;
  std::vector<std::string> letters_, ids_;
  std::map<std::pair<std::int64_t, std::string>, std::uint32_t> revisions_;
};

TEST(EmptiedGroups, AnOpenWindowShowsNoGroupThatHasLostItsRows) {
  const auto system = MakeRare({.out_of_orderness = 0, .size = kMinute, .every = kMinute});
  OpenBoard board;
  World world(*system, &board);
  Rows& rare = board.pipelines["rare"];
  world.Append({{1, 1, "cat", 0}, {1, 2, "cat", 1}, {2, 3, "dog", 2}});
  world.PublishLive();
  EXPECT_EQ(rare, (Rows{{{0, 1}, {{"cat", 2}}}, {{0, 2}, {{"dog", 1}}}}));
  world.Append({{1, 4, "cat", 3}});
  world.PublishLive();
  EXPECT_EQ(rare, (Rows{{{0, 2}, {{"dog", 1}}}}));
  world.Append({{1, 5, "eel", 4}});
  world.PublishLive();
  EXPECT_EQ(rare, (Rows{{{0, 1}, {{"eel", 1}}}, {{0, 2}, {{"dog", 1}}}}));
}

TEST(EmptiedGroups, WhatAWindowShowedGoesWhenItIsFinalWithoutRows) {
  const auto system = MakeRare({.out_of_orderness = 0, .size = kMinute, .every = kMinute});
  OpenBoard board;
  World world(*system, &board);
  world.Append({{1, 1, "cat", 0}, {1, 2, "cat", 1}, {2, 3, "dog", 2}});
  world.PublishLive();
  // The third cat and the end of the window come in one batch, so that nobody sees the open window between them.
  world.Append({{1, 4, "cat", 3}, {1, 5, "cat", kMinute}});
  EXPECT_EQ(board.pipelines["rare"], (Rows{{{0, 2}, {{"dog", 1}}}})) << "the dog's final result comes by the topic";
  world.PublishLive();
  EXPECT_EQ(board.pipelines["rare"], (Rows{{{0, 2}, {{"dog", 1}}}, {{kMinute, 1}, {{"cat", 1}}}}));
  EXPECT_EQ(world.rows, (Rows{{{0, 2}, {{"dog", 1}}}}));
  EXPECT_EQ(world.emptied, 0U) << "a final result without rows is not put out";
}

std::vector<Event> MakeEvents(runtime::Random& random, std::int64_t& clock, std::size_t count) {
  std::vector<Event> events;
  for (std::size_t i = 0; i < count; ++i) {
    clock += static_cast<std::int64_t>(random.Below(4'000));
    events.push_back({static_cast<std::int64_t>(random.Below(3)), static_cast<std::int64_t>(random.Next() >> 1),
                      "item-" + std::to_string(random.Below(2)), clock - static_cast<std::int64_t>(random.Below(90'000))});
  }
  return events;
}

// The board holds what it would hold if it had been told everything: of open windows, those groups that have rows.
TEST(EmptiedGroups, TheBoardOfOpenWindowsIsThatOfTheNaiveModel) {
  std::size_t vanished = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    runtime::Random random(seed);
    const NaiveModel::Settings settings{.out_of_orderness = 30'000, .size = kMinute, .every = seed % 2 == 0 ? 20'000 : kMinute};
    const auto system = MakeRare(settings);
    OpenBoard board;
    World world(*system, &board);
    NaiveModel model(settings);
    std::int64_t clock = 1'700'000'000'000;
    Rows before;
    for (int round = 0; round < 30; ++round) {
      const std::vector<Event> events = MakeEvents(random, clock, 1 + random.Below(12));
      for (const Event& event : events) model.Add(event);
      world.Append(events);
      if (random.OneIn(4)) continue;
      world.PublishLive();
      Rows expected = RareOf(model.counts());
      Rows& shown = board.pipelines["rare"];
      const auto closed = [&](const auto& entry) { return entry.first.first + settings.size <= model.watermark(); };
      // Final ones that have rows are shown until their result comes by the topic. Those that have none are gone.
      for (const auto& [at, items] : shown) {
        EXPECT_TRUE(!closed(std::pair(at, items)) || expected.contains(at)) << at.first << " " << at.second;
      }
      std::erase_if(shown, closed);
      std::erase_if(expected, closed);
      EXPECT_EQ(shown, expected);
      for (const auto& [at, items] : before) vanished += closed(std::pair(at, items)) || shown.contains(at) ? 0 : 1;
      before = shown;
    }
  }
  EXPECT_GT(vanished, 5U);
}

TEST(EmptiedGroups, LateRecordsOfferedAgainEmptyAGroupAndFillItsNeighbour) {
  for (const std::int64_t lateness : {std::int64_t{0}, kMinute}) {
    SCOPED_TRACE(lateness);
    const auto system = MakeRare({.out_of_orderness = 0, .size = kMinute, .every = kMinute, .lateness = lateness});
    World world(*system);
    world.Append({{1, 1, "cat", 0}, {1, 2, "cat", 1}, {2, 3, "dog", 2}, {1, 4, "eel", 10 * kMinute}});
    EXPECT_EQ(world.rows, (Rows{{{0, 1}, {{"cat", 2}}}, {{0, 2}, {{"dog", 1}}}}));
    world.Append({{1, 5, "cat", 3}, {3, 6, "ant", 4}});
    ASSERT_EQ(world.letters().size(), 2U);
    world.Replay(0);
    EXPECT_EQ(world.rows, (Rows{{{0, 2}, {{"dog", 1}}}, {{0, 3}, {{"ant", 1}}}}));
    EXPECT_EQ(world.emptied, 1U);
  }
}

// Whatever batches and restarts: the same bytes, the naive model's rows, and corrections in all of them.
TEST(EmptiedGroups, CorrectionsAreTheSameBytesWhateverBatchesAndRestarts) {
  std::size_t emptied = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    const NaiveModel::Settings settings{
        .out_of_orderness = 5'000, .size = kMinute, .every = seed % 2 == 0 ? 20'000 : kMinute, .lateness = 40'000};
    const auto system = MakeRare(settings);
    runtime::Random random(seed);
    std::int64_t clock = 1'700'000'000'000;
    const std::vector<Event> events = MakeEvents(random, clock, 400);
    NaiveModel model(settings);
    for (const Event& event : events) model.Add(event);
    World whole(*system);
    whole.Append(events);
    whole.Finish();
    EXPECT_EQ(whole.rows, RareOf(model.counts()));
    OpenBoard board;
    World pieces(*system, &board);
    for (std::size_t at = 0; at < events.size();) {
      const std::size_t to = std::min(events.size(), at + 1 + random.Below(9));
      pieces.Append({events.begin() + static_cast<std::ptrdiff_t>(at), events.begin() + static_cast<std::ptrdiff_t>(to)});
      at = to;
      if (random.OneIn(3)) pieces.PublishLive();
      if (random.OneIn(6)) pieces.Restart();
    }
    pieces.Finish();
    EXPECT_TRUE(pieces.bytes == whole.bytes) << "a board that watches changes nothing";
    emptied += whole.emptied;
  }
  EXPECT_GT(emptied, 20U);
}

}  // namespace
}  // namespace sightline::flow
