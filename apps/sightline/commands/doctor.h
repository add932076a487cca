#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddDoctor(CommandLine& line);

}  // namespace sightline::app
