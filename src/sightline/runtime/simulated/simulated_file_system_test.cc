#include "sightline/runtime/simulated/simulated_file_system.h"

#include <gtest/gtest.h>

#include <set>

namespace sightline::runtime {
namespace {

// What a file holds after a power loss, over many seeds, when `course` was done to it.
template <typename Course>
std::set<std::string> Outcomes(Course course, int seeds = 200) {
  std::set<std::string> outcomes;
  for (int seed = 0; seed < seeds; ++seed) {
    SimulatedFileSystem files(static_cast<std::uint64_t>(seed));
    EXPECT_TRUE(files.CreateDirectories("/d"));
    EXPECT_TRUE(files.SyncDirectory("/"));
    {
      auto file = *files.Open("/d/f", OpenMode::kCreate);
      EXPECT_TRUE(file->WriteAt(0, std::string(1024, 'o')));
      EXPECT_TRUE(file->Sync());
      EXPECT_TRUE(files.SyncDirectory("/d"));
      course(files, *file);
    }
    files.CutPower();
    EXPECT_FALSE(files.Exists("/d/f"));
    files.Restart();
    const auto contents = ReadFile(files, "/d/f", 1 << 20);
    // Told by the first byte of each sector, and the size.
    std::string told = contents ? std::to_string(contents->size()) + ":" : "gone";
    for (std::size_t at = 0; contents && at < contents->size(); at += 512) told += (*contents)[at] == '\0' ? '0' : (*contents)[at];
    outcomes.insert(told);
  }
  return outcomes;
}

TEST(SimulatedDisk, SyncedBytesStay) {
  const auto course = [](SimulatedFileSystem&, File& file) {
    ASSERT_TRUE(file.WriteAt(0, std::string(1024, 'n')));
    ASSERT_TRUE(file.Sync());
  };
  EXPECT_EQ(Outcomes(course), std::set<std::string>{"1024:nn"});
}

TEST(SimulatedDisk, UnsyncedSectorsSurviveInAnyCombination) {
  const auto course = [](SimulatedFileSystem&, File& file) { ASSERT_TRUE(file.WriteAt(0, std::string(1024, 'n'))); };
  EXPECT_EQ(Outcomes(course), (std::set<std::string>{"1024:oo", "1024:no", "1024:on", "1024:nn"}));
}

TEST(SimulatedDisk, UnsyncedGrowthMayBeLostOrZero) {
  const auto course = [](SimulatedFileSystem&, File& file) { ASSERT_TRUE(file.WriteAt(1024, std::string(512, 'n'))); };
  EXPECT_EQ(Outcomes(course), (std::set<std::string>{"1024:oo", "1536:oo0", "1536:oon"}));
}

TEST(SimulatedDisk, ATruncationHappensWholeOrNot) {
  const auto course = [](SimulatedFileSystem&, File& file) { ASSERT_TRUE(file.Truncate(100)); };
  EXPECT_EQ(Outcomes(course), (std::set<std::string>{"1024:oo", "100:o"}));
  const auto twice = [](SimulatedFileSystem&, File& file) {
    ASSERT_TRUE(file.Truncate(512));
    ASSERT_TRUE(file.Truncate(0));
  };
  EXPECT_EQ(Outcomes(twice), (std::set<std::string>{"1024:oo", "0:"}));
}

TEST(SimulatedDisk, AFailedSyncIsNotMadeGoodByALaterOne) {
  const auto course = [](SimulatedFileSystem& files, File& file) {
    ASSERT_TRUE(file.WriteAt(0, std::string(512, 'n')));
    files.FailSyncs("/d/f", 1);
    ASSERT_FALSE(file.Sync());
    ASSERT_TRUE(file.Sync());
  };
  EXPECT_TRUE(Outcomes(course).contains("1024:oo"));
  const auto written_again = [&](SimulatedFileSystem& files, File& file) {
    course(files, file);
    ASSERT_TRUE(file.WriteAt(0, std::string(512, 'n')));
    ASSERT_TRUE(file.Sync());
  };
  EXPECT_EQ(Outcomes(written_again), std::set<std::string>{"1024:no"});
}

TEST(SimulatedDisk, UnsyncedNamesMayBeLostInTheirOrder) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimulatedFileSystem files(seed);
    ASSERT_TRUE(files.CreateDirectories("/d"));
    ASSERT_TRUE(files.SyncDirectory("/"));
    for (const char* name : {"/d/a", "/d/b"}) ASSERT_TRUE(files.Open(name, OpenMode::kCreate));
    files.CutPower();
    files.Restart();
    std::string names;
    const auto entries = files.List("/d");
    ASSERT_TRUE(entries);
    for (const FileInfo& file : *entries) names += file.name;
    outcomes.insert(names);
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"", "a", "ab"}));
}

TEST(SimulatedDisk, AnAtomicWriteLeavesTheOldOrTheNew) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SimulatedFileSystem files(seed);
    ASSERT_TRUE(files.CreateDirectories("/d"));
    ASSERT_TRUE(files.SyncDirectory("/"));
    ASSERT_TRUE(WriteFileAtomically(files, "/d/f", "old"));
    files.CutPowerAfter(1 + seed % 8);
    const bool written = WriteFileAtomically(files, "/d/f", "the new one").has_value();
    files.CutPower();
    files.Restart();
    const auto contents = ReadFile(files, "/d/f", 100);
    ASSERT_TRUE(contents) << "seed " << seed;
    ASSERT_EQ(*contents, written ? "the new one" : *contents);
    outcomes.insert(*contents);
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"old", "the new one"}));
}

TEST(SimulatedDisk, APowerCutInterruptsTheWriteThatItMeets) {
  std::set<std::size_t> sizes;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SimulatedFileSystem files(seed);
    auto file = *files.Open("/f", OpenMode::kCreate);
    files.CutPowerAfter(2);
    ASSERT_TRUE(file->WriteAt(0, "whole"));
    EXPECT_EQ(file->WriteAt(5, "cut short").error().kind, ErrorKind::kIo);
    EXPECT_FALSE(files.powered());
    EXPECT_FALSE(file->WriteAt(0, "dead"));
    files.Restart();
    EXPECT_FALSE(file->Sync()) << "files of before stay dead";
    if (const auto contents = ReadFile(files, "/f", 100)) sizes.insert(contents->size());
  }
  EXPECT_GT(sizes.size(), 5U);
}

TEST(SimulatedDisk, AFullDiskTakesWhatFits) {
  SimulatedFileSystem files(1);
  files.SetCapacity(1000);
  auto file = *files.Open("/f", OpenMode::kCreate);
  ASSERT_TRUE(file->WriteAt(0, std::string(900, 'x')));
  EXPECT_EQ(file->WriteAt(900, std::string(200, 'x')).error().kind, ErrorKind::kResourceExhausted);
  EXPECT_EQ(file->Size(), 1000U);
  EXPECT_EQ(files.FreeBytes("/"), 0U);
  EXPECT_EQ(file->Preallocate(1001).error().kind, ErrorKind::kResourceExhausted);
  ASSERT_TRUE(files.Remove("/f"));
  EXPECT_EQ(files.FreeBytes("/"), 1000U);
}

TEST(SimulatedDisk, TheSameSeedGivesTheSameDisaster) {
  const auto run = [](std::uint64_t seed) {
    SimulatedFileSystem files(seed);
    auto file = *files.Open("/f", OpenMode::kCreate);
    EXPECT_TRUE(files.SyncDirectory("/"));
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(file->WriteAt(static_cast<std::uint64_t>(i) * 512, std::string(512, 'x')));
    files.CutPower();
    files.Restart();
    return ReadFile(files, "/f", 1 << 20).value_or("gone");
  };
  std::set<std::string> different;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    EXPECT_EQ(run(seed), run(seed));
    different.insert(run(seed));
  }
  EXPECT_GT(different.size(), 5U);
}

TEST(SimulatedDisk, DirectoriesMadeDurablyAreStillThere) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedFileSystem files(seed);
    ASSERT_TRUE(files.CreateDirectories("/a"));  // by somebody who died before he could sync
    ASSERT_TRUE(CreateDirectoriesDurably(files, "/a/b/c", 3));
    ASSERT_TRUE(WriteFileAtomically(files, "/a/b/c/f", "kept"));
    files.CutPower();
    files.Restart();
    ASSERT_EQ(ReadFile(files, "/a/b/c/f", 10), "kept");
  }
}

}  // namespace
}  // namespace sightline::runtime
