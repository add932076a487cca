#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"

namespace sightline::runtime {

// Named places where a test ends the process or makes a call fail. Every name is listed in failpoints.cc, so that a test
// can go through all of them. Nothing is armed unless a test asks for it by
// SIGHTLINE_FAILPOINTS (docs/testing.md). Thread-safe.
class Failpoints {
 public:
  // Arms from "name=kill@3" (end the process by SIGKILL at the third hit) or "name=error@1"; comma-separated; "" arms nothing.
  static Result<Failpoints*> Parse(std::string_view spec, Failpoints& into);
  // The program passes here; kIo when an error was asked for.
  Status Hit(std::string_view name) {
    if (!armed_) [[likely]]
      return {};
    return HitArmed(name);
  }
  // All names that exist, in order of the way of a record.
  static std::vector<std::string_view> Names();

 private:
  struct Armed {
    std::string name;
    bool kill = false;
    std::uint64_t at = 1;
    std::uint64_t hits = 0;
  };
  Status HitArmed(std::string_view name);
  bool armed_ = false;
  std::mutex mutex_;
  std::vector<Armed> points_;
};

}  // namespace sightline::runtime
