#pragma once

#include <cstdint>
#include <limits>

#include "sightline/base/strong.h"

namespace sightline {

// Milliseconds since 1970-01-01T00:00:00Z. Three clocks that must never be mixed up:
// when it happened, as the producer says (the contract's event-time field);
using EventTime = Strong<struct EventTimeTag>;
// when the log took it in (given by the log; on Kafka by the broker or our header);
using AppendTime = Strong<struct AppendTimeTag>;
// and when a machine of ours looks at its own clock.
using WallTime = Strong<struct WallTimeTag>;

// The years 1 to 9999, the range SQL engines agree on; an event time outside it is invalid.
inline constexpr EventTime kEventTimeMin{-62135596800000};
inline constexpr EventTime kEventTimeMax{253402300799999};

// A watermark before any record: below every event time.
inline constexpr EventTime kWatermarkNone{std::numeric_limits<std::int64_t>::min()};
// A watermark at the end of a bounded input: closes everything.
inline constexpr EventTime kWatermarkEnd{std::numeric_limits<std::int64_t>::max()};

}  // namespace sightline
