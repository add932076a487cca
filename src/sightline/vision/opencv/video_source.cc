#include "sightline/vision/opencv/video_source.h"

#include <sys/stat.h>

#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "sightline/vision/opencv/mat.h"

namespace sightline::vision {
namespace {

constexpr int kTimeoutMs = 10'000;

bool IsLive(std::string_view address) { return address.starts_with("rtsp://") || address.starts_with("rtsps://"); }

}  // namespace

std::string WithoutPassword(std::string_view address) {
  const std::size_t scheme = address.find("://");
  if (scheme == std::string_view::npos) return std::string(address);
  const std::size_t host = scheme + 3;
  const std::size_t path = std::min(address.find('/', host), address.size());
  const std::size_t at = address.substr(0, path).rfind('@');
  const std::size_t colon = address.find(':', host);
  if (at == std::string_view::npos || colon > at) return std::string(address);
  return std::string(address.substr(0, colon + 1)) + "***" + std::string(address.substr(at));
}

struct VideoSource::Impl {
  std::string address;
  double frames_per_second_asked = 0;
  Format format;
  cv::VideoCapture capture;

  // OpenCV tells failures by a false and by exceptions; both end here.
  bool OpenCapture() try {
    capture.release();
    if (!IsLive(address)) return capture.open(address, cv::CAP_FFMPEG);
    return capture.open(address, cv::CAP_FFMPEG, {cv::CAP_PROP_OPEN_TIMEOUT_MSEC, kTimeoutMs, cv::CAP_PROP_READ_TIMEOUT_MSEC, kTimeoutMs});
  } catch (const cv::Exception&) {
    return false;
  }

  Status Connect() {
    if (!OpenCapture()) {
      if (IsLive(address)) {
        return Fail(ErrorKind::kUnavailable,
                    "no video from " + WithoutPassword(address) + ": is the camera on, and are path and password right?");
      }
      return Fail(ErrorKind::kInvalidArgument, address + " is no video that FFmpeg can read");
    }
    format.width = static_cast<int>(capture.get(cv::CAP_PROP_FRAME_WIDTH));
    format.height = static_cast<int>(capture.get(cv::CAP_PROP_FRAME_HEIGHT));
    const double own = capture.get(cv::CAP_PROP_FPS);
    format.frames_per_second = frames_per_second_asked > 0 ? frames_per_second_asked : own;
    if (!(format.frames_per_second >= 0.1 && format.frames_per_second <= 1000)) {
      return Fail(ErrorKind::kInvalidArgument, WithoutPassword(address) + " does not say how many frames a second it has: give --fps");
    }
    return {};
  }
};

VideoSource::VideoSource(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
VideoSource::~VideoSource() = default;
const FrameSource::Format& VideoSource::format() const { return impl_->format; }

Result<std::unique_ptr<VideoSource>> VideoSource::Open(std::string address, double frames_per_second) {
  auto impl = std::make_unique<Impl>();
  impl->address = std::move(address);
  impl->frames_per_second_asked = frames_per_second;
  if (IsLive(impl->address)) {
    impl->format.kind = Kind::kLive;
  } else if (struct stat info{}; ::stat(impl->address.c_str(), &info) != 0) {
    return FailErrno(impl->address, errno);
  }
  SL_TRY(impl->Connect());
  return std::unique_ptr<VideoSource>(new VideoSource(std::move(impl)));
}

Result<bool> VideoSource::Advance() try {
  if (impl_->capture.grab()) return true;
  if (impl_->format.kind == Kind::kRecording) return false;
  return Fail(ErrorKind::kUnavailable, "the video from " + WithoutPassword(impl_->address) + " has ended");
} catch (const cv::Exception& e) {
  return Fail(ErrorKind::kUnavailable, "the video from " + WithoutPassword(impl_->address) + " has ended: " + e.what());
}

Status VideoSource::Read(Frame& into) try {
  const Format& format = impl_->format;
  into.width = format.width;
  into.height = format.height;
  into.bgr.resize(static_cast<std::size_t>(format.width) * static_cast<std::size_t>(format.height) * 3);
  cv::Mat target = MatOf(into);
  const std::uint8_t* const place = target.data;
  if (!impl_->capture.retrieve(target) || target.data != place) {
    return Fail(ErrorKind::kCorruption,
                "a frame of " + WithoutPassword(impl_->address) + " cannot be decoded, or has another size than the first");
  }
  return {};
} catch (const cv::Exception& e) {
  return Fail(ErrorKind::kCorruption, "a frame of " + WithoutPassword(impl_->address) + " cannot be decoded: " + e.what());
}

Status VideoSource::Restart() { return impl_->Connect(); }

}  // namespace sightline::vision
