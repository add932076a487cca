// Runs every tests/scenario/cases/*.scenario at every pace. docs/scenarios.md describes the format.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/scenario/comparison.h"
#include "tests/scenario/scenario_file.h"
#include "tests/scenario/scenario_run.h"

namespace sightline::scenario {
namespace {

constexpr const char* kScenarios = "tests/scenario/cases";    // from the repository's root
constexpr const char* kContracts = "tests/scenario/contracts";

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> Files(const char* directory, const char* ending) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.path().extension() == ending) found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<Scenario> Load(const std::string& path) {
  SL_ASSIGN_OR_RETURN(Scenario scenario, ParseScenario(ReadAll(path), path));
  for (const std::string& contract : Files(kContracts, ".yaml")) {
    scenario.files.try_emplace("contracts/" + std::filesystem::path(contract).filename().string(), ReadAll(contract));
  }
  return scenario;
}

class ScenarioTest : public ::testing::TestWithParam<std::string> {
 protected:
  void Check(Pace pace) {
    const Result<Scenario> scenario = Load(GetParam());
    ASSERT_TRUE(scenario) << scenario.error().message;
    if (scenario->refused) return CheckRefused(*scenario);
    const Result<Outcome> outcome = RunScenario(*scenario, pace);
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

INSTANTIATE_TEST_SUITE_P(Cases, ScenarioTest, ::testing::ValuesIn(Files(kScenarios, ".scenario")),
                         [](const auto& file) { return std::filesystem::path(file.param).stem().string(); });

TEST(ScenarioFiles, AreFound) { EXPECT_GE(Files(kScenarios, ".scenario").size(), 30U); }

// What the runner would not notice, no scenario could show.
TEST(ScenarioFiles, AreHeldToWhatTheySay) {
  Result<Scenario> scenario = Load(std::string(kScenarios) + "/sum_overflow.scenario");
  ASSERT_TRUE(scenario) << scenario.error().message;
  const Result<Outcome> outcome = RunScenario(*scenario, Pace::kLineByLine);
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
