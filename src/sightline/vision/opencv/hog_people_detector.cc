#include "sightline/vision/opencv/hog_people_detector.h"

#include <algorithm>
#include <cmath>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>
#include <opencv2/video/background_segm.hpp>

#include "sightline/vision/opencv/mat.h"

namespace sightline::vision {
namespace {

// Of the detector's window of 64 by 128 pixels a person fills about the middle 32 by 96.
constexpr float kWindowHeight = 128;
constexpr float kPersonHeight = 96;
constexpr float kMarginX = 0.22F;
constexpr float kMarginY = 0.12F;
// Motion is looked for in a picture of a third of the width: a person is still a dozen pixels wide, and noise averages out.
constexpr int kMotionScale = 3;
constexpr int kMotionHistory = 150;
constexpr double kMotionThreshold = 25;
// When motion covers more of the frame than this, it is the light or the camera: then one search of the whole frame costs less.
constexpr double kMotionAreaMax = 0.6;
// Two detections are one person if they overlap so much, or if one lies so far inside the other.
constexpr float kSameOverlap = 0.5F;
constexpr float kSameInside = 0.8F;

cv::Rect Inflated(const cv::Rect& rect, int x, int y, const cv::Size& within) {
  return cv::Rect(rect.x - x, rect.y - y, rect.width + 2 * x, rect.height + 2 * y) & cv::Rect({}, within);
}

// Joins rectangles until no two of them touch, so that no pixel is searched twice.
void MergeTouching(std::vector<cv::Rect>& rects) {
  for (std::size_t i = 0; i < rects.size();) {
    bool merged = false;
    for (std::size_t j = i + 1; j < rects.size();) {
      if ((rects[i] & rects[j]).area() == 0) {
        ++j;
        continue;
      }
      rects[i] |= rects[j];
      rects.erase(rects.begin() + static_cast<std::ptrdiff_t>(j));
      merged = true;
    }
    i = merged ? 0 : i + 1;
  }
}

// The surest of several detections of the same person.
std::vector<Detection> WithoutRepetition(std::vector<Detection> all) {
  std::ranges::stable_sort(all, [](const Detection& a, const Detection& b) { return a.score > b.score; });
  std::vector<Detection> kept;
  for (const Detection& detection : all) {
    const bool again = std::ranges::any_of(kept, [&](const Detection& other) {
      const float common = IntersectionArea(detection.box, other.box);
      return Overlap(detection.box, other.box) > kSameOverlap || common > kSameInside * std::min(detection.box.area(), other.box.area());
    });
    if (!again) kept.push_back(detection);
  }
  return kept;
}

}  // namespace

struct HogPeopleDetector::Impl {
  explicit Impl(HogOptions o) : options(o), magnification(kPersonHeight / o.person_height_min) {
    hog.setSVMDetector(cv::HOGDescriptor::getDefaultPeopleDetector());
    hog.nlevels = options.scales;
  }

  // Where to look, in pixels of the frame.
  std::vector<cv::Rect> Regions(const cv::Mat& frame, std::span<const Box> attention) {
    cv::resize(frame, small, {frame.cols / kMotionScale, frame.rows / kMotionScale}, 0, 0, cv::INTER_AREA);
    cv::cvtColor(small, small, cv::COLOR_BGR2GRAY);
    motion->apply(small, moving);
    const bool full = calls++ % options.full_search_every == 0;
    if (full) return {cv::Rect({}, frame.size())};

    cv::threshold(moving, moving, 200, 255, cv::THRESH_BINARY);  // 127 is shadow
    cv::morphologyEx(moving, moving, cv::MORPH_OPEN, cv::Mat::ones(2, 2, CV_8U));
    cv::dilate(moving, moving, cv::Mat::ones(7, 5, CV_8U));
    std::vector<std::vector<cv::Point>> outlines;
    cv::findContours(moving, outlines, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_SIMPLE);
    // What moves may be a part of a person of any size looked for, and the window needs its margin around the person.
    const int room = static_cast<int>(std::lround(kWindowHeight / magnification));
    std::vector<cv::Rect> regions;
    for (const auto& outline : outlines) {
      const cv::Rect at = cv::boundingRect(outline);
      if (at.height * kMotionScale * 3 < options.person_height_min) continue;  // too small even for a part of a person
      const cv::Rect rect(at.x * kMotionScale, at.y * kMotionScale, at.width * kMotionScale, at.height * kMotionScale);
      regions.push_back(Inflated(rect, room / 4, room / 4, frame.size()));
    }
    for (const Box& box : attention) {
      const cv::Rect rect(cv::Point(static_cast<int>(box.x), static_cast<int>(box.y)),
                          cv::Size(static_cast<int>(box.width), static_cast<int>(box.height)));
      if (const cv::Rect grown = Inflated(rect, rect.width / 2, rect.height / 4, frame.size()); !grown.empty()) regions.push_back(grown);
    }
    // A window must fit into each region.
    for (cv::Rect& rect : regions) {
      const int width = static_cast<int>(std::ceil(kWindowHeight / 2 / magnification)) + 2;
      const int height = static_cast<int>(std::ceil(kWindowHeight / magnification)) + 2;
      rect = Inflated(rect, std::max(0, (width - rect.width + 1) / 2), std::max(0, (height - rect.height + 1) / 2), frame.size());
    }
    MergeTouching(regions);
    double area = 0;
    for (const cv::Rect& rect : regions) area += rect.area();
    if (area > kMotionAreaMax * frame.size().area()) return {cv::Rect({}, frame.size())};
    return regions;
  }

  void Search(const cv::Mat& frame, const cv::Rect& region, std::vector<Detection>& found) {
    cv::resize(frame(region), magnified, {}, magnification, magnification, cv::INTER_LINEAR);
    if (magnified.cols < hog.winSize.width || magnified.rows < hog.winSize.height) return;  // at the frame's edge
    std::vector<cv::Rect> windows;
    std::vector<double> scores;
    hog.detectMultiScale(magnified, windows, scores, 0, {8, 8}, {}, options.scale_step, options.agreement);
    for (std::size_t i = 0; i < windows.size(); ++i) {
      if (scores[i] < options.score_min) continue;
      const auto width = static_cast<float>(windows[i].width) / magnification;
      const auto height = static_cast<float>(windows[i].height) / magnification;
      const float x = static_cast<float>(region.x) + static_cast<float>(windows[i].x) / magnification;
      const float y = static_cast<float>(region.y) + static_cast<float>(windows[i].y) / magnification;
      found.push_back({.box = {x + kMarginX * width, y + kMarginY * height, width * (1 - 2 * kMarginX), height * (1 - 2 * kMarginY)},
                       .score = static_cast<float>(scores[i])});
    }
  }

  HogOptions options;
  float magnification;
  cv::HOGDescriptor hog;
  cv::Ptr<cv::BackgroundSubtractorMOG2> motion = cv::createBackgroundSubtractorMOG2(kMotionHistory, kMotionThreshold, true);
  std::int64_t calls = 0;
  cv::Mat small;
  cv::Mat moving;
  cv::Mat magnified;
};

HogPeopleDetector::HogPeopleDetector(HogOptions options) : impl_(std::make_unique<Impl>(options)) {
  // One thread: the camera shares its machine with the server, and OpenCV's threads would make the order of detections a matter of luck.
  cv::setNumThreads(1);
}

HogPeopleDetector::~HogPeopleDetector() = default;

std::vector<Detection> HogPeopleDetector::Detect(const Frame& frame, std::span<const Box> attention) {
  const cv::Mat picture = MatOf(frame);
  std::vector<Detection> found;
  for (const cv::Rect& region : impl_->Regions(picture, attention)) impl_->Search(picture, region, found);
  return WithoutRepetition(std::move(found));
}

void HogPeopleDetector::Reset() {
  impl_->motion = cv::createBackgroundSubtractorMOG2(kMotionHistory, kMotionThreshold, true);
  impl_->calls = 0;
}

}  // namespace sightline::vision
