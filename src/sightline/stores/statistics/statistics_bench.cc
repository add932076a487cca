// Rows a second into the embedded statistics store, and the time of the queries that the dashboard asks.
#include <cstdlib>
#include <iostream>
#include <memory>

#include <benchmark/benchmark.h>

#include "sightline/runtime/posix_file_system.h"
#include "sightline/runtime/random.h"
#include "sightline/stores/statistics/embedded/duckdb_store.h"
#include "sightline/stores/statistics/sql.h"
#include "sightline/stores/statistics/testing/conformance.h"
#include "sightline/tabular/append.h"

namespace sightline::stores {
namespace {

constexpr std::int64_t kLocations = 1000;
constexpr std::int64_t kItemsPerGroup = 10;
constexpr std::int64_t kMinute = 60'000;

template <typename T>
T Must(Result<T> result) {
  if (!result) {
    std::cerr << result.error().ToString() << "\n";
    std::exit(1);
  }
  return *std::move(result);
}

// A store that is fed windows of 1000 locations with ten items each, as the shipped preset makes them.
class FedStore {
 public:
  FedStore() : store(Must(OpenDuckDbStore(runtime_, {.directory = directory_.path()}))) {
    if (auto status = store->Ensure(shape_, 1); !status) std::exit(1);
  }

  // Applies one window, in transactions of `groups` groups; every `correct_every`-th group is a correction (0: none).
  void ApplyWindow(std::size_t groups, std::int64_t correct_every) {
    ResultBatch batch(shape_.schema);
    for (std::int64_t oid = 0; oid < kLocations; ++oid) {
      const bool corrected = correct_every > 0 && window_ > 0 && oid % correct_every == 0;
      ResultRecord record = Group(corrected ? window_ - 1 : window_, corrected ? 1 : 0, oid);
      if (auto status = batch.Add(Partition(0), Offset(offset_), record, shape_); !status) std::exit(1);
      ++offset_;
      if (batch.groups().size() == groups || oid + 1 == kLocations) {
        rows += Must(store->Apply({.pipeline = shape_.pipeline,
                                   .generation = 1,
                                   .topic = "t",
                                   .results = &batch,
                                   .consumed = {{Partition(0), Offset(offset_)}}}))
                    .rows;
        batch.Clear();
      }
    }
    ++window_;
  }
  std::int64_t window() const { return window_; }
  const runtime::Clock& clock() const { return clock_; }

 private:
  ResultRecord Group(std::int64_t window, std::uint32_t revision, std::int64_t oid) {
    std::vector<testing::TestRow> items;
    for (std::int64_t i = 0; i < kItemsPerGroup; ++i) {
      items.push_back({oid, "Bedok · Post " + std::to_string(oid), "item_" + std::to_string(random_.Below(1000)),
                       static_cast<std::int64_t>(random_.Below(50))});
    }
    return testing::TestRecord(window * kMinute, revision, items);
  }

  testing::TestDirectory directory_;
  runtime::SystemClock clock_;
  runtime::PosixFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};

 public:
  std::unique_ptr<StatisticsStore> store;
  std::uint64_t rows = 0;

 private:
  const ResultShape shape_ = testing::TestShape("item_counts");
  runtime::Random random_{1};
  std::int64_t window_ = 0;
  std::int64_t offset_ = 0;
};

// range(0): groups in a transaction; range(1): one group in so many is a correction.
void Apply(benchmark::State& state) {
  FedStore fed;
  for (auto _ : state) fed.ApplyWindow(static_cast<std::size_t>(state.range(0)), state.range(1));
  state.SetItemsProcessed(static_cast<std::int64_t>(fed.rows));
}
BENCHMARK(Apply)->Args({1000, 0})->Args({100, 0})->Args({10, 0})->Args({1000, 10})->Unit(benchmark::kMillisecond)->UseRealTime();

// A million rows, a hundred windows, shared by the queries below.
FedStore& Million() {
  static FedStore fed;
  while (fed.window() < 100) fed.ApplyWindow(1000, 0);
  return fed;
}

std::uint64_t ReadAll(StatisticsStore& store, const RowQuery& query) {
  const auto stream = Must(store.Select(query));
  ColumnBatch batch;
  std::uint64_t rows = 0;
  while (Must(stream->Next(batch))) rows += batch.rows;
  return rows;
}

void SelectOneLocation(benchmark::State& state) {
  FedStore& fed = Million();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        ReadAll(*fed.store, {.pipeline = "item_counts", .filters = {{"geographical_location_oid", {std::int64_t{77}}}}, .limit = 1000}));
  }
}
BENCHMARK(SelectOneLocation)->Unit(benchmark::kMillisecond)->UseRealTime();

void SelectNewestWindow(benchmark::State& state) {
  FedStore& fed = Million();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        ReadAll(*fed.store, {.pipeline = "item_counts", .range = {EventTime(99 * kMinute), EventTime(100 * kMinute)}}));
  }
}
BENCHMARK(SelectNewestWindow)->Unit(benchmark::kMillisecond)->UseRealTime();

void SelectEverything(benchmark::State& state) {
  FedStore& fed = Million();
  std::uint64_t rows = 0;
  for (auto _ : state) rows += ReadAll(*fed.store, {.pipeline = "item_counts", .order = RowQuery::Order::kNone});
  state.SetItemsProcessed(static_cast<std::int64_t>(rows));
}
BENCHMARK(SelectEverything)->Unit(benchmark::kMillisecond)->UseRealTime();

void TopOfOneLocation(benchmark::State& state) {
  FedStore& fed = Million();
  for (auto _ : state) {
    benchmark::DoNotOptimize(Must(fed.store->Top({.pipeline = "item_counts",
                                                  .filters = {{"geographical_location_oid", {std::int64_t{77}}}},
                                                  .by = "item_name",
                                                  .sum = "item_count"})));
  }
}
BENCHMARK(TopOfOneLocation)->Unit(benchmark::kMillisecond)->UseRealTime();

void TopOverall(benchmark::State& state) {
  FedStore& fed = Million();
  for (auto _ : state) {
    benchmark::DoNotOptimize(Must(fed.store->Top({.pipeline = "item_counts", .by = "item_name", .sum = "item_count"})));
  }
}
BENCHMARK(TopOverall)->Unit(benchmark::kMillisecond)->UseRealTime();

void UsersSqlOverall(benchmark::State& state) {
  FedStore& fed = Million();
  const auto service = MakeSqlService(*fed.store, fed.clock(), {});
  for (auto _ : state) {
    benchmark::DoNotOptimize(Must(
        service->Run({.principal = "p",
                      .sql = "SELECT item_name, sum(item_count) AS n FROM item_counts GROUP BY ALL ORDER BY n DESC, item_name LIMIT 10"})));
  }
}
BENCHMARK(UsersSqlOverall)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace sightline::stores
