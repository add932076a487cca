#include "sightline/stores/statistics/testing/conformance.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <thread>
#include <tuple>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sightline::stores::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::int64_t kMinute = 60'000;
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr char kPipeline[] = "top_items";
constexpr char kTopic[] = "results.top_items";

// A record to be; unlike it, it can be copied.
struct Group {
  std::int64_t start = 0;
  std::uint32_t revision = 0;
  std::vector<TestRow> rows{};
  bool emptied = false;
  Group(std::int64_t from, std::uint32_t number, std::vector<TestRow> list) : start(from), revision(number), rows(std::move(list)) {}
  ResultRecord Record() const { return emptied ? TestEmptied(start, revision, rows[0].oid) : TestRecord(start, revision, rows); }
};
Group Emptied(std::int64_t start, std::uint32_t revision, std::optional<std::int64_t> oid) {
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

std::optional<std::int64_t> Int(const ColumnBatch& batch, std::size_t column, std::size_t row) {
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

Seen Final(std::int64_t start, TestRow row) { return {start, std::move(row), "final", 0}; }
Seen Corrected(std::int64_t start, TestRow row, std::int64_t revision) { return {start, std::move(row), "corrected", revision}; }
TestRow Row(std::int64_t oid, const std::string& item, std::int64_t count) { return {oid, "Bedok", item, count}; }

// --- exactly once ---

void RepeatedDeliveryIsTakenOnce(Suite& t) {
  t.Ensure();
  const auto first = Group(0, 0, {Row(1, "person", 3)});
  const auto second = Group(0, 0, {Row(2, "person", 4)});
  EXPECT_EQ(t.MustApply(0, 10, {first}).rows, 1u);
  EXPECT_EQ(t.StoredOffset(0), 11);
  // The same again, overlapping with something new: a reader that went back a little.
  const Applied applied = t.MustApply(0, 10, {first, second});
  EXPECT_EQ(applied.rows, 1u);
  EXPECT_EQ(applied.repeated, 1u);
  EXPECT_EQ(t.MustApply(0, 10, {first, second}).repeated, 2u);
  EXPECT_THAT(t.All(), ElementsAre(Final(0, Row(1, "person", 3)), Final(0, Row(2, "person", 4))));
  EXPECT_EQ(t.StoredOffset(0), 12);
}

void PartitionsHaveOffsetsOfTheirOwn(Suite& t) {
  t.Ensure();
  t.MustApply(0, 100, {Group(0, 0, {Row(1, "a", 1)})});
  t.MustApply(1, 5, {Group(0, 0, {Row(2, "a", 1)})});
  EXPECT_EQ(t.StoredOffset(0), 101);
  EXPECT_EQ(t.StoredOffset(1), 6);
  EXPECT_EQ(t.StoredOffset(2), -1);
  EXPECT_THAT(t.All(), SizeIs(2));
}

void PositionsMoveWithoutRowsAndNeverBack(Suite& t) {
  t.Ensure();
  const ResultBatch none(TestShape(kPipeline).schema);
  const auto move = [&](std::int64_t next) {
    const auto applied = t.store->Apply(
        {.pipeline = kPipeline, .generation = 1, .topic = kTopic, .results = &none, .consumed = {{Partition(0), Offset(next)}}});
    EXPECT_TRUE(applied) << applied.error().ToString();
  };
  move(50);
  EXPECT_EQ(t.StoredOffset(0), 50);
  move(40);
  EXPECT_EQ(t.StoredOffset(0), 50);
  t.Reopen();
  EXPECT_EQ(t.StoredOffset(0), 50);
}

void ReopenedStoreContinues(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0, {Group(0, 0, {Row(1, "a", 1)}), Group(0, 1, {Row(1, "a", 2)})});
  t.Reopen();
  EXPECT_EQ(t.StoredOffset(0), 2);
  t.Ensure();
  EXPECT_EQ(t.MustApply(0, 0, {Group(0, 0, {Row(1, "a", 1)}), Group(0, 1, {Row(1, "a", 2)})}).repeated, 2u);
  // What was corrected is remembered too.
  EXPECT_EQ(t.MustApply(0, 2, {Group(0, 1, {Row(1, "a", 9)})}).outdated, 1u);
  EXPECT_EQ(t.MustApply(0, 3, {Group(0, 0, {Row(1, "a", 9)})}).outdated, 1u);
  EXPECT_THAT(t.All(), ElementsAre(Corrected(0, Row(1, "a", 2), 1)));
}

void ARefusedRequestLeavesNothing(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0, {Group(0, 0, {Row(1, "a", 1)})});
  const ResultShape shape = TestShape(kPipeline);
  ResultBatch batch(shape.schema);
  ASSERT_TRUE(batch.Add(Partition(0), Offset(1), TestRecord(0, 0, {Row(2, "a", 1)}), shape));
  const auto beyond =
      t.store->Apply({.pipeline = kPipeline, .generation = 1, .topic = kTopic, .results = &batch, .consumed = {{Partition(0), Offset(1)}}});
  EXPECT_EQ(beyond.error().kind, ErrorKind::kInvalidArgument);
  const auto unknown = t.Apply(0, 1, {Group(0, 0, {Row(2, "a", 1)})}, 77);
  EXPECT_EQ(unknown.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(t.All(), SizeIs(1));
  EXPECT_EQ(t.StoredOffset(0), 1);
}

// --- corrections ---

void ACorrectionReplacesItsGroup(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0, {Group(0, 0, {Row(1, "a", 5), Row(1, "b", 3)}), Group(0, 0, {Row(2, "a", 7)}), Group(kMinute, 0, {Row(1, "a", 8)})});
  const Applied applied = t.MustApply(0, 3, {Group(0, 1, {Row(1, "b", 6), Row(1, "a", 5), Row(1, "c", 1)})});
  EXPECT_EQ(applied.rows, 3u);
  EXPECT_THAT(t.All(), ElementsAre(Corrected(0, Row(1, "b", 6), 1), Corrected(0, Row(1, "a", 5), 1), Corrected(0, Row(1, "c", 1), 1),
                                   Final(0, Row(2, "a", 7)), Final(kMinute, Row(1, "a", 8))));
  t.MustApply(0, 4, {Group(0, 4, {Row(1, "z", 1)})});
  // Lower and equal revisions come too late.
  EXPECT_EQ(t.MustApply(0, 5, {Group(0, 3, {Row(1, "y", 1)}), Group(0, 4, {Row(1, "x", 1)})}).outdated, 1u)
      << "of two records of one group the higher revision alone is looked at";
  EXPECT_THAT(t.All(), ElementsAre(Corrected(0, Row(1, "z", 1), 4), Final(0, Row(2, "a", 7)), Final(kMinute, Row(1, "a", 8))));
}

void CorrectionsWithinOneRequest(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0,
              {Group(0, 0, {Row(1, "a", 1)}), Group(0, 0, {Row(2, "a", 1)}), Group(0, 1, {Row(1, "a", 2)}), Group(0, 2, {Row(1, "a", 3)}),
               Group(0, 2, {Row(1, "a", 4)})});
  EXPECT_THAT(t.All(), ElementsAre(Corrected(0, Row(1, "a", 3), 2), Final(0, Row(2, "a", 1))));
}

void NullIsAKeyOfItsOwn(Suite& t) {
  t.Ensure();
  const TestRow unknown{std::nullopt, std::nullopt, "a", 1};
  const TestRow corrected{std::nullopt, std::nullopt, "a", 2};
  t.MustApply(0, 0, {Group(0, 0, {unknown}), Group(0, 0, {Row(0, "a", 9)})});
  t.MustApply(0, 2, {Group(0, 1, {corrected})});
  EXPECT_EQ(t.MustApply(0, 3, {Group(0, 1, {corrected})}).outdated, 1u);
  EXPECT_THAT(t.All(), ElementsAre(Corrected(0, corrected, 1), Final(0, Row(0, "a", 9))));
}

void AnEmptyWindowIsRemembered(Suite& t) {
  ResultShape shape = TestShape("overall");
  shape.group.clear();
  ASSERT_TRUE(t.store->Ensure(shape, 1));
  const auto apply = [&](std::int64_t offset, std::uint32_t revision, const std::vector<TestRow>& rows) {
    ResultBatch batch(shape.schema);
    EXPECT_TRUE(batch.Add(Partition(0), Offset(offset), TestRecord(0, revision, rows), shape));
    const auto applied = t.store->Apply(
        {.pipeline = "overall", .generation = 1, .topic = kTopic, .results = &batch, .consumed = {{Partition(0), Offset(offset + 1)}}});
    EXPECT_TRUE(applied) << applied.error().ToString();
    return applied.value_or(Applied{});
  };
  apply(0, 0, {Row(1, "a", 1)});
  apply(1, 2, {});
  EXPECT_THAT(t.Select({.pipeline = "overall"}), IsEmpty());
  EXPECT_EQ(apply(2, 1, {Row(1, "a", 1)}).outdated, 1u);
  EXPECT_THAT(t.Select({.pipeline = "overall"}), IsEmpty());
  apply(3, 3, {Row(1, "b", 1)});
  EXPECT_THAT(t.Select({.pipeline = "overall"}), ElementsAre(Corrected(0, Row(1, "b", 1), 3)));
}

void AnEmptiedGroupHasNoRows(Suite& t) {
  t.Ensure();
  const TestRow unknown{std::nullopt, std::nullopt, "a", 1};
  t.MustApply(0, 0,
              {Group(0, 0, {Row(1, "a", 5), Row(1, "b", 3)}), Group(0, 0, {Row(2, "a", 7)}), Group(0, 0, {unknown}),
               Group(kMinute, 0, {Row(1, "a", 8)})});
  const Applied applied = t.MustApply(0, 4, {Emptied(0, 1, 1), Emptied(0, 1, std::nullopt)});
  EXPECT_EQ(applied.groups, 2u);
  EXPECT_EQ(applied.rows, 0u);
  EXPECT_THAT(t.All(), ElementsAre(Final(0, Row(2, "a", 7)), Final(kMinute, Row(1, "a", 8))));
  EXPECT_THAT(t.Top({}), ElementsAre(std::pair<std::string, std::optional<std::int64_t>>("a", 15)));
  t.Reopen();
  EXPECT_THAT(t.All(), SizeIs(2));
  // What came before it comes too late, and a later correction has rows again.
  EXPECT_EQ(t.MustApply(0, 6, {Group(0, 1, {Row(1, "z", 1)})}).outdated, 1u);
  EXPECT_EQ(t.MustApply(0, 4, {Emptied(0, 1, 1)}).repeated, 1u);
  t.MustApply(0, 7, {Group(0, 2, {Row(1, "c", 2)})});
  EXPECT_THAT(t.All(), ElementsAre(Corrected(0, Row(1, "c", 2), 2), Final(0, Row(2, "a", 7)), Final(kMinute, Row(1, "a", 8))));
}

void AGroupEmptiedWithinOneRequest(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0,
              {Group(0, 0, {Row(1, "a", 1)}), Emptied(0, 1, 1), Emptied(0, 1, 2), Group(0, 0, {Row(3, "a", 1)}), Emptied(0, 1, 3),
               Group(0, 2, {Row(3, "a", 2)})});
  EXPECT_THAT(t.All(), ElementsAre(Corrected(0, Row(3, "a", 2), 2)));
  // That which never had rows is remembered by its revision, too.
  EXPECT_EQ(t.MustApply(0, 6, {Group(0, 1, {Row(2, "a", 1)})}).outdated, 1u);
  EXPECT_THAT(t.All(), SizeIs(1));
}

void AGroupWithoutKeyIsRefused(Suite&) {
  const ResultShape shape = TestShape(kPipeline);
  ResultBatch batch(shape.schema);
  const auto status = batch.Add(Partition(3), Offset(14), TestRecord(0, 1, {}), shape);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kInvalidArgument);
  EXPECT_THAT(status.error().message, HasSubstr("offset 14 of partition 3"));
}

// --- queries ---

void RowsComeInOrder(Suite& t) {
  t.Ensure();
  t.MustApply(
      0, 0,
      {Group(kMinute, 0, {Row(10, "b", 2), Row(10, "a", 1)}), Group(kMinute, 0, {Row(9, "c", 1)}), Group(-kMinute, 0, {Row(11, "d", 1)})});
  EXPECT_THAT(t.All(), ElementsAre(Final(-kMinute, Row(11, "d", 1)), Final(kMinute, Row(9, "c", 1)), Final(kMinute, Row(10, "b", 2)),
                                   Final(kMinute, Row(10, "a", 1))));
  EXPECT_THAT(t.Select({.order = RowQuery::Order::kDescending}),
              ElementsAre(Final(kMinute, Row(9, "c", 1)), Final(kMinute, Row(10, "b", 2)), Final(kMinute, Row(10, "a", 1)),
                          Final(-kMinute, Row(11, "d", 1))));
}

void FiltersHoldTogether(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0,
              {Group(0, 0, {Row(1, "a", 1), Row(1, "b", 2)}), Group(0, 0, {Row(2, "a", 3)}), Group(kMinute, 0, {Row(1, "a", 4)}),
               Group(kMinute, 0, {{std::nullopt, std::nullopt, "a", 5}})});
  t.MustApply(0, 4, {Group(0, 1, {Row(2, "a", 6)})});
  const auto counts = [&](std::vector<ColumnFilter> filters, TimeRange range = {}) {
    std::vector<std::int64_t> list;
    for (const Seen& seen : t.Select({.filters = std::move(filters), .range = range})) list.push_back(seen.row.count.value_or(-1));
    return list;
  };
  const ColumnFilter one{"geographical_location_oid", {std::int64_t{1}}};
  EXPECT_THAT(counts({one}), ElementsAre(1, 2, 4));
  EXPECT_THAT(counts({one, {"item_name", {std::string("a")}}}), ElementsAre(1, 4));
  EXPECT_THAT(counts({{"geographical_location_oid", {std::int64_t{2}, Value()}}}), ElementsAre(6, 5));
  EXPECT_THAT(counts({{"geographical_location", {Value()}}}), ElementsAre(5));
  EXPECT_THAT(counts({{"geographical_location_oid", {}}}), IsEmpty());
  EXPECT_THAT(counts({{"state", {std::string("corrected")}}}), ElementsAre(6));
  EXPECT_THAT(counts({{"revision", {std::int64_t{1}}}}), ElementsAre(6));
  EXPECT_THAT(counts({}, {EventTime(0), EventTime(kMinute)}), ElementsAre(1, 2, 6));
  EXPECT_THAT(counts({}, {EventTime(1), EventTime(kMinute)}), IsEmpty());
  EXPECT_THAT(counts({}, {EventTime(kMinute), EventTime(kMax)}), ElementsAre(5, 4));
}

void MistakesInQueriesAreNamed(Suite& t) {
  t.Ensure();
  const auto error = [&](const RowQuery& query) {
    const auto stream = t.store->Select(query);
    EXPECT_FALSE(stream);
    return stream ? Error{} : stream.error();
  };
  EXPECT_EQ(error({.pipeline = "top_item"}).kind, ErrorKind::kNotFound);
  EXPECT_THAT(error({.pipeline = "top_item"}).message, HasSubstr("did you mean top_items?"));
  const Error column = error({.pipeline = kPipeline, .filters = {{"item_nam", {std::string("a")}}}});
  EXPECT_EQ(column.kind, ErrorKind::kInvalidArgument);
  EXPECT_THAT(column.message, HasSubstr("did you mean item_name?"));
  EXPECT_EQ(error({.pipeline = kPipeline, .filters = {{"item_name", {std::int64_t{1}}}}}).kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(error({.pipeline = kPipeline, .columns = {"nothing"}}).kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(error({.pipeline = kPipeline, .cursor = "abc"}).kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(error({.pipeline = kPipeline, .order = RowQuery::Order::kNone, .limit = 1}).kind, ErrorKind::kInvalidArgument);
  // A name that would be SQL is a name.
  EXPECT_EQ(error({.pipeline = kPipeline, .columns = {"1); DROP TABLE x; --"}}).kind, ErrorKind::kInvalidArgument);
}

// Four windows of 11 rows: a group of two rows without key, three groups of three.
std::int64_t FillPages(Suite& t) {
  std::vector<Group> records;
  for (std::int64_t window = 0; window < 4; ++window) {
    records.push_back(Group(window * kMinute, 0, {{std::nullopt, std::nullopt, "n", window}, {std::nullopt, std::nullopt, "m", window}}));
    for (std::int64_t oid = 2; oid > -1; --oid) {
      records.push_back(Group(window * kMinute, 0, {Row(oid, "z", 1), Row(oid, "y", 2), Row(oid, "x", 2)}));
    }
  }
  t.MustApply(0, 0, records);
  return static_cast<std::int64_t>(records.size());
}

void PagesOfEverySizeGiveTheWhole(Suite& t) {
  t.Ensure();
  FillPages(t);
  for (const auto order : {RowQuery::Order::kAscending, RowQuery::Order::kDescending}) {
    const std::vector<Seen> whole = t.Select({.order = order});
    ASSERT_THAT(whole, SizeIs(44));
    for (const std::uint64_t limit : {1, 2, 3, 7, 43, 44, 45}) {
      std::vector<Seen> paged;
      std::string cursor;
      do {
        const auto page = t.Select({.order = order, .limit = limit, .cursor = cursor}, &cursor);
        EXPECT_LE(page.size(), limit);
        paged.insert(paged.end(), page.begin(), page.end());
      } while (!cursor.empty() && paged.size() <= whole.size());
      EXPECT_EQ(paged, whole) << "limit " << limit;
    }
  }
}

// Rows that come and go at places which a reader of pages has passed move nothing of what it has still to see.
void PagesAreStableWhileRowsChange(Suite& t) {
  t.Ensure();
  std::int64_t offset = FillPages(t);
  const std::vector<Seen> whole = t.Select({});
  std::vector<Seen> paged;
  std::string cursor;
  do {
    const auto page = t.Select({.limit = 5, .cursor = cursor}, &cursor);
    paged.insert(paged.end(), page.begin(), page.end());
    const auto revision = static_cast<std::uint32_t>(offset);
    t.MustApply(0, offset, {Group(-kMinute, revision, std::vector<TestRow>(revision % 3 + 1, Row(1, "passed", offset)))});
    ++offset;
  } while (!cursor.empty() && paged.size() <= whole.size());
  EXPECT_EQ(paged, whole);
}

void ACursorIsForItsQueryAlone(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0, {Group(0, 0, {Row(1, "a", 1), Row(1, "b", 1), Row(1, "c", 1)})});
  std::string cursor;
  EXPECT_THAT(t.Select({.limit = 2}, &cursor), SizeIs(2));
  ASSERT_FALSE(cursor.empty());
  const auto kind = [&](const RowQuery& query) {
    const auto stream = t.store->Select(query);
    return stream ? ErrorKind::kInternal : stream.error().kind;
  };
  EXPECT_EQ(kind({.pipeline = kPipeline, .order = RowQuery::Order::kDescending, .limit = 2, .cursor = cursor}),
            ErrorKind::kInvalidArgument);
  std::string changed = cursor;
  changed[8] = changed[8] == '0' ? '1' : '0';
  EXPECT_EQ(kind({.pipeline = kPipeline, .limit = 2, .cursor = changed}), ErrorKind::kInvalidArgument);
  t.Ensure(2);
  ASSERT_TRUE(t.store->Activate(kPipeline, 2));
  EXPECT_EQ(kind({.pipeline = kPipeline, .limit = 2, .cursor = cursor}), ErrorKind::kInvalidArgument);
  std::string last = "x";
  EXPECT_THAT(t.Select({.limit = 3}, &last), IsEmpty());
  EXPECT_THAT(last, IsEmpty());
}

// --- top and history ---

void TopSumsThenRanks(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0,
              {Group(0, 0, {Row(1, "b", 5), Row(1, "a", 4)}), Group(kMinute, 0, {Row(1, "a", 2), Row(1, "c", 5)}),
               Group(kMinute, 0, {Row(2, "d", 100)}), Group(2 * kMinute, 0, {Row(1, "b", 50)})});
  const TimeRange two{EventTime(0), EventTime(2 * kMinute)};
  using Pair = std::pair<std::string, std::optional<std::int64_t>>;
  EXPECT_THAT(t.Top({.filters = {{"geographical_location_oid", {std::int64_t{1}}}}, .range = two, .top = 10}),
              ElementsAre(Pair("a", 6), Pair("b", 5), Pair("c", 5)));
  EXPECT_THAT(t.Top({.range = two, .top = 2}), ElementsAre(Pair("d", 100), Pair("a", 6)));
  EXPECT_THAT(t.Top({.range = {EventTime(5 * kMinute), EventTime(kMax)}}), IsEmpty());
}

// UTF-8 in byte order is the order of code points: upper before lower case, accents after z, no normalisation, astral planes last.
void TiesAreInByteOrder(Suite& t) {
  t.Ensure();
  std::vector<std::string> names = {
      "", "A", "Z", "a", "ab", "a\xCC\x80", "z", "\xC3\xA0", "\xD0\x96", "\xE4\xBA\xBA", "\xEF\xBC\xA1", "\xF0\x9F\x9A\x97"};
  std::vector<TestRow> rows;
  for (auto name = names.rbegin(); name != names.rend(); ++name) rows.push_back(Row(1, *name, 7));
  t.MustApply(0, 0, {Group(0, 0, rows)});
  std::vector<std::string> ranked;
  for (const auto& [name, sum] : t.Top({.top = 100})) ranked.push_back(name);
  EXPECT_EQ(ranked, names);
}

void SumsBeyondInt64AreNullAndRankedTruly(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0,
              {Group(0, 0, {Row(1, "huge", kMax), Row(1, "max", kMax), Row(1, "min", kMin), Row(1, "low", kMin)}),
               Group(kMinute, 0, {Row(1, "huge", 1), Row(1, "low", -1)})});
  using Pair = std::pair<std::string, std::optional<std::int64_t>>;
  EXPECT_THAT(t.Top({}), ElementsAre(Pair("huge", std::nullopt), Pair("max", kMax), Pair("min", kMin), Pair("low", std::nullopt)));
}

void EdgesOf64Bits(Suite& t) {
  t.Ensure(std::numeric_limits<std::uint64_t>::max());
  const std::uint64_t generation = std::numeric_limits<std::uint64_t>::max();
  const auto applied = t.Apply(0, 0,
                               {Group(0, 0, {{kMin, "x", "a", kMax}}), Group(0, 0, {{-1, "x", "a", 0}}),
                                Group(0, 0, {{kMax, "x", "a", kMin}}), Group(kEventTimeMin.value, 0, {{9007199254740993, "x", "a", 1}})},
                               generation);
  ASSERT_TRUE(applied) << applied.error().ToString();
  t.Reopen();
  const auto tables = t.store->Tables();
  ASSERT_TRUE(tables);
  EXPECT_EQ(tables->at(0).generation, generation);
  EXPECT_TRUE(tables->at(0).active);
  EXPECT_EQ(tables->at(0).shape.schema, TestShape(kPipeline).schema);
  EXPECT_EQ(tables->at(0).shape.group, TestShape(kPipeline).group);
  EXPECT_THAT(t.All(), ElementsAre(Final(kEventTimeMin.value, {9007199254740993, "x", "a", 1}), Final(0, {kMin, "x", "a", kMax}),
                                   Final(0, {-1, "x", "a", 0}), Final(0, {kMax, "x", "a", kMin})));
  EXPECT_THAT(t.Select({.filters = {{"geographical_location_oid", {kMax}}}}), SizeIs(1));
}

void HistorySumsBuckets(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0,
              {Group(-kMinute, 0, {Row(1, "a", 1)}), Group(0, 0, {Row(1, "a", 2), Row(1, "b", 3)}), Group(kMinute, 0, {Row(1, "a", 4)}),
               Group(kMinute, 0, {Row(2, "a", 100)}), Group(4 * kMinute, 0, {Row(1, "a", 5)})});
  const auto points = t.store->History({.pipeline = kPipeline,
                                        .filters = {{"geographical_location_oid", {std::int64_t{1}}}},
                                        .range = {},
                                        .bucket = std::chrono::minutes(2),
                                        .sum = "item_count"});
  ASSERT_TRUE(points) << points.error().ToString();
  std::vector<std::pair<std::int64_t, std::int64_t>> seen;
  for (const HistoryPoint& point : *points) seen.emplace_back(point.start.value, point.sum.value_or(-1));
  EXPECT_THAT(seen, ElementsAre(std::pair(-2 * kMinute, 1), std::pair(0, 9), std::pair(4 * kMinute, 5)));
}

// --- generations, retention, names ---

void AGenerationTakesOver(Suite& t) {
  t.Ensure(1);
  t.MustApply(0, 0, {Group(0, 0, {Row(1, "old", 1)})});
  t.Ensure(2);
  ASSERT_TRUE(t.Apply(0, 0, {Group(0, 0, {Row(1, "new", 1)})}, 2));
  EXPECT_THAT(t.All(), ElementsAre(Final(0, Row(1, "old", 1)))) << "the former is shown until the new one has caught up";
  ASSERT_TRUE(t.store->Activate(kPipeline, 2));
  EXPECT_THAT(t.All(), ElementsAre(Final(0, Row(1, "new", 1))));
  t.Reopen();
  EXPECT_THAT(t.All(), ElementsAre(Final(0, Row(1, "new", 1))));
  EXPECT_EQ(t.store->Tables()->size(), 1u);
  EXPECT_EQ(t.Apply(0, 1, {Group(0, 0, {Row(1, "old", 1)})}, 1).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(t.store->Activate(kPipeline, 9).error().kind, ErrorKind::kNotFound);
}

void AShapeIsFixedForAGeneration(Suite& t) {
  t.Ensure(1);
  ResultShape other = TestShape(kPipeline);
  other.schema.fields[3].name = "total";
  EXPECT_EQ(t.store->Ensure(other, 1).error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_TRUE(t.store->Ensure(other, 2));
  for (const std::string reserved : {"state", "Revision", "window_start", "ITEM_NAME"}) {
    ResultShape bad = TestShape("bad");
    bad.schema.fields[3].name = reserved;
    const auto status = t.store->Ensure(bad, 1);
    ASSERT_FALSE(status) << reserved;
    EXPECT_EQ(status.error().kind, ErrorKind::kInvalidArgument);
    EXPECT_THAT(status.error().message, HasSubstr(reserved));
  }
}

void RetentionRemovesOldWindows(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0,
              {Group(0, 0, {Row(1, "a", 1), Row(1, "b", 1)}), Group(0, 1, {Row(1, "a", 2)}), Group(kMinute, 0, {Row(1, "a", 3)}),
               Group(2 * kMinute, 0, {Row(1, "a", 4)})});
  EXPECT_EQ(t.store->DeleteBefore(kPipeline, EventTime(2 * kMinute)).value_or(99), 2u);
  EXPECT_THAT(t.All(), ElementsAre(Final(2 * kMinute, Row(1, "a", 4))));
  EXPECT_EQ(t.StoredOffset(0), 4);
  EXPECT_EQ(t.store->DeleteBefore("nothing", EventTime(0)).error().kind, ErrorKind::kNotFound);
}

void NamesAreTakenAsTheyAre(Suite& t) {
  const std::string odd = "select \"a\"; -- \xE4\xBA\xBA 'x'";
  ResultShape shape = TestShape(odd);
  shape.schema.fields[2].name = "order by \"1\" '; --";
  ASSERT_TRUE(t.store->Ensure(shape, 1)) << t.store->Ensure(shape, 1).error().ToString();
  ResultBatch batch(shape.schema);
  const std::string text = "quote ' double \" back \\ newline \n percent % \xF0\x9F\x9A\x97";
  ASSERT_TRUE(batch.Add(Partition(0), Offset(0), TestRecord(0, 0, {Row(1, text, 1)}), shape));
  const auto applied = t.store->Apply(
      {.pipeline = odd, .generation = 1, .topic = "results.'odd", .results = &batch, .consumed = {{Partition(0), Offset(1)}}});
  ASSERT_TRUE(applied) << applied.error().ToString();
  t.Reopen();
  auto stream = t.store->Select({.pipeline = odd, .columns = {}, .filters = {{shape.schema.fields[2].name, {text}}}});
  ASSERT_TRUE(stream) << stream.error().ToString();
  ColumnBatch rows;
  ASSERT_TRUE((*stream)->Next(rows).value_or(false));
  EXPECT_EQ(rows.rows, 1u);
  EXPECT_EQ((*stream)->schema(), RowSchema(shape));
  EXPECT_EQ(rows.columns[4].strings[0], text);
  EXPECT_EQ(t.store->Offsets(odd, 1, "results.'odd")->size(), 1u);
}

void TextThatIsNoUtf8IsRefused(Suite& t) {
  t.Ensure();
  const auto applied = t.Apply(0, 0, {Group(0, 0, {Row(1, "a\xFF", 1)})});
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().kind, ErrorKind::kInvalidArgument);
  EXPECT_THAT(applied.error().message, HasSubstr("item_name"));
}

// A query that is being read sees the rows as they were when it began, and holds up no writer.
void ReadersSeeWholeTransactions(Suite& t) {
  t.Ensure();
  constexpr int kGroups = 50;
  const auto group_of = [](std::uint32_t revision) {
    std::vector<Group> records;
    for (int oid = 0; oid < kGroups; ++oid) records.push_back(Group(0, revision, {Row(oid, "a", revision)}));
    return records;
  };
  t.MustApply(0, 0, group_of(0));
  std::atomic<bool> stop = false;
  std::atomic<int> reads = 0;
  std::atomic<int> mixed = 0;
  std::thread reader([&] {
    while (!stop) {
      const auto rows = t.Select({});
      bool same = rows.size() == kGroups;
      for (const Seen& seen : rows) same = same && seen.row.count == rows.front().row.count;
      mixed += same ? 0 : 1;
      ++reads;
    }
  });
  for (std::uint32_t revision = 1; revision <= 20 || reads < 5; ++revision) {
    t.MustApply(0, static_cast<std::int64_t>(revision) * kGroups, group_of(revision));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(mixed, 0);
}

void ManyRowsComeThrough(Suite& t) {
  t.Ensure();
  std::vector<Group> records;
  std::int64_t total = 0;
  for (std::int64_t oid = 0; oid < 1500; ++oid) {
    records.push_back(Group(0, 0, {Row(oid, "a", oid), Row(oid, "b", 1), Row(oid, "c", 1), Row(oid, "d", 1), Row(oid, "e", 1)}));
    total += oid;
  }
  EXPECT_EQ(t.MustApply(0, 0, records).rows, 7500u);
  const auto rows = t.All();
  ASSERT_THAT(rows, SizeIs(7500));
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].row.oid, static_cast<std::int64_t>(i / 5));
    EXPECT_EQ(rows[i].row.item, std::string(1, static_cast<char>('a' + i % 5)));
    if (i % 5 == 0) sum += rows[i].row.count.value_or(0);
  }
  EXPECT_EQ(sum, total);
}

using Body = void (*)(Suite&);
constexpr std::pair<const char*, Body> kTests[] = {
    {"RepeatedDeliveryIsTakenOnce", RepeatedDeliveryIsTakenOnce},
    {"PartitionsHaveOffsetsOfTheirOwn", PartitionsHaveOffsetsOfTheirOwn},
    {"PositionsMoveWithoutRowsAndNeverBack", PositionsMoveWithoutRowsAndNeverBack},
    {"ReopenedStoreContinues", ReopenedStoreContinues},
    {"ARefusedRequestLeavesNothing", ARefusedRequestLeavesNothing},
    {"ACorrectionReplacesItsGroup", ACorrectionReplacesItsGroup},
    {"CorrectionsWithinOneRequest", CorrectionsWithinOneRequest},
    {"NullIsAKeyOfItsOwn", NullIsAKeyOfItsOwn},
    {"AnEmptyWindowIsRemembered", AnEmptyWindowIsRemembered},
    {"AnEmptiedGroupHasNoRows", AnEmptiedGroupHasNoRows},
    {"AGroupEmptiedWithinOneRequest", AGroupEmptiedWithinOneRequest},
    {"AGroupWithoutKeyIsRefused", AGroupWithoutKeyIsRefused},
    {"RowsComeInOrder", RowsComeInOrder},
    {"FiltersHoldTogether", FiltersHoldTogether},
    {"MistakesInQueriesAreNamed", MistakesInQueriesAreNamed},
    {"PagesOfEverySizeGiveTheWhole", PagesOfEverySizeGiveTheWhole},
    {"PagesAreStableWhileRowsChange", PagesAreStableWhileRowsChange},
    {"ACursorIsForItsQueryAlone", ACursorIsForItsQueryAlone},
    {"TopSumsThenRanks", TopSumsThenRanks},
    {"TiesAreInByteOrder", TiesAreInByteOrder},
    {"SumsBeyondInt64AreNullAndRankedTruly", SumsBeyondInt64AreNullAndRankedTruly},
    {"EdgesOf64Bits", EdgesOf64Bits},
    {"HistorySumsBuckets", HistorySumsBuckets},
    {"AGenerationTakesOver", AGenerationTakesOver},
    {"AShapeIsFixedForAGeneration", AShapeIsFixedForAGeneration},
    {"RetentionRemovesOldWindows", RetentionRemovesOldWindows},
    {"NamesAreTakenAsTheyAre", NamesAreTakenAsTheyAre},
    {"TextThatIsNoUtf8IsRefused", TextThatIsNoUtf8IsRefused},
    {"ReadersSeeWholeTransactions", ReadersSeeWholeTransactions},
    {"ManyRowsComeThrough", ManyRowsComeThrough},
};

}  // namespace

void RegisterConformance(const std::string& name, const StoreMaker& maker) {
  for (const auto& [test, body] : kTests) {
    ::testing::RegisterTest((name + "StatisticsStore").c_str(), test, nullptr, nullptr, __FILE__, __LINE__,
                            [maker, body = body]() -> Suite* { return new Suite(maker, body); });
  }
}

}  // namespace sightline::stores::testing
