#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sightline/runtime/random.h"

namespace sightline::app {

struct FleetOptions {
  std::int64_t locations = 1000;
  std::int64_t cameras = 10;  // of each location
  double duplicates = 0.1;    // share of events that are copies of one of the last 20,000
  double disorder = 0.05;     // share that is up to disorder_ms old
  double late = 0.001;        // share that is one to two hours old
  double broken = 0.0005;     // share that is cut off
  std::int64_t disorder_ms = 25'000;
  std::uint64_t seed = 7;
};

// A fleet of simulated cameras: detections as lines of JSON, with what real ones suffer from. Locations and items follow Zipf
// distributions (a few are frequent). The same options and calls give the same bytes. Detection ids do not repeat within a
// fleet, nor, but for chance, between fleets of other seeds. Not thread-safe.
class Fleet {
 public:
  explicit Fleet(FleetOptions options);
  // Appends `events` lines whose time is about `now_ms` (epoch ms).
  void Append(std::int64_t now_ms, std::uint64_t events, std::string& out);

  struct Made {
    std::uint64_t events = 0, duplicates = 0, disordered = 0, late = 0, broken = 0;
  };
  const Made& made() const { return made_; }

 private:
  struct Detection {
    std::int64_t location = 0, camera = 0, id = 0, time = 0;
    std::size_t item = 0;
  };
  // An index drawn by the cumulated weights.
  std::size_t Draw(const std::vector<double>& cumulated);
  void AppendLine(const Detection& detection, std::string& out) const;

  FleetOptions options_;
  runtime::Random random_;
  std::vector<double> location_weights_;
  std::vector<double> item_weights_;
  std::vector<std::string> items_;
  std::vector<Detection> recent_;  // a ring
  std::size_t next_recent_ = 0;
  std::uint64_t id_base_ = 0;
  Made made_;
};

}  // namespace sightline::app
