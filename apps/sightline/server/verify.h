#pragma once

#include <string>

#include "sightline/bus/embedded/log_bus.h"

namespace sightline::app {

// Every stored batch of a topic read and checked, as the JSON of GET /v1/topics/{topic}/verify. Blocks.
Result<std::string> VerifyJson(bus::LogBus& bus, const std::string& topic);

}  // namespace sightline::app
