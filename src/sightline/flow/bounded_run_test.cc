// A run over a file gives the same bytes whatever the threads, the pieces and the checkpoints, and what the naive model gives.
#include "sightline/flow/bounded_run.h"

#include <gtest/gtest.h>

#include "sightline/bus/testing/simulated_log.h"
#include "sightline/flow/testing/naive_pipeline.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using testing::NaivePipeline;
using testing::NaivePlan;
using testing::NaiveRows;
using testing::Reading;

constexpr const char* kFile = "/data/input.ndjson";

struct Input {
  NaivePlan naive;
  governance::Contract contract = testing::ReadingContract();
  std::unique_ptr<Plan> plan;
  std::string text;
  std::uint64_t lines = 0, broken = 0;
};

std::unique_ptr<Input> MakeInput(std::uint64_t seed) {
  auto input = std::make_unique<Input>();
  input->naive = NaivePlan::Random(seed);
  DatasetPlan dataset;
  dataset.name = dataset.topic = "readings";
  dataset.contract = &input->contract;
  dataset.partitions = 8;  // the file is one partition all the same
  dataset.implies_partition = {"id"};
  dataset.watermark.on = "at";
  dataset.watermark.out_of_orderness = std::chrono::milliseconds(input->naive.out_of_orderness);
  dataset.watermark.ahead_max = std::chrono::milliseconds(1);
  auto plan = CompilePlan({.datasets = {dataset}, .references = {}, .pipelines = input->naive.Specs("readings")});
  if (!plan) {
    ADD_FAILURE() << plan.error().front().message;
    return nullptr;
  }
  input->plan = std::make_unique<Plan>(std::move(*plan));
  return input;
}

// Lines as they come from the world: broken ones, empty ones, either line end, and none at the very end.
NaivePipeline Fill(std::uint64_t seed, Input& input) {
  runtime::Random random(seed);
  NaivePipeline model(input.naive);
  for (const Reading& reading : testing::RandomReadings(seed, 600, 1)) {
    if (random.OneIn(30)) {
      input.text += "{\"location\":1,\"location\":2}\n";
      ++input.broken;
    }
    if (random.OneIn(30)) input.text += random.OneIn(2) ? "\n" : " \r\n";
    input.text += testing::ReadingLine(reading) + (random.OneIn(10) ? "\r\n" : "\n");
    model.Add(reading);
    ++input.lines;
  }
  input.lines += input.broken;
  input.text.pop_back();
  model.Finish();
  return model;
}

struct Outcome {
  std::string bytes;  // every row and its window, as they were handed out
  std::string dead_letters;
  NaiveRows rows;
  BoundedReport report;
};

Outcome RunOnce(const Input& input, const std::string& pipeline, std::size_t keys, int threads, std::size_t piece_bytes) {
  bus::testing::SimulatedLog log(1);
  Outcome outcome;
  EXPECT_TRUE(log.Open());
  EXPECT_TRUE(runtime::WriteFileAtomically(log.files, kFile, input.text));
  const ReferenceCatalog references;
  BoundedRun run;
  run.pipeline = pipeline;
  run.input_path = kFile;
  run.scratch = "/data";
  run.threads = threads;
  run.piece_bytes = piece_bytes;
  run.checkpoint_interval = std::chrono::milliseconds(piece_bytes % 3 == 0 ? 0 : 1000);
  // With a limit that is far away, whoever judges ahead has to ask all the same.
  StateMemory memory({.memory_max = 1U << 30});
  if (piece_bytes % 2 == 0) run.memory = &memory;
  testing::NewestRows newest(input.plan->pipelines[static_cast<std::size_t>(input.plan->Find(pipeline))].shape, keys);
  const auto sink = [&](const ResultHeader& header, const ResultShape& shape, const ColumnBatch& rows) -> Status {
    Status taken;
    ForEachGroup(shape, rows, [&](std::size_t begin, std::size_t end) {
      std::string record;
      EncodeResult(header, shape.schema, rows, begin, end, record);
      outcome.bytes += record;
      if (taken) taken = newest.Take(record);
    });
    return taken;
  };
  const Result<BoundedReport> report = RunBounded(log.runtime, *log.bus, *input.plan, references, run, sink);
  EXPECT_TRUE(report) << report.error().ToString();
  if (!report) return outcome;
  outcome.report = *report;
  outcome.rows = newest.rows();
  const auto reader = log.bus->OpenReader({Plan::DeadLetterTopic("counts"), Partition(0)}, Offset(0));
  for (auto batch = (*reader)->Next(); batch && *batch; batch = (*reader)->Next()) {
    for (std::string_view value : (*batch)->values) outcome.dead_letters += value;
  }
  return outcome;
}

class BoundedRunTest : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(BoundedRunTest, GivesTheSameBytesWhateverThreadsAndPieces) {
  const std::unique_ptr<Input> input = MakeInput(GetParam());
  ASSERT_NE(input, nullptr);
  const NaivePipeline model = Fill(GetParam(), *input);
  SCOPED_TRACE(input->naive.ToString());
  const Outcome counts = RunOnce(*input, "counts", input->naive.by.size() + 1, 1, 1 << 20);
  EXPECT_EQ(testing::DifferenceOf(model.Rows(), counts.rows), "");
  EXPECT_EQ(counts.report.events, input->lines);
  EXPECT_EQ(counts.report.results, model.Rows().size());
  EXPECT_EQ(counts.report.counters.of(Verdict::kCounted), model.counted);
  EXPECT_EQ(counts.report.counters.of(Verdict::kFiltered), model.filtered);
  EXPECT_EQ(counts.report.counters.of(Verdict::kDuplicate), model.duplicates);
  EXPECT_EQ(counts.report.counters.of(Verdict::kLate), model.late);
  EXPECT_EQ(counts.report.counters.of(Verdict::kMalformed), input->broken);
  EXPECT_EQ(counts.report.counters.of(Verdict::kFuture), 0U);
  const NaiveRows expected_over_all = testing::NaiveOverAll(input->naive, model.Rows());
  const Outcome over_all = RunOnce(*input, "over_all", input->naive.over_all.size(), 1, 1 << 20);
  EXPECT_EQ(testing::DifferenceOf(expected_over_all, over_all.rows), "");
  EXPECT_EQ(over_all.report.results, expected_over_all.size());
  const NaiveRows expected_by_location = testing::NaiveByLocation(input->naive, model.Rows());
  const Outcome by_location = RunOnce(*input, "by_location", 1, 1, 1 << 20);
  EXPECT_EQ(testing::DifferenceOf(expected_by_location, by_location.rows), "");
  EXPECT_EQ(by_location.report.results, expected_by_location.size());
  for (const int threads : {1, 2, 4}) {
    for (const std::size_t piece_bytes : {1, 7, 300, 1000, 30'000}) {
      SCOPED_TRACE(std::to_string(threads) + " threads, pieces of " + std::to_string(piece_bytes));
      const Outcome other = RunOnce(*input, "counts", input->naive.by.size() + 1, threads, piece_bytes);
      EXPECT_TRUE(other.bytes == counts.bytes);
      EXPECT_TRUE(other.dead_letters == counts.dead_letters);
      EXPECT_EQ(other.report.counters.verdicts, counts.report.counters.verdicts);
      EXPECT_EQ(other.report.events, counts.report.events);
    }
    EXPECT_TRUE(RunOnce(*input, "over_all", input->naive.over_all.size(), threads, 999).bytes == over_all.bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, BoundedRunTest, ::testing::Range<std::uint64_t>(101, 113));

}  // namespace
}  // namespace sightline::flow
