#include "sightline/vision/camera_agent.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/vision/detection_oid.h"

namespace sightline::vision {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kStart = 1'700'000'000'000;

// A film without pictures, which can break off.
class FakeSource final : public FrameSource {
 public:
  FakeSource(Kind kind, int frames, runtime::SimulatedClock& clock) : frames_(frames), clock_(clock) {
    format_ = {.kind = kind, .width = 768, .height = 576, .frames_per_second = 10};
  }
  const Format& format() const override { return format_; }
  Result<bool> Advance() override {
    if (format_.kind == Kind::kLive) clock_.Advance(milliseconds(100));
    if (++at_ < frames_) return true;
    if (format_.kind == Kind::kRecording) return false;
    return Fail(ErrorKind::kUnavailable, "the camera is gone");
  }
  Status Read(Frame& into) override {
    if (at_ == unreadable_) return Fail(ErrorKind::kCorruption, "a broken frame");
    into.width = at_;  // tells the detector which frame it is
    return {};
  }
  Status Restart() override {
    restarts_ += 1;
    if (refusals_ > 0) {
      refusals_ -= 1;
      return Fail(ErrorKind::kUnavailable, "no camera");
    }
    at_ = -1;
    return {};
  }
  void set_unreadable(int frame) { unreadable_ = frame; }
  void set_refusals(int refusals) { refusals_ = refusals; }
  int restarts() const { return restarts_; }

 private:
  Format format_;
  int frames_;
  runtime::SimulatedClock& clock_;
  int at_ = -1;
  int unreadable_ = -1;
  int refusals_ = 0;
  int restarts_ = 0;
};

// `people` stand still, apart from each other; detection takes its time.
class FakeDetector final : public PeopleDetector {
 public:
  FakeDetector(int people, runtime::SimulatedClock& clock) : people_(people), clock_(clock) {}
  std::vector<Detection> Detect(const Frame& frame, std::span<const Box>) override {
    frames_.push_back(frame.width);
    clock_.Advance(takes_);
    std::vector<Detection> seen;
    for (int i = 0; i < people_; ++i) {
      seen.push_back({.box = {static_cast<float>(20 + 40 * (i % 18)), static_cast<float>(20 + 100 * (i / 18)), 20, 60}, .score = 1});
    }
    return seen;
  }
  void Reset() override { resets_ += 1; }
  void set_takes(milliseconds takes) { takes_ = takes; }
  const std::vector<int>& frames() const { return frames_; }
  int resets() const { return resets_; }

 private:
  int people_;
  runtime::SimulatedClock& clock_;
  milliseconds takes_{0};
  std::vector<int> frames_;
  int resets_ = 0;
};

// Moves the clock instead of waiting, and stops at a given time.
class FakePace final : public Pace {
 public:
  FakePace(runtime::SimulatedClock& clock, milliseconds stop_after)
      : clock_(clock), stop_ns_(clock.MonotonicNs() + stop_after.count() * kMs) {}
  bool WaitUntil(std::int64_t monotonic_ns) override {
    const std::int64_t left = std::min(monotonic_ns, stop_ns_) - clock_.MonotonicNs();
    if (left > 0) clock_.Advance(milliseconds((left + kMs - 1) / kMs));
    return !stopped();
  }
  bool stopped() const override { return clock_.MonotonicNs() >= stop_ns_; }

 private:
  runtime::SimulatedClock& clock_;
  std::int64_t stop_ns_;
};

class Collect final : public EventSink {
 public:
  void Take(const DetectionEvent& event) override { events.push_back(event); }
  std::vector<DetectionEvent> events;
};

struct Stage {
  explicit Stage(FrameSource::Kind kind, int frames, int people, milliseconds stop_after = std::chrono::hours(24))
      : source(kind, frames, clock), detector(people, clock), pace(clock, stop_after) {}
  CameraAgent Agent(CameraOptions options = {}) {
    options.geographical_location_oid = 5;
    options.video_camera_oid = 51;
    options.camera_number = 51;
    return CameraAgent(
        options, {.source = source, .detector = detector, .sink = sink, .clock = clock, .pace = pace, .log = [this](std::string_view text) {
                    log.emplace_back(text);
                  }});
  }
  runtime::SimulatedClock clock{WallTime(kStart)};
  FakeSource source;
  FakeDetector detector;
  FakePace pace;
  Collect sink;
  std::vector<std::string> log;
};

TEST(CameraAgent, OncePassesOverTheClipAndMakesOneEventAPerson) {
  Stage stage(FrameSource::Kind::kRecording, 20, 2);
  CameraAgent agent = stage.Agent({.every = 4});
  ASSERT_TRUE(agent.RunOnce(EventTime(1'000'000)));
  EXPECT_THAT(stage.detector.frames(), ElementsAre(0, 4, 8, 12, 16));
  ASSERT_EQ(stage.sink.events.size(), 2U);
  const DetectionEvent& event = stage.sink.events[0];
  EXPECT_EQ(event.geographical_location_oid, 5);
  EXPECT_EQ(event.video_camera_oid, 51);
  EXPECT_EQ(event.item_name, "person");
  EXPECT_EQ(event.timestamp_detected, EventTime(1'000'800)) << "the time of frame 8, where the third detection confirms";
  EXPECT_EQ(event.detection_oid, DetectionOid(51, 1000, 0));
  EXPECT_EQ(stage.sink.events[1].detection_oid, DetectionOid(51, 1000, 1));
}

TEST(CameraAgent, AboutThreeDetectionsASecondUnlessToldOtherwise) {
  Stage stage(FrameSource::Kind::kRecording, 10, 0);
  CameraAgent agent = stage.Agent();
  ASSERT_TRUE(agent.RunOnce(EventTime(0)));
  EXPECT_THAT(stage.detector.frames(), ElementsAre(0, 3, 6, 9));
}

TEST(CameraAgent, PlaysAClipInRealTimeAgainAndAgainWithNewIds) {
  Stage stage(FrameSource::Kind::kRecording, 50, 1, milliseconds(14'900));
  CameraAgent agent = stage.Agent();
  ASSERT_TRUE(agent.RunUntilStopped());
  ASSERT_EQ(stage.sink.events.size(), 3U);
  EXPECT_EQ(stage.detector.resets(), 3);
  std::set<std::int64_t> ids;
  for (std::size_t i = 0; i < 3; ++i) {
    ids.insert(stage.sink.events[i].detection_oid);
    // Frame 6 of each round of 5 s confirms.
    EXPECT_EQ(stage.sink.events[i].timestamp_detected.value, kStart + static_cast<std::int64_t>(i) * 5000 + 600);
  }
  EXPECT_EQ(ids.size(), 3U);
}

TEST(CameraAgent, RoundsShorterThanASecondStillGetDifferentIds) {
  Stage stage(FrameSource::Kind::kRecording, 5, 3, milliseconds(2000));
  CameraAgent agent = stage.Agent({.every = 1});
  ASSERT_TRUE(agent.RunUntilStopped());
  std::set<std::int64_t> ids;
  for (const DetectionEvent& event : stage.sink.events) ids.insert(event.detection_oid);
  EXPECT_GT(stage.sink.events.size(), 9U);
  EXPECT_EQ(ids.size(), stage.sink.events.size());
}

TEST(CameraAgent, SlowDetectionComesLessOftenRatherThanFallingBehind) {
  Stage stage(FrameSource::Kind::kRecording, 100, 1, milliseconds(9850));
  stage.detector.set_takes(milliseconds(800));
  CameraAgent agent = stage.Agent({.every = 3});
  ASSERT_TRUE(agent.RunUntilStopped());
  EXPECT_THAT(stage.detector.frames(), ElementsAre(0, 10, 20, 30, 40, 50, 60, 70, 80, 90));
  EXPECT_EQ(agent.counters().delayed_detection_rounds, 10);
}

TEST(CameraAgent, ABrokenFrameIsSkippedToldAndCounted) {
  Stage stage(FrameSource::Kind::kRecording, 20, 1);
  stage.source.set_unreadable(3);
  CameraAgent agent = stage.Agent();
  ASSERT_TRUE(agent.RunOnce(EventTime(0)));
  EXPECT_EQ(agent.counters().unreadable_frames, 1);
  EXPECT_THAT(stage.log, Contains(HasSubstr("a broken frame")));
  EXPECT_EQ(stage.sink.events.size(), 1U);
}

TEST(CameraAgent, ALiveCameraIsConnectedToAgainForAsLongAsItTakes) {
  Stage stage(FrameSource::Kind::kLive, 30, 1, std::chrono::minutes(1));
  stage.source.set_refusals(3);
  CameraAgent agent = stage.Agent();
  ASSERT_TRUE(agent.RunUntilStopped());
  EXPECT_GE(stage.source.restarts(), 4);
  EXPECT_THAT(stage.log, Contains(HasSubstr("the camera is gone; connecting again")));
  EXPECT_THAT(stage.log, Contains(HasSubstr("no camera; trying again")));
  ASSERT_GE(stage.sink.events.size(), 2U);
  // 1 s after the loss, then 2, 4 and 8 s after each refusal.
  EXPECT_GE(stage.sink.events[1].timestamp_detected - stage.sink.events[0].timestamp_detected, 15'000);
  EXPECT_NE(stage.sink.events[0].detection_oid, stage.sink.events[1].detection_oid);
}

TEST(CameraAgent, EventsOfALiveCameraCarryTheWallClock) {
  Stage stage(FrameSource::Kind::kLive, 1000, 1, milliseconds(5000));
  CameraAgent agent = stage.Agent();
  ASSERT_TRUE(agent.RunUntilStopped());
  ASSERT_EQ(stage.sink.events.size(), 1U);
  EXPECT_EQ(stage.sink.events[0].timestamp_detected, EventTime(kStart + 700));
}

TEST(CameraAgent, OnceIsNotForALiveCamera) {
  Stage stage(FrameSource::Kind::kLive, 10, 1);
  CameraAgent agent = stage.Agent();
  const Status ran = agent.RunOnce(EventTime(0));
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().kind, ErrorKind::kInvalidArgument);
}

TEST(CameraAgent, AnEmptyVideoIsAnErrorAndNotAnEndlessLoop) {
  Stage stage(FrameSource::Kind::kRecording, 0, 1);
  CameraAgent agent = stage.Agent();
  const Status ran = agent.RunUntilStopped();
  ASSERT_FALSE(ran);
  EXPECT_THAT(ran.error().message, HasSubstr("no frames"));
}

// Hundreds of people at each detection, others each time: the numbers of a round run out, and ids stay unique.
TEST(CameraAgent, MoreTracksThanARoundHasNumbersForStillGetDifferentIds) {
  class Crowd final : public PeopleDetector {
   public:
    std::vector<Detection> Detect(const Frame&, std::span<const Box>) override {
      // Whoever was confirmed is gone, then others come: two places, each with as many people as fit, used in turns of 12 rounds.
      const float shift = round_++ / 12 % 2 == 0 ? 0 : 288;
      std::vector<Detection> seen;
      for (int i = 0; i < 90; ++i) {
        seen.push_back({.box = {static_cast<float>(24 * (i % 30)), shift + static_cast<float>(70 * (i / 30)), 12, 40}, .score = 1});
      }
      return seen;
    }
    void Reset() override {}

   private:
    int round_ = 0;
  };
  Stage stage(FrameSource::Kind::kRecording, 1000, 0);
  Crowd crowd;
  CameraAgent agent({.camera_number = 1, .every = 1}, {.source = stage.source,
                                                       .detector = crowd,
                                                       .sink = stage.sink,
                                                       .clock = stage.clock,
                                                       .pace = stage.pace,
                                                       .log = [](std::string_view) {}});
  ASSERT_TRUE(agent.RunOnce(EventTime(0)));
  std::set<std::int64_t> ids;
  for (const DetectionEvent& event : stage.sink.events) ids.insert(event.detection_oid);
  EXPECT_GT(stage.sink.events.size(), static_cast<std::size_t>(2 * kTracksPerRound));
  EXPECT_EQ(ids.size(), stage.sink.events.size());
}

}  // namespace
}  // namespace sightline::vision
