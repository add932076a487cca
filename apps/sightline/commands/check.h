#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddCheck(CommandLine& line);

}  // namespace sightline::app
