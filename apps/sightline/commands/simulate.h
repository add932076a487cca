#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddSimulate(CommandLine& line);

}  // namespace sightline::app
