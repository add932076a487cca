#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sightline/model/time.h"

namespace sightline::vision {

// An upright rectangle in pixels of the source frame; x grows to the right, y downwards.
struct Box {
  float x = 0;
  float y = 0;
  float width = 0;
  float height = 0;

  float right() const { return x + width; }
  float bottom() const { return y + height; }
  float center_x() const { return x + width / 2; }
  float center_y() const { return y + height / 2; }
  float area() const { return width * height; }
};

inline float IntersectionArea(const Box& a, const Box& b) {
  const float width = std::min(a.right(), b.right()) - std::max(a.x, b.x);
  const float height = std::min(a.bottom(), b.bottom()) - std::max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}

// Intersection over union, 0 (apart) to 1 (the same).
inline float Overlap(const Box& a, const Box& b) {
  const float common = IntersectionArea(a, b);
  return common > 0 ? common / (a.area() + b.area() - common) : 0;
}

// One frame's sighting of a person by a detector.
struct Detection {
  Box box;
  float score = 0;  // the detector's own measure: higher is surer
};

// A decoded picture: rows of blue, green, red bytes without padding.
struct Frame {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> bgr;
};

}  // namespace sightline::vision
