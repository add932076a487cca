#pragma once

#include <string>
#include <vector>

#include "tests/scenario/scenario_file.h"
#include "tests/scenario/scenario_run.h"

namespace sightline::scenario {

// Everything in which an outcome differs from what the scenario expects, for people to read; empty when nothing does.
std::string Differences(const Scenario& scenario, const Outcome& outcome, Pace pace);

}  // namespace sightline::scenario
