#include "connectors/flink/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "sightline/governance/contract.h"

namespace sightline::flink {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::HasSubstr;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

governance::Contract ContractOf(const std::string& name) {
  const std::string path = "tests/scenario/contracts/" + name + ".odcs.yaml";
  Result<governance::Contract> contract = governance::ParseContract(ReadAll(path), path);
  EXPECT_TRUE(contract) << contract.error().message;
  return std::move(*contract);
}

// Plans over the contracts of the scenarios: events (location, detection, item, at) and readings (station, reading, amount, level, …).
class JobTest : public ::testing::Test {
 protected:
  JobTest() {
    settings_.kafka = {.brokers = {"broker-1:9092", "broker-2:9092"}, .prefix = "sl.", .properties = {}};
    settings_.references["locations"] = {ReferenceSource::Kind::kTopic, "sl.reference.locations.1", "", "", ""};
    events_.watermark = {
        .on = "at", .out_of_orderness = milliseconds(30'000), .idle_after = milliseconds(10'000), .ahead_max = milliseconds(0)};
  }

  void Add(std::string name, std::string from, std::vector<Step> steps) {
    PipelineSpec spec;
    spec.name = std::move(name);
    spec.from = std::move(from);
    spec.steps = std::move(steps);
    spec.to_statistics = true;
    input_.pipelines.push_back(std::move(spec));
  }
  template <typename T>
  static Step S(T step) {
    return Step{std::move(step), {}};
  }
  static Step Window(std::int64_t size, std::int64_t every = 0, std::int64_t lateness = 0) {
    return S(WindowStep{milliseconds(size), milliseconds(every == 0 ? size : every), milliseconds(lateness)});
  }
  static Step Dedupe(std::vector<std::string> by, std::int64_t within) { return S(DedupeStep{std::move(by), milliseconds(within)}); }
  static Step Enrich(EnrichStep::Missing missing = EnrichStep::Missing::kKeep) {
    return S(EnrichStep{"locations", "location", missing, {}});
  }

  std::expected<Job, std::vector<std::string>> Compile(const std::vector<std::string>& pipelines) {
    input_.datasets = {{.name = "events",
                        .topic = "events",
                        .contract = &events_contract_,
                        .partitions = 4,
                        .partition_by = events_contract_.schema.Find("location"),
                        .implies_partition = {"detection"},
                        .watermark = events_.watermark},
                       {.name = "readings",
                        .topic = "readings",
                        .contract = &readings_contract_,
                        .partitions = 2,
                        .partition_by = readings_contract_.schema.Find("station"),
                        .implies_partition = {"reading"},
                        .watermark = events_.watermark}};
    input_.references = {{.name = "locations", .schema = locations_contract_.schema, .key = locations_contract_.schema.Find("location")}};
    auto plan = flow::CompilePlan(input_);
    if (!plan) {
      for (const flow::PlanProblem& problem : plan.error()) ADD_FAILURE() << problem.message;
      return std::unexpected(std::vector<std::string>());
    }
    plan_ = std::move(*plan);
    return CompileJob(plan_, pipelines, settings_);
  }
  std::string TextOf(const std::vector<std::string>& pipelines) {
    const auto job = Compile(pipelines);
    if (job) return JobText(*job);
    for (const std::string& refusal : job.error()) ADD_FAILURE() << refusal;
    return "";
  }
  std::vector<std::string> RefusalsOf(const std::vector<std::string>& pipelines) {
    const auto job = Compile(pipelines);
    return job ? std::vector<std::string>() : job.error();
  }
  // Written anew with SIGHTLINE_WRITE_GOLDEN set: look at what changed, and run it on a cluster (./dev equality) before it is kept.
  static void ExpectGolden(const std::string& name, const std::string& text) {
    const std::string path = "tests/golden/flink/" + name + ".sql";
    if (std::getenv("SIGHTLINE_WRITE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(text, ReadAll(path)) << path;
  }

  const governance::Contract events_contract_ = ContractOf("events");
  const governance::Contract readings_contract_ = ContractOf("readings");
  const governance::Contract locations_contract_ = ContractOf("locations");
  flow::DatasetPlan events_;
  flow::PlanInput input_;
  flow::Plan plan_;
  JobSettings settings_;
};

TEST_F(JobTest, TopItems) {
  Add("counts", "events",
      {Dedupe({"detection"}, 86'400'000), Window(60'000), S(AggregateStep{{"location", "item"}, {{"n", "count()"}}}), Enrich()});
  Add("top", "counts", {S(RankStep{{"window_start", "location"}, "n", 10})});
  Add("overall", "counts", {S(AggregateStep{{"window_start", "item"}, {{"n", "sum(n)"}}}), S(RankStep{{"window_start"}, "n", 10})});
  ExpectGolden("top_items", TextOf({"top"}));
  ExpectGolden("top_items_all", TextOf({"counts", "top", "overall"}));
}

TEST_F(JobTest, EveryFunction) {
  Add("derived", "readings",
      {S(WhereStep{"NOT (note LIKE 'a%' OR station IN ('x', 'it''s')) AND amount BETWEEN 1 AND 9 OR good IS NULL"}),
       S(DeriveStep{{{"sum", "amount + 1"},
                     {"product", "sum * -2"},
                     {"ratio", "100 / (amount - 3)"},
                     {"half", "amount / 2"},
                     {"rest", "amount % 7"},
                     {"scaled", "level * 2 / (level - 1.5)"},
                     {"label", "UPPER(TRIM(note)) || '!' || LOWER(station)"},
                     {"part", "SUBSTRING(note, -1, 4)"},
                     {"tail", "SUBSTRING(note, 3)"},
                     {"letters", "CHAR_LENGTH(note)"},
                     {"size", "CASE WHEN amount >= 10 THEN 'big' WHEN amount < 10 THEN 'small' END"},
                     {"number", "CAST(note AS int64)"},
                     {"decimal", "CAST(note AS double)"},
                     {"whole", "CAST(level AS int64)"},
                     {"truth", "CAST(note AS bool)"},
                     {"word", "CAST(good AS string)"},
                     {"digits", "CAST(amount AS string)"},
                     {"positive", "ABS(amount) + FLOOR(amount)"},
                     {"low", "FLOOR(level) - CEIL(level)"},
                     {"known", "COALESCE(note, station)"},
                     {"begins", "STARTS_WITH(note, 'b')"},
                     {"less", "good < TRUE"},
                     {"negative", "-amount"}}}),
       Window(60'000), S(AggregateStep{{"station"}, {{"n", "count()"}, {"most", "max(letters)"}}})});
  ExpectGolden("every_function", TextOf({"derived"}));
}

TEST_F(JobTest, EveryAggregateOverSlidingWindows) {
  events_.watermark.ahead_max = milliseconds(60'000);
  Add("all", "readings",
      {Window(60'000, 5'000), S(AggregateStep{{"station"},
                                              {{"n", "count()"},
                                               {"amounts", "count(amount)"},
                                               {"total", "sum(amount)"},
                                               {"mean", "avg(amount)"},
                                               {"least", "min(note)"},
                                               {"any_good", "max(good)"},
                                               {"kinds", "count_distinct(note)"},
                                               {"level", "sum(level)"},
                                               {"middle", "avg(level)"}}})});
  ExpectGolden("sliding", TextOf({"all"}));
}

TEST_F(JobTest, JoinsComeAsLateAsTheyCan) {
  Add("placed", "events", {Enrich(), Window(60'000), S(AggregateStep{{"location", "place"}, {{"n", "count()"}}})});
  Add("known", "events", {Enrich(EnrichStep::Missing::kDrop), Window(60'000), S(AggregateStep{{"location"}, {{"n", "count()"}}})});
  const std::string placed = TextOf({"placed"});
  EXPECT_THAT(placed, HasSubstr("LEFT JOIN locations FOR SYSTEM_TIME AS OF l.event_time AS r ON l.location = r.location"));
  EXPECT_THAT(TextOf({"known"}), HasSubstr("\nJOIN locations FOR SYSTEM_TIME AS OF l.event_time AS r"));
  ExpectGolden("joined_records", placed);
}

TEST_F(JobTest, Sinks) {
  settings_.sinks = {.upsert_kafka = true,
                     .files = "s3://bucket/results",
                     .jdbc = "jdbc:postgresql://db/x",
                     .jdbc_user = "u",
                     .jdbc_password = "${JDBC_PASSWORD}"};
  Add("counts", "events", {Window(60'000), S(AggregateStep{{"location", "item"}, {{"n", "count()"}}}), S(RankStep{{"location"}, "n", 3})});
  ExpectGolden("sinks", TextOf({"counts"}));
}

TEST_F(JobTest, RefusesWithWhatToWriteInstead) {
  Add("corrected", "events", {Window(60'000, 0, 60'000), S(AggregateStep{{"location"}, {{"n", "count()"}}})});
  Add("uneven", "events", {Window(50'000, 20'000), S(AggregateStep{{"location"}, {{"n", "count()"}}})});
  Add("functions", "readings",
      {S(DeriveStep{{{"a", "level % 2"}, {"b", "SUBSTRING(note, amount)"}}}), Window(60'000),
       S(AggregateStep{{"station"}, {{"n", "count()"}}})});
  EXPECT_THAT(RefusalsOf({"corrected"}),
              Contains(AllOf(HasSubstr("allowed_lateness 1m"), HasSubstr("write instead: allowed_lateness: 0s"))));
  EXPECT_THAT(RefusalsOf({"uneven"}), Contains(HasSubstr("a multiple of its step")));
  const std::vector<std::string> functions = RefusalsOf({"functions"});
  EXPECT_THAT(functions, Contains(AllOf(HasSubstr("derive a"), HasSubstr("% of doubles"), HasSubstr("AS int64"))));
  EXPECT_THAT(functions, Contains(AllOf(HasSubstr("derive b"), HasSubstr("as numbers"))));
  EXPECT_THAT(RefusalsOf({"correctd"}), Contains(HasSubstr("did you mean corrected?")));
  EXPECT_THAT(RefusalsOf({"corrected", "functions"}), Contains(HasSubstr("submit a job for each")));
}

// What the issue of lateness comes down to: Flink's windows fire a millisecond before their end.
TEST_F(JobTest, WatermarksAndLateness) {
  Add("counts", "events", {Dedupe({"detection"}, 3'600'000), Window(60'000), S(AggregateStep{{"location"}, {{"n", "count()"}}})});
  const std::string text = TextOf({"counts"});
  EXPECT_THAT(text, HasSubstr("WATERMARK FOR event_time AS event_time - INTERVAL '30.001' SECOND\n"));
  EXPECT_THAT(text, HasSubstr("'scan.watermark.emit.strategy' = 'on-event'"));
  EXPECT_THAT(text, HasSubstr("'scan.parallelism' = '4'"));
  EXPECT_THAT(text, HasSubstr("+ 59999, 3), FALSE) AS is_late"));
  EXPECT_LT(text.find("AS is_late"), text.find("ROW_NUMBER() OVER (PARTITION BY detection"));
  EXPECT_THAT(text, HasSubstr("SET 'table.exec.state.ttl' = '7200000 ms'"));
  EXPECT_THAT(text, HasSubstr("SET 'table.local-time-zone' = 'UTC'"));
}

}  // namespace
}  // namespace sightline::flink
