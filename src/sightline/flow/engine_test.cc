// The engine with its threads, on a log with threads of its own: results are the same bytes whatever their number.
#include "sightline/flow/engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/flow/testing/partitioned_input.h"
#include "sightline/runtime/clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"

namespace sightline::flow {
namespace {

using testing::PartitionedInput;
using testing::Topics;

class World {
 public:
  World(const PartitionedInput& input, int threads) : input_(input), threads_(threads), files_(7) {
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
    auto engine =
        Engine::Start(context, {.threads = threads_, .on_error = [](const std::string& pipeline, std::int32_t, const Error& error) {
                                  ADD_FAILURE() << pipeline << ": " << error.ToString();
                                }});
    EXPECT_TRUE(engine);
    if (!engine) return {};
    Append();
    while (!AllRead(**engine) && !::testing::Test::HasFailure()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE((*engine)->Stop());
    Topics topics;
    for (const PipelinePlan& pipeline : input_.plan->pipelines) Read(Plan::ResultsTopic(pipeline.name), topics);
    return topics;
  }

 private:
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
  bool AllRead(const Engine& engine) {
    for (const TaskStatus& status : engine.status()) {
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
  int threads_;
  runtime::SystemClock clock_;
  runtime::SimulatedFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::unique_ptr<bus::LogBus> bus_;
  ReferenceCatalog references_;
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

INSTANTIATE_TEST_SUITE_P(Seeds, EngineTest, ::testing::Range<std::uint64_t>(201, 205));

}  // namespace
}  // namespace sightline::flow
