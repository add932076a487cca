#include "sightline/vision/tracker.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace sightline::vision {
namespace {

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
// Beyond this overlap with a followed person a left-over detection is that person seen twice, not another one.
constexpr float kSamePersonOverlap = 0.45F;

Box Moved(const Box& box, float dx, float dy) { return {box.x + dx, box.y + dy, box.width, box.height}; }

float CenterDistance(const Box& a, const Box& b) { return std::hypot(a.center_x() - b.center_x(), a.center_y() - b.center_y()); }

}  // namespace

Tracker::Tracker(TrackerOptions options, float frame_width, float frame_height)
    : options_(options), frame_width_(frame_width), frame_height_(frame_height) {}

Box Tracker::Predict(const Track& track, double time_s) const {
  const auto ahead_s = static_cast<float>(time_s - time_s_);
  return Moved(track.box, track.velocity_x * ahead_s, track.velocity_y * ahead_s);
}

float Tracker::Cost(const Track& track, const Detection& detection) const {
  const Box& a = track.box;
  const Box& b = detection.box;
  if (std::max(a.height, b.height) > options_.height_ratio_max * std::min(a.height, b.height)) return -1;
  const float overlap = Overlap(a, b);
  const float distance = CenterDistance(a, b) / std::max(a.height, b.height);
  if (overlap < options_.overlap_min && distance > options_.distance_max) return -1;
  return (1 - overlap) + distance;
}

void Tracker::Assign(std::span<const Detection> detections, bool confirmed, std::vector<std::size_t>& track_of,
                     std::vector<bool>& track_taken) const {
  std::vector<Pair> pairs;
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    if (tracks_[t].confirmed() != confirmed) continue;
    for (std::size_t d = 0; d < detections.size(); ++d) {
      if (track_of[d] != kNone) continue;
      if (const float cost = Cost(tracks_[t], detections[d]); cost >= 0) pairs.push_back({cost, t, d});
    }
  }
  std::ranges::sort(pairs, [](const Pair& a, const Pair& b) {
    if (a.cost != b.cost) return a.cost < b.cost;
    return a.track != b.track ? a.track < b.track : a.detection < b.detection;
  });
  for (const Pair& pair : pairs) {
    if (track_taken[pair.track] || track_of[pair.detection] != kNone) continue;
    track_taken[pair.track] = true;
    track_of[pair.detection] = pair.track;
  }
}

void Tracker::Correct(Track& track, const Detection& detection, float elapsed_s) const {
  const Box& seen = detection.box;
  const float dx = seen.center_x() - track.box.center_x();
  const float dy = seen.center_y() - track.box.center_y();
  const float x = track.box.center_x() + options_.position_gain * dx;
  const float y = track.box.center_y() + options_.position_gain * dy;
  // The second detection is the first to say anything about the velocity, so it decides more.
  const float gain = track.hits == 1 ? 0.6F : options_.velocity_gain;
  track.velocity_x += gain * dx / elapsed_s;
  track.velocity_y += gain * dy / elapsed_s;
  track.box.width += options_.size_gain * (seen.width - track.box.width);
  track.box.height += options_.size_gain * (seen.height - track.box.height);
  track.box.x = x - track.box.width / 2;
  track.box.y = y - track.box.height / 2;
  track.hits += 1;
  track.misses = 0;
  track.score_sum += detection.score;
}

bool Tracker::Forgotten(const Track& track) const {
  const float x = track.box.center_x();
  const float y = track.box.center_y();
  if (x < 0 || y < 0 || x >= frame_width_ || y >= frame_height_) return true;
  return track.misses > (track.confirmed() ? options_.lost_misses : options_.tentative_misses);
}

std::vector<const Track*> Tracker::Update(double time_s, std::span<const Detection> detections) {
  assert(tracks_.empty() || time_s > time_s_);
  const auto elapsed_s = static_cast<float>(time_s - time_s_);
  for (Track& track : tracks_) track.box = Moved(track.box, track.velocity_x * elapsed_s, track.velocity_y * elapsed_s);
  time_s_ = time_s;

  std::vector<std::size_t> track_of(detections.size(), kNone);
  std::vector<bool> taken(tracks_.size(), false);
  Assign(detections, true, track_of, taken);
  Assign(detections, false, track_of, taken);
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    if (!taken[t]) tracks_[t].misses += 1;
  }
  for (std::size_t d = 0; d < detections.size(); ++d) {
    if (track_of[d] != kNone) Correct(tracks_[track_of[d]], detections[d], elapsed_s);
  }
  const std::size_t followed = tracks_.size();
  for (std::size_t d = 0; d < detections.size(); ++d) {
    if (track_of[d] != kNone) continue;
    const auto same = [&](const Track& track) { return Overlap(track.box, detections[d].box) > kSamePersonOverlap; };
    if (std::any_of(tracks_.begin(), tracks_.begin() + static_cast<std::ptrdiff_t>(followed), same)) continue;
    tracks_.push_back(Track{.box = detections[d].box, .score_sum = detections[d].score});
  }
  std::erase_if(tracks_, [&](const Track& track) { return Forgotten(track); });

  std::vector<const Track*> confirmed;
  for (Track& track : tracks_) {
    if (track.confirmed() || track.hits < options_.confirm_hits) continue;
    track.number = next_number_++;
    confirmed.push_back(&track);
  }
  return confirmed;
}

}  // namespace sightline::vision
