#include "apps/sightline/migration/results_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/sightline/testing/world.h"
#include "sightline/stores/statistics/embedded/duckdb_store.h"

namespace sightline::app {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kGeneration = 77;

ResultShape Shape() {
  ResultShape shape;
  shape.pipeline = "counts";
  shape.schema.fields = {{.name = "place", .type = FieldType::kInt64, .nullable = true},
                         {.name = "item", .type = FieldType::kString},
                         {.name = "share", .type = FieldType::kDouble, .nullable = true}};
  shape.group = {0};
  return shape;
}

struct Row {
  std::optional<std::int64_t> place;
  std::string item;
  std::optional<double> share;
};

class ResultsCopyTest : public ::testing::Test {
 protected:
  ResultsCopyTest() {
    plan_.name = "counts";
    plan_.shape = Shape();
    plan_.fingerprint = kGeneration;
    plan_.to_statistics = true;
    from_ = Open("from");
    to_ = Open("to");
    EXPECT_TRUE(from_->Ensure(plan_.shape, kGeneration));
  }
  std::unique_ptr<stores::StatisticsStore> Open(const std::string& name) {
    stores::DuckDbOptions options;
    options.directory = test_.directory + "/" + name;
    auto store = stores::OpenDuckDbStore(runtime_, options);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  // One group, as a sink brings it.
  void Put(std::int64_t window, std::uint32_t revision, const std::vector<Row>& rows) {
    ResultRecord record;
    record.header = {.generation = kGeneration,
                     .revision = revision,
                     .state = revision == 0 ? ResultState::kFinal : ResultState::kCorrected,
                     .window_start = EventTime(window),
                     .window_end = EventTime(window + 60'000),
                     .reference_version = 0};
    record.rows.Reset(plan_.shape.schema, rows.size());
    record.rows.rows = rows.size();
    auto& columns = record.rows.columns;
    columns[0].int64s.resize(rows.size());
    columns[1].strings.resize(rows.size());
    columns[2].doubles.resize(rows.size());
    columns[0].nulls.assign(rows.size(), 0);
    columns[2].nulls.assign(rows.size(), 0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      columns[0].int64s[i] = rows[i].place.value_or(0);
      columns[0].nulls[i] = rows[i].place ? 0 : 1;
      columns[1].strings[i] = rows[i].item;
      columns[2].doubles[i] = rows[i].share.value_or(0);
      columns[2].nulls[i] = rows[i].share ? 0 : 1;
    }
    stores::ResultBatch batch(plan_.shape.schema);
    ASSERT_TRUE(batch.Add(Partition(1), Offset(offset_), record, plan_.shape));
    ++offset_;
    const auto applied = from_->Apply({.pipeline = "counts",
                                       .generation = kGeneration,
                                       .topic = "results.counts",
                                       .results = &batch,
                                       .consumed = {{Partition(1), Offset(offset_)}}});
    ASSERT_TRUE(applied) << applied.error().message;
  }
  Status Copy(runtime::Failpoints& failpoints) {
    flow::OffsetMap map;
    for (std::int64_t i = 0; i < offset_; ++i) map.Add(Offset(i), Offset(2 * i));
    return ResultsCopy(context_, *from_, *to_, "id", failpoints).Copy(plan_, {{{"results.counts", Partition(1)}, map}});
  }
  Status Copy() { return Copy(failpoints_); }
  static RowsDigest Digest(stores::StatisticsStore& store) {
    const auto digest = DigestOf(store, "counts");
    EXPECT_TRUE(digest) << digest.error().message;
    return digest.value_or(RowsDigest());
  }

  TestWorld test_;
  Context context_{test_.world};
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{test_.clock, test_.files, failpoints_};
  flow::PipelinePlan plan_;
  std::unique_ptr<stores::StatisticsStore> from_, to_;
  std::int64_t offset_ = 0;
};

TEST_F(ResultsCopyTest, RowsComeWithTheirGroupsStatesAndRevisions) {
  Put(60'000, 0, {{1, "b", 0.5}, {1, "a", std::nullopt}});
  Put(60'000, 0, {{std::nullopt, "", 1.5}});
  Put(0, 0, {{2, "x", -0.0}});
  Put(0, 1, {{2, "y", 2.0}, {2, "x", 1.0}});
  Put(60'000, 0, {{3, "Äpfel", 1e300}});
  ASSERT_TRUE(Copy());
  EXPECT_EQ(Digest(*to_), Digest(*from_));
  EXPECT_EQ(Digest(*to_).rows, 6U);
  const auto offsets = to_->Offsets("counts", kGeneration, "results.counts");
  ASSERT_TRUE(offsets);
  ASSERT_EQ(offsets->size(), 1U);
  EXPECT_EQ(offsets->front().next, Offset(9)) << "behind the record at 2 * 4";
  // The same again changes nothing, and a correction replaces what came with the copy.
  ASSERT_TRUE(Copy());
  EXPECT_EQ(Digest(*to_), Digest(*from_));
}

TEST_F(ResultsCopyTest, ACallThatWasKilledGoesOnBehindWhatHasCome) {
  for (std::int64_t window = 0; window < 60; ++window) {
    std::vector<Row> rows;
    for (int i = 0; i < 500; ++i) rows.push_back({window % 7, "item-" + std::to_string(i), 0.25 * i});
    Put(window * 60'000, 0, rows);
  }
  runtime::Failpoints broken;
  ASSERT_TRUE(runtime::Failpoints::Parse("migrate.results.copied=error@2", broken));
  ASSERT_FALSE(Copy(broken));
  const std::uint64_t half = Digest(*to_).rows;
  EXPECT_GT(half, 0U);
  EXPECT_LT(half, 30'000U);
  ASSERT_TRUE(Copy());
  EXPECT_EQ(Digest(*to_), Digest(*from_));
  EXPECT_EQ(Digest(*to_).rows, 30'000U);
}

TEST_F(ResultsCopyTest, ADifferenceShowsInTheDigest) {
  Put(0, 0, {{1, "a", 1.0}});
  ASSERT_TRUE(Copy());
  Put(60'000, 0, {{1, "a", 1.0}});
  EXPECT_NE(Digest(*to_), Digest(*from_));
}

TEST_F(ResultsCopyTest, ResultsOfAnotherPlanAreNotTakenForThisOnes) {
  Put(0, 0, {{1, "a", 1.0}});
  plan_.fingerprint = 78;
  const Status copied = Copy();
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_THAT(copied.error().message, HasSubstr("counts"));
}

TEST_F(ResultsCopyTest, WhatWasNeverStoredNeedsNoCopy) {
  plan_.name = plan_.shape.pipeline = "others";
  EXPECT_TRUE(Copy());
  EXPECT_TRUE(to_->Tables()->empty());
}

}  // namespace
}  // namespace sightline::app
