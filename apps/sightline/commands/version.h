#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddVersion(CommandLine& line);

}  // namespace sightline::app
