#include "tests/sim/scenario.h"

#include <cstdio>

namespace sightline::sim {
namespace {

using std::chrono::milliseconds;

template <typename T>
T OneOf(runtime::Random& random, std::initializer_list<T> values) {
  return *(values.begin() + random.Below(values.size()));
}

void DrawTopics(Scenario& scenario, runtime::Random& random) {
  bus::TopicSpec& input = scenario.input;
  input.name = kDataset;
  input.partitions = scenario.partitions;
  input.segment_bytes = 4096ULL << random.Below(4);
  if (random.OneIn(4)) input.durability = random.OneIn(2) ? bus::Durability::kOs : bus::Durability::kInterval;
  if (random.OneIn(3)) input.retain_time = std::chrono::seconds(30 + random.Below(300));
  if (random.OneIn(4)) input.retain_bytes = 4 * input.segment_bytes + 4096 * random.Below(8);
  input.compression = OneOf(random, {bus::Compression::kNone, bus::Compression::kNone, bus::Compression::kLz4, bus::Compression::kZstd});
  scenario.owned = input;
  scenario.owned.durability = bus::Durability::kFsync;
  scenario.owned.retain_bytes = 0;
  scenario.owned.segment_bytes = 4096ULL << random.Below(4);
}

// The preset's pipelines with a `where` in front, now and then, and names joined to the counts.
bool CompilePipelines(Scenario& scenario) {
  scenario.system = flow::testing::MakeTopItems(scenario.model, scenario.partitions);
  flow::PlanInput& input = scenario.system->input;
  input.datasets[0].watermark.ahead_max = milliseconds(scenario.model.ahead_max);
  flow::ReferencePlan reference{.name = kReference, .schema = {}, .key = 0};
  reference.schema.fields.push_back({.name = "geographical_location_oid", .type = FieldType::kInt64, .identifier = true});
  reference.schema.fields.push_back({.name = "geographical_location", .type = FieldType::kString});
  input.references.push_back(std::move(reference));
  std::vector<Step>& steps = input.pipelines[0].steps;
  if (scenario.filters) steps.insert(steps.begin(), {WhereStep{std::string("item_name <> '") + kFilteredItem + "'"}, {}});
  steps.push_back(
      {EnrichStep{.with = kReference, .on = "geographical_location_oid", .missing = EnrichStep::Missing::kKeep, .take = {}}, {}});
  auto plan = flow::CompilePlan(input);
  if (plan) {
    scenario.system->plan = std::make_unique<flow::Plan>(std::move(*plan));
    return true;
  }
  for (const flow::PlanProblem& problem : plan.error()) std::fprintf(stderr, "sim_crash: the plan: %s\n", problem.message.c_str());
  return false;
}

}  // namespace

std::unique_ptr<Scenario> Scenario::Draw(std::uint64_t seed) {
  auto scenario = std::make_unique<Scenario>();
  runtime::Random random(Mix64(seed) ^ 0x5ce0a210);
  scenario->seed = seed;
  scenario->partitions = static_cast<std::int32_t>(1 + random.Below(3));
  auto& model = scenario->model;
  model.out_of_orderness = OneOf<std::int64_t>(random, {0, 2'000, 10'000});
  model.size = OneOf<std::int64_t>(random, {5'000, 10'000, 30'000});
  model.every = random.OneIn(3) ? OneOf<std::int64_t>(random, {model.size / 5, model.size / 2, model.size * 2 / 5}) : model.size;
  model.lateness = random.OneIn(3) ? OneOf<std::int64_t>(random, {3'000, 20'000}) : 0;
  model.within = OneOf<std::int64_t>(random, {model.size + model.lateness, 60'000, 86'400'000});
  model.top = OneOf<std::int64_t>(random, {1, 3, 10});
  model.ahead_max = random.OneIn(2) ? 5'000 : 0;
  scenario->filters = random.OneIn(3);
  if (scenario->filters) model.filtered_item = kFilteredItem;
  scenario->disorder = OneOf<std::int64_t>(random, {500, 3'000, 15'000});
  scenario->damages = random.OneIn(12);
  scenario->faults = !random.OneIn(4);
  scenario->steps = 150 + random.Below(450);
  scenario->locations = static_cast<std::int64_t>(1 + random.Below(9));
  scenario->policy.interval = milliseconds(random.Below(400));
  scenario->policy.snapshot_interval = milliseconds(OneOf<std::uint64_t>(random, {300, 2'000, 20'000, 600'000}));
  scenario->policy.snapshot_records = OneOf<std::int64_t>(random, {20, 200, 2'000'000});
  DrawTopics(*scenario, random);
  if (!CompilePipelines(*scenario)) return nullptr;
  return scenario;
}

}  // namespace sightline::sim
