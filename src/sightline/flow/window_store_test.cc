#include "sightline/flow/window_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>

#include "sightline/flow/testing/naive_pipeline.h"
#include "sightline/gate/decoder.h"
#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

using testing::Reading;

using Columns = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<Plan> MakePlan(const governance::Contract& contract, std::int64_t size, std::int64_t every,
                               const Columns& columns = {{"n", "count()"},
                                                         {"least", "min(note)"},
                                                         {"most", "max(note)"},
                                                         {"notes", "count_distinct(note)"},
                                                         {"amounts", "count_distinct(amount)"},
                                                         {"amount", "sum(amount)"}}) {
  DatasetPlan dataset;
  dataset.name = dataset.topic = "readings";
  dataset.contract = &contract;
  dataset.partitions = 1;
  dataset.partition_by = 0;
  dataset.watermark.on = "at";
  PipelineSpec spec;
  spec.name = "counts";
  spec.from = "readings";
  spec.steps.push_back({WindowStep{std::chrono::milliseconds(size), std::chrono::milliseconds(every), std::chrono::milliseconds(0)}, {}});
  spec.steps.push_back({AggregateStep{{"location", "item"}, columns}, {}});
  auto plan = CompilePlan({.datasets = {dataset}, .references = {}, .pipelines = {spec}});
  if (plan) return std::make_unique<Plan>(std::move(*plan));
  ADD_FAILURE() << plan.error().front().message;
  return nullptr;
}

void Print(const ColumnBatch& rows, std::string& out) {
  for (const Column& column : rows.columns) {
    for (std::size_t row = 0; row < rows.rows; ++row) {
      if (column.IsNull(static_cast<std::uint32_t>(row))) {
        out += "null ";
      } else if (column.type == FieldType::kString) {
        out += std::string(column.strings[row]) + " ";
      } else {
        out += std::to_string(column.type == FieldType::kDouble ? column.doubles[row] : static_cast<double>(column.int64s[row])) + " ";
      }
    }
    out += "\n";
  }
}

// What all windows hold that close in the course of the readings.
std::string Emitted(const Plan& plan, const governance::Contract& contract, std::uint64_t seed, bool compact, std::size_t& groups) {
  runtime::Random random(seed);
  WindowStore store(plan.pipelines[0]);
  gate::Decoder decoder(contract, {});
  gate::Decoded decoded;
  std::string out;
  for (std::int64_t round = 0; round < 30; ++round) {
    std::vector<std::string> lines;
    for (int i = 0; i < 60; ++i) {
      const auto number = static_cast<std::int64_t>(random.Below(15));
      Reading reading{.location = static_cast<std::int64_t>(random.Below(3)),
                      .id = 1,
                      .item = "item-" + std::to_string(round / 4 * 10 + number),
                      .note = {},
                      .amount = number,
                      .level = {},
                      .good = {},
                      .at = round * 500 + static_cast<std::int64_t>(random.Below(500))};
      if (!random.OneIn(5)) reading.note = "note-" + std::to_string(round * 5 + static_cast<std::int64_t>(random.Below(20)));
      lines.push_back(ReadingLine(reading));
    }
    const std::vector<std::string_view> values(lines.begin(), lines.end());
    decoder.DecodeRecords(bus::Encoding::kJson, values, decoded);
    std::vector<std::uint32_t> all;
    for (std::uint32_t row = 0; row < decoded.rows.rows; ++row) all.push_back(row);
    EXPECT_EQ(all.size(), lines.size());
    store.Add(decoded.rows, all, decoded.rows.columns[static_cast<std::size_t>(contract.event_time)].int64s);
    const std::int64_t watermark = round * 500;
    ColumnBatch rows;
    for (std::int64_t start = store.NextToEmit(watermark); start != WindowStore::kNone; start = store.NextToEmit(watermark)) {
      store.Emit(start, rows);
      store.MarkEmitted(start);
      out += std::to_string(start) + "\n";
      Print(rows, out);
    }
    store.Advance(watermark);
    if (compact) store.Compact();
  }
  groups = store.groups().size();
  return out;
}

TEST(WindowStore, ForgettingGroupsAndTextsThatNoWindowNeedsChangesNoResult) {
  const governance::Contract contract = testing::ReadingContract();
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    const auto plan = MakePlan(contract, seed % 2 == 0 ? 3000 : 1000, 1000);
    ASSERT_NE(plan, nullptr);
    std::size_t kept = 0, compacted = 0;
    const std::string plain = Emitted(*plan, contract, seed, false, kept);
    EXPECT_TRUE(Emitted(*plan, contract, seed, true, compacted) == plain);
    EXPECT_GT(std::count(plain.begin(), plain.end(), '\n'), 100);
    EXPECT_LT(compacted, kept);
  }
}

// More groups than are left in their order of arrival, and windows that overlap: each is what a map of its records says, through
// disorder, snapshots and forgotten groups.
TEST(WindowStore, OverlappingWindowsOfManyGroupsAreSumsOfTheirRecords) {
  const governance::Contract contract = testing::ReadingContract();
  const auto plan = MakePlan(contract, 6000, 1000, {{"n", "count()"}, {"amount", "sum(amount)"}});
  ASSERT_NE(plan, nullptr);
  runtime::Random random(7);
  auto store = std::make_unique<WindowStore>(plan->pipelines[0]);
  gate::Decoder decoder(contract, {});
  gate::Decoded decoded;
  using Group = std::pair<std::int64_t, std::string>;
  std::map<std::int64_t, std::map<Group, std::pair<std::int64_t, std::int64_t>>> wanted;
  std::size_t windows = 0;
  for (std::int64_t round = 6; round < 40; ++round) {
    std::vector<std::string> lines;
    for (int i = 0; i < 2000; ++i) {
      const auto amount = static_cast<std::int64_t>(random.Below(9));
      Reading reading;
      reading.location = static_cast<std::int64_t>(random.Below(50)) - 25;
      reading.id = 1;
      reading.item = "item-" + std::to_string(random.Below(100) + static_cast<std::uint64_t>(round) * 3);
      reading.amount = amount;
      reading.at = round * 1000 - static_cast<std::int64_t>(random.Below(3000));
      for (std::int64_t start = store->FirstWindowOf(reading.at); start <= store->LastWindowOf(reading.at); start += 1000) {
        auto& [count, sum] = wanted[start][{reading.location, reading.item}];
        ++count;
        sum += amount;
      }
      lines.push_back(ReadingLine(reading));
    }
    const std::vector<std::string_view> values(lines.begin(), lines.end());
    decoder.DecodeRecords(bus::Encoding::kJson, values, decoded);
    std::vector<std::uint32_t> all(decoded.rows.rows);
    std::iota(all.begin(), all.end(), 0U);
    ASSERT_EQ(all.size(), lines.size());
    store->Add(decoded.rows, all, decoded.rows.columns[static_cast<std::size_t>(contract.event_time)].int64s);
    const std::int64_t watermark = round * 1000 - 3000;
    ColumnBatch rows;
    for (std::int64_t start = store->NextToEmit(watermark); start != WindowStore::kNone; start = store->NextToEmit(watermark)) {
      store->Emit(start, rows);
      store->MarkEmitted(start);
      ASSERT_EQ(rows.rows, wanted[start].size()) << start;
      std::size_t row = 0;
      for (const auto& [group, values_of] : wanted[start]) {
        ASSERT_EQ(rows.columns[0].int64s[row], group.first) << start << " row " << row;
        ASSERT_EQ(rows.columns[1].strings[row], group.second) << start << " row " << row;
        ASSERT_EQ(rows.columns[2].int64s[row], values_of.first) << start << " row " << row;
        ASSERT_EQ(rows.columns[3].int64s[row], values_of.second) << start << " row " << row;
        ++row;
      }
      ++windows;
    }
    store->Advance(watermark);
    if (random.OneIn(8)) store->Compact();
    if (!random.OneIn(5)) continue;
    std::string bytes;
    ByteWriter writer(bytes);
    store->Save(writer);
    store = std::make_unique<WindowStore>(plan->pipelines[0]);
    ByteReader reader(bytes);
    ASSERT_TRUE(store->Load(reader));
  }
  EXPECT_GT(windows, 20U);
  EXPECT_GT(store->groups().size(), 2000U);
}

}  // namespace
}  // namespace sightline::flow
