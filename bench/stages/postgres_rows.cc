// Results into Postgres as the sink of `sightline up` brings them: encoded records are decoded, gathered to transactions of 10,000 rows,
// and applied. The same rows as text, a file a transaction, are for psql.
//
//   postgres_rows csv FOLDER ROWS          writes FOLDER/batch-N.csv
//   postgres_rows apply ROWS [corrected]   applies them over PG_URL into an empty schema `bench`; with `corrected` the corrections of all
//                                          groups a second time, whose time it is. The last line is {"rows":…,"seconds":…}
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "connectors/postgres/statistics_store.h"
#include "sightline/model/result.h"
#include "sightline/runtime/posix_file_system.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/tabular/append.h"

namespace {

using namespace sightline;

constexpr std::int64_t kRowsAtOnce = 10'000;  // ResultsSinkOptions::rows_max
constexpr std::int64_t kItems = 10;
constexpr std::int64_t kLocations = 1'000;
constexpr std::int64_t kFirstWindow = 1'767'225'600'000;
constexpr std::int64_t kMinute = 60'000;

ResultShape Shape() {
  return {.pipeline = "top_items",
          .schema = {.fields = {{.name = "geographical_location_oid", .nullable = true, .identifier = true},
                                {.name = "geographical_location", .type = FieldType::kString, .nullable = true},
                                {.name = "item_rank"},
                                {.name = "item_name", .type = FieldType::kString},
                                {.name = "item_count"}}},
          .group = {0},
          .windowed = true};
}

std::string LocationName(std::int64_t location) { return "Location " + std::to_string(location) + ", Singapore"; }
std::string ItemName(std::int64_t location, std::int64_t rank) { return "item_" + std::to_string((location * 7 + rank * 13) % 100); }
std::int64_t Count(std::int64_t window, std::int64_t location, std::int64_t rank) {
  return (kItems - rank) * 50 + (window + location) % 40;
}

// The record of one group: a location in a window.
std::string Record(std::int64_t group, std::uint32_t revision) {
  const ResultShape shape = Shape();
  const std::int64_t window = group / kLocations;
  const std::int64_t location = group % kLocations;
  ResultHeader header;
  header.generation = 1;
  header.revision = revision;
  header.state = revision == 0 ? ResultState::kFinal : ResultState::kCorrected;
  header.window_start = EventTime(kFirstWindow + window * kMinute);
  header.window_end = EventTime(kFirstWindow + (window + 1) * kMinute);
  ColumnBatch rows;
  rows.Reset(shape.schema, kItems);
  rows.rows = kItems;
  for (std::int64_t i = 0; i < kItems; ++i) {
    const auto row = static_cast<std::size_t>(i);
    rows.columns[0].int64s[row] = location;
    rows.columns[1].strings[row] = tabular::Keep(rows, LocationName(location));
    rows.columns[2].int64s[row] = i + 1;
    rows.columns[3].strings[row] = tabular::Keep(rows, ItemName(location, i));
    rows.columns[4].int64s[row] = Count(window, location, i) + revision;
  }
  std::string out;
  EncodeResult(header, shape.schema, rows, 0, kItems, out);
  return out;
}

int WriteFiles(const std::string& folder, std::int64_t rows) {
  for (std::int64_t from = 0; from < rows; from += kRowsAtOnce) {
    std::ofstream file(folder + "/batch-" + std::to_string(from / kRowsAtOnce) + ".csv");
    for (std::int64_t row = from; row < std::min(rows, from + kRowsAtOnce); ++row) {
      const std::int64_t group = row / kItems;
      const std::int64_t window = group / kLocations;
      const std::int64_t location = group % kLocations;
      const std::int64_t rank = row % kItems;
      const std::int64_t start = kFirstWindow + window * kMinute;
      file << start << ',' << start + kMinute << ",0," << rank << ",1," << location << ",\"" << LocationName(location) << "\"," << rank + 1
           << ',' << ItemName(location, rank) << ',' << Count(window, location, rank) << '\n';
    }
    if (!file.flush()) return 1;
  }
  return 0;
}

// The seconds that it took.
Result<double> ApplyAll(stores::StatisticsStore& store, const runtime::Clock& clock, std::int64_t rows, std::uint32_t revision,
                        std::int64_t offset) {
  const ResultShape shape = Shape();
  std::vector<std::string> records;
  for (std::int64_t group = 0; group < rows / kItems; ++group) records.push_back(Record(group, revision));
  const std::int64_t start = clock.MonotonicNs();
  stores::ResultBatch batch(shape.schema);
  ResultRecord record;
  for (std::size_t i = 0; i < records.size(); ++i) {
    SL_TRY(DecodeResult(records[i], shape.schema, record));
    SL_TRY(batch.Add(Partition(0), Offset(offset++), record, shape));
    if (batch.rows().rows < kRowsAtOnce && i + 1 < records.size()) continue;
    SL_TRY(store.Apply({.pipeline = shape.pipeline,
                        .generation = 1,
                        .topic = "results.top_items",
                        .results = &batch,
                        .consumed = {{Partition(0), Offset(offset)}}}));
    batch.Clear();
  }
  return static_cast<double>(clock.MonotonicNs() - start) / 1e9;
}

Result<double> Apply(std::int64_t rows, bool corrected) {
  runtime::SystemClock clock;
  runtime::PosixFileSystem files;
  runtime::Failpoints failpoints;
  const char* url = std::getenv("PG_URL");
  postgres::StatisticsOptions options{.connection = {.url = url == nullptr ? "" : url, .url_source = "env PG_URL"}, .schema = "bench"};
  SL_ASSIGN_OR_RETURN(const auto store, postgres::OpenStatisticsStore({clock, files, failpoints}, options));
  SL_TRY(store->Ensure(Shape(), 1));
  SL_ASSIGN_OR_RETURN(double seconds, ApplyAll(*store, clock, rows, 0, 0));
  if (corrected) {
    SL_ASSIGN_OR_RETURN(seconds, ApplyAll(*store, clock, rows, 1, rows / kItems));
  }
  return seconds;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 3 && words[0] == "csv") return WriteFiles(words[1], std::atoll(words[2].c_str()));
  if (words.size() < 2 || words[0] != "apply") {
    std::fprintf(stderr, "usage: postgres_rows csv FOLDER ROWS | apply ROWS [corrected]\n");
    return 2;
  }
  const std::int64_t rows = std::atoll(words[1].c_str());
  const auto seconds = Apply(rows, words.size() > 2);
  if (!seconds) {
    std::fprintf(stderr, "%s\n", seconds.error().ToString().c_str());
    return 1;
  }
  std::printf("{\"rows\":%lld,\"seconds\":%.6f}\n", static_cast<long long>(rows), *seconds);
  return 0;
}
