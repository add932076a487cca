#include "sightline/flow/reference.h"

#include <gtest/gtest.h>

#include "sightline/runtime/simulated/simulated_clock.h"

namespace sightline::flow {
namespace {

const Schema kSchema{{{.name = "place", .type = FieldType::kInt64}, {.name = "title", .type = FieldType::kString, .nullable = true}}};

ColumnBatch Rows(std::vector<std::int64_t> places) {
  ColumnBatch rows;
  rows.rows = places.size();
  rows.columns.resize(2);
  rows.columns[1].type = FieldType::kString;
  rows.columns[1].strings.assign(places.size(), "");
  rows.columns[1].nulls.assign(places.size(), 1);
  rows.columns[1].strings[0] = "Mall";
  rows.columns[1].nulls[0] = 0;
  rows.columns[0].int64s = std::move(places);
  return rows;
}

// The page docs/formats/reference.md in bytes. Kept versions are read by later programs: these stay.
TEST(ReferenceTable, KeepsItsFormat) {
  const auto table = ReferenceTable::Make("places", 3, kSchema, 0, Rows({7, -1}));
  ASSERT_TRUE(table) << table.error().ToString();
  const std::string bytes = (*table)->Serialize();
  constexpr std::string_view kWanted(
      "\3\0\0\0\0\0\0\0"                                        // version of the table
      "\1\0\1\0\0\0\0\0"                                        // a result record: version, flags, final, revision
      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"  // no generation, no window, no reference
      "\2\0\0\0\2\0\0\0"                                        // rows, columns
      "\0\7\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"      // int64
      "\x83\0\1\4\0\0\0\0\0\0\0Mall",                           // string with nulls
      8 + 48 + 17 + 15);
  EXPECT_EQ(bytes, kWanted);
  const auto again = ReferenceTable::Deserialize("places", kSchema, 0, bytes);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ((*again)->version(), 3U);
  EXPECT_EQ((*again)->FindInt64(-1), 1);
  EXPECT_EQ((*again)->FindInt64(8), -1);
  EXPECT_EQ((*again)->rows().columns[1].strings[0], "Mall");
  EXPECT_TRUE((*again)->rows().columns[1].IsNull(1));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = ReferenceTable::Deserialize("places", kSchema, 0, bytes.substr(0, size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().kind, ErrorKind::kCorruption) << size;
  }
}

TEST(ReferenceCatalog, KnowsSinceWhenAVersionIsInEffect) {
  runtime::SimulatedClock clock(WallTime(1000));
  ReferenceCatalog catalog(&clock);
  EXPECT_EQ(catalog.InEffect("places").table, nullptr);
  for (const std::uint64_t version : {1, 2}) {
    const std::uint64_t change = catalog.change();
    catalog.Install(*ReferenceTable::Make("places", version, kSchema, 0, Rows({7})));
    EXPECT_NE(catalog.change(), change);
    clock.Advance(std::chrono::milliseconds(5));
    const ReferenceCatalog::Version now = catalog.InEffect("places");
    EXPECT_EQ(now.table->version(), version);
    EXPECT_EQ(now.since, clock.Now() - 5);
    EXPECT_EQ(now.table, catalog.Newest("places"));
  }
}

}  // namespace
}  // namespace sightline::flow
