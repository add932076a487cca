#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sightline {

// What became of one record offered to a dataset. Every record gets exactly one; the accounting identity
// `in = counted + filtered + duplicates + late + future + malformed + invalid + state_limit` sums them.
enum class Verdict : std::uint8_t {
  kCounted = 0,
  kFiltered = 1,    // a `where` step said no
  kDuplicate = 2,   // its dedupe key was seen within the horizon
  kLate = 3,        // all its windows were gone; dead letter
  kFuture = 4,      // event time beyond append time + ahead_max; dead letter
  kMalformed = 5,   // cannot be parsed; dead letter
  kInvalid = 6,     // parses and breaks the contract; dead letter
  kStateLimit = 7,  // no room for its state; dead letter
};
inline constexpr std::size_t kVerdicts = 8;

inline constexpr std::array<std::string_view, kVerdicts> kVerdictNames = {"counted", "filtered",  "duplicates", "late",
                                                                          "future",  "malformed", "invalid",    "state_limit"};

constexpr std::string_view VerdictName(Verdict v) { return kVerdictNames[static_cast<std::size_t>(v)]; }

}  // namespace sightline
