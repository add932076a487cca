#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sightline::bench {

// Events at a steady rate, each a function of its number: when it is due, what it holds, and which count of which window shows it. So a
// watcher knows from a count alone which events have become visible, and nothing is kept for each event.
//
// Numbers go round over kLocations locations with kItems items each, few enough for a ranking of ten to show all of them.
struct Schedule {
  using Clock = std::chrono::steady_clock;
  static constexpr std::int64_t kLocations = 1000;
  static constexpr std::int64_t kItems = 8;
  static constexpr std::int64_t kCells = kLocations * kItems;
  static constexpr std::int64_t kWindowMs = 60'000;
  static constexpr std::int64_t kNsPerMs = 1'000'000;

  std::int64_t batch = 1;        // events of one post
  std::int64_t interval_ns = 1;  // between two posts
  std::int64_t events = 0;
  Clock::time_point start;       // of number 0
  std::int64_t start_ms = 0;     // the same by the wall clock

  std::int64_t DueNs(std::int64_t number) const { return number / batch * interval_ns; }  // after the start
  Clock::time_point Due(std::int64_t number) const { return start + std::chrono::nanoseconds(DueNs(number)); }
  std::int64_t EventTimeMs(std::int64_t number) const { return start_ms + DueNs(number) / kNsPerMs; }
  static std::int64_t CellOf(std::int64_t location, std::int64_t item) { return item * kLocations + location; }

  // The event that makes the count of a cell in a window `count`, where counting began with nothing; `events` or more: none.
  std::int64_t Nth(std::int64_t window_start_ms, std::int64_t cell, std::int64_t count) const {
    std::int64_t first = 0;
    if (window_start_ms > start_ms) {
      const std::int64_t after_ns = (window_start_ms - start_ms) * kNsPerMs;
      first = (after_ns + interval_ns - 1) / interval_ns * batch;
    }
    const std::int64_t to_cell = ((cell - first) % kCells + kCells) % kCells;
    return first + to_cell + (count - 1) * kCells;
  }

  void Append(std::int64_t number, std::string& out) const {
    const std::int64_t cell = number % kCells;
    const std::int64_t location = cell % kLocations;
    // Ids of two runs never meet: each run has its own millisecond, and fewer events than the shift leaves room for.
    const std::int64_t id = (start_ms << 21) + number;
    out += "{\"geographical_location_oid\":" + std::to_string(location) + ",\"video_camera_oid\":" + std::to_string(location * 10) +
           ",\"detection_oid\":" + std::to_string(id) + ",\"item_name\":\"item-" + std::to_string(cell / kLocations) +
           "\",\"timestamp_detected\":" + std::to_string(EventTimeMs(number)) + "}\n";
  }
};

}  // namespace sightline::bench
