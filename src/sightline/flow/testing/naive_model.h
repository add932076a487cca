#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace sightline::flow::testing {

// One event of the test contract.
struct Event {
  std::int64_t location = 0;
  std::int64_t detection = 0;
  std::string item;
  std::int64_t time = 0;
};

// Dedupe, windows, count and rank written down as directly as the rules are stated, with maps and no thought of speed: what the
// engine is compared with.
class NaiveModel {
 public:
  struct Settings {
    std::int64_t out_of_orderness = 30'000;
    std::int64_t within = 86'400'000;
    std::int64_t size = 60'000;
    std::int64_t every = 60'000;
    std::int64_t lateness = 0;
    std::int64_t top = 10;
  };
  // (window start, location, item, count, rank), in order
  using Row = std::tuple<std::int64_t, std::int64_t, std::string, std::int64_t, std::int64_t>;

  explicit NaiveModel(Settings settings) : settings_(settings) {}

  void Add(const Event& event) {
    const bool started = watermark_ != INT64_MIN;
    const std::int64_t before = watermark_;
    watermark_ = std::max(watermark_, event.time - settings_.out_of_orderness);
    if (started && event.time + settings_.within <= before) {
      ++late;
      return;
    }
    if (!seen_.insert(event.detection).second) {
      ++duplicates;
      return;
    }
    bool counted_in_one = false;
    bool missed_one = false;
    for (std::int64_t start = Floor(event.time, settings_.every); start > event.time - settings_.size; start -= settings_.every) {
      if (started && start + settings_.size + settings_.lateness <= before) {
        missed_one = true;
        continue;
      }
      ++counts_[start][event.location][event.item];
      counted_in_one = true;
    }
    if (!counted_in_one) {
      ++late;
      return;
    }
    ++counted;
    if (missed_one) ++partially_late;
  }

  std::vector<Row> Ranked() const {
    std::vector<Row> rows;
    for (const auto& [start, locations] : counts_) {
      for (const auto& [location, items] : locations) {
        std::vector<std::pair<std::int64_t, std::string>> order;
        for (const auto& [item, count] : items) order.emplace_back(-count, item);
        std::sort(order.begin(), order.end());
        for (std::size_t i = 0; i < order.size() && i < static_cast<std::size_t>(settings_.top); ++i) {
          rows.emplace_back(start, location, order[i].second, -order[i].first, static_cast<std::int64_t>(i + 1));
        }
      }
    }
    return rows;
  }

  std::uint64_t counted = 0, duplicates = 0, late = 0, partially_late = 0;

 private:
  static std::int64_t Floor(std::int64_t a, std::int64_t b) { return a - ((a % b) + b) % b; }
  Settings settings_;
  std::int64_t watermark_ = INT64_MIN;
  std::set<std::int64_t> seen_;
  std::map<std::int64_t, std::map<std::int64_t, std::map<std::string, std::int64_t>>> counts_;
};

}  // namespace sightline::flow::testing
