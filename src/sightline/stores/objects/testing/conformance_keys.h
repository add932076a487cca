#pragma once

// Part of conformance.h: which keys there are.
#include <algorithm>

#include "sightline/stores/objects/testing/objects_harness.h"

namespace sightline::stores::testing {

TEST_P(ObjectsConformance, KeysOfManyKinds) {
  std::vector<std::string> keys = {"plain",
                                   "with space/and more",
                                   "plus+and&equals=",
                                   "hash#question?",
                                   "percent%20sign",
                                   "ünïcödé/日本語",
                                   "tilde~(paren)!'@$",
                                   "semi;comma,",
                                   ".hidden/.file",
                                   "dots...in..names",
                                   "UPPER/lower",
                                   std::string(255, 'n'),
                                   "a/b/c/d/e/f/g/h/i/j/k/l",
                                   "trailing.",
                                   "[brackets]{braces}"};
  if (GetParam().colons) keys.emplace_back("2026-11-27T21:55:00Z");
  std::string deep;
  for (int i = 0; i < 8; ++i) deep += std::string(99, static_cast<char>('a' + i)) + "/";
  keys.push_back(deep + "end");
  for (const std::string& key : keys) {
    ASSERT_OK(store().Put(key, key));
    EXPECT_EQ(Read(key), key);
    const auto head = store().Head(key);
    ASSERT_OK(head);
    EXPECT_EQ(head->key, key);
  }
  std::ranges::sort(keys);
  EXPECT_EQ(Keys(), keys);
  ASSERT_OK(store().Copy("hash#question?", "copied with?#"));
  EXPECT_EQ(Read("copied with?#"), "hash#question?");
  ASSERT_OK(store().Delete(keys));
  EXPECT_EQ(Keys(), std::vector<std::string>{"copied with?#"});
}

TEST_P(ObjectsConformance, BadKeysAreRefusedEverywhere) {
  const std::vector<std::string> bad = {"",
                                        "/",
                                        "/a",
                                        "a/",
                                        "a//b",
                                        ".",
                                        "..",
                                        "a/../b",
                                        "a/.",
                                        "back\\slash",
                                        "new\nline",
                                        std::string("nul\0", 4),
                                        "\xff\xfe",
                                        std::string(1025, 'a'),
                                        std::string(256, 'a'),
                                        ".sightline",
                                        "a/.sightline-x/b"};
  for (const std::string& key : bad) {
    EXPECT_KIND(store().Put(key, "x"), kInvalidArgument);
    EXPECT_KIND(store().Get(key), kInvalidArgument);
    EXPECT_KIND(store().Head(key), kInvalidArgument);
    EXPECT_KIND(store().Delete(key), kInvalidArgument);
    EXPECT_KIND(store().Copy(key, "a"), kInvalidArgument);
    EXPECT_KIND(store().Copy("a", key), kInvalidArgument);
    EXPECT_KIND(store().StartUpload(key, kPartBytes), kInvalidArgument);
  }
  for (const std::string prefix : {"/a", "a//", "../x", "a\\b", ".sightline"}) EXPECT_KIND(store().List(prefix, ""), kInvalidArgument);
  EXPECT_TRUE(Keys().empty());
}

TEST_P(ObjectsConformance, AnObjectIsNotLostToOneBelowIt) {
  ASSERT_OK(store().Put("d", "object"));
  const auto below = store().Put("d/x", "below");
  if (!below) EXPECT_KIND(below, kFailedPrecondition);
  EXPECT_EQ(Read("d"), "object");
  ASSERT_OK(store().Put("e/x", "below"));
  const auto above = store().Put("e", "object");
  if (!above) EXPECT_KIND(above, kFailedPrecondition);
  const auto above_if_absent = store().Put("e/x/y", "deeper", PutCondition::IfAbsent());
  if (!above_if_absent) EXPECT_KIND(above_if_absent, kFailedPrecondition);
  EXPECT_EQ(Read("e/x"), "below");
  // With the last object below it gone the name is free.
  ASSERT_OK(store().Put("g/h/i", "x"));
  ASSERT_OK(store().Delete("g/h/i"));
  const auto freed = store().Put("g", "object");
  EXPECT_OK(freed);
  EXPECT_EQ(Read("g"), "object");
}

}  // namespace sightline::stores::testing
