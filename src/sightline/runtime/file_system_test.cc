// What a file system promises, on the real one and on its simulated twin.
#include "sightline/runtime/file_system.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "sightline/runtime/posix_file_system.h"
#include "sightline/runtime/simulated/simulated_file_system.h"

namespace sightline::runtime {
namespace {

struct World {
  std::unique_ptr<FileSystem> files;
  std::string root;
};

World RealWorld() {
  std::string pattern = std::filesystem::temp_directory_path() / "file_system_test.XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  return {std::make_unique<PosixFileSystem>(), pattern};
}

World SimulatedWorld() {
  World world{std::make_unique<SimulatedFileSystem>(1), "/root"};
  EXPECT_TRUE(world.files->CreateDirectories("/root"));
  return world;
}

class FileSystemTest : public ::testing::TestWithParam<World (*)()> {
 protected:
  void SetUp() override { world_ = GetParam()(); }
  void TearDown() override { EXPECT_TRUE(files().Remove(world_.root)); }
  FileSystem& files() { return *world_.files; }
  std::string Path(const std::string& name) const { return world_.root + "/" + name; }
  std::string Contents(const std::string& name) { return ReadFile(files(), Path(name), 1 << 20).value_or("(unreadable)"); }

  World world_;
};

TEST_P(FileSystemTest, OpenModes) {
  EXPECT_EQ(files().Open(Path("f"), OpenMode::kRead).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(files().Open(Path("f"), OpenMode::kReadWrite).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(files().Open(Path("f"), OpenMode::kCreateExclusive));
  EXPECT_EQ(files().Open(Path("f"), OpenMode::kCreateExclusive).error().kind, ErrorKind::kAlreadyExists);
  EXPECT_TRUE(files().Open(Path("f"), OpenMode::kCreate));
  EXPECT_FALSE((*files().Open(Path("f"), OpenMode::kRead))->WriteAt(0, "x"));
  EXPECT_EQ(files().Open(Path("no/f"), OpenMode::kCreate).error().kind, ErrorKind::kNotFound);
}

TEST_P(FileSystemTest, WritesReadsAndSizes) {
  auto file = *files().Open(Path("f"), OpenMode::kCreate);
  ASSERT_TRUE(file->WriteAt(5, "hello"));
  EXPECT_EQ(file->Size(), 10U);
  char buffer[20] = {};
  EXPECT_EQ(file->ReadAt(3, buffer, sizeof buffer), 7U);
  EXPECT_EQ(std::string(buffer, 7), std::string("\0\0hello", 7));
  EXPECT_EQ(file->ReadAt(10, buffer, 1), 0U);
  ASSERT_TRUE(file->Truncate(7));
  EXPECT_EQ(file->Size(), 7U);
  ASSERT_TRUE(file->Preallocate(5000));
  EXPECT_EQ(file->Size(), 5000U);
  EXPECT_EQ(file->ReadAt(4990, buffer, sizeof buffer), 10U);
  EXPECT_EQ(std::string(buffer, 10), std::string(10, '\0'));
  ASSERT_TRUE(file->Preallocate(100)) << "never shrinks";
  EXPECT_EQ(file->Size(), 5000U);
  ASSERT_TRUE(file->Sync());
  EXPECT_EQ(Contents("f").substr(5, 2), "he");
}

TEST_P(FileSystemTest, AMappingSeesLaterWritesAndGrowth) {
  auto file = *files().Open(Path("f"), OpenMode::kCreate);
  ASSERT_TRUE(file->WriteAt(0, "abc"));
  const auto view = file->Map(100'000);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->substr(0, 3), "abc");
  auto other = *files().Open(Path("f"), OpenMode::kReadWrite);
  ASSERT_TRUE(other->WriteAt(1, "X"));
  ASSERT_TRUE(file->WriteAt(90'000, "far"));
  EXPECT_EQ(view->substr(0, 3), "aXc");
  EXPECT_EQ(view->substr(90'000, 3), "far");
  EXPECT_FALSE(file->Map(10)) << "one mapping a file";
  ASSERT_TRUE(files().Remove(Path("f")));
  EXPECT_EQ(view->substr(0, 3), "aXc") << "while the file is open";
}

TEST_P(FileSystemTest, Names) {
  ASSERT_TRUE(files().CreateDirectories(Path("a/b/c")));
  ASSERT_TRUE(files().CreateDirectories(Path("a/b/c"))) << "again";
  ASSERT_TRUE(WriteFileAtomically(files(), Path("a/z"), "zzz"));
  ASSERT_TRUE(WriteFileAtomically(files(), Path("a/f"), "1"));
  ASSERT_TRUE(WriteFileAtomically(files(), Path("a/f"), "22"));
  const auto entries = files().List(Path("a"));
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 3U);
  EXPECT_EQ((*entries)[0].name, "b");
  EXPECT_TRUE((*entries)[0].directory);
  EXPECT_EQ((*entries)[1].name, "f");
  EXPECT_EQ((*entries)[1].size, 2U);
  EXPECT_EQ((*entries)[2].name, "z");
  EXPECT_EQ(Contents("a/f"), "22");
  ASSERT_TRUE(files().Rename(Path("a/f"), Path("a/z")));
  EXPECT_EQ(Contents("a/z"), "22");
  EXPECT_EQ(files().Exists(Path("a/f")), false);
  EXPECT_EQ(files().Exists(Path("a/b/c")), true);
  ASSERT_TRUE(files().SyncDirectory(Path("a")));
  ASSERT_TRUE(files().Remove(Path("a")));
  ASSERT_TRUE(files().Remove(Path("a"))) << "not an error when missing";
  EXPECT_EQ(files().Exists(Path("a/z")), false);
  EXPECT_EQ(files().List(Path("a")).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(files().Rename(Path("q"), Path("r")).error().kind, ErrorKind::kNotFound);
}

TEST_P(FileSystemTest, ReadFileHasALimit) {
  ASSERT_TRUE(WriteFileAtomically(files(), Path("f"), "12345"));
  EXPECT_EQ(ReadFile(files(), Path("f"), 5), "12345");
  EXPECT_EQ(ReadFile(files(), Path("f"), 4).error().kind, ErrorKind::kResourceExhausted);
}

TEST_P(FileSystemTest, ALockHasOneHolder) {
  auto first = files().Lock(world_.root);
  ASSERT_TRUE(first);
  const auto second = files().Lock(world_.root);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_NE(second.error().message.find("in use by process"), std::string::npos) << second.error().message;
  first->reset();
  EXPECT_TRUE(files().Lock(world_.root));
}

TEST_P(FileSystemTest, FreeBytesIsKnown) { EXPECT_GT(*files().FreeBytes(world_.root), 0U); }

INSTANTIATE_TEST_SUITE_P(Real, FileSystemTest, ::testing::Values(&RealWorld));
INSTANTIATE_TEST_SUITE_P(Simulated, FileSystemTest, ::testing::Values(&SimulatedWorld));

}  // namespace
}  // namespace sightline::runtime
