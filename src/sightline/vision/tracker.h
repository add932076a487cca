#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sightline/vision/detection.h"

namespace sightline::vision {

struct TrackerOptions {
  // A track is confirmed by its `confirm_hits`-th detection, and forgotten after `lost_misses` detection rounds without one in a row
  // (an unconfirmed one after `tentative_misses`).
  int confirm_hits = 3;
  int tentative_misses = 1;
  int lost_misses = 8;
  // A detection belongs to a track only if they overlap so much, or if their centres are no farther apart than this part of the box's
  // height.
  float overlap_min = 0.2F;
  float distance_max = 0.45F;
  // Detections and tracks whose heights differ by more than this factor are not the same person.
  float height_ratio_max = 1.7F;
  // How much of the difference between prediction and detection goes into position, velocity and size.
  float position_gain = 0.65F;
  float velocity_gain = 0.3F;
  float size_gain = 0.25F;
};

// A person followed over frames.
struct Track {
  std::int64_t number = -1;  // in order of confirmation from 0; -1 until confirmed
  Box box;                   // as of the time of the last Update, predicted where nothing was detected
  float velocity_x = 0;      // pixels a second
  float velocity_y = 0;
  int hits = 1;    // detections so far
  int misses = 0;  // rounds without a detection since the last one
  float score_sum = 0;

  bool confirmed() const { return number >= 0; }
};

// Follows people from detection round to detection round: each track is predicted at constant velocity, detections are assigned greedily by
// overlap and distance (confirmed tracks choose first), and what is left over begins new tracks. Deterministic: the same detections give
// the same tracks and numbers. Not thread-safe.
class Tracker {
 public:
  // Tracks whose predicted centre leaves the frame are forgotten at once.
  Tracker(TrackerOptions options, float frame_width, float frame_height);

  // One detection round, `time_s` seconds into the round, later than the last. Returns the tracks that it confirmed, in order of number;
  // the pointers hold until the next call.
  std::vector<const Track*> Update(double time_s, std::span<const Detection> detections);

  // All tracks that live, unconfirmed ones included.
  std::span<const Track> tracks() const { return tracks_; }
  // Where the track's person would be at `time_s`.
  Box Predict(const Track& track, double time_s) const;
  std::int64_t confirmed_count() const { return next_number_; }

 private:
  struct Pair {
    float cost;
    std::size_t track;
    std::size_t detection;
  };
  // The cost of taking the detection for the track: 0 is a perfect fit; negative means impossible.
  float Cost(const Track& track, const Detection& detection) const;
  void Assign(std::span<const Detection> detections, bool confirmed, std::vector<std::size_t>& track_of,
              std::vector<bool>& track_taken) const;
  void Correct(Track& track, const Detection& detection, float elapsed_s) const;
  bool Forgotten(const Track& track) const;

  TrackerOptions options_;
  float frame_width_;
  float frame_height_;
  double time_s_ = 0;
  std::int64_t next_number_ = 0;
  std::vector<Track> tracks_;  // oldest first
};

}  // namespace sightline::vision
