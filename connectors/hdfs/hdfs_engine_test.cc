// HDFS: a name node and a data node of Apache Hadoop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <signal.h>

#include <chrono>
#include <sstream>

#include "connectors/hdfs/hdfs_store.h"
#include "sightline/runtime/random.h"
#include "sightline/stores/objects/testing/conformance.h"
#include "sightline/stores/objects/testing/engine.h"

namespace sightline::hdfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using stores::PutCondition;
using stores::testing::Engine;
using stores::testing::FreePort;
using stores::testing::Noise;
using stores::testing::ObjectsCase;
using stores::testing::ObjectsCaseName;
using stores::testing::ObjectsConformance;
using stores::testing::ObjectsHarness;

std::uint16_t port = 0;
std::unique_ptr<Engine> server;

class ServerEnvironment final : public ::testing::Environment {
 public:
  void SetUp() override {
    port = FreePort(4);
    server = std::make_unique<Engine>("hdfs", std::map<std::string, std::string>{{"HDFS_PORT", std::to_string(port)}});
    ASSERT_TRUE(server->Start());
  }
  void TearDown() override { server.reset(); }
};
[[maybe_unused]] const ::testing::Environment* const kEnvironment = ::testing::AddGlobalTestEnvironment(new ServerEnvironment);

std::string FreshBase() { return "/test/" + std::to_string(runtime::SystemEntropy()); }

Options OptionsFor(const std::string& base) {
  return {.url = "hdfs://127.0.0.1:" + std::to_string(port) + base,
          .patience = {.connect_timeout = milliseconds(2000),
                       .request_timeout = milliseconds(20'000),
                       .retries_max = 4,
                       .retry_time_max = milliseconds(20'000)}};
}

std::unique_ptr<bridge::ObjectStore> MustOpen(const Options& options) {
  auto opened = Open(options);
  EXPECT_OK(opened);
  return opened ? std::move(*opened) : nullptr;
}

class Harness final : public ObjectsHarness {
 public:
  explicit Harness(const Options& options) : store_(MustOpen(options)), other_(MustOpen(options)) {}
  stores::ObjectStore& store() override { return *store_; }
  stores::ObjectStore& other() override { return *other_; }

 private:
  std::unique_ptr<bridge::ObjectStore> store_;
  std::unique_ptr<bridge::ObjectStore> other_;
};

INSTANTIATE_TEST_SUITE_P(Hdfs, ObjectsConformance,
                         ::testing::Values(ObjectsCase{
                             .name = "Hadoop", .make = [] { return std::make_unique<Harness>(OptionsFor(FreshBase())); }, .colons = false}),
                         ObjectsCaseName);

// The processes of the name node and the data node, as the script says them.
std::pair<pid_t, pid_t> Processes() {
  std::istringstream words(server->Output("status"));
  std::string word;
  std::vector<pid_t> processes;
  while (words >> word) {
    if (word.find_first_not_of("0123456789") == std::string::npos) processes.push_back(std::stoi(word));
  }
  EXPECT_EQ(processes.size(), 2U);
  return processes.size() == 2 ? std::pair(processes[0], processes[1]) : std::pair<pid_t, pid_t>(0, 0);
}

TEST(HdfsTest, MissingRightsAreSaid) {
  const std::string base = FreshBase();
  const auto owner = MustOpen(OptionsFor(base));
  ASSERT_OK(owner->Put("key", "bytes"));
  Options options = OptionsFor(base);
  options.user = "stranger";
  const auto store = MustOpen(options);
  const auto put = store->Put("other", "x");
  EXPECT_KIND(put, kPermissionDenied);
  EXPECT_TRUE(!put && put.error().message.find("drivers.objects.user") != std::string::npos) << stores::testing::KindOf(put);
  EXPECT_KIND(store->Delete("key"), kPermissionDenied);
  EXPECT_EQ(owner->Get("key")->bytes, "bytes");
}

TEST(HdfsTest, ColonsAreRefused) {
  const auto store = MustOpen(OptionsFor(FreshBase()));
  const auto put = store->Put("at 12:00", "x");
  EXPECT_KIND(put, kInvalidArgument);
  EXPECT_KIND(store->Get("at 12:00"), kInvalidArgument);
}

TEST(HdfsTest, WhatOthersPutThereIsReadAndWhatWePutIsReadByOthers) {
  const std::string base = FreshBase();
  const auto store = MustOpen(OptionsFor(base));
  ASSERT_OK(store->Put("ours/key", "bytes of ours"));
  // Hadoop may say something of its own first.
  EXPECT_THAT(server->Output("dfs -cat " + base + "/ours/key 2>/dev/null"), ::testing::EndsWith("bytes of ours"));
  ASSERT_TRUE(server->Run("dfs -cp " + base + "/ours/key " + base + "/theirs"));
  EXPECT_EQ(store->Get("theirs")->bytes, "bytes of ours");
}

TEST(HdfsTest, APausedNameNodeIsGivenUpInTime) {
  Options options = OptionsFor(FreshBase());
  options.patience = {
      .connect_timeout = milliseconds(1000), .request_timeout = milliseconds(1000), .retries_max = 1, .retry_time_max = milliseconds(3000)};
  const auto store = MustOpen(options);
  ASSERT_OK(store->Put("key", "bytes"));
  const pid_t name_node = Processes().first;
  ASSERT_GT(name_node, 0);
  ASSERT_EQ(::kill(name_node, SIGSTOP), 0);
  const auto start = steady_clock::now();
  EXPECT_KIND(store->Get("key"), kDeadlineExceeded);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(10));
  ASSERT_EQ(::kill(name_node, SIGCONT), 0);
  options.patience = {};
  EXPECT_EQ(MustOpen(options)->Get("key")->bytes, "bytes");
}

TEST(HdfsTest, AServerThatIsDownIsUnavailableAndComesBack) {
  Options options = OptionsFor(FreshBase());
  const auto before = MustOpen(options);
  ASSERT_OK(before->Put("key", "bytes"));
  ASSERT_TRUE(server->Stop());
  options.patience = {
      .connect_timeout = milliseconds(1000), .request_timeout = milliseconds(5000), .retries_max = 1, .retry_time_max = milliseconds(3000)};
  const auto store = MustOpen(options);
  const auto start = steady_clock::now();
  const auto get = store->Get("key");
  ASSERT_FALSE(get.has_value());
  EXPECT_TRUE(get.error().kind == ErrorKind::kUnavailable || get.error().kind == ErrorKind::kDeadlineExceeded) << get.error().ToString();
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(30));
  ASSERT_TRUE(server->Start());
  EXPECT_EQ(before->Get("key")->bytes, "bytes") << "the store that was open all the time";
  EXPECT_OK(before->Put("key", "more"));
}

std::string LockName(const std::string& key) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EXPECT_EQ(EVP_Digest(key.data(), key.size(), digest, &size, EVP_sha256(), nullptr), 1);
  std::string name;
  for (unsigned int i = 0; i < size; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", digest[i]);
    name += hex;
  }
  return name;
}

// A writer that died between its two renames leaves its lock behind.
TEST(HdfsTest, ALockThatWasLeftBehindIsTakenOver) {
  const std::string base = FreshBase();
  const auto store = MustOpen(OptionsFor(base));
  const auto first = store->Put("pointer", "1", PutCondition::IfAbsent());
  ASSERT_OK(first);
  const std::string lock = base + "/.sightline/lock/" + LockName("pointer");
  ASSERT_TRUE(server->Run("dfs -mkdir -p " + lock));
  ASSERT_TRUE(server->Run("dfs -cp " + base + "/pointer " + lock + "/dead"));
  const auto start = steady_clock::now();
  const auto second = store->Put("pointer", "2", PutCondition::IfMatch(first->etag));
  ASSERT_OK(second);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(60));
  EXPECT_EQ(store->Get("pointer")->bytes, "2");
  EXPECT_EQ(stores::ListAll(*store, "")->size(), 1U);
}

}  // namespace
}  // namespace sightline::hdfs
