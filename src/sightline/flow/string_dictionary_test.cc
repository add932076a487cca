#include "sightline/flow/string_dictionary.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "sightline/runtime/random.h"

namespace sightline::flow {
namespace {

TEST(StringDictionary, TheFirstTextMayBeEmpty) {
  StringDictionary dictionary;
  EXPECT_EQ(dictionary.Intern(""), 0U);
  EXPECT_EQ(dictionary.Intern("a"), 1U);
  EXPECT_EQ(dictionary.Intern(""), 0U);
  EXPECT_EQ(dictionary.at(0), "");
}

// Texts that differ in one byte, of every length up to some that take the long way.
TEST(StringDictionary, AgreesWithAMap) {
  runtime::Random random(3);
  StringDictionary dictionary;
  std::map<std::string, std::uint32_t> wanted;
  for (int i = 0; i < 60'000; ++i) {
    std::string text(random.Below(24), 'x');
    if (!text.empty()) text[random.Below(text.size())] = static_cast<char>(random.Below(256));
    const auto [at, added] = wanted.try_emplace(text, static_cast<std::uint32_t>(wanted.size()));
    ASSERT_EQ(dictionary.Intern(text), at->second) << text.size();
  }
  EXPECT_EQ(dictionary.size(), wanted.size());
  for (const auto& [text, id] : wanted) ASSERT_EQ(dictionary.at(id), text);
}

}  // namespace
}  // namespace sightline::flow
