#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

// dead-letter replay
void AddReplay(CommandLine& line);

}  // namespace sightline::app
