#include "sightline/vision/opencv/video_source.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/vision/opencv/annotator.h"

namespace sightline::vision {
namespace {

TEST(VideoSource, AMissingFileIsNamed) {
  const auto source = VideoSource::Open("no/such/clip.avi", 0);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(source.error().message, ::testing::HasSubstr("no/such/clip.avi"));
}

TEST(VideoSource, AFileThatIsNoVideoIsNamed) {
  const std::string path = ::testing::TempDir() + "no_video.avi";
  std::ofstream(path) << "this is no video";
  const auto source = VideoSource::Open(path, 0);
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().kind, ErrorKind::kInvalidArgument);
  EXPECT_THAT(source.error().message, ::testing::HasSubstr("no video"));
  std::filesystem::remove(path);
}

TEST(VideoSource, PasswordsStayOutOfMessages) {
  EXPECT_EQ(WithoutPassword("rtsp://me:secret@camera:554/live"), "rtsp://me:***@camera:554/live");
  EXPECT_EQ(WithoutPassword("rtsp://me:se@cret@camera/live"), "rtsp://me:***@camera/live");
  EXPECT_EQ(WithoutPassword("rtsp://me@camera:554/live"), "rtsp://me@camera:554/live");
  EXPECT_EQ(WithoutPassword("rtsp://camera:554/live?a=b@c"), "rtsp://camera:554/live?a=b@c");
  EXPECT_EQ(WithoutPassword("clips/a:b@c.avi"), "clips/a:b@c.avi");
}

TEST(Annotator, ADirectoryThatIsMissingIsAnErrorAndNotSilence) {
  Frame frame{.width = 16, .height = 16, .bgr = std::vector<std::uint8_t>(16 * 16 * 3)};
  Annotator annotator(::testing::TempDir() + "missing/directory");
  const Status observed = annotator.Observe({.round = 1, .frame_index = 0, .frame = frame, .detections = {}, .tracks = {}});
  ASSERT_FALSE(observed);
  EXPECT_EQ(observed.error().kind, ErrorKind::kIo);
}

}  // namespace
}  // namespace sightline::vision
