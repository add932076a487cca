#pragma once

#include <cstdint>

namespace sightline::vision {

// The identity of a confirmed track, a positive int64 that no other track of any camera ever gets:
//
//   bit 63      0
//   bits 43-62  camera number, 0 to 1,048,575
//   bits 11-42  the second since 1970-01-01 UTC at which the round began (until the year 2106)
//   bits 0-10   number of the track in its round, 0 to 2,047
//
// A round is one pass over a clip, or one connection to a live camera; the agent begins rounds in different seconds, and a new round
// when the track numbers of one are used up. So ids need no stored counter, and a restarted agent never repeats one: that would make its
// events duplicates of other people. Two agents must not run with the same camera number at once.
inline constexpr std::int64_t kCameraNumberMax = (std::int64_t{1} << 20) - 1;
inline constexpr std::int64_t kRoundSecondMax = (std::int64_t{1} << 32) - 1;
inline constexpr std::int64_t kTracksPerRound = std::int64_t{1} << 11;

constexpr std::int64_t DetectionOid(std::int64_t camera_number, std::int64_t round_second, std::int64_t track_number) {
  return (camera_number << 43) | (round_second << 11) | track_number;
}

}  // namespace sightline::vision
