#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "connectors/postgres/statistics_store.h"
#include "sightline/runtime/clock.h"

namespace sightline::postgres {

// One thing that was looked at: what was found, and what to do about it.
struct Check {
  enum class Health : std::uint8_t { kGood, kWarning, kProblem };
  std::string name;
  Health health = Health::kGood;
  std::string found;
  std::string remedy;
};

// Looks at a server as a statistics store needs it, and changes nothing: reachable, version, rights, time, settings that would lose data,
// the layout and whether somebody has changed it, the readers' role.
std::vector<Check> ExamineStatistics(const StatisticsOptions& options, const runtime::Clock& clock);

}  // namespace sightline::postgres
