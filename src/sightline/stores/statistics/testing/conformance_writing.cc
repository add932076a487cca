#include <atomic>
#include <thread>

#include <gmock/gmock.h>

#include "sightline/stores/statistics/testing/conformance_internal.h"
#include "sightline/tabular/append.h"

namespace sightline::stores::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

// A store that lost what it had (a backup was restored) takes nothing behind the gap.
void AGapIsRefused(Suite& t) {
  t.Ensure();
  t.MustApply(0, 0, {Group(0, 0, {Row(1, "a", 1)})});
  const ResultShape shape = TestShape(kPipeline);
  ResultBatch batch(shape.schema);
  ASSERT_TRUE(batch.Add(Partition(0), Offset(5), TestRecord(0, 0, {Row(2, "a", 1)}), shape));
  const auto apply = [&](std::int64_t since) {
    return t.store->Apply({.pipeline = kPipeline,
                           .generation = 1,
                           .topic = kTopic,
                           .results = &batch,
                           .consumed = {{Partition(0), Offset(6)}},
                           .since = {{Partition(0), Offset(since)}}});
  };
  const auto gap = apply(5);
  ASSERT_FALSE(gap);
  EXPECT_EQ(gap.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_THAT(gap.error().message, HasSubstr("up to offset 1"));
  EXPECT_THAT(t.All(), SizeIs(1));
  EXPECT_EQ(t.StoredOffset(0), 1);
  const auto next = apply(1);
  ASSERT_TRUE(next) << next.error().ToString();
  EXPECT_EQ(t.StoredOffset(0), 6);
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

// Keys of every type, null among them, and values at their edges.
void KeysOfEveryType(Suite& t) {
  ResultShape shape{.pipeline = "typed",
                    .schema = {.fields = {{.name = "flag", .type = FieldType::kBool, .nullable = true},
                                          {.name = "number", .type = FieldType::kDouble, .nullable = true},
                                          {.name = "name", .type = FieldType::kString, .nullable = true},
                                          {.name = "count", .type = FieldType::kInt64}}},
                    .group = {2, 0, 1},
                    .windowed = true};
  ASSERT_TRUE(t.store->Ensure(shape, 1));
  struct Key {
    std::optional<bool> flag;
    std::optional<double> number;
    std::optional<std::string> name;
  };
  const std::vector<Key> keys = {{{}, {}, {}},
                                 {true, {}, "a"},
                                 {false, -1.5, "a"},
                                 {false, 1e300, {}},
                                 {{}, 0.1, "\xC3\xA9"},
                                 {true, 4.0, ""},
                                 {true, 0.0, std::string(5000, 'x')}};
  std::int64_t offset = 0;
  const auto apply = [&](std::uint32_t revision, std::size_t from) {
    ResultBatch batch(shape.schema);
    const std::int64_t first = offset;
    for (std::size_t i = from; i < keys.size(); i += revision + 1) {
      ResultRecord record = TestRecord(0, revision, {});
      record.rows.Reset(shape.schema, 1);
      record.rows.rows = 1;
      auto& columns = record.rows.columns;
      columns[0].int64s[0] = keys[i].flag.value_or(false) ? 1 : 0;
      columns[1].doubles[0] = keys[i].number.value_or(0);
      columns[2].strings[0] = tabular::Keep(record.rows, keys[i].name.value_or(""));
      columns[3].int64s[0] = static_cast<std::int64_t>(i + revision * 100);
      if (!keys[i].flag) tabular::SetNull(columns[0], 0);
      if (!keys[i].number) tabular::SetNull(columns[1], 0);
      if (!keys[i].name) tabular::SetNull(columns[2], 0);
      EXPECT_TRUE(batch.Add(Partition(0), Offset(offset++), record, shape));
    }
    const auto applied = t.store->Apply({.pipeline = "typed",
                                         .generation = 1,
                                         .topic = kTopic,
                                         .results = &batch,
                                         .consumed = {{Partition(0), Offset(offset)}},
                                         .since = {{Partition(0), Offset(first)}}});
    EXPECT_TRUE(applied) << applied.error().ToString();
  };
  apply(0, 0);
  apply(1, 0);
  apply(2, 1);
  const auto read = [&](RowQuery query) {
    query.pipeline = "typed";
    query.columns = {"count"};
    auto stream = t.store->Select(query);
    EXPECT_TRUE(stream) << stream.error().ToString();
    std::vector<std::int64_t> counts;
    ColumnBatch rows;
    std::string cursor;
    while (stream && (*stream)->Next(rows).value_or(false)) {
      counts.insert(counts.end(), rows.columns[0].int64s.begin(), rows.columns[0].int64s.begin() + static_cast<std::ptrdiff_t>(rows.rows));
    }
    return std::pair(counts, stream ? (*stream)->next_cursor() : std::string());
  };
  // By name, then flag, then number, nulls first.
  const std::vector<std::int64_t> whole = {100, 3, 5, 102, 201, 106, 204};
  EXPECT_EQ(read({}).first, whole);
  std::vector<std::int64_t> paged;
  std::string cursor;
  do {
    const auto [page, next] = read({.limit = 1, .cursor = cursor});
    paged.insert(paged.end(), page.begin(), page.end());
    cursor = next;
  } while (!cursor.empty() && paged.size() <= whole.size());
  EXPECT_EQ(paged, whole);
  EXPECT_THAT(read({.filters = {{"number", {4.0, Value()}}, {"flag", {true}}}}).first, ElementsAre(5, 201));
  EXPECT_THAT(read({.filters = {{"number", {std::int64_t{4}}}}}).first, ElementsAre(5));
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

constexpr NamedTest kTests[] = {
    {"RepeatedDeliveryIsTakenOnce", RepeatedDeliveryIsTakenOnce},
    {"PartitionsHaveOffsetsOfTheirOwn", PartitionsHaveOffsetsOfTheirOwn},
    {"PositionsMoveWithoutRowsAndNeverBack", PositionsMoveWithoutRowsAndNeverBack},
    {"ReopenedStoreContinues", ReopenedStoreContinues},
    {"ARefusedRequestLeavesNothing", ARefusedRequestLeavesNothing},
    {"AGapIsRefused", AGapIsRefused},
    {"ACorrectionReplacesItsGroup", ACorrectionReplacesItsGroup},
    {"CorrectionsWithinOneRequest", CorrectionsWithinOneRequest},
    {"NullIsAKeyOfItsOwn", NullIsAKeyOfItsOwn},
    {"AnEmptyWindowIsRemembered", AnEmptyWindowIsRemembered},
    {"AnEmptiedGroupHasNoRows", AnEmptiedGroupHasNoRows},
    {"AGroupEmptiedWithinOneRequest", AGroupEmptiedWithinOneRequest},
    {"AGroupWithoutKeyIsRefused", AGroupWithoutKeyIsRefused},
    {"KeysOfEveryType", KeysOfEveryType},
    {"AGenerationTakesOver", AGenerationTakesOver},
    {"AShapeIsFixedForAGeneration", AShapeIsFixedForAGeneration},
    {"RetentionRemovesOldWindows", RetentionRemovesOldWindows},
    {"NamesAreTakenAsTheyAre", NamesAreTakenAsTheyAre},
    {"TextThatIsNoUtf8IsRefused", TextThatIsNoUtf8IsRefused},
    {"ReadersSeeWholeTransactions", ReadersSeeWholeTransactions},
    {"ManyRowsComeThrough", ManyRowsComeThrough},
};

}  // namespace

std::span<const NamedTest> WritingTests() { return kTests; }

}  // namespace sightline::stores::testing
