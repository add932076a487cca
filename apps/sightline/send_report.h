#pragma once

#include <cstdint>
#include <string>

#include "apps/sightline/framework.h"
#include "apps/sightline/sender.h"

namespace sightline::app {

// What became of what was sent: counts by verdict, the first rejects on stderr, and how to send the rest where there is one.
void PrintSendReport(const Context& context, const Sender& sender, const std::string& run_id, std::int64_t took_ns, std::uint64_t too_long);

}  // namespace sightline::app
