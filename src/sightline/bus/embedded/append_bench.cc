// The log against the disk that it stands on. Each figure that depends on the disk is measured next to bare fdatasync in
// the same run, in turns, and given as a ratio.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "sightline/bus/embedded/log_bus.h"
#include "sightline/runtime/clock.h"
#include "sightline/runtime/posix_file_system.h"

namespace sightline::bus {
namespace {

using Steady = std::chrono::steady_clock;

double MicrosSince(Steady::time_point start) { return std::chrono::duration<double, std::micro>(Steady::now() - start).count(); }

double Percentile(std::vector<double>& latencies, double percent) {
  if (latencies.empty()) return 0;
  const auto at = std::min(latencies.size() - 1, static_cast<std::size_t>(static_cast<double>(latencies.size()) * percent / 100));
  std::ranges::nth_element(latencies, latencies.begin() + static_cast<std::ptrdiff_t>(at));
  return latencies[at];
}

// A log in a directory of its own, on the disk of SIGHTLINE_BENCH_DIR or of the current directory: never on a disk in memory.
class BenchLog {
 public:
  BenchLog() {
    const char* where = std::getenv("SIGHTLINE_BENCH_DIR");
    std::string pattern = std::string(where == nullptr ? "." : where) + "/log_bench.XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
    auto opened = LogBus::Open(runtime_, directory_, {});
    if (!opened) std::abort();
    bus_ = std::move(*opened);
  }
  BenchLog(const BenchLog&) = delete;
  BenchLog& operator=(const BenchLog&) = delete;
  ~BenchLog() {
    bus_.reset();
    std::filesystem::remove_all(directory_);
  }
  LogBus& bus() { return *bus_; }
  const std::string& directory() const { return directory_; }
  runtime::FileSystem& files() { return files_; }

 private:
  runtime::SystemClock clock_;
  runtime::PosixFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::string directory_;
  std::unique_ptr<LogBus> bus_;
};

const TopicPartition kTopic{"bench", Partition(0)};
constexpr std::size_t kAppendBytes = 4096;

// Syncs after `writes` appends' worth of bytes: one is what the figure is a ratio to, a cohort's worth is what the disk leaves possible.
void BareSyncs(BenchLog& log, int writes, std::vector<double>& latencies) {
  constexpr int kSyncs = 200;
  const std::string path = log.directory() + "/bare";
  auto file = *log.files().Open(path, runtime::OpenMode::kCreate);
  if (!file->Preallocate(static_cast<std::uint64_t>(kSyncs * writes) * kAppendBytes)) std::abort();
  const std::string bytes(kAppendBytes, 'b');
  std::uint64_t at = 0;
  for (int i = 0; i < kSyncs; ++i) {
    const auto start = Steady::now();
    for (int w = 0; w < writes; ++w, at += bytes.size()) {
      if (!file->WriteAt(at, bytes)) std::abort();
    }
    if (!file->Sync()) std::abort();
    latencies.push_back(MicrosSince(start));
  }
  file.reset();
  if (!log.files().Remove(path)) std::abort();
}

void ProducersAppend(BenchLog& log, int producers, std::vector<double>& latencies) {
  constexpr int kEach = 60;
  std::vector<std::vector<double>> each(static_cast<std::size_t>(producers));
  std::vector<std::thread> threads;
  for (auto& mine : each) {
    threads.emplace_back([&log, &mine] {
      const std::string value(kAppendBytes, 'v');
      const std::vector<std::string_view> values = {value};
      for (int i = 0; i < kEach; ++i) {
        const auto start = Steady::now();
        if (!AppendAndWait(log.bus(), kTopic, {.values = values})) std::abort();
        mine.push_back(MicrosSince(start));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& mine : each) latencies.insert(latencies.end(), mine.begin(), mine.end());
}

// Durable appends of 4 KiB by many producers, each waiting for its answer, against fdatasync of 4 KiB by one.
void DurableAppend(benchmark::State& state) {
  BenchLog log;
  if (!log.bus().EnsureTopic({.name = "bench"})) std::abort();
  const auto producers = static_cast<int>(state.range(0));
  std::vector<double> bare, bare_cohort, durable;
  double seconds = 0;
  for (auto _ : state) {
    BareSyncs(log, 1, bare);
    BareSyncs(log, producers, bare_cohort);
    const auto start = Steady::now();
    ProducersAppend(log, producers, durable);
    seconds += MicrosSince(start) / 1e6;
  }
  state.counters["bare_p50_us"] = Percentile(bare, 50);
  state.counters["bare_p99_us"] = Percentile(bare, 99);
  state.counters["bare_cohort_p99_us"] = Percentile(bare_cohort, 99);
  state.counters["append_p50_us"] = Percentile(durable, 50);
  state.counters["append_p99_us"] = Percentile(durable, 99);
  state.counters["p99_ratio"] = Percentile(durable, 99) / Percentile(bare, 99);
  state.counters["appends_per_s"] = static_cast<double>(durable.size()) / seconds;
}
BENCHMARK(DurableAppend)->Arg(1)->Arg(64)->Iterations(5)->Unit(benchmark::kMillisecond);

constexpr std::size_t kRecords = 1000;

std::vector<std::string> SmallRecords() {
  std::vector<std::string> records;
  for (std::size_t i = 0; i < kRecords; ++i) {
    records.push_back(R"({"detection_oid":)" + std::to_string(1'000'000'007 * i) +
                      R"(,"item_name":"person","timestamp_detected":17000000)" + std::to_string(10'000 + i) + "}");
  }
  return records;
}

// One producer, batches of 1000 small records, into the page cache.
void AppendThroughput(benchmark::State& state) {
  BenchLog log;
  TopicSpec spec{.name = "bench", .durability = Durability::kOs, .retain_bytes = 512ULL << 20};
  spec.compression = static_cast<Compression>(state.range(0));
  if (!log.bus().EnsureTopic(spec)) std::abort();
  const auto records = SmallRecords();
  const std::vector<std::string_view> values(records.begin(), records.end());
  for (auto _ : state) {
    if (!AppendAndWait(log.bus(), kTopic, {.values = values})) std::abort();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRecords));
}
BENCHMARK(AppendThroughput)->ArgName("codec")->Arg(0)->Arg(1)->Arg(2)->MinTime(1.0);

// One reader over records that are in the page cache; touches the first byte of each.
void ReadThroughput(benchmark::State& state) {
  BenchLog log;
  TopicSpec spec{.name = "bench", .durability = Durability::kOs};
  spec.compression = static_cast<Compression>(state.range(0));
  if (!log.bus().EnsureTopic(spec)) std::abort();
  const auto records = SmallRecords();
  const std::vector<std::string_view> values(records.begin(), records.end());
  constexpr int kBatches = 2000;
  for (int i = 0; i < kBatches; ++i) {
    if (!AppendAndWait(log.bus(), kTopic, {.values = values})) std::abort();
  }
  std::uint64_t touched = 0;
  for (auto _ : state) {
    const auto reader = *log.bus().OpenReader(kTopic, Offset(0));
    while (true) {
      const auto batch = reader->Next();
      if (!batch) std::abort();
      if (!*batch) break;
      for (const std::string_view value : (*batch)->values) touched += static_cast<unsigned char>(value[0]);
    }
  }
  benchmark::DoNotOptimize(touched);
  state.SetItemsProcessed(state.iterations() * kBatches * static_cast<std::int64_t>(kRecords));
}
BENCHMARK(ReadThroughput)->ArgName("codec")->Arg(0)->Arg(1)->Arg(2)->MinTime(1.0);

}  // namespace
}  // namespace sightline::bus
