#include "sightline/flow/commits/embedded/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"

namespace sightline::flow {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kFingerprint = 42;
constexpr const char* kDirectory = "/data/flow/item_counts/0";

CommitPoint At(std::int64_t input) { return {.inputs = {input}, .outputs = {input / 2, 0}}; }

// A journal on a disk that can fail, below a directory that is durable.
class JournalTest : public ::testing::Test {
 protected:
  JournalTest() {
    EXPECT_TRUE(files_.CreateDirectories("/data"));
    EXPECT_TRUE(files_.SyncDirectory("/"));
  }
  Status Open() {
    journal_.reset();
    auto opened = Journal::Open(runtime_, kDirectory, kFingerprint, recovered_);
    if (!opened) return std::unexpected(std::move(opened).error());
    journal_ = std::move(*opened);
    return {};
  }
  // A snapshot at 0 with some state and ids, and a commit at 10.
  void Begin() {
    ASSERT_TRUE(Open());
    ASSERT_FALSE(recovered_);
    ASSERT_TRUE(journal_->TakeSnapshot({.point = At(0), .origin = {}, .topics = {}, .state = std::string(300, 's'), .references = {}},
                                       {"sixteen bytes id", 100}, 5));
    ASSERT_TRUE(journal_->Commit(At(10)));
  }
  void LosePower() {
    files_.CutPower();
    journal_.reset();
    files_.Restart();
  }
  static std::string Path(const char* name) { return std::string(kDirectory) + "/" + name; }

  runtime::SimulatedClock clock_;
  runtime::SimulatedFileSystem files_{1};
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  std::optional<Recovered> recovered_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, WhatWasCommittedOutlivesThePower) {
  Begin();
  LosePower();
  ASSERT_TRUE(Open());
  ASSERT_TRUE(recovered_);
  EXPECT_EQ(recovered_->snapshot.point, At(0));
  EXPECT_EQ(recovered_->snapshot.state, std::string(300, 's'));
  EXPECT_EQ(recovered_->last, At(10));
  ASSERT_EQ(recovered_->id_runs.size(), 1U);
  EXPECT_EQ(recovered_->id_runs[0].path, Path("ids-1"));
  EXPECT_EQ(recovered_->id_runs[0].bytes, 16U);
}

// The next task in the same process reads the entry from the page cache: having believed it, it must not lose it.
TEST_F(JournalTest, AnEntryWhoseSyncFailedIsMadeDurableBeforeItIsBelieved) {
  Begin();
  files_.FailSyncs("/journal-1", 1);
  EXPECT_FALSE(journal_->Commit(At(20)));
  ASSERT_TRUE(Open());
  EXPECT_EQ(recovered_->last, At(20));
  ASSERT_TRUE(journal_->Commit(At(30)));
  for (int i = 0; i < 8; ++i) {
    LosePower();
    ASSERT_TRUE(Open());
    ASSERT_EQ(recovered_->last, At(30));
  }
}

TEST_F(JournalTest, ATornLastEntryIsCutOff) {
  Begin();
  files_.FailWrites("/journal-1", 1);
  EXPECT_FALSE(journal_->Commit(At(20)));
  ASSERT_TRUE(Open());
  EXPECT_EQ(recovered_->last, At(10));
  ASSERT_TRUE(journal_->Commit(At(30)));
  ASSERT_TRUE(Open());
  EXPECT_EQ(recovered_->last, At(30));
}

TEST_F(JournalTest, DamageBeforeItsEndIsReported) {
  Begin();
  const auto size = runtime::ReadFile(files_, Path("journal-1"), 1 << 20)->size();
  ASSERT_TRUE(journal_->Commit(At(20)));
  ASSERT_TRUE(files_.Flip(Path("journal-1"), size - 3, 0x10));
  const Status opened = Open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kCorruption);
  EXPECT_THAT(opened.error().message, HasSubstr("journal-1 is damaged at byte"));
}

TEST_F(JournalTest, TheStateOfAnotherPlanIsNamedAsSuchAndGivesWayToASnapshot) {
  Begin();
  EXPECT_FALSE(recovered_ && recovered_->other_plan);
  {
    const auto opened = Journal::Open(runtime_, kDirectory, kFingerprint + 1, recovered_);
    ASSERT_TRUE(opened);
    ASSERT_TRUE(recovered_);
    EXPECT_TRUE(recovered_->other_plan);
    ASSERT_TRUE((*opened)->TakeSnapshot(recovered_->snapshot, {}, 0));
  }
  const auto again = Journal::Open(runtime_, kDirectory, kFingerprint + 1, recovered_);
  ASSERT_TRUE(again);
  ASSERT_TRUE(recovered_);
  EXPECT_FALSE(recovered_->other_plan);
}

}  // namespace
}  // namespace sightline::flow
