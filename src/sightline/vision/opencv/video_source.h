#pragma once

#include <memory>
#include <string>

#include "sightline/vision/port.h"

namespace sightline::vision {

// A video file, or a camera by its rtsp:// address, through OpenCV's FFmpeg. Not thread-safe.
class VideoSource final : public FrameSource {
 public:
  // `address`: a path, or rtsp://… or rtsps://…. `frames_per_second` replaces what the video says of itself; 0: as it says.
  // kNotFound or kInvalidArgument for a file; kUnavailable for a camera that does not answer within ten seconds.
  static Result<std::unique_ptr<VideoSource>> Open(std::string address, double frames_per_second);
  ~VideoSource() override;
  const Format& format() const override;
  Result<bool> Advance() override;
  Status Read(Frame& into) override;
  Status Restart() override;

 private:
  struct Impl;
  explicit VideoSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The address without the password in it, fit for logs.
std::string WithoutPassword(std::string_view address);

}  // namespace sightline::vision
