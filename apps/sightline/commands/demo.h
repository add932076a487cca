#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddDemo(CommandLine& line);

}  // namespace sightline::app
