#include "sightline/vision/tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sightline::vision {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr double kStep = 0.3;

// A person of 30 by 90 pixels whose centre is at (x, y).
Detection Person(float x, float y, float score = 1) { return {.box = {x - 15, y - 45, 30, 90}, .score = score}; }

Tracker MakeTracker() { return Tracker(TrackerOptions{}, 768, 576); }

const Track* Confirmed(const Tracker& tracker, std::int64_t number) {
  for (const Track& track : tracker.tracks()) {
    if (track.number == number) return &track;
  }
  return nullptr;
}

TEST(Box, OverlapIsOneForTheSameAndZeroApart) {
  const Box a{10, 10, 20, 40};
  EXPECT_FLOAT_EQ(Overlap(a, a), 1);
  EXPECT_FLOAT_EQ(Overlap(a, Box{30, 10, 20, 40}), 0);
  EXPECT_FLOAT_EQ(Overlap(a, Box{20, 10, 20, 40}), 1.0F / 3);
}

TEST(Tracker, ConfirmsAtTheThirdDetectionAndOnlyOnce) {
  Tracker tracker = MakeTracker();
  const std::vector<Detection> person = {Person(100, 200)};
  EXPECT_THAT(tracker.Update(0, person), IsEmpty());
  EXPECT_THAT(tracker.Update(kStep, person), IsEmpty());
  const auto confirmed = tracker.Update(2 * kStep, person);
  ASSERT_THAT(confirmed, SizeIs(1));
  EXPECT_EQ(confirmed[0]->number, 0);
  for (int i = 3; i < 50; ++i) EXPECT_THAT(tracker.Update(i * kStep, person), IsEmpty());
  EXPECT_EQ(tracker.confirmed_count(), 1);
}

TEST(Tracker, FlickeringFalseAlarmsAreNeverConfirmed) {
  Tracker tracker = MakeTracker();
  for (int i = 0; i < 60; ++i) {
    std::vector<Detection> seen;
    if (i % 3 == 0) seen.push_back(Person(300, 300));
    EXPECT_THAT(tracker.Update(i * kStep, seen), IsEmpty());
  }
}

TEST(Tracker, OneMissBeforeConfirmationIsForgiven) {
  Tracker tracker = MakeTracker();
  const std::vector<Detection> person = {Person(100, 200)};
  tracker.Update(0, person);
  tracker.Update(kStep, {});
  tracker.Update(2 * kStep, person);
  EXPECT_THAT(tracker.Update(3 * kStep, person), SizeIs(1));
}

TEST(Tracker, FollowsAWalkerAtConstantVelocity) {
  Tracker tracker = MakeTracker();
  for (int i = 0; i < 20; ++i) tracker.Update(i * kStep, std::vector{Person(100 + 20.0F * static_cast<float>(i), 200)});
  EXPECT_EQ(tracker.confirmed_count(), 1);
  const Track* track = Confirmed(tracker, 0);
  ASSERT_NE(track, nullptr);
  EXPECT_NEAR(track->velocity_x, 20 / kStep, 1);
  EXPECT_NEAR(track->velocity_y, 0, 0.5);
  EXPECT_NEAR(tracker.Predict(*track, 20 * kStep).center_x(), 500, 2);
}

TEST(Tracker, AWalkerHiddenForAWhileKeepsTheNumber) {
  Tracker tracker = MakeTracker();
  int i = 0;
  const auto at = [&] { return Person(100 + 15.0F * static_cast<float>(i), 200); };
  for (; i < 8; ++i) tracker.Update(i * kStep, std::vector{at()});
  for (; i < 14; ++i) tracker.Update(i * kStep, {});
  for (; i < 20; ++i) tracker.Update(i * kStep, std::vector{at()});
  EXPECT_EQ(tracker.confirmed_count(), 1);
}

TEST(Tracker, ATrackLostForLongIsForgottenAndTheNextPersonThereIsNew) {
  Tracker tracker = MakeTracker();
  const std::vector<Detection> person = {Person(100, 200)};
  int i = 0;
  for (; i < 5; ++i) tracker.Update(i * kStep, person);
  for (; i < 5 + 9; ++i) tracker.Update(i * kStep, {});
  EXPECT_THAT(tracker.tracks(), IsEmpty());
  for (; i < 20; ++i) tracker.Update(i * kStep, person);
  EXPECT_EQ(tracker.confirmed_count(), 2);
}

TEST(Tracker, TwoPeopleWhoPassEachOtherKeepTheirNumbers) {
  Tracker tracker = MakeTracker();
  for (int i = 0; i < 30; ++i) {
    const float way = 16.0F * static_cast<float>(i);
    tracker.Update(i * kStep, std::vector{Person(100 + way, 200), Person(580 - way, 230)});
  }
  EXPECT_EQ(tracker.confirmed_count(), 2);
  ASSERT_NE(Confirmed(tracker, 0), nullptr);
  ASSERT_NE(Confirmed(tracker, 1), nullptr);
  EXPECT_GT(Confirmed(tracker, 0)->velocity_x, 0);
  EXPECT_LT(Confirmed(tracker, 1)->velocity_x, 0);
  EXPECT_NEAR(Confirmed(tracker, 0)->box.center_x(), 100 + 16 * 29, 5);
}

TEST(Tracker, APersonSeenTwiceInOneFrameIsOne) {
  Tracker tracker = MakeTracker();
  for (int i = 0; i < 10; ++i) tracker.Update(i * kStep, std::vector{Person(200, 200), Person(206, 204)});
  // In the very first frame nothing is followed yet, so both begin a track; from then on one of them takes all.
  EXPECT_LE(tracker.confirmed_count(), 2);
  Tracker settled = MakeTracker();
  settled.Update(0, std::vector{Person(200, 200)});
  for (int i = 1; i < 10; ++i) settled.Update(i * kStep, std::vector{Person(200, 200), Person(206, 204)});
  EXPECT_EQ(settled.confirmed_count(), 1);
}

TEST(Tracker, ADetectionOfAnotherSizeIsAnotherPerson) {
  Tracker tracker = MakeTracker();
  const Detection near{.box = {150, 60, 80, 240}, .score = 1};
  for (int i = 0; i < 5; ++i) tracker.Update(i * kStep, std::vector{Person(190, 180)});
  for (int i = 5; i < 10; ++i) tracker.Update(i * kStep, std::vector{near});
  EXPECT_EQ(tracker.confirmed_count(), 2);
}

TEST(Tracker, WhoLeavesTheFrameIsForgottenAtOnce) {
  Tracker tracker = MakeTracker();
  int i = 0;
  for (; i < 6; ++i) tracker.Update(i * kStep, std::vector{Person(660 + 20.0F * static_cast<float>(i), 200)});
  ASSERT_THAT(tracker.tracks(), SizeIs(1));
  tracker.Update(i++ * kStep, {});
  tracker.Update(i++ * kStep, {});
  EXPECT_THAT(tracker.tracks(), IsEmpty());
}

TEST(Tracker, SameDetectionsGiveSameTracksWhateverTheirOrder) {
  Tracker forward = MakeTracker();
  Tracker backward = MakeTracker();
  for (int i = 0; i < 12; ++i) {
    std::vector<Detection> seen = {Person(100 + 9.0F * static_cast<float>(i), 200), Person(400, 300),
                                   Person(600 - 5.0F * static_cast<float>(i), 100)};
    forward.Update(i * kStep, seen);
    std::ranges::reverse(seen);
    backward.Update(i * kStep, seen);
  }
  ASSERT_EQ(forward.confirmed_count(), 3);
  ASSERT_EQ(backward.confirmed_count(), 3);
  for (const Track& track : forward.tracks()) {
    const bool same = std::ranges::any_of(backward.tracks(),
                                          [&](const Track& other) { return other.box.x == track.box.x && other.box.y == track.box.y; });
    EXPECT_TRUE(same);
  }
}

}  // namespace
}  // namespace sightline::vision
