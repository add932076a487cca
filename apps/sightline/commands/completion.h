#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddCompletion(CommandLine& line);

}  // namespace sightline::app
