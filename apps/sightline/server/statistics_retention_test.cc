#include "apps/sightline/server/statistics_retention.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/sightline/testing/world.h"

namespace sightline::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::int64_t kDay = 86'400'000;

// A store that knows of each pipeline where its newest window ends.
class NewestWindows final : public stores::StatisticsStore {
 public:
  Status Ensure(const ResultShape&, std::uint64_t) override { return {}; }
  Status Activate(const std::string&, std::uint64_t) override { return {}; }
  Result<std::vector<stores::StatisticsTable>> Tables() override { return std::vector<stores::StatisticsTable>(); }
  Result<stores::Applied> Apply(const stores::ApplyRequest&) override { return stores::Applied(); }
  Result<std::vector<stores::ApplyRequest::Consumed>> Offsets(const std::string&, std::uint64_t, const std::string&) override {
    return std::vector<stores::ApplyRequest::Consumed>();
  }
  Result<std::vector<stores::TopItem>> Top(const stores::TopQuery&) override { return std::vector<stores::TopItem>(); }
  Result<std::vector<stores::HistoryPoint>> History(const stores::HistoryQuery&) override { return std::vector<stores::HistoryPoint>(); }
  Result<std::unique_ptr<stores::RowStream>> Select(const stores::RowQuery& query) override {
    const auto found = newest.find(query.pipeline);
    if (found == newest.end()) return Fail(ErrorKind::kNotFound, "there is no " + query.pipeline);
    return std::make_unique<OneRow>(found->second);
  }
  Result<std::uint64_t> DeleteBefore(const std::string& pipeline, EventTime end) override {
    deleted[pipeline] = end.value;
    return 3;
  }

  std::map<std::string, std::optional<std::int64_t>> newest;
  std::map<std::string, std::int64_t> deleted;

 private:
  class OneRow final : public stores::RowStream {
   public:
    explicit OneRow(std::optional<std::int64_t> value) : value_(value) { schema_.fields = {{.name = "window_end"}}; }
    const Schema& schema() const override { return schema_; }
    Result<bool> Next(ColumnBatch& into) override {
      into.Reset(schema_, 1);
      if (!value_) return false;
      into.rows = 1;
      into.columns[0].int64s[0] = *value_;
      value_.reset();
      return true;
    }
    const std::string& next_cursor() const override { return cursor_; }

   private:
    Schema schema_;
    std::optional<std::int64_t> value_;
    std::string cursor_;
  };
};

class StatisticsRetentionTest : public ::testing::Test {
 protected:
  void Add(const std::string& name, std::chrono::milliseconds keep, std::optional<std::int64_t> newest) {
    flow::PipelinePlan pipeline;
    pipeline.name = name;
    pipeline.to_statistics = true;
    pipeline.retain.statistics = keep;
    plan_.pipelines.push_back(std::move(pipeline));
    store_.newest[name] = newest;
  }
  TestClock clock_;
  flow::Plan plan_;
  NewestWindows store_;
  ops::Log log_{clock_, ops::LogLevel::kError, [](std::string_view) {}};
  StatisticsRetention retention_{store_, plan_, clock_, log_.For("retention")};
};

TEST_F(StatisticsRetentionTest, AgeIsCountedFromTheNewestWindowOrTheClock) {
  const std::int64_t now = clock_.Now().value;
  Add("old_file", std::chrono::days(10), 1'700'000'000'000);
  Add("far_ahead", std::chrono::days(10), now + 1000 * kDay);
  EXPECT_EQ(retention_.Apply().value_or(0), 6U);
  EXPECT_THAT(store_.deleted, ElementsAre(Pair("far_ahead", now - 10 * kDay), Pair("old_file", 1'700'000'000'000 - 10 * kDay)));
}

TEST_F(StatisticsRetentionTest, NothingIsRemovedForEverOrFromNothing) {
  Add("for_ever", std::chrono::milliseconds(0), 1'700'000'000'000);
  Add("empty", std::chrono::days(1), std::nullopt);
  EXPECT_EQ(retention_.Apply().value_or(99), 0U);
  EXPECT_THAT(store_.deleted, IsEmpty());
}

TEST_F(StatisticsRetentionTest, OnePipelineThatFailsDoesNotKeepTheOthers) {
  Add("gone", std::chrono::days(1), 0);
  store_.newest.erase("gone");
  Add("there", std::chrono::days(1), 1'700'000'000'000);
  EXPECT_EQ(retention_.Apply().error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(store_.deleted.size(), 1U);
}

TEST_F(StatisticsRetentionTest, StepsLookEveryFewMinutes) {
  Add("counts", std::chrono::days(1), 1'700'000'000'000);
  retention_.Step();
  EXPECT_EQ(store_.deleted.size(), 1U) << "soon after the start";
  store_.deleted.clear();
  clock_.ns += 60'000'000'000;
  retention_.Step();
  EXPECT_THAT(store_.deleted, IsEmpty());
  clock_.ns += 300'000'000'000;
  retention_.Step();
  EXPECT_EQ(store_.deleted.size(), 1U);
}

}  // namespace
}  // namespace sightline::app
