#pragma once

// Part of conformance.h: list, delete, copy.
#include <algorithm>
#include <thread>

#include "sightline/stores/objects/testing/objects_harness.h"

namespace sightline::stores::testing {

using Names = std::vector<std::string>;

TEST_P(ObjectsConformance, ListIsInTheOrderOfKeys) {
  EXPECT_EQ(Keys(), Names{});
  // '-' and '.' come before '/', '0' after it: the order of keys is not that of a tree of directories.
  const Names keys = {"a-b", "a.b", "a/b", "a/b-c", "a/b.c/d", "a/c/e", "a/c0", "a0", "b/x", "b0/x", "ba"};
  for (const std::string key : {"b0/x", "a/c/e", "a-b", "a/b.c/d", "ba", "a0", "a/b-c", "a.b", "b/x", "a/b", "a/c0"}) {
    ASSERT_OK(store().Put(key, "x"));
  }
  EXPECT_EQ(Keys(), keys);
  EXPECT_EQ(Keys("a/"), (Names{"a/b", "a/b-c", "a/b.c/d", "a/c/e", "a/c0"}));
  EXPECT_EQ(Keys("a/b"), (Names{"a/b", "a/b-c", "a/b.c/d"}));
  EXPECT_EQ(Keys("a/c/"), (Names{"a/c/e"}));
  EXPECT_EQ(Keys("b"), (Names{"b/x", "b0/x", "ba"}));
  EXPECT_EQ(Keys("a/b.c/d"), (Names{"a/b.c/d"}));
  EXPECT_EQ(Keys("a/b.c/d/"), Names{});
  EXPECT_EQ(Keys("nothing"), Names{});
  EXPECT_EQ(Keys("nothing/at/all"), Names{});
}

TEST_P(ObjectsConformance, ListGoesOnAfterAKey) {
  for (const std::string key : {"a-b", "a/b", "a/c/d", "a/c/e", "a0", "b"}) ASSERT_OK(store().Put(key, "x"));
  EXPECT_EQ(Keys("", "a/b"), (Names{"a/c/d", "a/c/e", "a0", "b"}));
  EXPECT_EQ(Keys("", "a/c/d"), (Names{"a/c/e", "a0", "b"}));
  EXPECT_EQ(Keys("", "a/bb"), (Names{"a/c/d", "a/c/e", "a0", "b"})) << "it need not exist";
  EXPECT_EQ(Keys("a/", "a/c"), (Names{"a/c/d", "a/c/e"}));
  EXPECT_EQ(Keys("a/", "a/c/e"), Names{});
  EXPECT_EQ(Keys("a/", "b"), Names{});
  EXPECT_EQ(Keys("b", "a"), (Names{"b"}));
}

TEST_P(ObjectsConformance, ListTellsWhatHeadTells) {
  const auto put = store().Put("some/object", "12345");
  ASSERT_OK(put);
  const auto listed = ListAll(store(), "some/");
  ASSERT_OK(listed);
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().key, "some/object");
  EXPECT_EQ(listed->front().size, 5U);
  EXPECT_EQ(listed->front().etag, put->etag);
  EXPECT_GT(listed->front().modified.value, 0);
}

TEST_P(ObjectsConformance, ListOfMoreThanAPage) {
  constexpr int kObjects = 1'050, kThreads = 16;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = t; i < kObjects; i += kThreads) EXPECT_OK(store().Put("many/" + std::to_string(100'000 + i), "x"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Names keys = Keys("many/");
  ASSERT_EQ(keys.size(), static_cast<std::size_t>(kObjects));
  EXPECT_TRUE(std::ranges::is_sorted(keys));
  EXPECT_EQ(keys.back(), "many/" + std::to_string(100'000 + kObjects - 1));
  EXPECT_EQ(std::ranges::adjacent_find(keys), keys.end());
  ASSERT_OK(store().Delete(keys));
  EXPECT_EQ(Keys(), Names{});
}

TEST_P(ObjectsConformance, DeleteIsSeenAtOnceAndMayBeRepeated) {
  for (const std::string key : {"a", "b/c", "b/d"}) ASSERT_OK(store().Put(key, "x"));
  EXPECT_OK(store().Delete("a"));
  EXPECT_KIND(other().Get("a"), kNotFound);
  EXPECT_KIND(store().Head("a"), kNotFound);
  EXPECT_EQ(Keys(), (Names{"b/c", "b/d"}));
  EXPECT_OK(store().Delete("a"));
  EXPECT_OK(store().Delete("never/was"));
  EXPECT_OK(store().Delete(Names{"a", "b/c", "nothing", "b/d"}));
  EXPECT_EQ(Keys(), Names{});
  EXPECT_OK(store().Delete(Names{}));
  // A part of a key is no object to delete.
  ASSERT_OK(store().Put("tree/leaf", "x"));
  EXPECT_OK(store().Delete("tree"));
  EXPECT_EQ(Read("tree/leaf"), "x");
}

TEST_P(ObjectsConformance, CopyIsAnObjectOfItsOwn) {
  const std::string bytes = Noise(300'000, 1);
  ASSERT_OK(store().Put("from", bytes));
  const auto copy = store().Copy("from", "to/here");
  ASSERT_OK(copy);
  EXPECT_EQ(copy->key, "to/here");
  EXPECT_EQ(copy->size, bytes.size());
  EXPECT_EQ(store().Head("to/here")->etag, copy->etag);
  ASSERT_OK(store().Put("from", "changed"));
  EXPECT_TRUE(Read("to/here") == bytes);
  ASSERT_OK(store().Copy("from", "to/here"));
  EXPECT_EQ(Read("to/here"), "changed");
  ASSERT_OK(store().Delete("from"));
  EXPECT_EQ(Read("to/here"), "changed");
  EXPECT_KIND(store().Copy("from", "elsewhere"), kNotFound);
  EXPECT_KIND(store().Head("elsewhere"), kNotFound);
}

}  // namespace sightline::stores::testing
