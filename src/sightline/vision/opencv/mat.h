#pragma once

#include <opencv2/core/mat.hpp>

#include "sightline/vision/detection.h"

namespace sightline::vision {

// The frame's pixels as OpenCV sees them, not copied, for reading alone.
inline cv::Mat MatOf(const Frame& frame) { return {frame.height, frame.width, CV_8UC3, const_cast<std::uint8_t*>(frame.bgr.data())}; }

}  // namespace sightline::vision
