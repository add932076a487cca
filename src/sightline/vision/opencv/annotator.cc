#include "sightline/vision/opencv/annotator.h"

#include <fmt/format.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "sightline/vision/opencv/mat.h"

namespace sightline::vision {
namespace {

cv::Rect RectOf(const Box& box) {
  return {cv::Point(static_cast<int>(box.x), static_cast<int>(box.y)), cv::Size(static_cast<int>(box.width), static_cast<int>(box.height))};
}

// Neighbouring numbers get colours far apart (the golden angle).
cv::Scalar ColorOf(std::int64_t number) {
  const cv::Mat hsv(1, 1, CV_8UC3, cv::Scalar(static_cast<double>(number * 68 % 180), 230, 255));
  cv::Mat bgr;
  cv::cvtColor(hsv, bgr, cv::COLOR_HSV2BGR);
  const auto color = bgr.at<cv::Vec3b>(0, 0);
  return {static_cast<double>(color[0]), static_cast<double>(color[1]), static_cast<double>(color[2])};
}

}  // namespace

Status Annotator::Observe(const View& view) {
  const std::string path = fmt::format("{}/{:03d}-{:06d}.jpg", directory_, view.round, view.frame_index);
  try {
    cv::Mat picture = MatOf(view.frame).clone();
    for (const Detection& detection : view.detections) {
      cv::rectangle(picture, RectOf(detection.box), {255, 255, 255}, 1);
      cv::putText(picture, fmt::format("{:.1f}", detection.score), RectOf(detection.box).br(), cv::FONT_HERSHEY_PLAIN, 0.8,
                  {255, 255, 255});
    }
    for (const Track& track : view.tracks) {
      const cv::Scalar color = track.confirmed() ? ColorOf(track.number) : cv::Scalar(128, 128, 128);
      cv::rectangle(picture, RectOf(track.box), color, track.misses == 0 ? 2 : 1);
      const std::string label = track.confirmed() ? fmt::format("{}", track.number) : "?";
      cv::putText(picture, label, RectOf(track.box).tl() - cv::Point(0, 4), cv::FONT_HERSHEY_SIMPLEX, 0.6, color, 2);
    }
    if (cv::imwrite(path, picture, {cv::IMWRITE_JPEG_QUALITY, 85})) return {};
  } catch (const cv::Exception& e) {
    return Fail(ErrorKind::kIo, path + ": " + e.what());
  }
  return Fail(ErrorKind::kIo, path + " cannot be written: does the directory exist, and may this user write there?");
}

}  // namespace sightline::vision
