// sim_crash: the deterministic simulation (docs/simulation.md).
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/simulation.h"

namespace sightline::sim {
namespace {

constexpr const char* kUsage =
    "usage: sim_crash [--seeds N] [--start S] [--for SECONDS] [--fail-fast]   runs the seeds S, S+1, ...; S is 1 unless given\n"
    "       sim_crash --seed S                                                replays one seed and prints what happens\n";

struct Arguments {
  std::uint64_t seeds = 1000;
  std::uint64_t start = 1;
  std::optional<std::uint64_t> seed;
  std::optional<std::uint64_t> seconds;
  bool fail_fast = false;
};

std::optional<Arguments> Parse(const std::vector<std::string>& words) {
  Arguments arguments;
  bool seeds_given = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--fail-fast") {
      arguments.fail_fast = true;
      continue;
    }
    std::uint64_t number = 0;
    const bool has_value = i + 1 < words.size();
    const std::string value = has_value ? words[i + 1] : "";
    std::size_t digits = value.size();
    if (words[i] == "--for" && value.ends_with('s')) --digits;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + digits, number);
    if (error != std::errc() || stop != value.data() + digits) {
      std::fprintf(stderr, "sim_crash: %s needs a number%s\n", words[i].c_str(), has_value ? (", not '" + value + "'").c_str() : "");
      return std::nullopt;
    }
    if (words[i] == "--seeds") {
      arguments.seeds = number;
      seeds_given = true;
    } else if (words[i] == "--start") {
      arguments.start = number;
    } else if (words[i] == "--seed") {
      arguments.seed = number;
    } else if (words[i] == "--for") {
      arguments.seconds = number;
    } else {
      std::fprintf(stderr, "sim_crash: there is no option %s\n", words[i].c_str());
      return std::nullopt;
    }
    ++i;
  }
  if (arguments.seconds && !seeds_given) arguments.seeds = UINT64_MAX;
  return arguments;
}

void Report(std::uint64_t seed, const Outcome& outcome) {
  std::printf("seed %llu: violated: %s\n  %s\n  replay: ./dev crash --seed %llu\n", static_cast<unsigned long long>(seed),
              outcome.check.c_str(), outcome.what.c_str(), static_cast<unsigned long long>(seed));
  std::fflush(stdout);
}

int Replay(std::uint64_t seed) {
  const Outcome outcome = Simulate(seed, true);
  const Outcome again = Simulate(seed, false);
  std::printf("seed %llu: %llu processes, %llu records, %llu results, trace %016llx%s\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(outcome.processes), static_cast<unsigned long long>(outcome.records),
              static_cast<unsigned long long>(outcome.results), static_cast<unsigned long long>(outcome.trace),
              outcome.reported_damage ? ", damage reported" : "");
  const bool same = outcome.trace == again.trace;
  if (!same)
    std::printf("seed %llu: violated: determinism\n  the same seed took another course the second time\n",
                static_cast<unsigned long long>(seed));
  if (outcome.failed) Report(seed, outcome);
  const bool passed = !outcome.failed && same;
  std::printf("%d passed, %d failed\n", passed ? 1 : 0, passed ? 0 : 1);
  return passed ? 0 : 1;
}

int RunSeeds(const Arguments& arguments) {
  using Clock = std::chrono::steady_clock;
  constexpr std::uint64_t kTwiceEvery = 50;  // seeds that are run twice, and must take the same course
  constexpr std::uint64_t kFailuresShown = 10;
  const Clock::time_point begin = Clock::now();
  Clock::time_point shown = begin;
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  std::uint64_t passed = 0, failed = 0, processes = 0, records = 0, damages = 0;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    if (arguments.seconds && elapsed() >= static_cast<double>(*arguments.seconds)) break;
    const std::uint64_t seed = arguments.start + i;
    Outcome outcome = Simulate(seed, false);
    if (!outcome.failed && seed % kTwiceEvery == 0 && Simulate(seed, false).trace != outcome.trace) {
      outcome = {.failed = true, .check = "determinism", .what = "the same seed took another course the second time"};
    }
    processes += outcome.processes;
    records += outcome.records;
    damages += outcome.reported_damage ? 1 : 0;
    if (outcome.failed) {
      ++failed;
      if (failed <= kFailuresShown) Report(seed, outcome);
      if (arguments.fail_fast) break;
    } else {
      ++passed;
    }
    if (Clock::now() - shown >= std::chrono::seconds(5)) {
      shown = Clock::now();
      std::printf("%llu seeds in %.0f s, %llu failed\n", static_cast<unsigned long long>(i + 1), elapsed(),
                  static_cast<unsigned long long>(failed));
      std::fflush(stdout);
    }
  }
  const double seconds = elapsed();
  std::printf("%llu seeds in %.1f s (%.0f a minute): %llu processes, %llu records, damage reported in %llu runs\n",
              static_cast<unsigned long long>(passed + failed), seconds, static_cast<double>(passed + failed) / seconds * 60,
              static_cast<unsigned long long>(processes), static_cast<unsigned long long>(records),
              static_cast<unsigned long long>(damages));
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed), static_cast<unsigned long long>(failed));
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace sightline::sim

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 1 && (words[0] == "--help" || words[0] == "-h")) {
    std::fputs(sightline::sim::kUsage, stdout);
    return 0;
  }
  const auto arguments = sightline::sim::Parse(words);
  if (!arguments) {
    std::fputs(sightline::sim::kUsage, stderr);
    return 2;
  }
  return arguments->seed ? sightline::sim::Replay(*arguments->seed) : sightline::sim::RunSeeds(*arguments);
}
