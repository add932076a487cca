// Random pipelines over random records, through the shipped log and tasks: equal to the naive model, and the same bytes whatever the
// batches, the commits and the restarts.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>

#include "sightline/base/testing/rounds.h"
#include "sightline/bus/testing/simulated_log.h"
#include "sightline/flow/live_tail.h"
#include "sightline/flow/task.h"
#include "sightline/flow/testing/partitioned_input.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using testing::NaivePipeline;
using testing::NaiveRows;
using testing::Topics;
using Input = testing::PartitionedInput;

constexpr std::int32_t kPartitions = testing::PartitionedInput::kPartitions;

// How the input comes, and what happens meanwhile.
struct Course {
  std::uint64_t seed = 1;
  std::size_t batch_max = 1000;
  bool disturbed = false;  // steps, commits, snapshots, restarts and power failures at random
  StateMemory* memory = nullptr;
};

// How many rows each group has that somebody sees who watches.
class Watcher final : public LiveSink {
 public:
  void Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) override {
    for (const LiveGroup& group : groups) {
      const std::pair<std::int64_t, std::string> key{group.header.window_start.value, GroupKey(*shape, *group.rows, group.begin)};
      seen_[shape->pipeline][key] = group.end - group.begin;
    }
  }
  std::size_t RowsOf(const std::string& pipeline) {
    std::size_t rows = 0;
    for (const auto& [key, count] : seen_[pipeline]) rows += count;
    return rows;
  }

 private:
  std::map<std::string, std::map<std::pair<std::int64_t, std::string>, std::size_t>> seen_;
};

class TaskRun {
 public:
  TaskRun(const Input& input, const Course& course)
      : input_(input), course_(course), random_(course.seed), log_(course.seed), next_(kPartitions, 0) {
    Open();
  }

  Topics Go() {
    while (!::testing::Test::HasFatalFailure() && AppendSome()) {
      if (!course_.disturbed) continue;
      for (std::uint64_t i = random_.Below(4); i > 0; --i) Check(tasks_[random_.Below(tasks_.size())]->Step());
      Wait(random_.Below(30));
      if (random_.OneIn(30)) Restart();
    }
    Drain();
    Topics topics;
    for (const PipelinePlan& pipeline : input_.plan->pipelines) Read(Plan::ResultsTopic(pipeline.name), topics);
    Read(Plan::DeadLetterTopic("counts"), topics);
    for (const auto& task : tasks_) {
      const TaskStatus status = task->status();
      if (status.merge) continue;
      for (std::size_t v = 0; v < kVerdicts; ++v) counters_.verdicts[v] += status.counters.verdicts[v];
      counters_.partially_late += status.counters.partially_late;
    }
    return topics;
  }
  const Counters& counters() const { return counters_; }
  // Shows him the results that there are.
  void Tell(Watcher& watcher) {
    LiveTail tail(*log_.bus, *input_.plan, watcher);
    Check(tail.Open());
    for (bool more = true; more && !::testing::Test::HasFatalFailure();) {
      const Result<bool> stepped = tail.Step();
      Check(stepped);
      more = stepped && *stepped;
    }
  }

 private:
  template <typename T>
  static void Check(const T& result) {
    ASSERT_TRUE(result) << result.error().ToString();
  }

  void Open() {
    const Plan& plan = *input_.plan;
    Check(log_.Open());
    bus::TopicSpec spec;
    spec.name = "readings";
    spec.partitions = kPartitions;
    Check(log_.bus->EnsureTopic(spec));
    Check(EnsureOwnedTopics(*log_.bus, plan, {}));
    CommitPolicy policy;
    if (course_.disturbed) {
      policy.interval = std::chrono::milliseconds(random_.Below(40));
      policy.snapshot_interval = std::chrono::milliseconds(1 + random_.Below(400));
      policy.snapshot_records = static_cast<std::int64_t>(1 + random_.Below(300));
    }
    const auto none = [](const std::string& name, std::uint64_t) -> Result<ReferenceHandle> { return Fail(ErrorKind::kNotFound, name); };
    context_ = std::make_unique<TaskContext>(TaskContext{.runtime = log_.runtime,
                                                         .bus = *log_.bus,
                                                         .plan = plan,
                                                         .references = references_,
                                                         .versions = none,
                                                         .directory = "/data/flow",
                                                         .live = nullptr,
                                                         .policy = policy,
                                                         .limits = {},
                                                         .seed = random_.Next(),
                                                         .memory = course_.memory});
    for (std::int32_t p = 0; p < kPartitions; ++p) Keep(OpenRootTask(*context_, plan.Find("counts"), Partition(p)));
    Keep(OpenMergeTask(*context_, plan.Find("over_all")));
  }

  void Keep(Result<std::unique_ptr<Task>> task) {
    ASSERT_TRUE(task) << task.error().ToString();
    tasks_.push_back(std::move(*task));
  }

  void Wait(std::uint64_t ms) {
    const std::chrono::milliseconds passed(ms);
    log_.clock.Advance(passed);
    log_.clock.Jump(-passed);
  }

  // A batch of one partition; false when all is appended.
  bool AppendSome() {
    std::vector<std::size_t> open;
    for (std::size_t p = 0; p < next_.size(); ++p) {
      if (next_[p] < input_.partitions[p].size()) open.push_back(p);
    }
    if (open.empty()) return false;
    const std::size_t p = open[random_.Below(open.size())];
    const std::vector<testing::Entry>& entries = input_.partitions[p];
    const testing::Entry& first = entries[next_[p]];
    const std::size_t wanted = 1 + random_.Below(course_.batch_max);
    std::vector<std::string_view> values;
    bus::AppendBatch batch;
    batch.type = first.tick ? bus::BatchType::kTick : bus::BatchType::kData;
    batch.encoding = first.tick ? bus::Encoding::kBinary : bus::Encoding::kJson;
    do {
      values.emplace_back(entries[next_[p]++].line);
    } while (values.size() < wanted && next_[p] < entries.size() && !first.tick && !entries[next_[p]].tick &&
             entries[next_[p]].append_time == first.append_time);
    batch.values = values;
    log_.clock.Jump(std::chrono::milliseconds(first.append_time - log_.clock.Now().value));
    Check(bus::AppendAndWait(*log_.bus, {"readings", Partition(static_cast<std::int32_t>(p))}, batch));
    return true;
  }

  void Restart() {
    const std::uint64_t how = random_.Below(3);
    if (how == 0) {
      for (const auto& task : tasks_) Check(task->Finish());
    } else if (how == 1) {
      log_.files.CutPower();
    }
    tasks_.clear();
    context_.reset();
    if (how == 1) {
      log_.PowerCycle();
    } else {
      log_.Kill();
    }
    Open();
  }

  void Drain() {
    for (bool more = true; more && !::testing::Test::HasFatalFailure();) {
      more = false;
      for (const auto& task : tasks_) {
        const Result<bool> stepped = task->Step();
        Check(stepped);
        more = more || (stepped && *stepped);
      }
    }
  }

  void Read(const std::string& topic, Topics& topics) {
    const Result<bus::TopicInfo> info = log_.bus->Describe(topic);
    Check(info);
    for (std::size_t p = 0; p < info->partitions.size(); ++p) {
      std::vector<std::string>& records = topics[topic + "/" + std::to_string(p)];
      auto reader = log_.bus->OpenReader({topic, Partition(static_cast<std::int32_t>(p))}, Offset(0));
      Check(reader);
      for (auto batch = (*reader)->Next(); batch && *batch; batch = (*reader)->Next()) {
        for (std::string_view value : (*batch)->values) records.emplace_back(value);
      }
    }
  }

  const Input& input_;
  Course course_;
  runtime::Random random_;
  bus::testing::SimulatedLog log_;
  ReferenceCatalog references_;
  std::unique_ptr<TaskContext> context_;
  std::vector<std::unique_ptr<Task>> tasks_;
  std::vector<std::size_t> next_;  // a partition: the entry to append
  Counters counters_;
};

class TaskDeterminism : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(TaskDeterminism, EqualsTheNaiveModelWhateverBatchesCommitsAndRestarts) {
  const std::unique_ptr<Input> input = testing::MakePartitionedInput(GetParam(), testing::Ticks::kSome);
  ASSERT_NE(input, nullptr);
  SCOPED_TRACE(input->naive.ToString());
  const NaiveRows expected = input->Counts();
  Counters counted;
  for (const NaivePipeline& model : input->models) {
    counted.verdicts[static_cast<std::size_t>(Verdict::kCounted)] += model.counted;
    counted.verdicts[static_cast<std::size_t>(Verdict::kFiltered)] += model.filtered;
    counted.verdicts[static_cast<std::size_t>(Verdict::kDuplicate)] += model.duplicates;
    counted.verdicts[static_cast<std::size_t>(Verdict::kLate)] += model.late;
    counted.partially_late += model.partially_late;
  }
  counted.verdicts[static_cast<std::size_t>(Verdict::kMalformed)] = input->broken;
  const NaiveRows over_all = testing::NaiveOverAll(input->naive, expected);

  TaskRun whole(*input, {.seed = 1, .batch_max = 1000, .disturbed = false});
  const Topics undisturbed = whole.Go();
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_EQ(testing::DifferenceOf(expected, testing::RowsIn(*input->plan, undisturbed, "counts", input->naive.by.size() + 1)), "");
  EXPECT_EQ(testing::DifferenceOf(over_all, testing::RowsIn(*input->plan, undisturbed, "over_all", input->naive.over_all.size())), "");
  EXPECT_EQ(
      testing::DifferenceOf(testing::NaiveByLocation(input->naive, expected), testing::RowsIn(*input->plan, undisturbed, "by_location", 1)),
      "");
  EXPECT_EQ(whole.counters().verdicts, counted.verdicts);
  EXPECT_EQ(whole.counters().partially_late, counted.partially_late);

  for (const std::size_t batch_max : {1, 3, 7, 1000}) {
    SCOPED_TRACE("batches of up to " + std::to_string(batch_max));
    TaskRun run(*input, {.seed = GetParam() * 4 + batch_max, .batch_max = batch_max, .disturbed = true});
    const Topics topics = run.Go();
    ASSERT_FALSE(HasFatalFailure());
    for (const auto& [topic, records] : undisturbed) {
      // What adds up several partitions reads them in another order each time: its last rows are the same.
      if (topic.starts_with(Plan::ResultsTopic("over_all"))) continue;
      EXPECT_TRUE(topics.at(topic) == records) << topic;
    }
    EXPECT_EQ(testing::DifferenceOf(over_all, testing::RowsIn(*input->plan, topics, "over_all", input->naive.over_all.size())), "");
    EXPECT_EQ(run.counters().verdicts, counted.verdicts);
    EXPECT_EQ(run.counters().partially_late, counted.partially_late);
  }
}

// Each piece is a file of the real disk, which takes its time: fewer of them.
class TaskInFiles : public TaskDeterminism {};

// Where the state lives changes nothing: none in memory but small pieces, all that is a page or more in files.
TEST_P(TaskInFiles, PutsOutTheSameBytes) {
  const std::unique_ptr<Input> input = testing::MakePartitionedInput(GetParam(), testing::Ticks::kSome);
  ASSERT_NE(input, nullptr);
  SCOPED_TRACE(input->naive.ToString());
  TaskRun whole(*input, {.seed = 1, .batch_max = 1000, .disturbed = false});
  const Topics undisturbed = whole.Go();
  ASSERT_FALSE(HasFatalFailure());
  std::string directory = ::testing::TempDir() + "task_state_XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  StateMemory memory({.memory_max = 0, .disk_max = 1ULL << 30, .directory = directory, .file_from = 4096});
  {
    TaskRun run(*input, {.seed = GetParam(), .batch_max = 50, .disturbed = true, .memory = &memory});
    const Topics topics = run.Go();
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_GT(memory.disk_bytes(), 0U);
    for (const auto& [topic, records] : undisturbed) {
      if (topic.starts_with(Plan::ResultsTopic("over_all"))) continue;
      EXPECT_TRUE(topics.at(topic) == records) << topic;
    }
    EXPECT_EQ(run.counters().verdicts, whole.counters().verdicts);
  }
  EXPECT_EQ(memory.disk_bytes(), 0U);
  EXPECT_EQ(memory.memory_bytes(), 0U);
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove_all(directory);
}

// What no random pipeline did, none has shown.
TEST(TaskDeterminismInput, HasGroupsThatACorrectionEmptiesForThoseWhoWatchToo) {
  std::map<std::string, std::size_t> emptied;
  for (const std::uint64_t seed : {4, 8, 12, 16}) {
    const std::unique_ptr<Input> input = testing::MakePartitionedInput(seed, testing::Ticks::kSome);
    ASSERT_NE(input, nullptr);
    TaskRun run(*input, {.seed = seed * 4 + 7, .batch_max = 7, .disturbed = true});
    const Topics topics = run.Go();
    Watcher watcher;
    run.Tell(watcher);
    for (const PipelinePlan& pipeline : input->plan->pipelines) {
      EXPECT_EQ(watcher.RowsOf(pipeline.name), testing::RowsIn(*input->plan, topics, pipeline.name, pipeline.keys.size()).size())
          << pipeline.name;
    }
    for (const auto& [topic, records] : topics) {
      for (const std::string& record : records) {
        const Result<ResultMark> mark = topic.starts_with("results.") ? DecodeResultMark(record) : Result<ResultMark>(ResultMark{});
        ASSERT_TRUE(mark);
        emptied[topic.substr(0, topic.find('/'))] += mark->emptied ? 1 : 0;
      }
    }
  }
  EXPECT_GT(emptied["results.counts"], 50U);
  EXPECT_GT(emptied["results.by_location"], 50U);
  EXPECT_GT(emptied["results.over_all"], 2U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TaskInFiles, ::testing::Range<std::uint64_t>(1, 1 + 5 * OneThreadRounds(4), 5));
INSTANTIATE_TEST_SUITE_P(Seeds, TaskDeterminism, ::testing::Range<std::uint64_t>(1, 1 + OneThreadRounds(16)));

}  // namespace
}  // namespace sightline::flow
