// Local files through losses of power, failing disks and second owners.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sightline/runtime/random.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/runtime/simulated/simulated_file_system.h"
#include "sightline/stores/objects/embedded/file_store.h"
#include "sightline/stores/objects/testing/objects_harness.h"

namespace sightline::stores {
namespace {

using testing::Noise;

struct World {
  explicit World(std::uint64_t seed) : files(seed) {}
  std::unique_ptr<FileObjectStore> Open() {
    auto opened = FileObjectStore::Open(runtime, "/data/objects", FileObjectStore::Access::kOwn);
    EXPECT_OK(opened);
    return opened ? std::move(*opened) : nullptr;
  }
  runtime::SimulatedClock clock;
  runtime::SimulatedFileSystem files;
  runtime::Failpoints failpoints;
  runtime::Runtime runtime{clock, files, failpoints};
};

// What a key may hold: the last acknowledged contents, and those whose answer never came.
struct Possible {
  std::set<std::string> contents;  // "" stands for none
};

std::string Contents(FileObjectStore& store, const std::string& key) {
  const auto object = store.Get(key);
  if (!object && object.error().kind == ErrorKind::kNotFound) return "";
  EXPECT_OK(object);
  return object ? object->bytes : "?";
}

TEST(FileStoreCrash, AnObjectIsTheOldOneOrTheNewOneWhereverThePowerGoes) {
  int cuts = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    World world(seed);
    runtime::Random random(seed);
    std::map<std::string, Possible> possible;
    const std::vector<std::string> keys = {"a", "b/c", "b/d/e", "f/g/h/i"};
    for (const std::string& key : keys) possible[key].contents = {""};
    for (int life = 0; life < 4; ++life) {
      auto store = world.Open();
      ASSERT_NE(store, nullptr);
      for (const std::string& key : keys) {
        const std::string now = Contents(*store, key);
        EXPECT_TRUE(possible[key].contents.contains(now)) << "seed " << seed << ", life " << life << ", key " << key << ": " << now.size()
                                                          << " bytes that nobody put, or an acknowledged object is lost";
        possible[key].contents = {now};
      }
      EXPECT_TRUE(world.files.List("/data/objects/.sightline/tmp")->empty()) << "what the crash left half done is there still";
      world.files.CutPowerAfter(1 + random.Below(60));
      for (int step = 0; step < 12 && world.files.powered(); ++step) {
        const std::string& key = keys[random.Below(keys.size())];
        Possible& of_key = possible[key];
        if (random.OneIn(5)) {
          of_key.contents.insert("");
          if (store->Delete(key)) of_key.contents = {""};
          continue;
        }
        const std::string bytes = Noise(1 + random.Below(3000), random.Next());
        const auto head = store->Head(key);
        const PutCondition condition = random.OneIn(2) ? PutCondition::Anyhow()
                                       : head          ? PutCondition::IfMatch(head->etag)
                                                       : PutCondition::IfAbsent();
        const auto put = store->Put(key, bytes, condition);
        of_key.contents.insert(bytes);
        if (put) of_key.contents = {bytes};
      }
      if (!world.files.powered()) ++cuts;
      world.files.CutPower();
      store.reset();
      world.files.Restart();
    }
  }
  EXPECT_GT(cuts, 300) << "the power has to go in the middle of things";
}

TEST(FileStoreCrash, AnUploadIsThereAsAWholeOrNotAtAll) {
  const std::string bytes = Noise(kPartBytesMin + 1000, 3);
  int whole = 0, absent = 0;
  for (std::uint64_t cut = 1; cut <= 40; ++cut) {
    World world(cut);
    auto store = world.Open();
    world.files.CutPowerAfter(cut);
    auto upload = store->StartUpload("snapshots/1", kPartBytesMin);
    Result<ObjectInfo> done = Fail(ErrorKind::kIo, "not begun");
    if (upload) {
      (void)(*upload)->PutPart(2, std::string_view(bytes).substr(kPartBytesMin));
      (void)(*upload)->PutPart(1, std::string_view(bytes).substr(0, kPartBytesMin));
      done = (*upload)->Complete();
    }
    world.files.CutPower();
    const bool acknowledged = done.has_value();
    if (upload) upload->reset();
    store.reset();
    world.files.Restart();
    store = world.Open();
    const std::string now = Contents(*store, "snapshots/1");
    EXPECT_TRUE(now.empty() || now == bytes) << "cut " << cut << ": " << now.size() << " bytes";
    EXPECT_TRUE(!acknowledged || now == bytes) << "cut " << cut << ": acknowledged and lost";
    ++(now.empty() ? absent : whole);
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(absent, 0);
}

TEST(FileStoreCrash, EtagsOutliveARestart) {
  World world(1);
  auto store = world.Open();
  const auto put = store->Put("key", "one");
  ASSERT_OK(put);
  store.reset();
  world.files.CutPower();
  world.files.Restart();
  store = world.Open();
  EXPECT_EQ(store->Head("key")->etag, put->etag);
  EXPECT_OK(store->Put("key", "two", PutCondition::IfMatch(put->etag)));
}

TEST(FileStoreCrash, AFailedPutLeavesTheOldObjectAndNothingElse) {
  World world(1);
  auto store = world.Open();
  ASSERT_OK(store->Put("some/key", "old"));
  world.files.FailSyncs("/tmp/", 1);
  EXPECT_KIND(store->Put("some/key", "new"), kIo);
  EXPECT_EQ(Contents(*store, "some/key"), "old");
  world.files.FailWrites("/tmp/", 1);
  EXPECT_KIND(store->Put("some/key", "new"), kIo);
  EXPECT_EQ(Contents(*store, "some/key"), "old");
  world.files.SetCapacity(1000);
  EXPECT_KIND(store->Put("some/key", Noise(2000, 1)), kResourceExhausted);
  EXPECT_EQ(Contents(*store, "some/key"), "old");
  EXPECT_TRUE(world.files.List("/data/objects/.sightline/tmp")->empty());
  EXPECT_OK(store->Put("some/key", "new"));
  EXPECT_EQ(Contents(*store, "some/key"), "new");
}

TEST(FileStoreCrash, OneOwnsAndOthersRead) {
  World world(1);
  auto owner = world.Open();
  ASSERT_OK(owner->Put("key", "bytes"));
  EXPECT_KIND(FileObjectStore::Open(world.runtime, "/data/objects", FileObjectStore::Access::kOwn), kFailedPrecondition);
  auto reader = FileObjectStore::Open(world.runtime, "/data/objects", FileObjectStore::Access::kRead);
  ASSERT_OK(reader);
  EXPECT_EQ((*reader)->Get("key")->bytes, "bytes");
  EXPECT_KIND((*reader)->Put("key", "x"), kFailedPrecondition);
  EXPECT_KIND((*reader)->Delete("key"), kFailedPrecondition);
  EXPECT_KIND((*reader)->StartUpload("key", kPartBytes), kFailedPrecondition);
  EXPECT_KIND((*reader)->Copy("key", "other"), kFailedPrecondition);
  // Nothing there yet is nothing to read.
  auto nothing = FileObjectStore::Open(world.runtime, "/elsewhere", FileObjectStore::Access::kRead);
  ASSERT_OK(nothing);
  EXPECT_KIND((*nothing)->Head("key"), kNotFound);
}

TEST(FileStoreCrash, EqualBytesPutAgainHaveAnotherEtag) {
  World world(1);
  auto store = world.Open();
  std::set<std::string> etags;
  for (int i = 0; i < 100; ++i) etags.insert(store->Put("key", "same")->etag);
  EXPECT_EQ(etags.size(), 100U) << "the simulated clock stands still";
}

}  // namespace
}  // namespace sightline::stores
