#include "sightline/flow/testing/partitioned_input.h"

#include <gtest/gtest.h>

#include "sightline/runtime/random.h"

namespace sightline::flow::testing {
namespace {

constexpr std::size_t kSegment = 40;  // records appended at one time
constexpr std::int64_t kSegmentMs = 100;
constexpr std::int64_t kIdleMs = 7'000;

void Fill(std::uint64_t seed, Ticks ticks, PartitionedInput& input) {
  runtime::Random random(seed);
  for (std::int32_t p = 0; p < PartitionedInput::kPartitions; ++p) {
    std::vector<Entry>& entries = input.partitions.emplace_back();
    NaivePipeline& model = input.models.emplace_back(input.naive);
    std::vector<Reading> readings = RandomReadings(seed * 10 + static_cast<std::uint64_t>(p), 220, p * 10);
    // Far behind all others: every window that holds something else closes.
    readings.push_back(
        {.location = p * 10, .id = 1LL << 41, .item = "end", .note = {}, .amount = {}, .level = {}, .good = {}, .at = 1LL << 40});
    std::int64_t now = 1'000;
    for (std::size_t i = 0; i < readings.size(); ++i) {
      if (i % kSegment == 0) now += kSegmentMs;
      entries.push_back({now, false, ReadingLine(readings[i])});
      model.Add(readings[i]);
      if (random.OneIn(50)) {
        entries.push_back({now, false, "{\"location\":"});
        ++input.broken;
      }
      if (ticks == Ticks::kSome && random.OneIn(60) && i + 1 < readings.size()) {
        now += kIdleMs;
        entries.push_back({now, true, ""});
        model.Tick(kIdleMs);
      }
    }
  }
}

}  // namespace

NaiveRows PartitionedInput::Counts() const {
  NaiveRows rows;
  for (const NaivePipeline& model : models) rows.merge(model.Rows());
  return rows;
}

std::unique_ptr<PartitionedInput> MakePartitionedInput(std::uint64_t seed, Ticks ticks) {
  auto input = std::make_unique<PartitionedInput>();
  input->naive = NaivePlan::Random(seed);
  DatasetPlan dataset;
  dataset.name = dataset.topic = "readings";
  dataset.contract = &input->contract;
  dataset.partitions = PartitionedInput::kPartitions;
  dataset.partition_by = 0;
  dataset.implies_partition = {"id"};
  dataset.watermark = {.on = "at",
                       .out_of_orderness = std::chrono::milliseconds(input->naive.out_of_orderness),
                       .idle_after = std::chrono::milliseconds(0),
                       .ahead_max = std::chrono::milliseconds(0)};
  auto plan = CompilePlan({.datasets = {dataset}, .references = {}, .pipelines = input->naive.Specs("readings")});
  if (!plan) {
    ADD_FAILURE() << plan.error().front().message;
    return nullptr;
  }
  input->plan = std::make_unique<Plan>(std::move(*plan));
  Fill(seed, ticks, *input);
  return input;
}

NaiveRows RowsIn(const Plan& plan, const Topics& topics, const std::string& pipeline, std::size_t keys) {
  NewestRows newest(plan.pipelines[static_cast<std::size_t>(plan.Find(pipeline))].shape, keys);
  for (const auto& [topic, records] : topics) {
    if (!topic.starts_with(Plan::ResultsTopic(pipeline) + "/")) continue;
    for (const std::string& record : records) {
      const Status taken = newest.Take(record);
      EXPECT_TRUE(taken) << taken.error().message;
    }
  }
  return newest.rows();
}

}  // namespace sightline::flow::testing
