// Runs every tests/scenario/cases/*.scenario at every pace. docs/scenarios.md describes the format.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <sstream>

#include "tests/scenario/comparison.h"
#include "tests/scenario/scenario_file.h"
#include "tests/scenario/scenario_run.h"

namespace sightline::scenario {
namespace {

class ScenarioTest : public ::testing::TestWithParam<std::string> {
 protected:
  void Check(Pace pace) {
    const Result<Scenario> scenario = LoadScenario(GetParam());
    ASSERT_TRUE(scenario) << scenario.error().message;
    if (scenario->refused) return CheckRefused(*scenario);
    const std::unique_ptr<Ground> ground = MakeSimulatedGround();
    const Result<Outcome> outcome = RunScenario(*scenario, pace, *ground);
    ASSERT_TRUE(outcome) << GetParam() << ": " << outcome.error().ToString();
    const std::string differences = Differences(*scenario, *outcome, pace);
    EXPECT_TRUE(differences.empty()) << GetParam() << " ends otherwise than it says:\n" << differences;
  }

 private:
  static void CheckRefused(const Scenario& scenario) {
    const std::string mistakes = MistakesOf(scenario);
    std::istringstream lines(*scenario.refused);
    for (std::string line; std::getline(lines, line);) {
      if (line.empty()) continue;
      EXPECT_NE(mistakes.find(line), std::string::npos) << "wanted: " << line << "\nthe mistakes are:\n" << mistakes;
    }
  }
};

TEST_P(ScenarioTest, LineByLine) { Check(Pace::kLineByLine); }
TEST_P(ScenarioTest, WithAPowerFailureAfterEachLine) { Check(Pace::kRestarting); }
TEST_P(ScenarioTest, AllAtOnce) { Check(Pace::kAllAtOnce); }

INSTANTIATE_TEST_SUITE_P(Cases, ScenarioTest, ::testing::ValuesIn(ScenarioPaths()),
                         [](const auto& file) { return std::filesystem::path(file.param).stem().string(); });

TEST(ScenarioFiles, AreFound) { EXPECT_GE(ScenarioPaths().size(), 30U); }

// What the runner would not notice, no scenario could show.
TEST(ScenarioFiles, AreHeldToWhatTheySay) {
  Result<Scenario> scenario = LoadScenario("tests/scenario/cases/sum_overflow.scenario");
  ASSERT_TRUE(scenario) << scenario.error().message;
  const std::unique_ptr<Ground> ground = MakeSimulatedGround();
  const Result<Outcome> outcome = RunScenario(*scenario, Pace::kLineByLine, *ground);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  ASSERT_EQ(Differences(*scenario, *outcome, Pace::kLineByLine), "");
  const auto differences = [&](auto change) {
    Scenario changed = *scenario;
    change(changed);
    return Differences(changed, *outcome, Pace::kLineByLine);
  };
  const auto says = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(says(differences([](Scenario& s) { s.results["sums"].rows[0][2] = "3"; }), "results of sums"));
  EXPECT_TRUE(says(differences([](Scenario& s) { s.results["sums"].rows.pop_back(); }), "+ 60000"));
  EXPECT_TRUE(says(differences([](Scenario& s) { s.results.erase("means"); }), "results of means"));
  EXPECT_TRUE(says(differences([](Scenario& s) { s.results["means"].columns[2] = "men"; }), "no column men"));
  EXPECT_TRUE(says(differences([](Scenario& s) { s.dead_letters.erase("sums"); }), "dead letters of sums"));
  EXPECT_TRUE(says(differences([](Scenario& s) { s.counts["sums"].pop_back(); }), "invalid: expected 0, came 1"));
  EXPECT_TRUE(says(differences([](Scenario& s) { s.counts.erase("means"); }), "lacks -- counts means --"));
  EXPECT_TRUE(says(differences([](Scenario& s) { s.results["sum"]; }), "there is no such pipeline"));
}

}  // namespace
}  // namespace sightline::scenario
