#pragma once

#include <string>

#include "apps/sightline/framework.h"
#include "sightline/base/result.h"

namespace sightline::app {

// kFailedPrecondition, with what to do, while a process owns the log below `data`.
Status CheckUnowned(const World& world, const std::string& data);
// Ends the server that owns the log below `data` in order, and waits for it: what it has accepted is kept. Nothing happens where none does.
Status StopOwner(const World& world, const std::string& data);

}  // namespace sightline::app
