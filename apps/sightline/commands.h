#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

// Every command there is, in the order of the help.
void AddAllCommands(CommandLine& line);

}  // namespace sightline::app
