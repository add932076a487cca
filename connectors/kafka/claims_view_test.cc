#include <gtest/gtest.h>

#include "connectors/kafka/claims.h"

namespace sightline::kafka {
namespace {

constexpr ClaimsView::ClaimId kOne{1, 1};
constexpr ClaimsView::ClaimId kTwo{2, 2};
constexpr std::int64_t kStart = 1'700'000'000'000;
constexpr std::int64_t kLease = ClaimsView::kLease.count();

class ClaimsTest : public ::testing::Test {
 protected:
  void Apply(const std::string& value, std::int64_t after_ms) { ASSERT_TRUE(view_.Apply(key_, value, AppendTime(kStart + after_ms))); }
  const ClaimsView::Entry* At(std::int64_t after_ms) const { return view_.Find(key_, AppendTime(kStart + after_ms)); }
  const std::string key_ = ClaimsView::KeyOf({.key = {3, 4}, .part = 5, .digest = 6});
  ClaimsView view_;
};

TEST_F(ClaimsTest, TheFirstClaimInTheLogWins) {
  EXPECT_EQ(At(0), nullptr);
  Apply(ClaimsView::Claim(kOne), 0);
  Apply(ClaimsView::Claim(kTwo), 1);
  ASSERT_NE(At(1), nullptr);
  EXPECT_EQ(At(1)->owner, kOne);
  EXPECT_FALSE(At(1)->done);
}

TEST_F(ClaimsTest, AClaimLapsesByTheLogsTime) {
  Apply(ClaimsView::Claim(kOne), 0);
  Apply(ClaimsView::Claim(kTwo), kLease);
  EXPECT_EQ(At(kLease)->owner, kOne);
  EXPECT_EQ(At(kLease + 1), nullptr);
  Apply(ClaimsView::Claim(kTwo), kLease + 1);
  EXPECT_EQ(At(kLease + 1)->owner, kTwo);
}

TEST_F(ClaimsTest, AReleaseFreesTheKeyOfItsOwnClaimAlone) {
  Apply(ClaimsView::Claim(kOne), 0);
  Apply(ClaimsView::Release(kTwo), 1);
  EXPECT_EQ(At(1)->owner, kOne);
  Apply(ClaimsView::Release(kOne), 2);
  EXPECT_EQ(At(2), nullptr);
}

TEST_F(ClaimsTest, DoneHoldsForADay) {
  Apply(ClaimsView::Claim(kOne), 0);
  Apply(ClaimsView::Done(kOne, {Offset(7), 3, 6}), 10);
  Apply(ClaimsView::Release(kOne), 11);
  Apply(ClaimsView::Claim(kTwo), kLease * 5);
  const ClaimsView::Entry* entry = At(kLease * 5);
  ASSERT_NE(entry, nullptr);
  EXPECT_TRUE(entry->done);
  EXPECT_EQ(entry->answer.base, Offset(7));
  EXPECT_EQ(entry->answer.count, 3U);
  EXPECT_EQ(entry->answer.digest, 6U);
  EXPECT_EQ(At(ClaimsView::kKept.count() + 11), nullptr);
  EXPECT_EQ(view_.size(), 1U);
  view_.Forget(AppendTime(kStart + ClaimsView::kKept.count() + 11));
  EXPECT_EQ(view_.size(), 0U);
}

TEST_F(ClaimsTest, WhatIsNoClaimIsDamage) {
  for (const std::string& value : {std::string(), std::string("x"), std::string(17, '\x09'), ClaimsView::Claim(kOne) + "x",
                                   ClaimsView::Done(kOne, {}).substr(0, 20)}) {
    EXPECT_EQ(view_.Apply(key_, value, AppendTime(kStart)).error().kind, ErrorKind::kCorruption);
  }
}

}  // namespace
}  // namespace sightline::kafka
