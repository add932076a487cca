// A configuration whose objects are in S3: references from there, found changed; doctor on set-ups that are broken on purpose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/sightline/commands.h"
#include "apps/sightline/references.h"
#include "apps/sightline/testing/world.h"
#include "sightline/stores/objects/testing/engine.h"
#include "sightline/stores/objects/testing/objects_harness.h"

namespace sightline::app {
namespace {

using stores::testing::Engine;
using stores::testing::FreePort;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string Locations(const std::string& first_name) {
  return "geographical_location_oid,geographical_location\n1," + first_name + "\n2,Second\n";
}

class ObjectsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    port_ = FreePort();
    root_ = std::make_unique<stores::testing::ScratchDirectory>();
    server_ =
        std::make_unique<Engine>("s3", std::map<std::string, std::string>{{"S3_PORT", std::to_string(port_)}, {"S3_DATA", root_->path()}});
    ASSERT_TRUE(server_->Start());
    ASSERT_TRUE(server_->Run("bucket sightline"));
    ASSERT_TRUE(server_->Run("bucket other"));
  }
  static void TearDownTestSuite() {
    server_.reset();
    root_.reset();
  }

  ObjectsTest() {
    test_.environment = {{"KEY", "sightline"}, {"SECRET", "sightline-secret"}};
    for (const char* name : {"locations.odcs.yaml", "camera_events.odcs.yaml"}) {
      test_.Write(name, Text(std::string("presets/top-items/contracts/") + name));
    }
  }
  std::string Config(const std::string& from) {
    return test_.Write("c.yaml", R"(sightline: 1
data: ./data
listen: {http: 127.0.0.1:0, health: 127.0.0.1:0}
drivers:
  objects:
    type: s3
    bucket: sightline
    endpoint: http://127.0.0.1:)" + std::to_string(port_) +
                                     R"(
    access_key: {env: KEY}
    secret_key: {env: SECRET}
    connect_timeout: 1s
    retry_time_max: 3s
datasets:
  camera_events: {contract: camera_events.odcs.yaml, partition_by: geographical_location_oid, watermark: {on: timestamp_detected}}
references:
  locations: {contract: locations.odcs.yaml, key: geographical_location_oid, from: ")" +
                                     from + "\"}\n");
  }
  config::Config Load(const std::string& file) {
    config::LoadOptions options;
    options.environment = test_.world.environment;
    auto loaded = config::LoadConfig(test_.files, file, options);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().ToString();
    return loaded ? std::move(*loaded) : config::Defaults();
  }
  // What doctor says, by check.
  std::map<std::string, std::string> Doctor(const std::string& file) {
    CommandLine line(test_.world);
    AddAllCommands(line);
    test_.out.str("");
    line.Main({"doctor", file, "--format", "json"});
    std::map<std::string, std::string> said;
    const std::string out = test_.out.str();
    for (const auto& finding : nlohmann::json::parse(out)) {
      said[finding["check"]] += finding["state"].get<std::string>() + ": " + finding["found"].get<std::string>() +
                                (finding["remedy"].is_string() ? " -> " + finding["remedy"].get<std::string>() : "") + "\n";
    }
    EXPECT_THAT(out, Not(HasSubstr("sightline-secret")));
    return said;
  }

  static std::uint16_t port_;
  static std::unique_ptr<stores::testing::ScratchDirectory> root_;
  static std::unique_ptr<Engine> server_;
  TestWorld test_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{test_.clock, test_.files, failpoints_};
};
std::uint16_t ObjectsTest::port_ = 0;
std::unique_ptr<stores::testing::ScratchDirectory> ObjectsTest::root_;
std::unique_ptr<Engine> ObjectsTest::server_;

TEST_F(ObjectsTest, AReferenceIsReadFromAnObjectAndFoundChanged) {
  for (const std::string from : {"objects:references/locations.csv", "s3://other/elsewhere/locations.csv"}) {
    const config::Config config = Load(Config(from));
    Objects objects(config, runtime_, stores::FileObjectStore::Access::kOwn);
    const auto url = config::ParseObjectUrl(from);
    const auto store = objects.Find(**url);
    ASSERT_OK(store);
    ASSERT_OK((*store)->Put((*url)->key, Locations("First")));
    flow::FileReferenceStore kept(test_.files, test_.directory + "/kept" + std::to_string(from.size()));
    flow::ReferenceCatalog catalog;
    ReferenceLoader loader(config, runtime_, objects, kept, catalog);
    const auto loaded = loader.LoadAll(ReferenceLoader::Tables::kReadOnce);
    ASSERT_OK(loaded);
    EXPECT_TRUE(loaded->empty());
    const flow::ReferenceHandle first = catalog.Newest("locations");
    ASSERT_NE(first, nullptr);
    // Nothing changed.
    EXPECT_EQ((*loader.Reload(config.references[0]))->version(), first->version());
    // Another table.
    ASSERT_OK((*store)->Put((*url)->key, Locations("Renamed")));
    const auto second = loader.Reload(config.references[0]);
    ASSERT_OK(second);
    EXPECT_GT((*second)->version(), first->version());
    EXPECT_EQ(catalog.Newest("locations")->version(), (*second)->version());
    // One that breaks its contract: the version in effect stays.
    ASSERT_OK((*store)->Put((*url)->key, "geographical_location_oid,geographical_location\nx,Broken\n"));
    const auto broken = loader.Reload(config.references[0]);
    EXPECT_KIND(broken, kInvalidArgument);
    EXPECT_THAT(broken.error().message, HasSubstr(from + ": row 1"));
    EXPECT_EQ(catalog.Newest("locations")->version(), (*second)->version());
    // Gone: said, and the version in effect stays.
    ASSERT_OK((*store)->Delete((*url)->key));
    EXPECT_KIND(loader.Reload(config.references[0]), kNotFound);
    EXPECT_EQ(catalog.Newest("locations")->version(), (*second)->version());
  }
}

TEST_F(ObjectsTest, AServerStartsWithTheTableItReadLastWhenTheServiceIsDown) {
  const config::Config config = Load(Config("objects:references/kept.csv"));
  flow::FileReferenceStore kept(test_.files, test_.directory + "/kept");
  {
    Objects objects(config, runtime_, stores::FileObjectStore::Access::kOwn);
    ASSERT_OK((*objects.Configured())->Put("references/kept.csv", Locations("First")));
    flow::ReferenceCatalog catalog;
    ASSERT_OK(ReferenceLoader(config, runtime_, objects, kept, catalog).LoadAll(ReferenceLoader::Tables::kReadOnce));
  }
  config::Config down = config;
  down.drivers.objects.endpoint = "http://127.0.0.1:" + std::to_string(FreePort());
  down.drivers.objects.retries_max = 1;
  Objects objects(down, runtime_, stores::FileObjectStore::Access::kOwn);
  flow::ReferenceCatalog catalog;
  const auto loaded = ReferenceLoader(down, runtime_, objects, kept, catalog).LoadAll(ReferenceLoader::Tables::kReadOnce);
  ASSERT_OK(loaded);
  ASSERT_EQ(loaded->size(), 1U);
  EXPECT_EQ(loaded->front().reference, "locations");
  EXPECT_EQ(loaded->front().error.kind, ErrorKind::kUnavailable);
  EXPECT_NE(catalog.Newest("locations"), nullptr);
  // Without one it cannot begin.
  flow::FileReferenceStore nothing(test_.files, test_.directory + "/nothing");
  flow::ReferenceCatalog empty;
  EXPECT_KIND(ReferenceLoader(down, runtime_, objects, nothing, empty).LoadAll(ReferenceLoader::Tables::kReadOnce), kUnavailable);
}

TEST_F(ObjectsTest, DoctorFindsASoundStoreSound) {
  const std::string file = Config("objects:references/doctor.csv");
  const config::Config config = Load(file);
  Objects objects(config, runtime_, stores::FileObjectStore::Access::kOwn);
  stores::ObjectStore& store = **objects.Configured();
  ASSERT_OK(store.Put("references/doctor.csv", Locations("First")));
  const std::size_t before = stores::ListAll(store, "")->size();
  auto said = Doctor(file);
  EXPECT_THAT(said["objects"], HasSubstr("ok: s3://sightline: list, write, read and delete work"));
  EXPECT_THAT(said["objects clock"], HasSubstr("ok: agrees"));
  EXPECT_THAT(said["reference locations"], HasSubstr("ok: 2 rows"));
  EXPECT_EQ(stores::ListAll(store, "")->size(), before) << "the probe is gone again";
}

TEST_F(ObjectsTest, DoctorSaysWhatIsBrokenAndWhatToDo) {
  const std::string from = "objects:references/x.csv";
  const std::string text = Text(Config(from));
  const auto with = [&](const std::string& old, const std::string& now) {
    std::string changed = text;
    changed.replace(changed.find(old), old.size(), now);
    return test_.Write("broken.yaml", changed);
  };
  auto bucket = Doctor(with("bucket: sightline", "bucket: vanished"));
  EXPECT_THAT(bucket["objects"], HasSubstr("problem: cannot list: s3://vanished/: there is no bucket vanished"));
  EXPECT_THAT(bucket["objects"], HasSubstr("-> make the bucket, or correct drivers.objects"));
  test_.environment["SECRET"] = "not-the-secret-at-all";
  auto keys = Doctor(Config(from));
  EXPECT_THAT(keys["objects"], HasSubstr("SignatureDoesNotMatch"));
  EXPECT_THAT(keys["objects"], HasSubstr("-> correct the credentials below drivers.objects"));
  test_.environment["SECRET"] = "sightline-secret";
  auto down = Doctor(with("127.0.0.1:" + std::to_string(port_), "127.0.0.1:" + std::to_string(FreePort())));
  EXPECT_THAT(down["objects"], HasSubstr("cannot be reached"));
  EXPECT_THAT(down["objects"], HasSubstr("-> start the service, or correct drivers.objects.endpoint"));
  ASSERT_TRUE(server_->Run("user visitor visitor-secret"));
  test_.environment = {{"KEY", "visitor"}, {"SECRET", "visitor-secret"}};
  auto rights = Doctor(Config(from));
  EXPECT_THAT(rights["objects"], HasSubstr("problem: cannot list"));
  EXPECT_THAT(rights["objects"], HasSubstr("problem: cannot write"));
  EXPECT_THAT(rights["objects"], HasSubstr("allow s3:ListBucket"));
}

}  // namespace
}  // namespace sightline::app
