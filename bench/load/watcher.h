#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/connection.h"
#include "bench/load/schedule.h"

namespace sightline::bench {

// One WebSocket client of /v1/pipelines/top_items/live that notes when it sees each event. Not thread-safe.
class Watcher {
 public:
  static constexpr std::int64_t kAllLocations = -1;
  // A slow one has a small receive buffer; whoever made it does not read from it.
  Watcher(const Server& server, std::int64_t location, bool slow);

  int descriptor() const { return connection_.descriptor(); }
  bool slow() const { return slow_; }
  std::uint64_t messages() const { return messages_; }
  std::int64_t location() const { return location_; }

  // Takes in what has come. Without a schedule counts are only remembered: they are what later ones are compared with. With one, the delay
  // of each event that has become visible since, counted from when it was due, goes to `delays_us`, and from number `count_from` on only.
  void Read(const Schedule* schedule, std::int64_t count_from, std::vector<std::uint32_t>& delays_us);
  // Events seen since the schedule began.
  std::int64_t seen() const { return seen_; }

 private:
  struct Window {
    std::int64_t start_ms = -1;
    std::vector<std::int64_t> base;  // a count before the schedule began
    std::vector<std::int64_t> visible;  // the newest count
  };
  bool TakeFrame(std::string_view& rest, const Schedule* schedule, std::int64_t count_from, std::vector<std::uint32_t>& delays_us);
  void TakeMessage(std::string_view text, const Schedule* schedule, std::int64_t count_from, std::vector<std::uint32_t>& delays_us);
  void TakeCount(std::int64_t window_ms, std::int64_t location, std::int64_t item, std::int64_t count, const Schedule* schedule,
                 std::int64_t count_from, std::vector<std::uint32_t>& delays_us);
  Window& WindowAt(std::int64_t start_ms);
  void Answer(std::string_view ping);

  Connection connection_;
  std::int64_t location_;
  bool slow_;
  std::string bytes_;
  Window windows_[2];  // by the minute's parity
  std::uint64_t messages_ = 0;
  std::int64_t seen_ = 0;
  Schedule::Clock::time_point now_;
};

}  // namespace sightline::bench
