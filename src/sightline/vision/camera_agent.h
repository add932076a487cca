#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "sightline/model/time.h"
#include "sightline/runtime/clock.h"
#include "sightline/vision/event.h"
#include "sightline/vision/port.h"
#include "sightline/vision/tracker.h"

namespace sightline::vision {

// Lets the agent wait, and tells it to stop. WaitUntil and stopped are called on the agent's thread; what makes them say "stop" may come
// from any other.
class Pace {
 public:
  virtual ~Pace() = default;
  // Returns when the monotonic clock has reached `monotonic_ns`, or at once when asked to stop. False: stop.
  virtual bool WaitUntil(std::int64_t monotonic_ns) = 0;
  virtual bool stopped() const = 0;
};

// Sees what the agent saw, after each detection round; for pictures of its work.
class AgentObserver {
 public:
  struct View {
    std::int64_t round = 0;
    std::int64_t frame_index = 0;
    const Frame& frame;
    std::span<const Detection> detections;
    std::span<const Track> tracks;
  };
  virtual ~AgentObserver() = default;
  virtual Status Observe(const View& view) = 0;
};

struct CameraOptions {
  std::int64_t geographical_location_oid = 0;
  std::int64_t video_camera_oid = 0;
  std::int64_t camera_number = 0;  // stands for the camera in detection ids, 0 to kCameraNumberMax
  std::string item_name = "person";
  int every = 0;  // frames from one detection round to the next; 0: as many as give about three rounds a second
  TrackerOptions tracker = {};
};

struct CameraCounters {
  std::int64_t rounds = 0;
  std::int64_t frames = 0;
  std::int64_t detection_rounds = 0;
  std::int64_t delayed_detection_rounds = 0;  // came later than `every` says, so as not to fall behind the video
  std::int64_t unreadable_frames = 0;
  std::int64_t events = 0;
};

// Watches one camera: people are detected on every few frames and tracked from one detection round to the next, and each person becomes one
// event when their track is confirmed. Everything comes in through the constructor and must outlive the agent. One thread.
class CameraAgent {
 public:
  using Log = std::function<void(std::string_view)>;
  struct Parts {
    FrameSource& source;
    PeopleDetector& detector;
    EventSink& sink;
    runtime::Clock& clock;
    Pace& pace;
    Log log;
    AgentObserver* observer = nullptr;
  };
  CameraAgent(CameraOptions options, Parts parts);

  // One pass over a recording, as fast as it goes; frame n is at `start` + n / fps. The same recording, options and start give the same
  // events. kInvalidArgument for a live camera.
  Status RunOnce(EventTime start);
  // Until asked to stop. A recording is played again and again in real time, each time with new ids, its first frame at the wall clock's
  // time; a live camera is connected to again after a loss, for as long as it takes.
  Status RunUntilStopped();

  const CameraCounters& counters() const { return counters_; }

 private:
  // One pass: from the first frame of a recording to its last, or from connecting to losing the connection.
  struct Round {
    EventTime start;
    std::int64_t start_monotonic_ns = 0;
    bool real_time = false;
    Tracker tracker;
    std::int64_t frame_index = -1;
    std::int64_t next_detection = 0;
    std::int64_t id_second = 0;
    std::int64_t id_base = 0;  // the track that has number 0 in the ids of id_second
  };
  // True when the recording ended or the agent was asked to stop.
  Result<bool> Step(Round& round);
  Status DetectAndTrack(Round& round, double time_s, EventTime now);
  void Emit(Round& round, const Track& track, EventTime now);
  Round Begin(EventTime start, bool real_time);
  bool WaitToReconnect(int failures);
  int every() const;

  CameraOptions options_;
  Parts parts_;
  CameraCounters counters_;
  std::int64_t last_id_second_ = -1;
  Frame frame_;
};

}  // namespace sightline::vision
