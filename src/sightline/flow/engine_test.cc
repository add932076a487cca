// The engine with its threads, on a log with threads of its own: results are the same bytes whatever their number.
#include "sightline/flow/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/flow/testing/partitioned_input.h"
#include "sightline/runtime/clock.h"
#include "sightline/runtime/random.h"
#include "sightline/runtime/simulated/simulated_file_system.h"

namespace sightline::flow {
namespace {

using testing::PartitionedInput;
using testing::Topics;

class World {
 public:
  World(const PartitionedInput& input, int threads, int engines = 1) : input_(input), threads_(threads), engines_(engines), files_(7) {
    auto bus = bus::LogBus::Open(runtime_, "/data", {});
    EXPECT_TRUE(bus);
    bus_ = std::move(*bus);
    bus::TopicSpec spec;
    spec.name = "readings";
    spec.partitions = PartitionedInput::kPartitions;
    spec.durability = bus::Durability::kOs;
    EXPECT_TRUE(bus_->EnsureTopic(spec));
    EXPECT_TRUE(EnsureOwnedTopics(*bus_, *input.plan, {}));
  }

  Topics Go() {
    const auto none = [](const std::string& name, std::uint64_t) -> Result<ReferenceHandle> { return Fail(ErrorKind::kNotFound, name); };
    const TaskContext context{.runtime = runtime_,
                              .bus = *bus_,
                              .plan = *input_.plan,
                              .references = references_,
                              .versions = none,
                              .directory = "/data/flow",
                              .live = nullptr,
                              .policy = {.interval = std::chrono::milliseconds(1), .snapshot_interval = std::chrono::milliseconds(5)},
                              .limits = {},
                              .seed = static_cast<std::uint64_t>(threads_)};
    for (int i = 0; i < engines_; ++i) {
      auto engine = Engine::Start(
          context,
          {.threads = threads_, .all = engines_ == 1, .on_error = [](const std::string& pipeline, std::int32_t, const Error& error) {
             ADD_FAILURE() << pipeline << ": " << error.ToString();
           }});
      EXPECT_TRUE(engine);
      if (!engine) return {};
      running_.push_back(std::move(*engine));
    }
    std::atomic<bool> appended{false};
    std::thread mover([&] {
      if (engines_ > 1) Move(appended);
    });
    Append();
    appended = true;
    mover.join();
    while (!AllRead() && !::testing::Test::HasFailure()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (const std::unique_ptr<Engine>& engine : running_) EXPECT_TRUE(engine->Stop());
    running_.clear();
    Topics topics;
    for (const PipelinePlan& pipeline : input_.plan->pipelines) Read(Plan::ResultsTopic(pipeline.name), topics);
    return topics;
  }

 private:
  // Gives partitions from one engine to the other again and again, with and without a last commit.
  void Move(const std::atomic<bool>& appended) {
    std::vector<std::pair<int, Partition>> slots;
    for (std::size_t i = 0; i < input_.plan->pipelines.size(); ++i) {
      const int root = static_cast<int>(i);
      if (input_.plan->pipelines[i].root != root) continue;
      for (Partition p(0); p.value < PartitionsOf(*input_.plan, root); ++p.value) slots.emplace_back(root, p);
    }
    all_ = slots.size();
    std::vector<std::size_t> at(slots.size(), 0);
    for (const auto& [root, partition] : slots) running_[0]->Acquire(root, partition);
    runtime::Random random(5);
    for (int moves = 0; moves < 40 || !appended; ++moves) {
      const std::size_t slot = random.Below(slots.size());
      const auto [root, partition] = slots[slot];
      running_[at[slot]]->GiveUp(root, partition, random.OneIn(2) ? Engine::Release::kCommit : Engine::Release::kDrop);
      at[slot] = random.Below(running_.size());
      running_[at[slot]]->Acquire(root, partition);
      std::this_thread::sleep_for(std::chrono::microseconds(random.Below(3'000)));
    }
  }

  // While the engine works: a few records of each partition in turn.
  void Append() {
    std::vector<std::size_t> next(input_.partitions.size(), 0);
    for (bool more = true; more;) {
      more = false;
      for (std::size_t p = 0; p < next.size(); ++p) {
        std::vector<std::string_view> values;
        for (; values.size() < 9 && next[p] < input_.partitions[p].size(); ++next[p])
          values.emplace_back(input_.partitions[p][next[p]].line);
        if (values.empty()) continue;
        bus::AppendBatch batch;
        batch.values = values;
        EXPECT_TRUE(bus::AppendAndWait(*bus_, {"readings", Partition(static_cast<std::int32_t>(p))}, batch));
        more = true;
      }
    }
  }

  // Every task stands at the end of what it reads. A merge's input grows until the others are there.
  bool AllRead() {
    std::vector<TaskStatus> tasks;
    for (const std::unique_ptr<Engine>& engine : running_) {
      for (TaskStatus& status : engine->status()) tasks.push_back(std::move(status));
    }
    if (tasks.size() < all_) return false;
    for (const TaskStatus& status : tasks) {
      const std::string topic = status.merge ? Plan::ResultsTopic("counts") : "readings";
      const auto info = bus_->Describe(topic);
      for (std::size_t i = 0; i < status.positions.size(); ++i) {
        const std::size_t p = status.merge ? i : static_cast<std::size_t>(status.partition);
        if (status.positions[i] != info->partitions[p].end.value) return false;
      }
      if (status.positions.empty()) return false;
    }
    return true;
  }

  void Read(const std::string& topic, Topics& topics) {
    const auto info = bus_->Describe(topic);
    for (std::size_t p = 0; p < info->partitions.size(); ++p) {
      std::vector<std::string>& records = topics[topic + "/" + std::to_string(p)];
      auto reader = bus_->OpenReader({topic, Partition(static_cast<std::int32_t>(p))}, Offset(0));
      for (auto batch = (*reader)->Next(); batch && *batch; batch = (*reader)->Next()) {
        for (std::string_view value : (*batch)->values) records.emplace_back(value);
      }
    }
  }

  const PartitionedInput& input_;
  int threads_, engines_;
  std::size_t all_ = 0;
  runtime::SystemClock clock_;
  runtime::SimulatedFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::unique_ptr<bus::LogBus> bus_;
  ReferenceCatalog references_;
  std::vector<std::unique_ptr<Engine>> running_;
};

class EngineTest : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(EngineTest, GivesTheSameBytesWhateverItsThreads) {
  const auto input = testing::MakePartitionedInput(GetParam(), testing::Ticks::kNone);
  ASSERT_NE(input, nullptr);
  SCOPED_TRACE(input->naive.ToString());
  const testing::NaiveRows counts = input->Counts();
  Topics first;
  for (const int threads : {1, 2, 4}) {
    SCOPED_TRACE(std::to_string(threads) + " threads");
    const Topics topics = World(*input, threads).Go();
    ASSERT_FALSE(HasFailure());
    EXPECT_EQ(testing::DifferenceOf(counts, testing::RowsIn(*input->plan, topics, "counts", input->naive.by.size() + 1)), "");
    EXPECT_EQ(testing::DifferenceOf(testing::NaiveOverAll(input->naive, counts),
                                    testing::RowsIn(*input->plan, topics, "over_all", input->naive.over_all.size())),
              "");
    if (threads == 1) first = topics;
    for (const auto& [topic, records] : first) {
      if (!topic.starts_with(Plan::ResultsTopic("counts"))) continue;
      EXPECT_TRUE(topics.at(topic) == records) << topic;
    }
  }
}

TEST_P(EngineTest, GivesTheSameRowsWhereverItsPartitionsAreWorkedOn) {
  const auto input = testing::MakePartitionedInput(GetParam(), testing::Ticks::kNone);
  ASSERT_NE(input, nullptr);
  SCOPED_TRACE(input->naive.ToString());
  const testing::NaiveRows counts = input->Counts();
  const Topics topics = World(*input, 2, 2).Go();
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(testing::DifferenceOf(counts, testing::RowsIn(*input->plan, topics, "counts", input->naive.by.size() + 1)), "");
  EXPECT_EQ(testing::DifferenceOf(testing::NaiveOverAll(input->naive, counts),
                                  testing::RowsIn(*input->plan, topics, "over_all", input->naive.over_all.size())),
            "");
}

INSTANTIATE_TEST_SUITE_P(Seeds, EngineTest, ::testing::Range<std::uint64_t>(201, 205));

}  // namespace
}  // namespace sightline::flow
