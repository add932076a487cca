#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/vision/detection.h"

namespace sightline::vision {

// Frames one after the other, from a recording or from a live camera. Used by one thread.
class FrameSource {
 public:
  enum class Kind : std::uint8_t {
    kRecording,  // ends, and can be begun anew; frame n is n / frames_per_second seconds after the first
    kLive,       // frames come at their own time
  };
  struct Format {
    Kind kind = Kind::kRecording;
    int width = 0;
    int height = 0;
    double frames_per_second = 0;
  };
  virtual ~FrameSource() = default;
  virtual const Format& format() const = 0;
  // Goes to the next frame without making a picture of it. False at the end of a recording. kUnavailable when a live camera is gone:
  // Restart connects to it again.
  virtual Result<bool> Advance() = 0;
  // The picture of the frame that Advance went to; `into` is reused. kCorruption when it cannot be decoded.
  virtual Status Read(Frame& into) = 0;
  // Before the first frame of a recording, or a new connection (kUnavailable when there is none to be had; a retry is safe).
  virtual Status Restart() = 0;
};

// Finds people in single frames of one fixed camera; may learn what stands still from the frames it sees. Used by one thread.
class PeopleDetector {
 public:
  virtual ~PeopleDetector() = default;
  // `attention`: where people were before, to be looked at again even where nothing moves.
  virtual std::vector<Detection> Detect(const Frame& frame, std::span<const Box> attention) = 0;
  // Forgets what was learned: another camera, or a jump in time.
  virtual void Reset() = 0;
};

}  // namespace sightline::vision
