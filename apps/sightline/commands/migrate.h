#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

// `sightline migrate`
void AddMigrate(CommandLine& line);

}  // namespace sightline::app
