#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "bench/load/options.h"
#include "sightline/base/hash.h"

namespace sightline::bench {
namespace {

constexpr std::int64_t kLocations = 1000;
constexpr std::int64_t kCameras = 10;
constexpr std::uint64_t kItems = 200;
constexpr std::uint64_t kIdMask = (1ULL << 53) - 1;
constexpr std::uint64_t kStride = 2654435761;  // odd: every id of 53 bits comes once

// A sequence of events, each a function of its number: what was sent once can be sent again.
struct Sequence {
  std::int64_t base_ms = 0;  // event time of number 0
  std::int64_t span_ms = 0;  // and what lies between it and number `total`
  std::int64_t total = 1;

  void Append(std::int64_t number, std::string& out) const {
    const std::uint64_t mixed = Mix64(static_cast<std::uint64_t>(number));
    const auto location = static_cast<std::int64_t>(mixed % static_cast<std::uint64_t>(kLocations));
    const std::int64_t camera = location * kCameras + static_cast<std::int64_t>((mixed >> 20) % static_cast<std::uint64_t>(kCameras));
    const auto time =
        base_ms + static_cast<std::int64_t>(static_cast<double>(number) / static_cast<double>(total) * static_cast<double>(span_ms));
    char line[256];
    const int size =
        std::snprintf(line, sizeof line,
                      "{\"geographical_location_oid\":%ld,\"video_camera_oid\":%ld,\"detection_oid\":%lu,\"item_name\":\"item-%03lu\","
                      "\"timestamp_detected\":%ld}\n",
                      location, camera, (static_cast<std::uint64_t>(number) * kStride) & kIdMask, (mixed >> 32) % kItems, time);
    out.append(line, static_cast<std::size_t>(size));
  }
};

}  // namespace

void Fill(Options& options) {
  const Server server = options.TakeServer();
  Sequence sequence{.base_ms = options.Number("base_ms", 0), .span_ms = options.Number("span_ms", 0), .total = options.Number("total", 1)};
  const std::int64_t first = options.Number("first", 0);
  const std::int64_t end = first + options.Number("count", sequence.total);
  const std::int64_t batch = options.Number("batch", 20'000);
  const auto connections = static_cast<std::size_t>(options.Number("connections", 2));
  options.Finish();

  std::atomic<std::int64_t> next{first};
  std::atomic<std::uint64_t> busy{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto start = std::chrono::steady_clock::now();
  const auto post = [&] {
    try {
      Connection connection(server);
      std::string body;
      for (std::int64_t begin = next.fetch_add(batch); begin < end; begin = next.fetch_add(batch)) {
        body.clear();
        for (std::int64_t number = begin; number < std::min(end, begin + batch); ++number) sequence.Append(number, body);
        connection.Post("camera_events", body);
      }
      busy += connection.busy();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = end;
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < connections; ++i) threads.emplace_back(post);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("{\"events\":%ld,\"seconds\":%.3f,\"busy\":%lu}\n", end - first, seconds, busy.load());
}

}  // namespace sightline::bench
