#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddUp(CommandLine& line);

}  // namespace sightline::app
