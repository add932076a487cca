// A changed pipeline over existing state: refused without a place to begin, else a new generation beside the old results.
#include <gtest/gtest.h>

#include <memory>

#include "sightline/bus/testing/simulated_log.h"
#include "sightline/flow/task.h"
#include "sightline/flow/testing/fixture.h"

namespace sightline::flow {
namespace {

using testing::Event;
using testing::NaiveModel;

constexpr std::int64_t kT = 1'700'000'000'000 / 120'000 * 120'000;

class GenerationTest : public ::testing::Test {
 protected:
  GenerationTest() {
    NaiveModel::Settings settings;
    settings.out_of_orderness = 0;
    first_ = testing::MakeTopItems(settings);
    settings.size = settings.every = 120'000;
    second_ = testing::MakeTopItems(settings);
  }

  // The tasks of a plan, as `up` opens them; the error of the first that can't be.
  Status Open(const testing::TopItems& system, std::optional<StartAt> from = std::nullopt) {
    tasks_.clear();
    system_ = &system;
    SL_TRY(log_.Open());
    bus::TopicSpec spec;
    spec.name = "camera_events";
    SL_TRY(log_.bus->EnsureTopic(spec));
    SL_TRY(EnsureOwnedTopics(*log_.bus, *system.plan, {}));
    context_ = std::make_unique<TaskContext>(TaskContext{
        .runtime = log_.runtime,
        .bus = *log_.bus,
        .plan = *system.plan,
        .references = references_,
        .versions = [](const std::string& name, std::uint64_t) -> Result<ReferenceHandle> { return Fail(ErrorKind::kNotFound, name); },
        .directory = "/data/flow",
        .live = nullptr,
        .policy = {.interval = std::chrono::milliseconds(0)},
        .limits = {},
        .seed = 1,
        .from = from});
    SL_ASSIGN_OR_RETURN(auto root, OpenRootTask(*context_, system.plan->Find("item_counts"), Partition(0)));
    tasks_.push_back(std::move(root));
    SL_ASSIGN_OR_RETURN(auto merge, OpenMergeTask(*context_, system.plan->Find("top_items_overall")));
    tasks_.push_back(std::move(merge));
    return {};
  }

  void Send(const std::vector<Event>& events) {
    std::vector<std::string> lines;
    for (const Event& event : events) lines.push_back(testing::Line(event));
    const std::vector<std::string_view> values(lines.begin(), lines.end());
    log_.clock.Advance(std::chrono::milliseconds(1000));
    ASSERT_TRUE(bus::AppendAndWait(*log_.bus, {"camera_events", Partition(0)}, {.values = values}));
    Drain();
  }
  void Drain() {
    for (bool more = true; more;) {
      more = false;
      for (const auto& task : tasks_) {
        const Result<bool> stepped = task->Step();
        ASSERT_TRUE(stepped) << stepped.error().ToString();
        more = more || *stepped;
      }
    }
    for (const auto& task : tasks_) ASSERT_TRUE(task->Finish());
  }

  // Counted items of a pipeline's generation, by window start, as its topic says.
  std::map<std::int64_t, std::int64_t> Counts(const std::string& pipeline) {
    const PipelinePlan& plan = system_->plan->pipelines[static_cast<std::size_t>(system_->plan->Find(pipeline))];
    std::map<std::int64_t, std::int64_t> counts;
    auto reader = log_.bus->OpenReader({Plan::ResultsTopic(pipeline), Partition(0)}, Offset(0));
    EXPECT_TRUE(reader);
    for (auto batch = (*reader)->Next(); batch && *batch; batch = (*reader)->Next()) {
      for (std::string_view value : (*batch)->values) {
        if (GenerationOf(value) != plan.fingerprint) continue;
        ResultRecord record;
        EXPECT_TRUE(DecodeResult(value, plan.shape.schema, record));
        if (record.closed) continue;
        for (std::size_t row = 0; row < record.rows.rows; ++row) {
          counts[record.header.window_start.value - kT] +=
              record.rows.columns[static_cast<std::size_t>(plan.shape.schema.Find("item_count"))].int64s[row];
        }
      }
    }
    return counts;
  }

  bus::testing::SimulatedLog log_{1};
  ReferenceCatalog references_;
  std::unique_ptr<testing::TopItems> first_, second_;
  const testing::TopItems* system_ = nullptr;
  std::unique_ptr<TaskContext> context_;
  std::vector<std::unique_ptr<Task>> tasks_;
};

using Counted = std::map<std::int64_t, std::int64_t>;

TEST_F(GenerationTest, AChangedPipelineIsRefusedUntilToldWhereToBegin) {
  ASSERT_TRUE(Open(*first_));
  Send({{1, 1, "a", kT}, {1, 2, "b", kT + 60'000}, {1, 3, "late", kT}});
  const Status refused = Open(*second_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_NE(refused.error().message.find("--from"), std::string::npos) << refused.error().message;
  ASSERT_TRUE(Open(*first_)) << "nothing was changed by the refusal";
  EXPECT_EQ(Counts("item_counts"), (Counted{{0, 1}}));
}

TEST_F(GenerationTest, FromEarliestReadsTheWholeLogAgain) {
  ASSERT_TRUE(Open(*first_));
  Send({{1, 1, "a", kT}, {1, 2, "b", kT + 60'000}});
  ASSERT_TRUE(Open(*second_, StartAt{StartAt::Where::kEarliest, {}}));
  Send({{1, 3, "c", kT + 120'000}});
  EXPECT_EQ(Counts("item_counts"), (Counted{{0, 2}}));
  EXPECT_EQ(Counts("top_items_overall"), (Counted{{0, 2}})) << "the results of the old generation are passed over";
  EXPECT_EQ(tasks_[0]->status().counters.in(), 3U);
  // From now on it is the pipeline: no more need to say where to begin, and to say it changes nothing.
  ASSERT_TRUE(Open(*second_));
  ASSERT_TRUE(Open(*second_, StartAt{StartAt::Where::kNow, {}}));
  Send({{1, 4, "d", kT + 240'000}});
  EXPECT_EQ(Counts("item_counts"), (Counted{{0, 2}, {120'000, 1}}));
  EXPECT_FALSE(Open(*first_)) << "the old plan is now the changed one";
}

TEST_F(GenerationTest, FromNowLeavesOutWhatWasReadAndWhatWasNot) {
  ASSERT_TRUE(Open(*first_));
  Send({{1, 1, "a", kT}, {1, 2, "b", kT + 60'000}});
  ASSERT_TRUE(Open(*second_, StartAt{StartAt::Where::kNow, {}}));
  Send({{1, 3, "c", kT + 60'000}, {1, 4, "d", kT + 120'000}});
  EXPECT_EQ(Counts("item_counts"), (Counted{{0, 1}}));
  const TaskStatus status = tasks_[0]->status();
  EXPECT_EQ(status.counters.in(), 2U);
  EXPECT_EQ(status.origin.inputs, std::vector<std::int64_t>{2});
}

TEST_F(GenerationTest, FromATimeBeginsWithTheFirstRecordAppendedThen) {
  ASSERT_TRUE(Open(*first_));
  Send({{1, 1, "a", kT}});
  const std::int64_t between = log_.clock.Now().value + 500;
  Send({{1, 2, "b", kT + 1}});
  ASSERT_TRUE(Open(*second_, StartAt{StartAt::Where::kTime, AppendTime(between)}));
  Send({{1, 3, "c", kT + 120'000}});
  EXPECT_EQ(Counts("item_counts"), (Counted{{0, 1}}));
}

TEST_F(GenerationTest, WhatTheOldGenerationHadNotCommittedIsGone) {
  ASSERT_TRUE(Open(*first_));
  Send({{1, 1, "a", kT}, {1, 2, "b", kT + 60'000}});
  const Result<bus::TopicInfo> before = log_.bus->Describe(Plan::ResultsTopic("item_counts"));
  ASSERT_TRUE(before);
  // Closes a window and dies before the commit.
  const std::string line = testing::Line({1, 3, "c", kT + 180'000});
  const std::vector<std::string_view> values = {line};
  ASSERT_TRUE(bus::AppendAndWait(*log_.bus, {"camera_events", Partition(0)}, {.values = values}));
  ASSERT_TRUE(runtime::Failpoints::Parse("flow.commit.before_journal=error@1", log_.failpoints));
  while (tasks_[0]->Step()) continue;
  ASSERT_TRUE(runtime::Failpoints::Parse("", log_.failpoints));
  ASSERT_TRUE(Open(*second_, StartAt{StartAt::Where::kEarliest, {}}));
  EXPECT_EQ(tasks_[0]->status().origin.outputs.front(), before->partitions[0].visible.value);
}

}  // namespace
}  // namespace sightline::flow
