#pragma once

// Part of conformance.h: put, get, ranges, conditions.
#include <atomic>
#include <thread>

#include "sightline/stores/objects/testing/objects_harness.h"

namespace sightline::stores::testing {

TEST_P(ObjectsConformance, BytesComeBackAsTheyWere) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100'000}, std::size_t{5'000'001}}) {
    const std::string key = "some/place/object-" + std::to_string(size);
    const std::string bytes = Noise(size, size);
    const auto put = store().Put(key, bytes);
    ASSERT_OK(put);
    EXPECT_EQ(put->key, key);
    EXPECT_EQ(put->size, size);
    EXPECT_FALSE(put->etag.empty());
    const auto object = store().Get(key);
    ASSERT_OK(object);
    EXPECT_TRUE(object->bytes == bytes) << "of " << size << " bytes, got " << object->bytes.size();
    EXPECT_EQ(object->info.key, key);
    EXPECT_EQ(object->info.size, size);
    EXPECT_EQ(object->info.etag, put->etag);
    const auto head = other().Head(key);
    ASSERT_OK(head);
    EXPECT_EQ(head->key, key);
    EXPECT_EQ(head->size, size);
    EXPECT_EQ(head->etag, put->etag);
    EXPECT_GT(head->modified.value, 0);
  }
}

TEST_P(ObjectsConformance, WhatIsMissingIsNotFound) {
  ASSERT_OK(store().Put("there", "x"));
  EXPECT_KIND(store().Get("not-there"), kNotFound);
  EXPECT_KIND(store().Get("not-there", ByteRange{.offset = 0, .length = 5}, ""), kNotFound);
  EXPECT_KIND(store().Head("not-there"), kNotFound);
  EXPECT_KIND(store().Head("not/there/either"), kNotFound);
  EXPECT_KIND(store().Head("there/below"), kNotFound);
  EXPECT_KIND(store().Get("there/below"), kNotFound);
  // A part of a key is no object.
  ASSERT_OK(store().Put("some/place/object", "x"));
  EXPECT_KIND(store().Head("some/place"), kNotFound);
  EXPECT_KIND(store().Get("some"), kNotFound);
}

TEST_P(ObjectsConformance, PutReplacesAndTheEtagTells) {
  const auto first = store().Put("key", "one");
  const auto second = store().Put("key", "twelve");
  const auto third = store().Put("key", "seven!");
  ASSERT_OK(first);
  ASSERT_OK(second);
  ASSERT_OK(third);
  EXPECT_NE(first->etag, second->etag);
  EXPECT_NE(second->etag, third->etag);
  EXPECT_EQ(Read("key"), "seven!");
  EXPECT_EQ(store().Head("key")->etag, third->etag);
}

TEST_P(ObjectsConformance, RangesAreCutAtTheEnd) {
  ASSERT_OK(store().Put("key", "0123456789"));
  const auto range = [&](std::uint64_t offset, std::uint64_t length) {
    const auto object = store().Get("key", ByteRange{.offset = offset, .length = length}, "");
    return object ? object->bytes : KindOf(object).substr(0, 12);
  };
  EXPECT_EQ(range(0, 10), "0123456789");
  EXPECT_EQ(range(0, 1), "0");
  EXPECT_EQ(range(3, 4), "3456");
  EXPECT_EQ(range(9, 1), "9");
  EXPECT_EQ(range(8, 100), "89");
  EXPECT_EQ(range(0, std::uint64_t{1} << 40), "0123456789");
  EXPECT_EQ(range(10, 1), "out_of_range");
  EXPECT_EQ(range(1000, 5), "out_of_range");
  EXPECT_KIND(store().Get("key", ByteRange{.offset = 0, .length = 0}, ""), kInvalidArgument);
  const auto part = store().Get("key", ByteRange{.offset = 2, .length = 3}, "");
  ASSERT_OK(part);
  EXPECT_EQ(part->info.size, 10U) << "the size is the whole object's";
  ASSERT_OK(store().Put("empty", ""));
  EXPECT_KIND(store().Get("empty", ByteRange{.offset = 0, .length = 1}, ""), kOutOfRange);
}

TEST_P(ObjectsConformance, GetOfOneEtag) {
  const auto first = store().Put("key", "one");
  ASSERT_OK(first);
  const auto same = store().Get("key", std::nullopt, first->etag);
  ASSERT_OK(same);
  EXPECT_EQ(same->bytes, "one");
  const auto second = store().Put("key", "twelve");
  ASSERT_OK(second);
  EXPECT_KIND(store().Get("key", std::nullopt, first->etag), kFailedPrecondition);
  EXPECT_KIND(store().Get("key", ByteRange{.offset = 1, .length = 1}, first->etag), kFailedPrecondition);
  EXPECT_EQ(store().Get("key", ByteRange{.offset = 1, .length = 2}, second->etag)->bytes, "we");
  EXPECT_KIND(store().Get("missing", std::nullopt, first->etag), kNotFound);
}

TEST_P(ObjectsConformance, IfAbsentPutsOnce) {
  const auto put = store().Put("a/key", "first", PutCondition::IfAbsent());
  ASSERT_OK(put);
  EXPECT_EQ(store().Head("a/key")->etag, put->etag);
  EXPECT_KIND(store().Put("a/key", "second", PutCondition::IfAbsent()), kAlreadyExists);
  EXPECT_KIND(other().Put("a/key", "second", PutCondition::IfAbsent()), kAlreadyExists);
  EXPECT_EQ(Read("a/key"), "first");
  ASSERT_OK(store().Delete("a/key"));
  EXPECT_OK(store().Put("a/key", "third", PutCondition::IfAbsent()));
  EXPECT_EQ(Read("a/key"), "third");
}

TEST_P(ObjectsConformance, IfMatchComparesAndPuts) {
  EXPECT_KIND(store().Put("key", "x", PutCondition::IfMatch("\"0123456789abcdef0123456789abcdef\"")), kFailedPrecondition);
  EXPECT_KIND(store().Head("key"), kNotFound);
  const auto first = store().Put("key", "one", PutCondition::IfAbsent());
  ASSERT_OK(first);
  const auto second = other().Put("key", "two", PutCondition::IfMatch(first->etag));
  ASSERT_OK(second);
  EXPECT_NE(second->etag, first->etag);
  EXPECT_KIND(store().Put("key", "lost", PutCondition::IfMatch(first->etag)), kFailedPrecondition);
  EXPECT_EQ(Read("key"), "two");
  const auto third = store().Put("key", "three", PutCondition::IfMatch(second->etag));
  ASSERT_OK(third);
  EXPECT_EQ(Read("key"), "three");
  EXPECT_EQ(store().Head("key")->etag, third->etag);
  ASSERT_OK(store().Delete("key"));
  EXPECT_KIND(store().Put("key", "ghost", PutCondition::IfMatch(third->etag)), kFailedPrecondition);
  EXPECT_KIND(store().Head("key"), kNotFound);
}

TEST_P(ObjectsConformance, OneOfManyIfAbsentWins) {
  constexpr int kThreads = 8;
  for (int round = 0; round < 3; ++round) {
    const std::string key = "race/" + std::to_string(round);
    std::atomic<int> won{0}, lost{0}, winner{-1};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        const auto put = (i % 2 == 0 ? store() : other()).Put(key, "by " + std::to_string(i), PutCondition::IfAbsent());
        if (put) {
          ++won;
          winner = i;
        } else if (put.error().kind == ErrorKind::kAlreadyExists) {
          ++lost;
        } else {
          ADD_FAILURE() << put.error().ToString();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, kThreads - 1);
    EXPECT_EQ(Read(key), "by " + std::to_string(winner));
  }
}

TEST_P(ObjectsConformance, NoUpdateIsLostByIfMatch) {
  constexpr int kThreads = 4, kEach = 5;
  ASSERT_OK(store().Put("counter", "0", PutCondition::IfAbsent()));
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      ObjectStore& mine = i % 2 == 0 ? store() : other();
      for (int done = 0; done < kEach;) {
        const auto now = mine.Get("counter");
        if (!now) {
          ADD_FAILURE() << now.error().ToString();
          return;
        }
        const std::string next = std::to_string(std::stoi(now->bytes) + 1);
        const auto put = mine.Put("counter", next, PutCondition::IfMatch(now->info.etag));
        if (put) {
          ++done;
        } else if (put.error().kind != ErrorKind::kFailedPrecondition && put.error().kind != ErrorKind::kUnavailable) {
          ADD_FAILURE() << put.error().ToString();
          return;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Read("counter"), std::to_string(kThreads * kEach));
}

TEST_P(ObjectsConformance, PutsOfOneKeyAreWhole) {
  constexpr int kThreads = 6;
  const std::string key = "contended";
  ASSERT_OK(store().Put(key, Noise(200'000, 100)));
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      const auto object = other().Get(key);
      if (!object) {
        ADD_FAILURE() << object.error().ToString();
        return;
      }
      bool known = false;
      for (std::uint64_t seed = 100; seed <= 100 + kThreads; ++seed) known = known || object->bytes == Noise(200'000, seed);
      EXPECT_TRUE(known) << "half of an object, or of two";
    }
  });
  std::vector<std::thread> threads;
  for (std::uint64_t i = 1; i <= kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 3; ++round) EXPECT_OK(store().Put(key, Noise(200'000, 100 + i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  reader.join();
}

TEST_P(ObjectsConformance, ManyAtOnce) {
  constexpr int kThreads = 16, kEach = 6;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string key = "blobs/" + std::to_string(t) + "/" + std::to_string(i);
        const std::string bytes = Noise(100'000, static_cast<std::uint64_t>(t * 100 + i));
        EXPECT_OK(store().Put(key, bytes));
        const auto object = store().Get(key);
        EXPECT_OK(object);
        EXPECT_TRUE(object && object->bytes == bytes) << key;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Keys("blobs/").size(), static_cast<std::size_t>(kThreads * kEach));
}

}  // namespace sightline::stores::testing
