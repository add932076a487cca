#include <gmock/gmock.h>

#include "sightline/stores/statistics/testing/conformance_internal.h"

namespace sightline::stores::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

constexpr NamedTest kTests[] = {
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
};

}  // namespace

std::span<const NamedTest> QueryTests() { return kTests; }

}  // namespace sightline::stores::testing
