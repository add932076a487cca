#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddRun(CommandLine& line);
void AddPlan(CommandLine& line);

}  // namespace sightline::app
