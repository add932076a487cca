// Names of result columns: those that every row has for itself, and those that SQL does not tell apart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/flow/testing/fixture.h"

namespace sightline::flow {
namespace {

using ::testing::HasSubstr;

// The problem of the preset's pipelines when `change` was made to the first one's steps; "" when there is none.
template <typename Change>
PlanProblem ProblemOf(Change change) {
  auto made = testing::MakeTopItems({});
  made->input.pipelines.resize(1);
  std::vector<Step>& steps = made->input.pipelines[0].steps;
  for (std::size_t i = 0; i < steps.size(); ++i) steps[i].place = {"sightline.yaml", static_cast<int>(10 + i), 9};
  change(steps);
  const auto plan = CompilePlan(made->input);
  return plan ? PlanProblem{} : plan.error().at(0);
}
AggregateStep& AggregateOf(std::vector<Step>& steps) { return std::get<AggregateStep>(steps.back().step); }

TEST(ResultNames, AnAggregateMayNotTakeTheNameOfAColumnThatEveryRowHas) {
  for (const std::string name : {"window_start", "window_end", "state", "revision", "State", "WINDOW_END"}) {
    const PlanProblem problem = ProblemOf([&](auto& steps) { AggregateOf(steps).columns[0].first = name; });
    EXPECT_THAT(problem.message, HasSubstr("has a column")) << name;
    EXPECT_THAT(problem.message, HasSubstr("choose another name, such as item_")) << name;
    EXPECT_EQ(problem.place.line, 12) << "at the step";
  }
  EXPECT_EQ(ProblemOf([](auto& steps) { AggregateOf(steps).columns[0].first = "states"; }).message, "");
}

TEST(ResultNames, NorMayADerivedColumn) {
  const auto derive = [](const std::string& name) {
    return ProblemOf(
        [&](auto& steps) { steps.insert(steps.begin(), {DeriveStep{{{name, "detection_oid + 1"}}}, {"sightline.yaml", 7, 9}}); });
  };
  EXPECT_THAT(derive("revision").message, HasSubstr("every result row has a column revision of its own"));
  EXPECT_EQ(derive("revision").place.line, 7);
  EXPECT_THAT(derive("item_name").message, HasSubstr("a column named item_name exists already; choose another name"));
  EXPECT_THAT(derive("Item_Name").message, HasSubstr("SQL does not tell Item_Name from it"));
  EXPECT_EQ(derive("next_oid").message, "");
}

TEST(ResultNames, NorAFieldOfTheContractThatResultsAreGroupedBy) {
  auto made = testing::MakeTopItems({});
  made->input.pipelines.resize(1);
  made->contract.schema.fields[2].name = "state";
  AggregateOf(made->input.pipelines[0].steps).by[1] = "state";
  const auto plan = CompilePlan(made->input);
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().at(0).message, HasSubstr("every result row has a column state of its own"));
}

TEST(ResultNames, AMistakeIsReportedOnceAndNotByThePipelinesThatReadFromItsResults) {
  auto made = testing::MakeTopItems({});
  AggregateOf(made->input.pipelines[0].steps).columns[0].first = "state";
  const auto plan = CompilePlan(made->input);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().size(), 1U);
}

TEST(ResultNames, TwoColumnsOfAResultDifferInMoreThanCase) {
  EXPECT_THAT(ProblemOf([](auto& steps) { AggregateOf(steps).columns.emplace_back("ITEM_COUNT", "count()"); }).message,
              HasSubstr("a column named item_count exists already, and SQL does not tell ITEM_COUNT from it"));
  EXPECT_THAT(ProblemOf([](auto& steps) { AggregateOf(steps).columns.emplace_back("item_name", "count()"); }).message,
              HasSubstr("a column named item_name exists already"));
  // The flag of sums that do not fit is a column too.
  EXPECT_THAT(ProblemOf([](auto& steps) { AggregateOf(steps).columns.emplace_back("overflow", "sum(detection_oid)"); }).message,
              HasSubstr("a column named overflow exists already"));
}

}  // namespace
}  // namespace sightline::flow
