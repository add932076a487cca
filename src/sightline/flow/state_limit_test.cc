// Tasks whose state finds no room now and then, through crashes: what was refused is a letter, what was not is counted, once.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "sightline/base/testing/rounds.h"
#include "sightline/bus/testing/simulated_log.h"
#include "sightline/flow/task.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using testing::Event;
using testing::NaiveModel;

class TaskWorld {
 public:
  explicit TaskWorld(std::uint64_t seed) : log_(seed), system_(MakeSystem()) {
    StateMemory memory;
    const Processor processor(*system_->plan, 0, {.seed = 1, .live = nullptr, .only = {}, .memory = &memory});
    at_start_ = memory.memory_bytes();
  }

  // `room`: bytes beyond what a task takes that remembers nothing.
  void Open(std::uint64_t room) {
    task_.reset();
    context_.reset();
    memory_ = std::make_unique<StateMemory>(StateMemory::Limits{.memory_max = at_start_ + room, .disk_max = 0});
    Check(log_.Open());
    bus::TopicSpec spec;
    spec.name = "camera_events";
    Check(log_.bus->EnsureTopic(spec));
    Check(EnsureOwnedTopics(*log_.bus, *system_->plan, {}));
    const auto none = [](const std::string& name, std::uint64_t) -> Result<ReferenceHandle> { return Fail(ErrorKind::kNotFound, name); };
    context_ = std::make_unique<TaskContext>(TaskContext{.runtime = log_.runtime,
                                                         .bus = *log_.bus,
                                                         .plan = *system_->plan,
                                                         .references = references_,
                                                         .versions = none,
                                                         .directory = "/data/flow",
                                                         .live = nullptr,
                                                         .policy = {.interval = std::chrono::milliseconds(0),
                                                                    .snapshot_interval = std::chrono::milliseconds(kSnapshotMs),
                                                                    .snapshot_records = 1'000'000},
                                                         .limits = {},
                                                         .seed = 7,
                                                         .memory = memory_.get()});
    auto task = OpenRootTask(*context_, 0, Partition(0));
    Check(task);
    task_ = std::move(*task);
  }
  void Crash(bool power) {
    if (power) log_.files.CutPower();
    task_.reset();
    context_.reset();
    if (power) {
      log_.PowerCycle();
    } else {
      log_.Kill();
    }
  }
  void Append(const std::vector<Event>& events) {
    std::vector<std::string> lines;
    for (const Event& event : events) lines.push_back(testing::Line(event));
    const std::vector<std::string_view> values(lines.begin(), lines.end());
    bus::AppendBatch batch;
    batch.encoding = bus::Encoding::kJson;
    batch.values = values;
    Check(bus::AppendAndWait(*log_.bus, {"camera_events", Partition(0)}, batch));
    events_.insert(events_.end(), events.begin(), events.end());
  }
  void Step() { Check(task_->Step()); }
  void Drain() {
    for (bool more = true; more && !::testing::Test::HasFatalFailure();) {
      const Result<bool> stepped = task_->Step();
      Check(stepped);
      more = stepped && *stepped;
    }
  }
  void Finish() { Check(task_->Finish()); }
  void Wait(std::int64_t ms) { log_.clock.Advance(std::chrono::milliseconds(ms)); }

  Counters counters() const { return task_->status().counters; }
  std::uint64_t commits() const { return task_->status().commits; }
  const std::vector<Event>& events() const { return events_; }
  // Offsets of the letters; all must have the one reason.
  std::set<std::int64_t> Refused() {
    std::set<std::int64_t> offsets;
    for (const std::string& record : Read(Plan::DeadLetterTopic("item_counts"))) {
      const Result<DeadLetter> letter = DecodeDeadLetter(record);
      EXPECT_TRUE(letter);
      EXPECT_EQ(letter->reason, Verdict::kStateLimit);
      EXPECT_TRUE(offsets.insert(letter->offset.value).second) << "a letter twice";
    }
    return offsets;
  }
  std::vector<NaiveModel::Row> Rows() {
    testing::RankedRows rows(system_->plan->pipelines[static_cast<std::size_t>(system_->plan->Find("top_items"))]);
    for (const std::string& record : Read(Plan::ResultsTopic("top_items"))) rows.Take(record);
    EXPECT_EQ(rows.broken, 0U);
    return rows.rows();
  }
  // What the closed windows must hold when these were refused: the others. Time is that of all.
  std::vector<NaiveModel::Row> Expected(const std::set<std::int64_t>& refused) const {
    NaiveModel model(Settings());
    for (std::size_t i = 0; i < events_.size(); ++i) {
      if (!refused.contains(static_cast<std::int64_t>(i))) model.Add(events_[i]);
    }
    std::vector<NaiveModel::Row> rows = model.Ranked();
    std::erase_if(rows, [&](const NaiveModel::Row& row) { return std::get<0>(row) + kWindowMs > events_.back().time; });
    return rows;
  }

  static constexpr std::int64_t kSnapshotMs = 1000;
  static constexpr std::int64_t kWindowMs = 60'000;

 private:
  static NaiveModel::Settings Settings() {
    NaiveModel::Settings settings;
    settings.out_of_orderness = 0;
    settings.within = settings.size = settings.every = kWindowMs;
    settings.top = 1'000'000;
    return settings;
  }
  static std::unique_ptr<testing::TopItems> MakeSystem() { return testing::MakeTopItems(Settings()); }
  template <typename T>
  static void Check(const T& result) {
    ASSERT_TRUE(result) << result.error().ToString();
  }
  std::vector<std::string> Read(const std::string& topic) {
    std::vector<std::string> records;
    auto reader = log_.bus->OpenReader({topic, Partition(0)}, Offset(0));
    Check(reader);
    for (auto batch = (*reader)->Next(); batch && *batch; batch = (*reader)->Next()) {
      for (std::string_view value : (*batch)->values) records.emplace_back(value);
    }
    return records;
  }

  bus::testing::SimulatedLog log_;
  std::unique_ptr<testing::TopItems> system_;
  std::uint64_t at_start_ = 0;
  ReferenceCatalog references_;
  std::unique_ptr<StateMemory> memory_;
  std::unique_ptr<TaskContext> context_;
  std::unique_ptr<Task> task_;
  std::vector<Event> events_;
};

constexpr std::int64_t kStart = 1'700'000'000'000 / 60'000 * 60'000;
constexpr std::uint64_t kPlenty = 1ULL << 30;
constexpr std::uint64_t kLittle = 250'000;

std::vector<Event> NewKeys(std::size_t count, std::int64_t& id, std::int64_t time) {
  std::vector<Event> events;
  for (std::size_t i = 0; i < count; ++i, ++id) events.push_back({id % 3, id, "item-" + std::to_string(id), time});
  return events;
}

TEST(StateLimit, WhatIsRefusedIsCommittedWithASnapshotOnly) {
  TaskWorld world(1);
  world.Open(kLittle);
  std::int64_t id = 1;
  for (int i = 0; i < 20; ++i) world.Append(NewKeys(400, id, kStart + i));
  world.Drain();
  world.Append(NewKeys(10, id, kStart + 200'000));  // the window closes: there are results to be committed
  world.Drain();
  ASSERT_GT(world.counters().of(Verdict::kStateLimit), 0U);
  ASSERT_GT(world.counters().of(Verdict::kCounted), 0U);
  EXPECT_TRUE(world.Refused().empty()) << "a letter was committed that need not come again after a crash";
  EXPECT_TRUE(world.Rows().empty());
  // With room enough after the crash nothing was ever refused.
  world.Crash(false);
  world.Open(kPlenty);
  world.Drain();
  EXPECT_EQ(world.counters().of(Verdict::kStateLimit), 0U);
  EXPECT_EQ(world.counters().of(Verdict::kCounted), world.events().size());
  EXPECT_TRUE(world.Rows() == world.Expected({}));
}

TEST(StateLimit, WhatASnapshotHoldsStaysRefusedAndWhatWasTakenStaysTaken) {
  TaskWorld world(2);
  world.Open(kLittle);
  std::int64_t id = 1;
  for (int i = 0; i < 20; ++i) world.Append(NewKeys(400, id, kStart + i));
  world.Drain();
  world.Wait(TaskWorld::kSnapshotMs);
  world.Drain();
  const std::set<std::int64_t> refused = world.Refused();
  ASSERT_FALSE(refused.empty());
  EXPECT_EQ(refused.size(), world.counters().of(Verdict::kStateLimit));
  // Taken with room enough, and committed without a snapshot.
  world.Crash(false);
  world.Open(kPlenty);
  world.Append(NewKeys(2000, id, kStart + 100));
  world.Append(NewKeys(1, id, kStart + 200'000));
  world.Drain();
  EXPECT_EQ(world.Refused(), refused);
  const std::vector<NaiveModel::Row> rows = world.Rows();
  EXPECT_TRUE(rows == world.Expected(refused));
  ASSERT_FALSE(rows.empty());
  // Processed again where there is none: it was taken, and is.
  world.Crash(true);
  world.Open(0);
  world.Drain();
  EXPECT_EQ(world.Refused(), refused);
  EXPECT_TRUE(world.Rows() == rows);
  EXPECT_EQ(world.counters().in(), world.events().size());
  EXPECT_EQ(world.counters().of(Verdict::kCounted), world.events().size() - refused.size());
}

TEST(StateLimit, NoRecordIsLostOrCountedTwiceThroughCrashes) {
  std::uint64_t refused_ever = 0;
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(25); ++seed) {
    SCOPED_TRACE(seed);
    runtime::Random random(seed);
    TaskWorld world(seed);
    world.Open(kLittle);
    std::int64_t id = 1;
    std::int64_t clock = kStart;
    for (int i = 0; i < 60; ++i) {
      clock += static_cast<std::int64_t>(random.Below(4'000));
      world.Append(NewKeys(1 + random.Below(300), id, clock));
      for (std::uint64_t steps = random.Below(4); steps > 0; --steps) world.Step();
      world.Wait(static_cast<std::int64_t>(random.Below(400)));
      if (!random.OneIn(12)) continue;
      if (random.OneIn(3)) world.Finish();
      world.Crash(random.OneIn(2));
      world.Open(random.OneIn(3) ? kPlenty : random.Below(kLittle));
    }
    world.Append(NewKeys(1, id, clock + 200'000));
    world.Drain();
    world.Finish();
    ASSERT_FALSE(::testing::Test::HasFailure());
    const std::set<std::int64_t> refused = world.Refused();
    refused_ever += refused.size();
    world.Crash(false);
    world.Open(kPlenty);
    world.Drain();
    const Counters counters = world.counters();
    EXPECT_EQ(counters.in(), world.events().size());
    EXPECT_EQ(counters.of(Verdict::kStateLimit), refused.size());
    EXPECT_EQ(counters.of(Verdict::kCounted), world.events().size() - refused.size());
    EXPECT_EQ(world.Refused(), refused);
    EXPECT_TRUE(world.Rows() == world.Expected(refused));
  }
  EXPECT_GT(refused_ever, 0U);
}

}  // namespace
}  // namespace sightline::flow
