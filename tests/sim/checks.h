#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sightline::sim {

// The outcome of a run. The first violation counts: what comes after it may follow from it.
class Checks {
 public:
  // `check`: the name of what must hold, as in docs/simulation.md.
  void Violated(std::string_view check, std::string what) {
    if (over()) return;
    failed_ = true;
    check_ = check;
    what_ = std::move(what);
  }
  // Bytes that were damaged on purpose have been noticed: nothing more can be asked of this run.
  void ReportedDamage() { reported_damage_ = reported_damage_ || !failed_; }

  bool failed() const { return failed_; }
  bool reported_damage() const { return reported_damage_; }
  bool over() const { return failed_ || reported_damage_; }
  const std::string& check() const { return check_; }
  const std::string& what() const { return what_; }

 private:
  bool failed_ = false;
  bool reported_damage_ = false;
  std::string check_;
  std::string what_;
};

// What happened, in order: a hash that is equal when two runs were, and a line each for whoever replays a seed.
class Trace {
 public:
  explicit Trace(bool verbose) : verbose_(verbose) {}
  void Note(std::string_view what, std::int64_t a = 0, std::int64_t b = 0);
  // `text` is only shown.
  void Say(std::string_view what, std::string_view text) const;
  std::uint64_t hash() const { return hash_; }
  bool verbose() const { return verbose_; }

 private:
  bool verbose_;
  std::uint64_t hash_ = 0;
};

}  // namespace sightline::sim
