#include "apps/sightline/flink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/sightline/plan_input.h"
#include "sightline/runtime/clock.h"
#include "sightline/runtime/failpoints.h"
#include "sightline/runtime/posix_file_system.h"

namespace sightline::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class FlinkPresetTest : public ::testing::Test {
 protected:
  FlinkPresetTest() {
    const auto environment = [](const std::string& name) { return std::optional<std::string>(name + "-value"); };
    auto loaded = config::LoadConfig(files_, "presets/top-items/flink.yaml", {.overrides = {}, .environment = environment});
    if (!loaded) throw std::runtime_error(loaded.error().message);
    config_ = std::move(*loaded);
    auto plan = CompilePlans(config_);
    if (!plan) throw std::runtime_error(plan.error()[0].what);
    plan_ = std::move(*plan);
  }
  Result<FlinkSubmission> Prepare(const std::vector<std::string>& pipelines) {
    const runtime::Runtime runtime{clock_, files_, failpoints_};
    Objects objects(config_, runtime, stores::FileObjectStore::Access::kRead);
    return PrepareFlinkJob(config_, plan_, pipelines, runtime, objects, {});
  }

  runtime::PosixFileSystem files_;
  runtime::SystemClock clock_;
  runtime::Failpoints failpoints_;
  config::Config config_;
  flow::Plan plan_;
};

TEST_F(FlinkPresetTest, TheJobOfAPipelineMakesTheResultsItReadsFromToo) {
  const Result<FlinkSubmission> submission = Prepare({"top_items"});
  ASSERT_TRUE(submission) << submission.error().message;
  EXPECT_EQ(submission->root, "item_counts");
  EXPECT_THAT(submission->job.pipelines, ElementsAre("item_counts", "top_items"));
  EXPECT_EQ(submission->job.parallelism, 8);
  ASSERT_EQ(submission->references.size(), 1U);
  EXPECT_THAT(submission->references[0].topic, HasSubstr("reference.locations."));
  EXPECT_THAT(flink::JobText(submission->job), HasSubstr(submission->references[0].topic));
  EXPECT_THAT(FlinkPipelines(plan_, "item_counts"), ElementsAre("item_counts", "top_items", "top_items_overall"));
}

TEST_F(FlinkPresetTest, PasswordsStandNowhereInTheText) {
  config_.drivers.bus.sasl =
      config::SaslConfig{.mechanism = config::SaslMechanism::kScramSha512, .user = "u", .password = config::Secret("hidden", "env X")};
  const Result<FlinkSubmission> submission = Prepare({"item_counts"});
  ASSERT_TRUE(submission) << submission.error().message;
  const std::string text = flink::JobText(submission->job);
  EXPECT_THAT(text, HasSubstr("${KAFKA_PASSWORD}"));
  EXPECT_THAT(text, Not(HasSubstr("hidden")));
  EXPECT_EQ(submission->secrets.at("KAFKA_PASSWORD"), "hidden");
}

TEST_F(FlinkPresetTest, AnUpgradeSaysWhatItCosts) {
  const std::string before = flink::JobText(Prepare({"top_items"})->job);
  config_.drivers.flink->checkpoint_interval = std::chrono::milliseconds(5000);
  EXPECT_THAT(StateLost(before, flink::JobText(Prepare({"top_items"})->job), plan_, "item_counts"), IsEmpty());
  config_.pipelines[1].steps[0].step = RankStep{{"window_start", "geographical_location_oid"}, "item_count", 3};
  plan_ = std::move(*CompilePlans(config_));
  const std::vector<std::string> lost = StateLost(before, flink::JobText(Prepare({"top_items"})->job), plan_, "item_counts");
  EXPECT_THAT(lost, ElementsAre(HasSubstr("from their beginning"), HasSubstr("ids of the last 1d"), HasSubstr("windows that are open")));
}

TEST_F(FlinkPresetTest, WhatHasNoFormThereIsRefused) {
  std::get<WindowStep>(config_.pipelines[0].steps[1].step).allowed_lateness = std::chrono::milliseconds(60'000);
  plan_ = std::move(*CompilePlans(config_));
  const Result<FlinkSubmission> submission = Prepare({"top_items"});
  ASSERT_FALSE(submission);
  EXPECT_THAT(submission.error().message, HasSubstr("write instead: allowed_lateness: 0s"));
}

}  // namespace
}  // namespace sightline::app
