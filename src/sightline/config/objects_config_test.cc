// drivers.objects, and references that lie in an object store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/config/config.h"
#include "sightline/config/describe.h"
#include "sightline/config/testing/memory_files.h"

namespace sightline::config {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kPlaces = R"(apiVersion: v3.2.0
kind: DataContract
id: p
name: places
version: 1.0.0
status: active
schema:
  - name: places
    logicalType: object
    properties:
      - {name: place, logicalType: integer, physicalType: int64, required: true, primaryKey: true, primaryKeyPosition: 1}
)";

constexpr const char* kEvents = R"(apiVersion: v3.2.0
kind: DataContract
id: e
name: events
version: 1.0.0
status: active
schema:
  - name: events
    logicalType: object
    properties:
      - {name: place, logicalType: integer, physicalType: int64, required: true}
      - name: happened
        logicalType: integer
        physicalType: int64
        required: true
        customProperties: [{property: eventTime, value: true, vendor: sightline}]
)";

class ObjectsConfigTest : public ::testing::Test {
 protected:
  ObjectsConfigTest() {
    files_.files["conf/events.odcs.yaml"] = kEvents;
    files_.files["conf/places.odcs.yaml"] = kPlaces;
    files_.files["conf/ca.pem"] = "-----BEGIN CERTIFICATE-----\n";
    files_.files["conf/secret"] = "from a file\n";
    files_.files["/run/credentials/s3-secret"] = "from systemd\n";
    options_.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  Loaded Load(const std::string& text) {
    files_.files["conf/c.yaml"] =
        "sightline: 1\n" + text + "datasets: {events: {contract: events.odcs.yaml, partition_by: place, watermark: {on: happened}}}\n";
    return LoadConfigReportingAll(files_, "conf/c.yaml", options_);
  }
  Loaded Objects(const std::string& settings) { return Load("drivers: {objects: {" + settings + "}}\n"); }
  // All mistakes as one text.
  static std::string Said(const Loaded& loaded) {
    std::string all;
    for (const Mistake& mistake : loaded.mistakes) all += mistake.ToString() + "\n";
    return all;
  }
  MemoryFiles files_;
  LoadOptions options_;
  std::map<std::string, std::string> environment_ = {{"KEY", "the-access-key"}, {"SECRET", "the-secret-key"}};
};

TEST_F(ObjectsConfigTest, FilesAreTheDefault) {
  const Loaded loaded = Load("");
  ASSERT_TRUE(loaded.config) << Said(loaded);
  EXPECT_EQ(loaded.config->drivers.objects.type, ObjectsType::kFiles);
}

TEST_F(ObjectsConfigTest, EveryTypeIsRead) {
  const Loaded s3 = Objects(
      "type: s3, bucket: b, prefix: a/b, region: eu-central-1, endpoint: 'https://minio:9000', addressing: path, checksum: crc64nvme, "
      "access_key: {env: KEY}, secret_key: {env: SECRET}, tls_ca: ca.pem, request_timeout: 10s, retries_max: 3");
  ASSERT_TRUE(s3.config) << Said(s3);
  const ObjectsConfig& objects = s3.config->drivers.objects;
  EXPECT_EQ(objects.type, ObjectsType::kS3);
  EXPECT_EQ(objects.bucket, "b");
  EXPECT_EQ(objects.addressing, S3Addressing::kPath);
  EXPECT_EQ(objects.checksum, S3Checksum::kCrc64Nvme);
  EXPECT_EQ(objects.access_key.reveal(), "the-access-key");
  EXPECT_EQ(objects.tls_ca, "conf/ca.pem");
  EXPECT_EQ(objects.request_timeout, std::chrono::seconds(10));
  EXPECT_EQ(objects.connect_timeout, std::chrono::seconds(5));
  EXPECT_EQ(objects.retries_max, 3);
  for (const Setting& setting : Settings(*s3.config)) EXPECT_THAT(setting.value, Not(HasSubstr("the-"))) << setting.path;
  EXPECT_TRUE(Objects("type: s3, bucket: b").config) << "the keys may come from the AWS environment";
  EXPECT_TRUE(Objects("type: gcs, bucket: b, service_account: {file: secret}").config);
  EXPECT_TRUE(Objects("type: hdfs, url: 'hdfs://namenode:8020/sightline', user: me").config);
  EXPECT_TRUE(Objects("type: hdfs, url: 'hdfs://namenode:8020'").config);
}

TEST_F(ObjectsConfigTest, SecretsComeFromTheEnvironmentAFileOrSystemd) {
  const auto secret = [&](const std::string& from) {
    const Loaded loaded = Objects("type: s3, bucket: b, access_key: {env: KEY}, secret_key: " + from);
    return loaded.config ? loaded.config->drivers.objects.secret_key.reveal() : Said(loaded);
  };
  EXPECT_EQ(secret("{env: SECRET}"), "the-secret-key");
  EXPECT_EQ(secret("{file: secret}"), "from a file");
  EXPECT_THAT(secret("{credential: s3-secret}"), HasSubstr("CREDENTIALS_DIRECTORY is not set"));
  environment_["CREDENTIALS_DIRECTORY"] = "/run/credentials";
  EXPECT_EQ(secret("{credential: s3-secret}"), "from systemd");
  EXPECT_THAT(secret("{credential: ../s3-secret}"), HasSubstr("is not the name of a credential"));
  EXPECT_THAT(secret("{credential: none}"), HasSubstr("/run/credentials/none"));
  EXPECT_THAT(secret("{env: NOT_SET}"), HasSubstr("is not set"));
  const std::string plain = secret("hunter2hunter2");
  EXPECT_THAT(plain, HasSubstr("a secret must not stand in the file; write {env: NAME}, {file: path} or {credential: NAME}"));
  EXPECT_THAT(plain, Not(HasSubstr("hunter2")));
}

struct BadObjects {
  const char* settings;
  const char* said;
};
TEST_F(ObjectsConfigTest, MistakesAreSaidWithTheirPlace) {
  const BadObjects cases[] = {
      {"type: s4", R"(c.yaml:2:27: drivers.objects.type cannot be "s4"; did you mean "s3"?)"},
      {"type: s3", "drivers.objects: the bucket is missing"},
      {"type: gcs", "drivers.objects: the bucket is missing"},
      {"type: hdfs", "drivers.objects: the url is missing; for example url: hdfs://namenode:8020/sightline"},
      {"bucket: b", R"(drivers.objects.bucket: means nothing for the type "files"; it belongs to s3, gcs)"},
      {"type: gcs, bucket: b, region: r", R"(drivers.objects.region: means nothing for the type "gcs"; it belongs to s3)"},
      {"type: s3, bucket: b, url: 'hdfs://x/y'", R"(drivers.objects.url: means nothing for the type "s3"; it belongs to hdfs)"},
      {"type: s3, bucket: a/b", R"(drivers.objects.bucket: "a/b" is not a bucket's name; write what follows the '/' as prefix)"},
      {"type: s3, bucket: b, prefix: /a", "drivers.objects.prefix: the key \"/a\" has an empty part"},
      {"type: s3, bucket: b, prefix: a/../b", "which means a directory"},
      {"type: s3, bucket: b, access_key: {env: KEY}", "drivers.objects.access_key: access_key and secret_key come together"},
      {"type: s3, bucket: b, session_token: {env: KEY}", "a session token belongs to access_key and secret_key"},
      {"type: s3, bucket: b, tls_ca: none.pem", "drivers.objects.tls_ca: there is no conf/none.pem"},
      {"type: s3, bucket: b, endpoint: minio:9000",
       R"("minio:9000" is not the address of a service; for example https://minio.example.com:9000)"},
      {"type: s3, bucket: b, endpoint: 'https://minio:9000/path'", "is not the address of a service"},
      {"type: s3, bucket: b, endpoint: 'http://minio:9000', access_key: {env: KEY}, secret_key: {env: SECRET}, session_token: {env: KEY}",
       "tokens would be sent to minio:9000 for everybody to read; use https://"},
      {"type: gcs, bucket: b, endpoint: 'http://elsewhere:80'", "tokens would be sent to elsewhere:80"},
      {"type: hdfs, url: 's3://b/k'", R"("s3://b/k" is not a place in HDFS)"},
      {"type: hdfs, url: 'hdfs://nn:8020/x', principal: me", "principal and keytab come together"},
      {"type: s3, bucket: b, request_timeout: 30", "the unit is missing"},
      {"type: s3, bucket: b, retries_max: 1000", "must be between 0 and 100"},
      {"type: s3, bucket: b, acess_key: {env: KEY}", R"(did you mean "access_key"?)"},
  };
  for (const BadObjects& bad : cases) {
    const Loaded loaded = Objects(bad.settings);
    EXPECT_FALSE(loaded.config) << bad.settings;
    EXPECT_THAT(Said(loaded), HasSubstr(bad.said)) << bad.settings;
  }
  EXPECT_THAT(Said(Objects("type: gcs, bucket: b, endpoint: 'http://127.0.0.1:4443'")), IsEmpty());
  EXPECT_THAT(Said(Objects("type: gcs, bucket: b, endpoint: 'http://elsewhere:80', credentials: anonymous")), IsEmpty());
  EXPECT_THAT(Said(Objects("type: s3, bucket: b, endpoint: 'http://minio:9000'")), IsEmpty()) << "signatures do not give the key away";
}

TEST_F(ObjectsConfigTest, ReferencesMayBeObjects) {
  const auto from = [&](const std::string& url) {
    const Loaded loaded = Load("references: {places: {contract: places.odcs.yaml, from: '" + url + "', key: place}}\n");
    return loaded.config ? loaded.config->references.at(0).from : Said(loaded);
  };
  for (const std::string url :
       {"objects:references/places.csv", "s3://bucket/some/places.parquet", "gs://bucket/places.json", "hdfs://nn:8020/places.ndjson"}) {
    EXPECT_EQ(from(url), url);
  }
  EXPECT_THAT(from("places.csv"), HasSubstr("there is no file conf/places.csv"));
  EXPECT_THAT(from("s3://bucket"), HasSubstr("\"s3://bucket\" lacks the key behind the '/'"));
  EXPECT_THAT(from("s3:///key.csv"), HasSubstr("lacks the bucket or host before the '/'"));
  EXPECT_THAT(from("s4://bucket/key.csv"), HasSubstr("begins with a scheme that is not known"));
  EXPECT_THAT(from("https://host/key.csv"), HasSubstr("begins with a scheme that is not known"));
  EXPECT_THAT(from("objects:"), HasSubstr("an object's key is empty"));
  EXPECT_THAT(from("objects:/a.csv"), HasSubstr("has an empty part"));
  EXPECT_THAT(from("objects:a/../b.csv"), HasSubstr("means a directory"));
  EXPECT_THAT(from("objects:places.txt"), HasSubstr("it must end in .csv, .json, .ndjson or .parquet"));
}

TEST(ObjectUrls, AreTakenApart) {
  const auto s3 = ParseObjectUrl("s3://bucket/some/key.csv");
  ASSERT_TRUE(s3 && *s3);
  EXPECT_EQ((*s3)->type, ObjectsType::kS3);
  EXPECT_EQ((*s3)->bucket, "bucket");
  EXPECT_EQ((*s3)->key, "some/key.csv");
  const auto configured = ParseObjectUrl("objects:some/key.csv");
  ASSERT_TRUE(configured && *configured);
  EXPECT_FALSE((*configured)->type);
  EXPECT_EQ((*configured)->key, "some/key.csv");
  EXPECT_EQ((*ParseObjectUrl("hdfs://nn:8020/a/b"))->bucket, "nn:8020");
  for (const char* path : {"a/b.csv", "/a/b.csv", "./x", "C:/x.csv", "object/s.csv", "://x"}) {
    const auto none = ParseObjectUrl(path);
    ASSERT_TRUE(none) << path;
    EXPECT_FALSE(*none) << path;
  }
}

}  // namespace
}  // namespace sightline::config
