#pragma once

#include "apps/sightline/framework.h"

namespace sightline::app {

void AddSend(CommandLine& line);

}  // namespace sightline::app
