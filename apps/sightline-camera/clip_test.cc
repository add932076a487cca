// The whole agent on a real street clip: real decoding, detection and tracking. What the numbers should be was judged by eye on the
// pictures of --annotate.

#include <stdio.h>

#include <memory>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/runtime/clock.h"
#include "sightline/vision/camera_agent.h"
#include "sightline/vision/opencv/hog_people_detector.h"
#include "sightline/vision/opencv/video_source.h"

namespace sightline::vision {
namespace {

constexpr std::int64_t kStart = 1'700'000'000'000;
constexpr int kClipFrames = 795;

std::string ClipPath() {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen("tools/clip/fetch", "r"), ::pclose);
  char line[4096] = "";
  if (pipe == nullptr || ::fgets(line, sizeof(line), pipe.get()) == nullptr) return "";
  std::string path = line;
  path.pop_back();
  return path;
}

// The first frames of a recording.
class Beginning final : public FrameSource {
 public:
  Beginning(FrameSource& whole, int frames) : whole_(whole), frames_(frames) {}
  const Format& format() const override { return whole_.format(); }
  Result<bool> Advance() override { return at_++ < frames_ ? whole_.Advance() : Result<bool>(false); }
  Status Read(Frame& into) override { return whole_.Read(into); }
  Status Restart() override { return whole_.Restart(); }

 private:
  FrameSource& whole_;
  int frames_;
  int at_ = 0;
};

class NoPace final : public Pace {
 public:
  bool WaitUntil(std::int64_t) override { return true; }
  bool stopped() const override { return false; }
};

class Collect final : public EventSink {
 public:
  void Take(const DetectionEvent& event) override { events.push_back(event); }
  std::vector<DetectionEvent> events;
};

// How many people are followed, and were seen just now, in each frame looked at.
class CountPeople final : public AgentObserver {
 public:
  Status Observe(const View& view) override {
    people[view.frame_index] =
        std::ranges::count_if(view.tracks, [](const Track& track) { return track.confirmed() && track.misses == 0; });
    return {};
  }
  std::map<std::int64_t, std::int64_t> people;
};

struct Watched {
  std::vector<DetectionEvent> events;
  std::map<std::int64_t, std::int64_t> people;
  CameraCounters counters;
};

Watched Watch(int frames) {
  const std::string path = ClipPath();
  EXPECT_NE(path, "") << "tools/clip/fetch gave no clip";
  auto source = VideoSource::Open(path, 0);
  EXPECT_TRUE(source) << source.error().message;
  Beginning beginning(**source, frames);
  HogPeopleDetector detector({});
  Collect sink;
  CountPeople people;
  runtime::SystemClock clock;
  NoPace pace;
  CameraAgent agent({.geographical_location_oid = 7, .video_camera_oid = 71, .camera_number = 71}, {.source = beginning,
                                                                                                    .detector = detector,
                                                                                                    .sink = sink,
                                                                                                    .clock = clock,
                                                                                                    .pace = pace,
                                                                                                    .log = [](std::string_view) {},
                                                                                                    .observer = &people});
  const Status ran = agent.RunOnce(EventTime(kStart));
  EXPECT_TRUE(ran) << ran.error().message;
  return {std::move(sink.events), std::move(people.people), agent.counters()};
}

std::string Ndjson(const std::vector<DetectionEvent>& events) {
  std::string lines;
  for (const DetectionEvent& event : events) AppendNdjson(lines, event);
  return lines;
}

TEST(Clip, TheSameBeginningGivesTheSameEventsEachTime) {
  const Watched first = Watch(150);
  EXPECT_EQ(first.counters.frames, 150);
  EXPECT_THAT(first.events.size(), ::testing::AllOf(::testing::Ge(5U), ::testing::Le(12U)));
  EXPECT_EQ(Ndjson(first.events), Ndjson(Watch(150).events));
}

#ifndef SIGHTLINE_SANITIZED  // it adds nothing to the beginning, and takes long
TEST(Clip, PeopleAreFoundFollowedAndCountedOnce) {
  const Watched watched = Watch(kClipFrames + 100);
  EXPECT_EQ(watched.counters.frames, kClipFrames);
  EXPECT_EQ(watched.counters.unreadable_frames, 0);
  // About 25 people cross the picture; some are lost behind the sign or each other and counted again.
  EXPECT_THAT(watched.events.size(), ::testing::AllOf(::testing::Ge(22U), ::testing::Le(42U)));
  std::set<std::int64_t> ids;
  EventTime last(kStart);
  for (const DetectionEvent& event : watched.events) {
    EXPECT_TRUE(ids.insert(event.detection_oid).second) << "counted twice";
    EXPECT_GE(event.timestamp_detected, last);
    EXPECT_LT(event.timestamp_detected, EventTime(kStart + kClipFrames * 100));
    last = event.timestamp_detected;
  }
  // Six people walk in frame 300, five or six in frame 225.
  EXPECT_THAT(watched.people.at(300), ::testing::AllOf(::testing::Ge(5), ::testing::Le(6)));
  EXPECT_THAT(watched.people.at(225), ::testing::AllOf(::testing::Ge(4), ::testing::Le(6)));
}
#endif

}  // namespace
}  // namespace sightline::vision
