#pragma once

// Part of conformance.h: objects in parts.
#include <thread>

#include "sightline/stores/objects/testing/objects_harness.h"
#include "sightline/stores/objects/transfer.h"

namespace sightline::stores::testing {

TEST_P(ObjectsConformance, PartsBecomeOneObjectInTheirOrder) {
  const std::string bytes = Noise(2 * kPartBytesMin + 12'345, 7);
  const auto part = [&](std::uint64_t number) { return std::string_view(bytes).substr((number - 1) * kPartBytesMin, kPartBytesMin); };
  ASSERT_OK(store().Put("big/object", "old"));
  const auto upload = store().StartUpload("big/object", kPartBytesMin);
  ASSERT_OK(upload);
  EXPECT_OK((*upload)->PutPart(3, part(3)));
  EXPECT_OK((*upload)->PutPart(1, part(1)));
  EXPECT_OK((*upload)->PutPart(2, part(2)));
  EXPECT_EQ(Read("big/object"), "old") << "nothing is to be seen of it yet";
  EXPECT_EQ(Keys(), (std::vector<std::string>{"big/object"}));
  const auto done = (*upload)->Complete();
  ASSERT_OK(done);
  EXPECT_EQ(done->key, "big/object");
  EXPECT_EQ(done->size, bytes.size());
  EXPECT_TRUE(Read("big/object") == bytes);
  const auto head = store().Head("big/object");
  ASSERT_OK(head);
  EXPECT_EQ(head->size, bytes.size());
  EXPECT_EQ(head->etag, done->etag);
  const auto range = store().Get("big/object", ByteRange{.offset = kPartBytesMin - 10, .length = 20}, done->etag);
  ASSERT_OK(range);
  EXPECT_TRUE(range->bytes == bytes.substr(kPartBytesMin - 10, 20));
  EXPECT_KIND((*upload)->PutPart(4, "x"), kFailedPrecondition);
  EXPECT_EQ(Keys(), (std::vector<std::string>{"big/object"})) << "parts are gone, or hidden";
}

TEST_P(ObjectsConformance, AnAbortedUploadLeavesNothing) {
  {
    const auto upload = store().StartUpload("big/object", kPartBytesMin);
    ASSERT_OK(upload);
    EXPECT_OK((*upload)->PutPart(1, Noise(kPartBytesMin, 1)));
    EXPECT_OK((*upload)->Abort());
    EXPECT_KIND((*upload)->PutPart(2, "x"), kFailedPrecondition);
    EXPECT_KIND((*upload)->Complete(), kFailedPrecondition);
    EXPECT_OK((*upload)->Abort());
  }
  EXPECT_KIND(store().Head("big/object"), kNotFound);
  EXPECT_EQ(Keys(), std::vector<std::string>{});
}

TEST_P(ObjectsConformance, WrongPartsAreRefused) {
  EXPECT_KIND(store().StartUpload("key", 1), kInvalidArgument);
  const auto upload = store().StartUpload("key", kPartBytesMin);
  ASSERT_OK(upload);
  EXPECT_KIND((*upload)->Complete(), kFailedPrecondition);
  EXPECT_KIND((*upload)->PutPart(0, "x"), kInvalidArgument);
  EXPECT_KIND((*upload)->PutPart(kPartsMax + 1, "x"), kInvalidArgument);
  EXPECT_KIND((*upload)->PutPart(1, ""), kInvalidArgument);
  EXPECT_KIND((*upload)->PutPart(1, std::string(kPartBytesMin + 1, 'x')), kInvalidArgument);
  EXPECT_OK((*upload)->PutPart(2, "last"));
  EXPECT_KIND((*upload)->Complete(), kFailedPrecondition);  // part 1 is missing
  EXPECT_OK((*upload)->PutPart(1, std::string(kPartBytesMin, 'x')));
  EXPECT_OK((*upload)->Complete());
  EXPECT_EQ(store().Head("key")->size, kPartBytesMin + 4);
}

TEST_P(ObjectsConformance, LargeObjectsGoInPartsBesideEachOther) {
  const TransferOptions options{.part_bytes = kPartBytesMin, .in_flight = 4};
  for (const std::uint64_t size : {std::uint64_t{100}, kPartBytesMin, 3 * kPartBytesMin, 5 * kPartBytesMin + 1}) {
    const std::string bytes = Noise(size, size);
    const auto put = PutLarge(store(), "snapshots/1", bytes, options);
    ASSERT_OK(put);
    EXPECT_EQ(put->size, size);
    const auto got = GetLarge(other(), "snapshots/1", 64ULL << 20, options);
    ASSERT_OK(got);
    EXPECT_TRUE(got->bytes == bytes) << size << " bytes";
    EXPECT_EQ(got->info.etag, put->etag);
    EXPECT_KIND(GetLarge(store(), "snapshots/1", size - 1, options), kResourceExhausted);
  }
  EXPECT_KIND(GetLarge(store(), "snapshots/2", 1 << 20, options), kNotFound);
}

// Fencing as pipelines do it: a snapshot under a name of its own, and a small object that names it.
TEST_P(ObjectsConformance, WhoWasOvertakenCannotMoveThePointer) {
  ASSERT_OK(store().Put("state/1", "snapshot of the first"));
  const auto pointer = store().Put("state/current", "1 by first", PutCondition::IfAbsent());
  ASSERT_OK(pointer);
  ASSERT_OK(other().Put("state/2", "snapshot of the second"));
  const auto taken = other().Put("state/current", "2 by second", PutCondition::IfMatch(pointer->etag));
  ASSERT_OK(taken);
  ASSERT_OK(store().Put("state/3", "a late one of the first"));
  EXPECT_KIND(store().Put("state/current", "3 by first", PutCondition::IfMatch(pointer->etag)), kFailedPrecondition);
  EXPECT_EQ(Read("state/current"), "2 by second");
}

}  // namespace sightline::stores::testing
