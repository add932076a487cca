#include "sightline/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace sightline {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Text, ParsesDurations) {
  const std::pair<std::string_view, std::int64_t> cases[] = {{"0s", 0},      {"250ms", 250},      {"30s", 30'000},
                                                             {"1m", 60'000}, {"24h", 86'400'000}, {"7d", 604'800'000}};
  for (const auto& [text, ms] : cases) {
    const auto parsed = ParseDuration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->count(), ms) << text;
  }
}

TEST(Text, RefusesDurationsWithTheReason) {
  const std::pair<std::string_view, std::string_view> cases[] = {{"", "digit"},
                                                                 {"30", "unit is missing"},
                                                                 {"-1s", "digit"},
                                                                 {"+1s", "digit"},
                                                                 {"1.5s", "unknown unit"},
                                                                 {"1 s", "unknown unit"},
                                                                 {"1S", "unknown unit"},
                                                                 {"s", "digit"},
                                                                 {"1w", "ms, s, m, h, d"},
                                                                 {"99999999999999999999s", "too large"},
                                                                 {"106751991168d", "too large"}};
  for (const auto& [text, reason] : cases) {
    const auto parsed = ParseDuration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kInvalidArgument);
    EXPECT_THAT(parsed.error().message, HasSubstr(reason)) << text;
  }
}

TEST(Text, FormatsDurationsInTheShortestExactForm) {
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0s");
  EXPECT_EQ(FormatDuration(milliseconds(90'000)), "90s");
  EXPECT_EQ(FormatDuration(milliseconds(60'000)), "1m");
  EXPECT_EQ(FormatDuration(milliseconds(86'400'000)), "1d");
  EXPECT_EQ(FormatDuration(milliseconds(1'001)), "1001ms");
  for (const std::int64_t ms : {1, 999, 1000, 61'000, 3'600'000, 86'400'001}) {
    EXPECT_EQ(ParseDuration(FormatDuration(milliseconds(ms))).value().count(), ms);
  }
}

TEST(Text, ParsesAndFormatsBytes) {
  const std::pair<std::string_view, std::uint64_t> cases[] = {{"4096B", 4096},           {"10MB", 10'000'000}, {"64MiB", 64ULL << 20},
                                                              {"50GiB", 50ULL << 30},    {"1kB", 1000},        {"2TiB", 2ULL << 40},
                                                              {"3TB", 3'000'000'000'000}};
  for (const auto& [text, bytes] : cases) EXPECT_EQ(ParseBytes(text).value(), bytes) << text;
  for (const std::string_view text : {"", "64", "64mb", "64K", "-1B", "1.5GiB", "16777216TiB", "18446744073709551616B"}) {
    EXPECT_FALSE(ParseBytes(text)) << text;
  }
  EXPECT_EQ(ParseBytes("18446744073709551615B").value(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(FormatBytes(64ULL << 20), "64MiB");
  EXPECT_EQ(FormatBytes(10'000'000), "10MB");
  EXPECT_EQ(FormatBytes(0), "0B");
  EXPECT_EQ(FormatBytes(1001), "1001B");
}

TEST(Text, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string_view> words = {"tumbling", "sliding", "every", "allowed_lateness", "by"};
  EXPECT_EQ(DidYouMean("tumblnig", words), "tumbling");
  EXPECT_EQ(DidYouMean("Sliding", words), "sliding");
  EXPECT_EQ(DidYouMean("alowed_latenes", words), "allowed_lateness");
  EXPECT_EQ(DidYouMean("b", words), "by");
  EXPECT_EQ(DidYouMean("x", words), "");
  EXPECT_EQ(DidYouMean("", words), "");
  EXPECT_EQ(DidYouMean("hopping", words), "");
  EXPECT_EQ(DidYouMean(std::string(100'000, 'a'), words), "");
}

TEST(Text, KnowsUtf8) {
  for (const std::string_view good :
       {"", "a", "plain ascii of some length", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf", "1234567\xe6\x98\xbc", "1234567890\xf0\x9f\x9a\xb6"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const std::string_view bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2 ", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xe6\x98",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xfe", "12345678\x80", "\xf0\x9f\x9a"}) {
    EXPECT_FALSE(IsUtf8(bad)) << testing::PrintToString(bad);
  }
  EXPECT_TRUE(IsUtf8(std::string_view("\0", 1)));
}

TEST(Text, CountsCodePoints) {
  EXPECT_EQ(CodePoints(""), 0U);
  EXPECT_EQ(CodePoints("abc"), 3U);
  EXPECT_EQ(CodePoints("\xe6\x98\xbc\xe9\xa3\x9f"), 2U);
  EXPECT_EQ(CodePoints("\xf0\x9f\x9a\xb6!"), 2U);
}

TEST(Text, ParsesInt64Strictly) {
  EXPECT_EQ(ParseInt64("-9223372036854775808").value(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(ParseInt64("9223372036854775807").value(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(ParseInt64("-12").value(), -12);
  for (const std::string_view bad : {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "9223372036854775808", "-9223372036854775809"}) {
    EXPECT_FALSE(ParseInt64(bad)) << bad;
  }
}

TEST(Text, Splits) {
  EXPECT_THAT(Split("a,b,,c", ','), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(Split("a,", ','), ElementsAre("a", ""));
  EXPECT_THAT(Split("", ','), ElementsAre(""));
}

TEST(Text, WritesJsonStrings) {
  const auto json = [](std::string_view text) {
    std::string out = "x";
    AppendJsonString(out, text);
    return out;
  };
  EXPECT_EQ(json("plain"), "x\"plain\"");
  EXPECT_EQ(json("q\" b\\ /"), "x\"q\\\" b\\\\ /\"");
  EXPECT_EQ(json("\b\f\n\r\t\x01\x1f\x7f"), "x\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
  EXPECT_EQ(json(std::string_view("a\0b", 3)), "x\"a\\u0000b\"");
  EXPECT_EQ(json("\xe6\x98\xbc"), "x\"\xe6\x98\xbc\"");
  EXPECT_EQ(json("a\xff"
                 "b\xe6"),
            "x\"a\xef\xbf\xbd"
            "b\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace sightline
