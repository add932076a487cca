#pragma once

#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sightline/stores/statistics/testing/conformance.h"

// What the parts of the conformance suite share.
namespace sightline::stores::testing {

inline constexpr std::int64_t kMinute = 60'000;
inline constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
inline constexpr char kPipeline[] = "top_items";
inline constexpr char kTopic[] = "results.top_items";

// A record to be; unlike it, it can be copied.
struct Group {
  std::int64_t start = 0;
  std::uint32_t revision = 0;
  std::vector<TestRow> rows{};
  bool emptied = false;
  Group(std::int64_t from, std::uint32_t number, std::vector<TestRow> list) : start(from), revision(number), rows(std::move(list)) {}
  ResultRecord Record() const { return emptied ? TestEmptied(start, revision, rows[0].oid) : TestRecord(start, revision, rows); }
};
inline Group Emptied(std::int64_t start, std::uint32_t revision, std::optional<std::int64_t> oid) {
  Group group(start, revision, {{oid, std::nullopt, "", std::nullopt}});
  group.emptied = true;
  return group;
}

// A row as queries give it, for comparisons.
struct Seen {
  std::int64_t window_start = 0;
  TestRow row;
  std::string state;
  std::int64_t revision = 0;
  friend bool operator==(const Seen&, const Seen&) = default;
  friend void PrintTo(const Seen& seen, std::ostream* out) {
    *out << seen.window_start << " " << (seen.row.oid ? std::to_string(*seen.row.oid) : "null") << " " << seen.row.item << " "
         << (seen.row.count ? std::to_string(*seen.row.count) : "null") << " " << seen.state << " r" << seen.revision;
  }
};

inline std::optional<std::int64_t> Int(const ColumnBatch& batch, std::size_t column, std::size_t row) {
  if (batch.columns[column].IsNull(row)) return std::nullopt;
  return batch.columns[column].int64s[row];
}

class Suite : public ::testing::Test {
 public:
  explicit Suite(StoreMaker maker, std::function<void(Suite&)> body) : maker_(std::move(maker)), body_(std::move(body)) {}
  void SetUp() override { Reopen(); }
  void TestBody() override { body_(*this); }

  void Reopen() {
    store.reset();
    auto opened = maker_(directory_.path());
    ASSERT_TRUE(opened) << opened.error().ToString();
    store = *std::move(opened);
  }
  void Ensure(std::uint64_t generation = 1, const std::string& pipeline = kPipeline) {
    const auto status = store->Ensure(TestShape(pipeline), generation);
    ASSERT_TRUE(status) << status.error().ToString();
  }
  // Applies records at offsets from `offset`, in one request.
  Result<Applied> Apply(std::int32_t partition, std::int64_t offset, const std::vector<Group>& records, std::uint64_t generation = 1,
                        const std::string& pipeline = kPipeline) {
    const ResultShape shape = TestShape(pipeline);
    ResultBatch batch(shape.schema);
    for (const Group& record : records) SL_TRY(batch.Add(Partition(partition), Offset(offset++), record.Record(), shape));
    return store->Apply({.pipeline = pipeline,
                         .generation = generation,
                         .topic = kTopic,
                         .results = &batch,
                         .consumed = {{Partition(partition), Offset(offset)}}});
  }
  Applied MustApply(std::int32_t partition, std::int64_t offset, const std::vector<Group>& records) {
    auto applied = Apply(partition, offset, records);
    EXPECT_TRUE(applied) << applied.error().ToString();
    return applied.value_or(Applied{});
  }
  std::vector<Seen> Select(RowQuery query, std::string* cursor = nullptr) {
    query.columns = {"window_start", "geographical_location_oid", "geographical_location", "item_name", "item_count", "state", "revision"};
    if (query.pipeline.empty()) query.pipeline = kPipeline;
    auto stream = store->Select(query);
    EXPECT_TRUE(stream) << stream.error().ToString();
    std::vector<Seen> rows;
    ColumnBatch batch;
    while (stream) {
      auto more = (*stream)->Next(batch);
      EXPECT_TRUE(more) << more.error().ToString();
      if (!more.value_or(false)) break;
      for (std::size_t i = 0; i < batch.rows; ++i) {
        Seen seen{
            .window_start = *Int(batch, 0, i),
            .row = {.oid = Int(batch, 1, i), .location = {}, .item = std::string(batch.columns[3].strings[i]), .count = Int(batch, 4, i)},
            .state = std::string(batch.columns[5].strings[i]),
            .revision = *Int(batch, 6, i)};
        if (!batch.columns[2].IsNull(i)) seen.row.location = std::string(batch.columns[2].strings[i]);
        rows.push_back(std::move(seen));
      }
    }
    if (cursor != nullptr && stream) *cursor = (*stream)->next_cursor();
    return rows;
  }
  std::vector<Seen> All() { return Select({}); }
  std::vector<std::pair<std::string, std::optional<std::int64_t>>> Top(TopQuery query) {
    query.pipeline = kPipeline;
    query.by = "item_name";
    query.sum = "item_count";
    auto items = store->Top(query);
    EXPECT_TRUE(items) << items.error().ToString();
    std::vector<std::pair<std::string, std::optional<std::int64_t>>> list;
    std::int64_t rank = 0;
    for (const TopItem& item : items.value_or(std::vector<TopItem>{})) {
      EXPECT_EQ(item.rank, ++rank);
      list.emplace_back(item.name.value_or("(null)"), item.sum);
    }
    return list;
  }
  std::int64_t StoredOffset(std::int32_t partition, std::uint64_t generation = 1) {
    auto offsets = store->Offsets(kPipeline, generation, kTopic);
    EXPECT_TRUE(offsets) << offsets.error().ToString();
    for (const auto& [known, next] : offsets.value_or(std::vector<ApplyRequest::Consumed>{})) {
      if (known.value == partition) return next.value;
    }
    return -1;
  }

  std::unique_ptr<StatisticsStore> store;

 private:
  StoreMaker maker_;
  std::function<void(Suite&)> body_;
  TestDirectory directory_;
};

inline Seen Final(std::int64_t start, TestRow row) { return {start, std::move(row), "final", 0}; }
inline Seen Corrected(std::int64_t start, TestRow row, std::int64_t revision) { return {start, std::move(row), "corrected", revision}; }
inline TestRow Row(std::int64_t oid, const std::string& item, std::int64_t count) { return {oid, "Bedok", item, count}; }

using Body = void (*)(Suite&);
using NamedTest = std::pair<const char*, Body>;
// The parts: what goes in, and what is asked.
std::span<const NamedTest> WritingTests();
std::span<const NamedTest> QueryTests();

}  // namespace sightline::stores::testing
