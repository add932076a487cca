#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddConfig(CommandLine& line);

}  // namespace sightline::app
