#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <stdexcept>

#include "sightline/stores/statistics/testing/conformance.h"
#include "sightline/tabular/append.h"

namespace sightline::stores::testing {

ResultShape TestShape(const std::string& pipeline) {
  return {.pipeline = pipeline,
          .schema = {.fields = {{.name = "geographical_location_oid", .type = FieldType::kInt64, .nullable = true, .identifier = true},
                                {.name = "geographical_location", .type = FieldType::kString, .nullable = true},
                                {.name = "item_name", .type = FieldType::kString},
                                {.name = "item_count", .type = FieldType::kInt64, .nullable = true}}},
          .group = {0},
          .windowed = true};
}

ResultRecord TestRecord(std::int64_t start, std::uint32_t revision, const std::vector<TestRow>& rows) {
  ResultRecord record;
  record.header.generation = 1;
  record.header.revision = revision;
  record.header.state = revision == 0 ? ResultState::kFinal : ResultState::kCorrected;
  record.header.window_start = EventTime(start);
  record.header.window_end = EventTime(start + 60'000);
  record.rows.Reset(TestShape("").schema, rows.size());
  auto& columns = record.rows.columns;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    columns[0].int64s[i] = rows[i].oid.value_or(0);
    columns[1].strings[i] = tabular::Keep(record.rows, rows[i].location.value_or(""));
    columns[2].strings[i] = tabular::Keep(record.rows, rows[i].item);
    columns[3].int64s[i] = rows[i].count.value_or(0);
    if (!rows[i].oid) tabular::SetNull(columns[0], i);
    if (!rows[i].location) tabular::SetNull(columns[1], i);
    if (!rows[i].count) tabular::SetNull(columns[3], i);
  }
  record.rows.rows = rows.size();
  return record;
}

ResultRecord TestEmptied(std::int64_t start, std::uint32_t revision, std::optional<std::int64_t> oid) {
  ResultRecord record = TestRecord(start, revision, {{oid, std::nullopt, "", std::nullopt}});
  tabular::SetNull(record.rows.columns[2], 0);
  record.emptied = true;
  record.rows.rows = 0;
  return record;
}

TestDirectory::TestDirectory() {
  static std::atomic<int> number = 0;
  path_ = std::filesystem::temp_directory_path() / ("sightline-stores-" + std::to_string(::getpid()) + "-" + std::to_string(number++));
  std::filesystem::remove_all(path_);
  std::filesystem::create_directories(path_);
}

TestDirectory::~TestDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace sightline::stores::testing
