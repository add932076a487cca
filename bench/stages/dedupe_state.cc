// What the dedupe table needs for an id: dedupe_state IDS
// Fills the table as a pipeline does, with a checkpoint taking what is new every million ids, and gives the resident memory that came with
// it. First of all it must be right: afterwards every id is known and no other one. Prints {"ids","table_bytes","resident_bytes",
// "insert_ns","probe_ns"}.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "sightline/flow/dedupe_table.h"
#include "sightline/runtime/random.h"

namespace sightline::bench {
namespace {

constexpr std::int64_t kWithinMs = 86'400'000;
constexpr std::int64_t kOutOfOrdernessMs = 30'000;
constexpr std::int64_t kFirstMs = 1'700'000'000'000;
constexpr std::uint64_t kStride = 2654435761;  // odd: all ids are different
constexpr std::size_t kBatch = 2048;
constexpr std::uint64_t kCheckpointIds = 1'000'000;

std::size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

class Filling {
 public:
  Filling() : table_(kWithinMs, kOutOfOrdernessMs, runtime::SystemEntropy()) {}

  // Offers the ids of numbers first … end, a thousand a millisecond of event time; gives how many were known.
  std::uint64_t Offer(std::uint64_t first, std::uint64_t end) {
    std::uint64_t known = 0;
    for (std::uint64_t begin = first; begin < end; begin += kBatch) {
      const std::size_t count = std::min<std::uint64_t>(kBatch, end - begin);
      for (std::size_t i = 0; i < count; ++i) {
        keys_[i] = (begin + i) * kStride;
        times_[i] = kFirstMs + static_cast<std::int64_t>((begin + i) / 1000);
        watermarks_[i] = newest_ - kOutOfOrdernessMs;
        newest_ = std::max(newest_, times_[i]);
      }
      table_.Probe(std::span(keys_).first(count), std::span(times_).first(count), std::span(watermarks_).first(count),
                   std::span(seen_).first(count));
      known += static_cast<std::uint64_t>(std::count(seen_.begin(), seen_.begin() + static_cast<std::ptrdiff_t>(count), 1));
      if (table_.delta_ids() >= kCheckpointIds) {
        std::string run;
        table_.TakeDelta(run);
      }
    }
    return known;
  }
  const flow::DedupeTable<std::uint64_t>& table() const { return table_; }

 private:
  flow::DedupeTable<std::uint64_t> table_;
  std::int64_t newest_ = kFirstMs;
  std::vector<std::uint64_t> keys_ = std::vector<std::uint64_t>(kBatch);
  std::vector<std::int64_t> times_ = std::vector<std::int64_t>(kBatch);
  std::vector<std::int64_t> watermarks_ = std::vector<std::int64_t>(kBatch);
  std::vector<std::uint8_t> seen_ = std::vector<std::uint8_t>(kBatch);
};

double NsEach(std::chrono::steady_clock::time_point start, std::uint64_t count) {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(count);
}

void Run(std::uint64_t ids) {
  const std::size_t before = ResidentBytes();
  Filling filling;
  auto start = std::chrono::steady_clock::now();
  if (filling.Offer(0, ids) != 0) throw std::runtime_error("a new id was taken for a known one");
  const double insert_ns = NsEach(start, ids);
  const std::size_t resident = ResidentBytes() - before;
  const std::size_t bytes = filling.table().bytes();
  start = std::chrono::steady_clock::now();
  if (filling.Offer(0, ids) != ids) throw std::runtime_error("an id was forgotten");
  const double probe_ns = NsEach(start, ids);
  const std::uint64_t others = std::min<std::uint64_t>(ids, 1'000'000);
  if (filling.Offer(ids, ids + others) != 0) throw std::runtime_error("a new id was taken for a known one");
  std::printf("{\"ids\":%lu,\"table_bytes\":%zu,\"resident_bytes\":%zu,\"insert_ns\":%.1f,\"probe_ns\":%.1f}\n", ids, bytes, resident,
              insert_ns, probe_ns);
}

}  // namespace
}  // namespace sightline::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: dedupe_state IDS\n");
    return 2;
  }
  try {
    sightline::bench::Run(std::stoull(argv[1]));
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "dedupe_state: %s\n", failure.what());
    return 1;
  }
}
