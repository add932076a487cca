#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sightline/governance/contract.h"
#include "sightline/model/pipeline_spec.h"
#include "sightline/model/result.h"

namespace sightline::flow::testing {

// A record with a value of every type, most of which may be missing.
struct Reading {
  std::int64_t location = 0;
  std::int64_t id = 0;
  std::string item;
  std::optional<std::string> note;
  std::optional<std::int64_t> amount;
  std::optional<double> level;
  std::optional<bool> good;
  std::int64_t at = 0;
};
governance::Contract ReadingContract();
std::string ReadingLine(const Reading& reading);
// Disordered readings of a few locations from `first_location` on, with duplicates, stragglers, gaps, nulls, and sums that overflow.
std::vector<Reading> RandomReadings(std::uint64_t seed, std::size_t count, std::int64_t first_location);

using Value = std::variant<std::monostate, std::int64_t, double, bool, std::string>;
// (window start, key) -> the other columns.
using NaiveRows = std::map<std::pair<std::int64_t, std::vector<Value>>, std::vector<Value>>;

// What a random pipeline does, by numbers into lists of expressions that stand both as SQL and as C++.
struct NaivePlan {
  enum class Key : std::uint8_t { kNone, kId, kLocationAndNote };
  std::int64_t out_of_orderness = 0;
  std::int64_t size = 0;
  std::int64_t every = 0;
  std::int64_t lateness = 0;
  std::int64_t within = 0;
  Key dedupe = Key::kNone;
  int where = -1;                 // -1: there is none
  bool where_first = false;       // before the dedupe
  std::vector<int> by;            // besides the location
  std::vector<int> aggregates;    // besides count() as `n`
  std::vector<int> over_all;      // of `by`: what the second pipeline groups by
  int close_where = -1;           // behind the aggregate of `counts`; -1: there is none
  int sums_where = -1;            // behind those of the other two

  static NaivePlan Random(std::uint64_t seed);
  // `counts` on the dataset, `over_all` on its results in all partitions, and `by_location` on those of one.
  std::vector<PipelineSpec> Specs(const std::string& dataset) const;
  std::string ToString() const;
};

// Expressions, dedupe, windows and every aggregate of one partition written down as directly as the rules are stated, over whole lists of
// records and with no thought of speed: what the engine is compared with.
class NaivePipeline {
 public:
  explicit NaivePipeline(const NaivePlan& plan) : plan_(plan) {}

  void Add(const Reading& reading);
  // The partition was idle for so long.
  void Tick(std::int64_t passed_ms);
  // The input is at its end.
  void Finish() { watermark_ = INT64_MAX; }
  // The newest rows of all windows that the watermark has reached.
  NaiveRows Rows() const;
  std::int64_t watermark() const { return watermark_; }

  std::uint64_t counted = 0, filtered = 0, duplicates = 0, late = 0, partially_late = 0;

 private:
  enum class Fate : std::uint8_t { kOn, kFiltered, kDuplicate, kLate };
  Fate Judge(const Reading& reading, std::int64_t before);
  Fate Dedupe(const Reading& reading, std::int64_t before);

  NaivePlan plan_;
  std::int64_t watermark_ = INT64_MIN;
  std::map<std::vector<Value>, std::int64_t> seen_;  // first event time
  std::map<std::pair<std::int64_t, std::vector<Value>>, std::vector<Reading>> windows_;
};

// The rows of `over_all`, given those of `counts` in all partitions, and those of `by_location`.
NaiveRows NaiveOverAll(const NaivePlan& plan, const NaiveRows& counts);
NaiveRows NaiveByLocation(const NaivePlan& plan, const NaiveRows& counts);

// The first rows in which they differ, for people to read; empty when they are equal.
std::string DifferenceOf(const NaiveRows& expected, const NaiveRows& actual);

// What a reader of a results topic has at the end.
class NewestRows {
 public:
  NewestRows(const ResultShape& shape, std::size_t keys) : shape_(shape), keys_(keys) {}
  Status Take(std::string_view record);
  NaiveRows rows() const;

 private:
  const ResultShape& shape_;
  std::size_t keys_;  // columns that are the key, the first ones
  std::map<std::pair<std::int64_t, std::string>, std::pair<std::uint32_t, NaiveRows>> groups_;
};

}  // namespace sightline::flow::testing
