#include "apps/sightline/server/monitoring.h"

#include <gtest/gtest.h>

#include <thread>

#include "apps/sightline/testing/world.h"
#include "sightline/bus/embedded/log_bus.h"

namespace sightline::app {
namespace {

flow::TaskStatus Task(const std::string& pipeline, std::int32_t partition, std::int64_t position) {
  flow::TaskStatus task;
  task.pipeline = pipeline;
  task.partition = partition;
  task.counters.verdicts[0] = 11;
  task.counters.replayed[2] = 3;
  task.counters.partially_late = 5;
  task.members.resize(2);
  task.members[1].rows_out = 9;
  task.member_names = {pipeline, "top"};
  task.positions = {position};
  task.origin = {.inputs = {1}, .outputs = {2, 3}};
  task.watermark = 1'700'000'000'000;
  task.restore_ms = 250;
  task.error = "because of \"this\"";
  return task;
}

TEST(Monitoring, AReportComesBackAsItWas) {
  const ProcessReport report{
      .process = "17", .host = "h", .roles = "flow", .version = "1", .at = WallTime(5), .tasks = {Task("counts", 3, 42)}};
  const Result<ProcessReport> back = DecodeReport(EncodeReport(report));
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(EncodeReport(*back), EncodeReport(report));
  EXPECT_EQ(back->tasks[0].counters.replayed[2], 3U);
  EXPECT_EQ(back->tasks[0].members[1].rows_out, 9U);
  EXPECT_EQ(back->tasks[0].origin.outputs[1], 3);
  EXPECT_EQ(DecodeReport("{").error().kind, ErrorKind::kCorruption);
  EXPECT_EQ(DecodeReport("{\"process\": 1}").error().kind, ErrorKind::kCorruption);
}

class HearingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = bus::LogBus::Open(runtime_, test_.directory + "/data", {});
    ASSERT_TRUE(opened) << opened.error().ToString();
    bus_ = std::move(*opened);
  }
  std::unique_ptr<Monitoring> Start(const std::string& process, std::vector<flow::TaskStatus> tasks) {
    const auto own = [this, process, tasks] {
      return ProcessReport{.process = process, .host = "h", .roles = "flow", .version = "1", .at = clock_.Now(), .tasks = tasks};
    };
    auto started = Monitoring::Start(*bus_, clock_, own, {.every = std::chrono::milliseconds(5), .silent_after = kSilentAfter}, log_);
    EXPECT_TRUE(started) << started.error().ToString();
    return std::move(*started);
  }
  static bool Until(const std::function<bool()>& holds) {
    for (int i = 0; i < 2'000; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  static constexpr std::chrono::milliseconds kSilentAfter{500};
  TestWorld test_;
  runtime::SystemClock clock_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, test_.files, failpoints_};
  ops::Log log_{clock_, ops::LogLevel::kError, [](std::string_view) {}};
  std::unique_ptr<bus::LogBus> bus_;
};

TEST_F(HearingTest, ProcessesHearOfEachOthersTasksAndForgetWhoIsGone) {
  const auto one = Start("one", {Task("counts", 0, 10)});
  auto other = Start("other", {Task("counts", 1, 20)});
  EXPECT_TRUE(Until([&] { return one->tasks().size() == 2 && other->tasks().size() == 2; }));
  EXPECT_EQ(one->tasks()[1].positions.at(0), 20);
  other.reset();
  EXPECT_TRUE(Until([&] { return one->tasks().size() == 1; }));
  EXPECT_EQ(one->tasks()[0].partition, 0);
}

}  // namespace
}  // namespace sightline::app
