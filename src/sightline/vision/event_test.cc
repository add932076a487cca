#include "sightline/vision/event.h"

#include <limits>

#include <gtest/gtest.h>

#include "sightline/vision/detection_oid.h"

namespace sightline::vision {
namespace {

TEST(Event, IsOneLineOfTheContract) {
  std::string out = "before\n";
  AppendNdjson(out, {.geographical_location_oid = -1,
                     .video_camera_oid = std::numeric_limits<std::int64_t>::max(),
                     .detection_oid = 7,
                     .item_name = "a \"quoted\"\nname",
                     .timestamp_detected = EventTime(1'700'000'000'123)});
  EXPECT_EQ(out,
            "before\n{\"geographical_location_oid\":-1,\"video_camera_oid\":9223372036854775807,\"detection_oid\":7,"
            "\"item_name\":\"a \\\"quoted\\\"\\nname\",\"timestamp_detected\":1700000000123}\n");
}

TEST(DetectionOid, PartsDoNotReachIntoEachOther) {
  EXPECT_EQ(DetectionOid(0, 0, 0), 0);
  EXPECT_EQ(DetectionOid(0, 0, kTracksPerRound - 1) + 1, DetectionOid(0, 1, 0));
  EXPECT_EQ(DetectionOid(0, kRoundSecondMax, kTracksPerRound - 1) + 1, DetectionOid(1, 0, 0));
  EXPECT_EQ(DetectionOid(kCameraNumberMax, kRoundSecondMax, kTracksPerRound - 1), std::numeric_limits<std::int64_t>::max());
}

}  // namespace
}  // namespace sightline::vision
