#include "sightline/vision/camera_agent.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sightline/vision/detection_oid.h"

namespace sightline::vision {
namespace {

constexpr double kDetectionRoundsPerSecond = 10.0 / 3;
// Decoding and tracking take their part too: a detection round that took longer than its share of the time puts off the next.
constexpr double kDetectionShare = 0.8;
constexpr std::int64_t kReconnectFirstNs = 1'000'000'000;
constexpr std::int64_t kReconnectMaxNs = 30'000'000'000;

}  // namespace

CameraAgent::CameraAgent(CameraOptions options, Parts parts) : options_(std::move(options)), parts_(std::move(parts)) {}

int CameraAgent::every() const {
  if (options_.every > 0) return options_.every;
  return std::max(1, static_cast<int>(std::lround(parts_.source.format().frames_per_second / kDetectionRoundsPerSecond)));
}

CameraAgent::Round CameraAgent::Begin(EventTime start, bool real_time) {
  const FrameSource::Format& format = parts_.source.format();
  parts_.detector.Reset();
  counters_.rounds += 1;
  last_id_second_ = std::max(last_id_second_ + 1, start.value / 1000);
  return Round{.start = start,
               .start_monotonic_ns = parts_.clock.MonotonicNs(),
               .real_time = real_time,
               .tracker = Tracker(options_.tracker, static_cast<float>(format.width), static_cast<float>(format.height)),
               .id_second = last_id_second_};
}

void CameraAgent::Emit(Round& round, const Track& track, EventTime now) {
  if (track.number - round.id_base >= kTracksPerRound) {
    round.id_base = track.number;
    round.id_second = last_id_second_ = std::max(last_id_second_ + 1, now.value / 1000);
  }
  counters_.events += 1;
  parts_.sink.Take({.geographical_location_oid = options_.geographical_location_oid,
                    .video_camera_oid = options_.video_camera_oid,
                    .detection_oid = DetectionOid(options_.camera_number, round.id_second, track.number - round.id_base),
                    .item_name = options_.item_name,
                    .timestamp_detected = now});
}

Status CameraAgent::DetectAndTrack(Round& round, double time_s, EventTime now) {
  if (Status read = parts_.source.Read(frame_); !read) {
    if (counters_.unreadable_frames++ == 0) parts_.log(read.error().message + " (further ones are only counted)");
    return {};
  }
  std::vector<Box> attention;
  for (const Track& track : round.tracker.tracks()) attention.push_back(round.tracker.Predict(track, time_s));
  const std::vector<Detection> detections = parts_.detector.Detect(frame_, attention);
  counters_.detection_rounds += 1;
  for (const Track* track : round.tracker.Update(time_s, detections)) Emit(round, *track, now);
  if (parts_.observer == nullptr) return {};
  return parts_.observer->Observe({.round = counters_.rounds,
                                   .frame_index = round.frame_index,
                                   .frame = frame_,
                                   .detections = detections,
                                   .tracks = round.tracker.tracks()});
}

Result<bool> CameraAgent::Step(Round& round) {
  const FrameSource::Format& format = parts_.source.format();
  SL_ASSIGN_OR_RETURN(const bool more, parts_.source.Advance());
  if (!more) return true;
  round.frame_index += 1;
  counters_.frames += 1;

  double time_s = static_cast<double>(round.frame_index) / format.frames_per_second;
  if (format.kind == FrameSource::Kind::kLive) {
    time_s = static_cast<double>(parts_.clock.MonotonicNs() - round.start_monotonic_ns) * 1e-9;
    if (parts_.pace.stopped()) return true;
  } else if (round.real_time) {
    if (!parts_.pace.WaitUntil(round.start_monotonic_ns + std::llround(time_s * 1e9))) return true;
  } else if (parts_.pace.stopped()) {
    return true;
  }
  if (round.frame_index < round.next_detection) return false;

  const std::int64_t begin_ns = parts_.clock.MonotonicNs();
  SL_TRY(DetectAndTrack(round, time_s, round.start + std::llround(time_s * 1000)));
  std::int64_t step = every();
  if (round.real_time) {
    const double took_s = static_cast<double>(parts_.clock.MonotonicNs() - begin_ns) * 1e-9;
    const auto needed = static_cast<std::int64_t>(std::ceil(took_s / kDetectionShare * format.frames_per_second));
    if (needed > step) counters_.delayed_detection_rounds += 1;
    step = std::max(step, needed);
  }
  round.next_detection = round.frame_index + step;
  return false;
}

Status CameraAgent::RunOnce(EventTime start) {
  if (parts_.source.format().kind == FrameSource::Kind::kLive) {
    return Fail(ErrorKind::kInvalidArgument, "a live camera has no end: --once is for a video file");
  }
  if (start.value < 0 || start.value / 1000 > kRoundSecondMax) {
    return Fail(ErrorKind::kInvalidArgument, "--start must be milliseconds since 1970, before the year 2106");
  }
  Round round = Begin(start, false);
  while (true) {
    SL_ASSIGN_OR_RETURN(const bool ended, Step(round));
    if (ended) return {};
  }
}

bool CameraAgent::WaitToReconnect(int failures) {
  const std::int64_t wait_ns = std::min(kReconnectMaxNs, kReconnectFirstNs << std::min(failures, 5));
  return parts_.pace.WaitUntil(parts_.clock.MonotonicNs() + wait_ns);
}

Status CameraAgent::RunUntilStopped() {
  const bool live = parts_.source.format().kind == FrameSource::Kind::kLive;
  int failures = 0;
  while (!parts_.pace.stopped()) {
    Round round = Begin(EventTime(parts_.clock.Now().value), true);
    Result<bool> ended = false;
    while (ended && !*ended) ended = Step(round);
    if (parts_.pace.stopped()) return {};
    if (ended && round.frame_index < 0) return Fail(ErrorKind::kInvalidArgument, "the video has no frames");
    if (!ended) {
      if (!live || ended.error().kind != ErrorKind::kUnavailable) return std::unexpected(std::move(ended).error());
      if (round.frame_index >= 0) failures = 0;
      parts_.log(ended.error().message + "; connecting again");
      if (!WaitToReconnect(failures++)) return {};
    } else {
      // The last frame is shown for as long as any other.
      const double length_s = static_cast<double>(round.frame_index + 1) / parts_.source.format().frames_per_second;
      if (!parts_.pace.WaitUntil(round.start_monotonic_ns + std::llround(length_s * 1e9))) return {};
    }
    Status restarted = parts_.source.Restart();
    while (!restarted) {
      if (!live || restarted.error().kind != ErrorKind::kUnavailable) return restarted;
      parts_.log(restarted.error().message + "; trying again");
      if (!WaitToReconnect(failures++)) return {};
      restarted = parts_.source.Restart();
    }
  }
  return {};
}

}  // namespace sightline::vision
