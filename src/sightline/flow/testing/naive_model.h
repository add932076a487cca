#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "sightline/model/verdict.h"

namespace sightline::flow::testing {

// One event of the test contract.
struct Event {
  std::int64_t location = 0;
  std::int64_t detection = 0;
  std::string item;
  std::int64_t time = 0;
};

// Watermark, ticks, `where`, dedupe, windows, count and rank of one partition, written down as directly as the rules are stated, with
// maps and no thought of speed: what the engine is compared with.
class NaiveModel {
 public:
  struct Settings {
    std::int64_t out_of_orderness = 30'000;
    std::int64_t within = 86'400'000;
    std::int64_t size = 60'000;
    std::int64_t every = 60'000;
    std::int64_t lateness = 0;
    std::int64_t top = 10;
    std::int64_t ahead_max = 0;     // 0: no bound
    std::string filtered_item{};    // a `where` before the dedupe takes these out; empty: there is none
  };
  // (window start, location, item, count, rank), in order
  using Row = std::tuple<std::int64_t, std::int64_t, std::string, std::int64_t, std::int64_t>;

  explicit NaiveModel(Settings settings) : settings_(settings) {}

  Verdict Add(const Event& event, std::optional<std::int64_t> append_time = std::nullopt) {
    if (append_time) NoteAppend(*append_time);
    if (append_time && settings_.ahead_max > 0 && event.time > *append_time + settings_.ahead_max) {
      ++future;
      return Verdict::kFuture;
    }
    const bool started = watermark_ != INT64_MIN;
    const std::int64_t before = watermark_;
    watermark_ = std::max(watermark_, event.time - settings_.out_of_orderness);
    if (!settings_.filtered_item.empty() && event.item == settings_.filtered_item) {
      ++filtered;
      return Verdict::kFiltered;
    }
    if (started && event.time + settings_.within <= before) {
      ++late;
      return Verdict::kLate;
    }
    if (Remembers(event.detection, started, before)) {
      ++duplicates;
      return Verdict::kDuplicate;
    }
    seen_[event.detection] = event.time;
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
      return Verdict::kLate;
    }
    ++counted;
    if (missed_one) ++partially_late;
    return Verdict::kCounted;
  }

  // A record that is no event came in: only its time counts.
  void NoteAppend(std::int64_t append_time) { last_append_ = std::max(last_append_, append_time); }

  void Tick(std::int64_t append_time) {
    if (watermark_ != INT64_MIN && last_append_ != INT64_MIN && append_time > last_append_) watermark_ += append_time - last_append_;
    NoteAppend(append_time);
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

  std::int64_t watermark() const { return watermark_; }
  // window start -> location -> item -> events counted
  using Counts = std::map<std::int64_t, std::map<std::int64_t, std::map<std::string, std::int64_t>>>;
  const Counts& counts() const { return counts_; }

  std::uint64_t counted = 0, filtered = 0, duplicates = 0, late = 0, future = 0, partially_late = 0;

 private:
  // An id is remembered until the watermark passes its first event time plus `within`, or up to a quantum longer: times are kept
  // in as many epochs as 15 bits hold.
  bool Remembers(std::int64_t detection, bool started, std::int64_t watermark) const {
    const auto found = seen_.find(detection);
    if (found == seen_.end()) return false;
    if (!started) return true;
    const std::int64_t quantum = (settings_.within + settings_.out_of_orderness) / 32766 + 1;
    return Floor(found->second, quantum) >= Floor(watermark - settings_.within, quantum);
  }
  static std::int64_t Floor(std::int64_t a, std::int64_t b) { return a - ((a % b) + b) % b; }
  Settings settings_;
  std::int64_t watermark_ = INT64_MIN;
  std::int64_t last_append_ = INT64_MIN;
  std::map<std::int64_t, std::int64_t> seen_;  // first event time
  Counts counts_;
};

}  // namespace sightline::flow::testing
