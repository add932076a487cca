// The floor to measure against: what one thread needs for the job of the preset top-items when it has nothing else to do.
//   limit_top_items FILE [ROWS.csv]
// Page cache -> simdjson -> dedupe -> windows of a minute -> ten most frequent items of each location. It is no product and no model of
// correctness: no contract, no checkpoint, no restart, and names are told apart by a hash of 64 bits alone.
// With ROWS.csv it also writes what it found: window_start,window_end,geographical_location_oid,item_name,item_count,rank.
#include <fcntl.h>
#include <simdjson.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace {

using namespace simdjson;

constexpr std::int64_t kWindowMs = 60'000;
constexpr std::int64_t kOutOfOrdernessMs = 30'000;
constexpr int kTop = 10;
constexpr std::size_t kBatch = 256;
constexpr std::uint64_t kEmpty = ~0ULL;

std::uint64_t Mix(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

// Open addressing, at most half full.
class IdSet {
 public:
  IdSet() : slots_(std::size_t{1} << 24, kEmpty), mask_(slots_.size() - 1) { ::madvise(slots_.data(), slots_.size() * 8, MADV_HUGEPAGE); }
  bool Insert(std::uint64_t id) {
    if (count_ * 2 > slots_.size()) Grow();
    std::size_t i = Mix(id) & mask_;
    while (slots_[i] != kEmpty) {
      if (slots_[i] == id) return false;
      i = (i + 1) & mask_;
    }
    slots_[i] = id;
    count_ += 1;
    return true;
  }
  void Prefetch(std::uint64_t id) const { __builtin_prefetch(&slots_[Mix(id) & mask_], 1); }

 private:
  void Grow() {
    std::vector<std::uint64_t> old(slots_.size() * 2, kEmpty);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const std::uint64_t id : old) {
      if (id == kEmpty) continue;
      std::size_t i = Mix(id) & mask_;
      while (slots_[i] != kEmpty) i = (i + 1) & mask_;
      slots_[i] = id;
    }
  }
  std::vector<std::uint64_t> slots_;
  std::size_t mask_;
  std::size_t count_ = 0;
};

// Counts by location and item: the key is the location shifted by 20 bits, and the item's number.
class Counts {
 public:
  Counts() : keys_(1 << 12, kEmpty), counts_(1 << 12), mask_(keys_.size() - 1) {}
  void Add(std::uint64_t key) {
    if (used_ * 2 > keys_.size()) Grow();
    const std::size_t i = Slot(key);
    if (keys_[i] == kEmpty) {
      keys_[i] = key;
      counts_[i] = 0;
      used_ += 1;
    }
    counts_[i] += 1;
  }
  // (location, count, item), unordered
  std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>> All() const {
    std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>> all;
    all.reserve(used_);
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (keys_[i] != kEmpty) all.emplace_back(keys_[i] >> 20, counts_[i], keys_[i] & 0xfffff);
    }
    return all;
  }

 private:
  std::size_t Slot(std::uint64_t key) const {
    std::size_t i = Mix(key) & mask_;
    while (keys_[i] != kEmpty && keys_[i] != key) i = (i + 1) & mask_;
    return i;
  }
  void Grow() {
    const auto old_keys = keys_;
    const auto old_counts = counts_;
    keys_.assign(old_keys.size() * 2, kEmpty);
    counts_.assign(keys_.size(), 0);
    mask_ = keys_.size() - 1;
    for (std::size_t j = 0; j < old_keys.size(); ++j) {
      if (old_keys[j] == kEmpty) continue;
      const std::size_t i = Slot(old_keys[j]);
      keys_[i] = old_keys[j];
      counts_[i] = old_counts[j];
    }
  }
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint32_t> counts_;
  std::size_t mask_;
  std::size_t used_ = 0;
};

struct Event {
  std::int64_t location, time;
  std::uint64_t detection;
  std::uint32_t item;
};

class Job {
 public:
  explicit Job(std::FILE* rows) : rows_(rows), batch_(kBatch) {}
  void Run(const char* at, const char* end) {
    while (at < end) {
      std::size_t parsed = 0;
      while (at < end && parsed < kBatch) {
        const auto* line_end = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
        if (line_end == nullptr) line_end = end;
        lines_ += 1;
        if (Parse(at, static_cast<std::size_t>(line_end - at), static_cast<std::size_t>(end - at), batch_[parsed])) {
          seen_.Prefetch(batch_[parsed++].detection);
        } else {
          malformed_ += 1;
        }
        at = line_end + 1;
      }
      for (std::size_t i = 0; i < parsed; ++i) Count(batch_[i]);
    }
    for (auto& [window, counts] : windows_) Close(window, counts);
  }
  void Print() const {
    std::printf("{\"events\":%zu,\"malformed\":%zu,\"duplicates\":%zu,\"late\":%zu,\"rows\":%zu,\"check\":\"%016lx\"}\n", lines_,
                malformed_, duplicates_, late_, row_count_, check_);
  }

 private:
  bool Parse(const char* line, std::size_t size, std::size_t available, Event& event) {
    padded_string_view text;
    if (available > size + SIMDJSON_PADDING) {
      text = padded_string_view(line, size, size + SIMDJSON_PADDING);
    } else {
      std::memcpy(last_line_, line, std::min(size, sizeof(last_line_) - SIMDJSON_PADDING));
      text = padded_string_view(last_line_, size, sizeof(last_line_));
    }
    ondemand::document document;
    ondemand::object fields;
    std::string_view name;
    if (parser_.iterate(text).get(document) || document.get_object().get(fields) ||
        fields.find_field("geographical_location_oid").get_int64().get(event.location) ||
        fields.find_field("detection_oid").get_uint64().get(event.detection) || fields.find_field("item_name").get_string().get(name) ||
        fields.find_field("timestamp_detected").get_int64().get(event.time)) {
      return false;
    }
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    const auto [place, fresh] = items_.try_emplace(hash, static_cast<std::uint32_t>(names_.size()));
    if (fresh) names_.emplace_back(name);
    event.item = place->second;
    return true;
  }
  void Count(const Event& event) {
    if (!seen_.Insert(event.detection)) {
      duplicates_ += 1;
      return;
    }
    const std::int64_t window = event.time / kWindowMs;
    if ((window + 1) * kWindowMs <= watermark_) {
      late_ += 1;
      return;
    }
    windows_[window].Add(static_cast<std::uint64_t>(event.location) << 20 | event.item);
    if (event.time - kOutOfOrdernessMs <= watermark_) return;
    watermark_ = event.time - kOutOfOrdernessMs;
    while (!windows_.empty() && (windows_.begin()->first + 1) * kWindowMs <= watermark_) {
      Close(windows_.begin()->first, windows_.begin()->second);
      windows_.erase(windows_.begin());
    }
  }
  void Close(std::int64_t window, const Counts& counts) {
    auto all = counts.All();
    std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) {
      const auto& [a_location, a_count, a_item] = a;
      const auto& [b_location, b_count, b_item] = b;
      if (a_location != b_location) return a_location < b_location;
      if (a_count != b_count) return a_count > b_count;
      return names_[a_item] < names_[b_item];
    });
    std::uint32_t last = ~0U;
    int rank = 0;
    for (const auto& [location, count, item] : all) {
      if (location != last) {
        last = location;
        rank = 0;
      }
      if (++rank > kTop) continue;
      row_count_ += 1;
      check_ += Mix(location * 1000003ULL + count * 31 + static_cast<std::uint64_t>(rank) + static_cast<std::uint64_t>(window));
      if (rows_ == nullptr) continue;
      std::fprintf(rows_, "%ld,%ld,%u,%s,%u,%d\n", window * kWindowMs, (window + 1) * kWindowMs, location, names_[item].c_str(), count,
                   rank);
    }
  }

  std::FILE* rows_;
  ondemand::parser parser_;
  char last_line_[8192] = {};
  std::vector<Event> batch_;
  IdSet seen_;
  std::unordered_map<std::uint64_t, std::uint32_t> items_;
  std::vector<std::string> names_;
  std::map<std::int64_t, Counts> windows_;
  std::int64_t watermark_ = std::numeric_limits<std::int64_t>::min();
  std::size_t lines_ = 0, malformed_ = 0, duplicates_ = 0, late_ = 0, row_count_ = 0;
  std::uint64_t check_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: limit_top_items FILE [ROWS.csv]\n");
    return 2;
  }
  const int file = ::open(argv[1], O_RDONLY);
  struct stat info{};
  if (file < 0 || ::fstat(file, &info) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  std::FILE* const rows = argc == 3 ? std::fopen(argv[2], "w") : nullptr;
  if (mapped == MAP_FAILED || (argc == 3 && rows == nullptr)) {
    std::perror("limit_top_items");
    return 1;
  }
  if (rows != nullptr) std::fputs("window_start,window_end,geographical_location_oid,item_name,item_count,rank\n", rows);
  Job job(rows);
  const auto* begin = static_cast<const char*>(mapped);
  job.Run(begin, begin + size);
  job.Print();
  return rows == nullptr || std::fclose(rows) == 0 ? 0 : 1;
}
