#include "connectors/flink/sql_words.h"

#include <gtest/gtest.h>

#include "connectors/flink/gateway.h"

namespace sightline::flink {
namespace {

using std::chrono::milliseconds;

TEST(SqlWords, NamesAreQuotedWhereTheyMustBe) {
  EXPECT_EQ(Name("item"), "item");
  EXPECT_EQ(Name("at"), "`at`");
  EXPECT_EQ(Name("Rank"), "`Rank`");
  EXPECT_EQ(Name("a.b"), "`a.b`");
  EXPECT_EQ(Name("a`b"), "`a``b`");
  EXPECT_EQ(Name("1st"), "`1st`");
}

TEST(SqlWords, Texts) {
  EXPECT_EQ(Text("it's"), "'it''s'");
  EXPECT_EQ(Text("😀\\"), "'😀\\'");
}

TEST(SqlWords, IntervalsHaveAsManyDigitsAsTheyNeed) {
  EXPECT_EQ(Interval(milliseconds(30'001)), "INTERVAL '30.001' SECOND");
  EXPECT_EQ(Interval(milliseconds(60'000)), "INTERVAL '60' SECOND");
  EXPECT_EQ(Interval(milliseconds(120'001)), "INTERVAL '120.001' SECOND(3, 3)");
  EXPECT_EQ(Interval(milliseconds(31'622'400'000)), "INTERVAL '31622400' SECOND(8)");
}

TEST(SqlWords, NumbersKeepTheirType) {
  EXPECT_EQ(Int64Literal(INT64_MIN), "(-9223372036854775807 - 1)");
  EXPECT_EQ(DoubleLiteral(1.5), "1.5E0");
  EXPECT_EQ(DoubleLiteral(1e300), "1E+300");
}

TEST(SqlWords, SecretsArePutInAsTextsWithinTexts) {
  EXPECT_EQ(WithSecrets("'password' = '${A}' -- ${B}", {{"A", "it's"}}), "'password' = 'it''s' -- ${B}");
}

}  // namespace
}  // namespace sightline::flink
