#include "apps/sightline/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/sightline/commands.h"
#include "apps/sightline/references.h"
#include "apps/sightline/testing/world.h"

namespace sightline::app {
namespace {

using ::testing::HasSubstr;

std::string Locations(const std::string& first_name) {
  return "geographical_location_oid,geographical_location\n1," + first_name + "\n2,Second\n";
}

class ObjectsTest : public ::testing::Test {
 protected:
  ObjectsTest() {
    for (const char* name : {"locations", "camera_events"}) {
      std::ifstream in(std::string("presets/top-items/contracts/") + name + ".odcs.yaml");
      test_.Write(std::string(name) + ".odcs.yaml", {std::istreambuf_iterator<char>(in), {}});
    }
    file_ = test_.Write("c.yaml", R"(sightline: 1
data: ./data
listen: {http: 127.0.0.1:0, health: 127.0.0.1:0}
datasets:
  camera_events: {contract: camera_events.odcs.yaml, partition_by: geographical_location_oid, watermark: {on: timestamp_detected}}
references:
  locations: {contract: locations.odcs.yaml, from: "objects:references/locations.csv", key: geographical_location_oid}
)");
  }
  config::Config Load() {
    auto loaded = config::LoadConfig(test_.files, file_);
    EXPECT_TRUE(loaded) << loaded.error().ToString();
    return loaded ? std::move(*loaded) : config::Defaults();
  }

  TestWorld test_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{test_.clock, test_.files, failpoints_};
  std::string file_;
};

TEST_F(ObjectsTest, LocalFilesServeReferences) {
  const config::Config config = Load();
  Objects objects(config, runtime_, stores::FileObjectStore::Access::kOwn);
  stores::ObjectStore& store = **objects.Configured();
  EXPECT_EQ(store.location(), test_.directory + "/data/objects");
  flow::FileReferenceStore kept(test_.files, test_.directory + "/kept");
  flow::ReferenceCatalog catalog;
  ReferenceLoader loader(config, runtime_, objects, kept, catalog);
  const auto missing = loader.LoadAll(ReferenceLoader::Tables::kReadOnce);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("reference locations"));
  ASSERT_TRUE(store.Put("references/locations.csv", Locations("First")));
  ASSERT_TRUE(loader.LoadAll(ReferenceLoader::Tables::kReadOnce));
  const std::uint64_t first = catalog.Newest("locations")->version();
  EXPECT_EQ((*loader.Reload(config.references[0]))->version(), first);
  ASSERT_TRUE(store.Put("references/locations.csv", Locations("Renamed")));
  EXPECT_GT((*loader.Reload(config.references[0]))->version(), first);
  ASSERT_TRUE(store.Put("references/locations.csv", "geographical_location_oid,geographical_location\nx,Broken\n"));
  const auto broken = loader.Reload(config.references[0]);
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("objects:references/locations.csv: row 1 (line 2)"));
}

TEST_F(ObjectsTest, DoctorLooksAtLocalFiles) {
  const auto said = [&] {
    CommandLine line(test_.world);
    AddAllCommands(line);
    test_.out.str("");
    line.Main({"doctor", file_, "--format", "json"});
    std::map<std::string, std::string> findings;
    for (const auto& finding : nlohmann::json::parse(test_.out.str())) {
      findings[finding["check"]] = finding["state"].get<std::string>() + ": " + finding["found"].get<std::string>();
    }
    return findings;
  };
  EXPECT_THAT(said()["reference locations"], HasSubstr("problem: "));
  test_.Write("data/objects/references/locations.csv", Locations("First"));
  auto findings = said();
  EXPECT_EQ(findings["reference locations"], "ok: 2 rows");
  EXPECT_EQ(findings["objects"], "ok: " + test_.directory + "/data/objects: list, write, read and delete work");
  // While a server owns them they are left alone, and references are read all the same.
  const config::Config config = Load();
  Objects owner(config, runtime_, stores::FileObjectStore::Access::kOwn);
  ASSERT_TRUE(owner.Configured());
  findings = said();
  EXPECT_EQ(findings["reference locations"], "ok: 2 rows");
  EXPECT_THAT(findings["objects"], HasSubstr("is in use by process"));
}

TEST_F(ObjectsTest, AUrlTakesTheSettingsOfItsTypeAndTheDefaultsElse) {
  config::Config config = Load();
  config.drivers.objects.type = config::ObjectsType::kS3;
  config.drivers.objects.bucket = "configured";
  config.drivers.objects.prefix = "some/prefix";
  config.drivers.objects.endpoint = "https://minio:9000";
  config.drivers.objects.secret_key = config::Secret("secret", "env SECRET");
  const auto url = [](const char* text) { return **config::ParseObjectUrl(text); };
  const config::ObjectsConfig same = SettingsFor(config, url("s3://other/key.csv"));
  EXPECT_EQ(same.bucket, "other");
  EXPECT_EQ(same.prefix, "");
  EXPECT_EQ(same.endpoint, "https://minio:9000");
  EXPECT_EQ(same.secret_key.reveal(), "secret");
  const config::ObjectsConfig another = SettingsFor(config, url("gs://other/key.csv"));
  EXPECT_EQ(another.type, config::ObjectsType::kGcs);
  EXPECT_EQ(another.endpoint, "") << "an S3 endpoint is nothing to Google";
  EXPECT_TRUE(another.secret_key.empty());
  EXPECT_EQ(another.request_timeout, std::chrono::seconds(30));
  EXPECT_EQ(SettingsFor(config, url("hdfs://nn:8020/a/key.csv")).url, "hdfs://nn:8020");
  const config::ObjectsConfig configured = SettingsFor(config, url("objects:key.csv"));
  EXPECT_EQ(configured.bucket, "configured");
  EXPECT_EQ(configured.prefix, "some/prefix");
}

TEST_F(ObjectsTest, StoresAreOpenedOnceAndMistakesNameTheSetting) {
  config::Config config = Load();
  Objects objects(config, runtime_, stores::FileObjectStore::Access::kOwn);
  EXPECT_EQ(*objects.Configured(), *objects.Configured());
  EXPECT_EQ(*objects.Find(**config::ParseObjectUrl("objects:a.csv")), *objects.Configured());
  EXPECT_EQ(*objects.Find(**config::ParseObjectUrl("hdfs://nn:1/a.csv")), *objects.Find(**config::ParseObjectUrl("hdfs://nn:1/b.csv")));
  config::ObjectsConfig bad = config.drivers.objects;
  bad.type = config::ObjectsType::kS3;
  bad.bucket = "b";
  bad.tls_ca = test_.Write("ca.pem", "no certificate");
  const auto opened = OpenObjects(bad, config.data, runtime_, stores::FileObjectStore::Access::kOwn);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("drivers.objects.tls_ca"));
}

}  // namespace
}  // namespace sightline::app
