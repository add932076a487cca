#include "sightline/flow/recount.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/flow/merge_processor.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"

namespace sightline::flow {
namespace {

using testing::Event;
using ::testing::HasSubstr;

// A task that works on events and is dropped without its last snapshot, as a crash leaves it.
class RecountTest : public ::testing::Test {
 protected:
  RecountTest() {
    bus::TopicSpec events;
    events.name = "camera_events";
    EXPECT_TRUE(bus_->EnsureTopic(events));
    EXPECT_TRUE(EnsureOwnedTopics(*bus_, *made_->plan, {}));
  }

  void Append(const std::vector<Event>& events) {
    std::vector<std::string> lines;
    for (const Event& event : events) lines.push_back(testing::Line(event));
    const std::vector<std::string_view> values(lines.begin(), lines.end());
    bus::AppendBatch batch;
    batch.values = values;
    ASSERT_TRUE(bus::AppendAndWait(*bus_, {"camera_events", Partition(0)}, batch));
  }
  // New ids, a duplicate, and one that comes too late: the last is put out, so that a commit follows.
  void AppendRound(std::int64_t round) {
    const std::int64_t now = kStart + round * 120'000;
    std::vector<Event> events;
    for (std::int64_t i = 0; i < 50; ++i) events.push_back({i % 5, round * 1000 + i, i % 2 == 0 ? "car" : "person", now + i});
    events.push_back(events.front());
    events.push_back({1, round * 1000 + 500, "bus", now - 3'600'000});
    Append(events);
  }
  std::unique_ptr<Task> OpenTask() {
    auto task = OpenRootTask(context_, 0, Partition(0));
    EXPECT_TRUE(task) << task.error().message;
    return std::move(*task);
  }
  static void Work(Task& task) {
    for (;;) {
      const auto more = task.Step();
      ASSERT_TRUE(more) << more.error().message;
      if (!*more) return;
    }
  }
  std::vector<std::pair<std::string, std::uint64_t>> JournalFiles() {
    std::vector<std::pair<std::string, std::uint64_t>> all;
    const auto listed = files_.List("/data/flow/item_counts/0");
    EXPECT_TRUE(listed);
    for (const runtime::FileInfo& file : *listed) all.emplace_back(file.name, file.size);
    return all;
  }

  static constexpr std::int64_t kStart = 1'700'000'000'000 - 1'000'000;
  runtime::SimulatedClock clock_;
  runtime::SimulatedFileSystem files_{1};
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::unique_ptr<testing::TopItems> made_ = testing::MakeTopItems({});
  std::unique_ptr<bus::LogBus> bus_ =
      std::move(*bus::LogBus::Open(runtime_, "/data", {.flushing = bus::LogBus::Flushing::kInline, .seed = 1}));
  ReferenceCatalog references_;
  TaskContext context_{
      .runtime = runtime_,
      .bus = *bus_,
      .plan = *made_->plan,
      .references = references_,
      .versions = [](const std::string& name, std::uint64_t) -> Result<ReferenceHandle> { return Fail(ErrorKind::kNotFound, name); },
      .directory = "/data/flow",
      .live = nullptr,
      .policy = {.interval = std::chrono::milliseconds(0), .snapshot_interval = std::chrono::hours(1)},
      .limits = {},
      .seed = 7};
};

TEST_F(RecountTest, NothingCommittedIsNothingCounted) {
  const auto status = Recount(context_, 0, Partition(0));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->counters.in(), 0U);
  EXPECT_EQ(status->positions, std::vector<std::int64_t>{0});
  EXPECT_TRUE(PublishCommitted(context_));
}

TEST_F(RecountTest, AfterACrashItIsWhatTheTaskHadCommitted) {
  TaskStatus said;
  {
    const auto task = OpenTask();
    for (std::int64_t round = 0; round < 5; ++round) {
      AppendRound(round);
      Work(*task);
    }
    said = task->status();
  }
  ASSERT_EQ(said.counters.of(Verdict::kLate), 5U);
  ASSERT_EQ(said.counters.of(Verdict::kDuplicate), 5U);
  const auto before = JournalFiles();
  for (int i = 0; i < 2; ++i) {
    const auto status = Recount(context_, 0, Partition(0));
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(status->counters.verdicts, said.counters.verdicts);
    EXPECT_EQ(status->positions, said.positions);
    ASSERT_EQ(status->members.size(), said.members.size());
    for (std::size_t m = 0; m < said.members.size(); ++m) EXPECT_EQ(status->members[m].rows_out, said.members[m].rows_out);
    EXPECT_GT(status->members[0].rows_out, 0U);
  }
  EXPECT_EQ(JournalFiles(), before) << "looking changes nothing";
  // What comes in afterwards is not counted: no task has committed it.
  AppendRound(6);
  EXPECT_EQ(Recount(context_, 0, Partition(0))->counters.verdicts, said.counters.verdicts);
  // And a task goes on from there.
  const auto task = OpenTask();
  Work(*task);
  EXPECT_EQ(task->status().counters.in(), said.counters.in() + 52);
}

TEST_F(RecountTest, ReadersSeeUpToTheNewestCommit) {
  {
    const auto task = OpenTask();
    AppendRound(0);
    AppendRound(1);
    Work(*task);
  }
  const std::string letters = Plan::DeadLetterTopic("item_counts");
  const Offset seen = bus_->Describe(letters)->partitions[0].visible;
  ASSERT_EQ(seen, Offset(2));
  // After a crash the log does not know what was published: the journals do.
  files_.KillProcess();
  const auto again = std::move(*bus::LogBus::Open(runtime_, "/data", {.flushing = bus::LogBus::Flushing::kInline, .seed = 2}));
  TaskContext context{.runtime = runtime_,
                      .bus = *again,
                      .plan = *made_->plan,
                      .references = references_,
                      .versions = context_.versions,
                      .directory = "/data/flow",
                      .live = nullptr,
                      .policy = {},
                      .limits = {},
                      .seed = 0};
  ASSERT_LT(again->Describe(letters)->partitions[0].visible, seen);
  ASSERT_TRUE(PublishCommitted(context));
  EXPECT_EQ(again->Describe(letters)->partitions[0].visible, seen);
}

TEST_F(RecountTest, TheStateOfAnotherPlanIsNotCounted) {
  {
    const auto task = OpenTask();
    AppendRound(0);
    Work(*task);
  }
  const auto other = testing::MakeTopItems({.size = 30'000, .every = 30'000});
  TaskContext context{.runtime = runtime_,
                      .bus = *bus_,
                      .plan = *other->plan,
                      .references = references_,
                      .versions = context_.versions,
                      .directory = "/data/flow",
                      .live = nullptr,
                      .policy = {},
                      .limits = {},
                      .seed = 0};
  const auto status = Recount(context, 0, Partition(0));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_THAT(status.error().message, HasSubstr("was changed since its state was written"));
  EXPECT_TRUE(CheckPlans(context_));
  EXPECT_EQ(CheckPlans(context).error().kind, ErrorKind::kFailedPrecondition);
}

// Every record of the task's topics at another offset, with a gap in the middle.
OffsetMaps Elsewhere(bus::LogBus& bus) {
  OffsetMaps maps;
  const std::vector<std::string> topics = *bus.Topics();
  for (const std::string& topic : topics) {
    const bus::TopicInfo info = *bus.Describe(topic);
    for (std::size_t p = 0; p < info.partitions.size(); ++p) {
      const bus::TopicInfo::PartitionInfo& log = info.partitions[p];
      OffsetMap map(log.start, Offset(0));
      for (Offset at = log.start; at < log.end; at += 1) map.Add(at, Offset(at.value + 3 + (at.value > 60 ? 7 : 0)));
      maps.emplace(TopicPartition{topic, Partition(static_cast<std::int32_t>(p))}, std::move(map));
    }
  }
  return maps;
}

TEST_F(RecountTest, AStateMovesAsOfTheNewestCommitWithTheOffsetsOfTheOtherLog) {
  TaskStatus said;
  {
    const auto task = OpenTask();
    for (std::int64_t round = 0; round < 5; ++round) {
      AppendRound(round);
      Work(*task);
    }
    said = task->status();
  }
  const auto before = JournalFiles();
  const OffsetMaps maps = Elsewhere(*bus_);
  const auto moved = MoveState(context_, 0, Partition(0), maps);
  ASSERT_TRUE(moved) << moved.error().message;
  ASSERT_TRUE(*moved);
  const MovedState& state = **moved;
  EXPECT_EQ(JournalFiles(), before);
  EXPECT_EQ(state.place.pipeline, "item_counts");
  const OffsetMap& input = maps.at({"camera_events", Partition(0)});
  EXPECT_EQ(state.snapshot.point.inputs, std::vector<std::int64_t>{input.PositionAt(Offset(said.positions[0])).value});
  EXPECT_EQ(state.snapshot.origin.inputs, std::vector<std::int64_t>{0});
  EXPECT_EQ(state.counters.verdicts, said.counters.verdicts);
  EXPECT_EQ(state.watermark, said.watermark);
  // No snapshot was taken after the first: all ids came with the input since.
  EXPECT_FALSE(state.new_ids.bytes.empty());
  const auto counters = CountersOf(*made_->plan, 0, state.snapshot);
  ASSERT_TRUE(counters) << counters.error().message;
  EXPECT_EQ(counters->verdicts, said.counters.verdicts);
  // A processor in that state goes on: the ids are known to it.
  Processor processor(*made_->plan, 0, {.seed = *SeedOf(state.snapshot), .live = nullptr, .only = {}});
  ASSERT_TRUE(processor.LoadState(std::string_view(state.snapshot.state).substr(8)));
  ASSERT_TRUE(processor.LoadDedupe(state.new_ids.bytes));
  EXPECT_EQ(processor.dedupe_ids(), said.dedupe_ids);
  std::string again;
  processor.SaveState(again);
  EXPECT_EQ(again, state.snapshot.state.substr(8));
}

TEST_F(RecountTest, AStateOfASnapshotMovesWithItsRunsOfIdsAsTheyAre) {
  {
    const auto task = OpenTask();
    for (std::int64_t round = 0; round < 3; ++round) {
      AppendRound(round);
      Work(*task);
      ASSERT_TRUE(task->Finish());
    }
  }
  const auto moved = MoveState(context_, 0, Partition(0), Elsewhere(*bus_));
  ASSERT_TRUE(moved) << moved.error().message;
  ASSERT_TRUE(*moved);
  EXPECT_TRUE((*moved)->new_ids.bytes.empty());
  ASSERT_EQ((*moved)->id_runs.size(), 3U);
  for (const KeptIdRun& run : (*moved)->id_runs) {
    EXPECT_GT(run.forgotten_at, (*moved)->watermark);
    std::uint64_t bytes = 0;
    EXPECT_TRUE((*moved)->read_ids(run, [&](std::string_view of_run) -> Status {
      bytes += of_run.size();
      return {};
    }));
    EXPECT_EQ(bytes, run.bytes);
  }
}

TEST_F(RecountTest, AMergeMovesWithThePlacesThatItsWindowsNeed) {
  {
    const auto task = OpenTask();
    const auto merge = OpenMergeTask(context_, made_->plan->Find("top_items_overall"));
    ASSERT_TRUE(merge) << merge.error().message;
    for (std::int64_t round = 0; round < 5; ++round) {
      AppendRound(round);
      Work(*task);
      Work(**merge);
    }
    ASSERT_TRUE((*merge)->Finish());
  }
  const OffsetMaps maps = Elsewhere(*bus_);
  const int root = made_->plan->Find("top_items_overall");
  const auto moved = MoveState(context_, root, Partition(0), maps);
  ASSERT_TRUE(moved) << moved.error().message;
  ASSERT_TRUE(*moved);
  const TopicPartition input{Plan::ResultsTopic("item_counts"), Partition(0)};
  EXPECT_EQ((*moved)->place.inputs, std::vector<TopicPartition>{input});
  MergeProcessor there(*made_->plan, root, 1);
  ASSERT_TRUE(there.LoadState(std::string_view((*moved)->snapshot.state).substr(8)));
  const std::int64_t position = (*moved)->snapshot.point.inputs[0];
  const std::int64_t needed = there.NeededFrom(Partition(0), position);
  EXPECT_LT(needed, position) << "the newest windows are still kept";
  EXPECT_GE(needed, 3) << "nothing lies before that in the other log";
}

TEST_F(RecountTest, WhatWasNotMovedIsSaid) {
  {
    const auto task = OpenTask();
    AppendRound(0);
    Work(*task);
  }
  const auto moved = MoveState(context_, 0, Partition(0), {});
  ASSERT_FALSE(moved);
  EXPECT_THAT(moved.error().message, HasSubstr("not moved"));
}

}  // namespace
}  // namespace sightline::flow
