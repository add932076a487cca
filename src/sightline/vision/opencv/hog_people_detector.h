#pragma once

#include <memory>
#include <span>
#include <vector>

#include "sightline/vision/port.h"

namespace sightline::vision {

struct HogOptions {
  // Frames are magnified so that people as small as `person_height_min` pixels fill the detector's window (its people are 96 pixels tall).
  float person_height_min = 56;
  // Steps between the sizes of people that are looked for, and how many of them.
  double scale_step = 1.1;
  int scales = 10;
  // Detections below are dropped (the classifier's distance from its decision plane).
  double score_min = 0.3;
  // How many overlapping windows must agree.
  double agreement = 2.0;
  // A whole frame is searched the first time and then at every n-th call, for people whom nothing else gave away.
  int full_search_every = 40;
};

// Dalal and Triggs' people detector (histograms of oriented gradients and a linear classifier, as OpenCV ships it), made affordable: it
// searches only where the picture moves or where the caller's attention is, and the whole frame now and then.
// Deterministic on one machine. Not thread-safe.
class HogPeopleDetector final : public PeopleDetector {
 public:
  explicit HogPeopleDetector(HogOptions options);
  ~HogPeopleDetector() override;
  std::vector<Detection> Detect(const Frame& frame, std::span<const Box> attention) override;
  void Reset() override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sightline::vision
