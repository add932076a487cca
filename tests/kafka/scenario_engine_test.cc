// The scenarios of tests/scenario/cases on a real broker, and what comes out of them in a real Postgres: the rows of the embedded engines.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "tests/kafka/kafka_ground.h"
#include "tests/scenario/comparison.h"
#include "tests/scenario/scenario_run.h"

namespace sightline::scenario {
namespace {

class KafkaScenarioTest : public ::testing::TestWithParam<std::string> {
 protected:
  void Check(Pace pace) {
    const Result<Scenario> scenario = LoadScenario(GetParam());
    ASSERT_TRUE(scenario) << scenario.error().message;
    const std::unique_ptr<KafkaScenarioGround> ground = MakeKafkaGround(Store::kPostgres);
    const Result<Outcome> outcome = RunScenario(*scenario, pace, *ground);
    ASSERT_TRUE(outcome) << GetParam() << ": " << outcome.error().ToString();
    const std::string differences = Differences(*scenario, *outcome, pace);
    EXPECT_TRUE(differences.empty()) << GetParam() << " ends otherwise than it says:\n" << differences;
  }
};

TEST_P(KafkaScenarioTest, AllAtOnce) { Check(Pace::kAllAtOnce); }
TEST_P(KafkaScenarioTest, WithACrashAfterEachLine) { Check(Pace::kRestarting); }

// A refused configuration is refused before any engine: those scenarios need none.
std::vector<std::string> Runnable() {
  std::vector<std::string> paths = ScenarioPaths();
  std::erase_if(paths, [](const std::string& path) {
    const Result<Scenario> scenario = LoadScenario(path);
    return scenario && scenario->refused;
  });
  return paths;
}

INSTANTIATE_TEST_SUITE_P(Cases, KafkaScenarioTest, ::testing::ValuesIn(Runnable()),
                         [](const auto& file) { return std::filesystem::path(file.param).stem().string(); });

}  // namespace
}  // namespace sightline::scenario
