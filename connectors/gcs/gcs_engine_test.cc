// Google Cloud Storage as fake-gcs-server plays it: its JSON API. It asks for no credentials.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "connectors/gcs/gcs_store.h"
#include "sightline/runtime/random.h"
#include "sightline/stores/objects/testing/conformance.h"
#include "sightline/stores/objects/testing/engine.h"
#include "sightline/stores/objects/testing/fault_proxy.h"

namespace sightline::gcs {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using stores::PutCondition;
using stores::testing::Engine;
using stores::testing::FaultProxy;
using stores::testing::FreePort;
using stores::testing::Noise;
using stores::testing::ObjectsCase;
using stores::testing::ObjectsCaseName;
using stores::testing::ObjectsConformance;
using stores::testing::ObjectsHarness;

constexpr const char* kBucket = "sightline-test";

std::uint16_t port = 0;
std::unique_ptr<Engine> server;

class ServerEnvironment final : public ::testing::Environment {
 public:
  void SetUp() override {
    port = FreePort();
    server = std::make_unique<Engine>("gcs", std::map<std::string, std::string>{{"GCS_PORT", std::to_string(port)}});
    ASSERT_TRUE(server->Start());
    ASSERT_TRUE(server->Run(std::string("bucket ") + kBucket));
  }
  void TearDown() override { server.reset(); }
};
[[maybe_unused]] const ::testing::Environment* const kEnvironment = ::testing::AddGlobalTestEnvironment(new ServerEnvironment);

Options OptionsFor(std::uint16_t to) {
  return {.bucket = kBucket,
          .prefix = "test/" + std::to_string(runtime::SystemEntropy()),
          .endpoint = "http://127.0.0.1:" + std::to_string(to),
          .credentials = Credentials::kAnonymous,
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

INSTANTIATE_TEST_SUITE_P(Gcs, ObjectsConformance,
                         ::testing::Values(ObjectsCase{"FakeGcsServer", [] { return std::make_unique<Harness>(OptionsFor(port)); }}),
                         ObjectsCaseName);

class GcsTest : public ::testing::Test {
 protected:
  Options options_ = OptionsFor(port);
};

TEST_F(GcsTest, AMissingBucketIsNoMissingObject) {
  options_.bucket = "not-there";
  const auto store = MustOpen(options_);
  EXPECT_KIND(store->Get("key"), kFailedPrecondition);
  EXPECT_KIND(store->Head("key"), kFailedPrecondition);
  EXPECT_KIND(store->Put("key", "x"), kFailedPrecondition);
  EXPECT_KIND(store->Put("key", "x", PutCondition::IfAbsent()), kFailedPrecondition);
  EXPECT_KIND(store->Delete("key"), kFailedPrecondition);
  EXPECT_KIND(stores::ListAll(*store, ""), kFailedPrecondition);
  const auto head = store->Head("key");
  EXPECT_TRUE(!head && head.error().message.find("there is no bucket not-there") != std::string::npos) << stores::testing::KindOf(head);
}

TEST_F(GcsTest, AServerThatIsDownIsUnavailable) {
  options_.endpoint = "http://127.0.0.1:" + std::to_string(FreePort());
  options_.patience.retries_max = 1;
  const auto store = MustOpen(options_);
  const auto start = steady_clock::now();
  EXPECT_KIND(store->Get("key"), kUnavailable);
  EXPECT_KIND(store->Put("key", "x"), kUnavailable);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(5));
}

TEST_F(GcsTest, ASlowServerIsGivenUpInTime) {
  FaultProxy proxy(port);
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  options_.patience = {
      .connect_timeout = milliseconds(500), .request_timeout = milliseconds(500), .retries_max = 1, .retry_time_max = milliseconds(5000)};
  const auto store = MustOpen(options_);
  ASSERT_OK(store->Put("key", "bytes"));
  proxy.Stall();
  const auto start = steady_clock::now();
  EXPECT_KIND(store->Get("key"), kDeadlineExceeded);
  EXPECT_KIND(store->Put("new", "x", PutCondition::IfAbsent()), kDeadlineExceeded);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(15));
}

TEST_F(GcsTest, CutsAreMadeGood) {
  FaultProxy proxy(port);
  const auto direct = MustOpen(options_);
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  const auto store = MustOpen(options_);
  const std::string bytes = Noise(2'000'000, 1);
  ASSERT_OK(direct->Put("key", "old"));
  proxy.CutRequests(500'000, 2);
  ASSERT_OK(store->Put("key", bytes));
  EXPECT_EQ(proxy.faults_left(), 0);
  EXPECT_TRUE(direct->Get("key")->bytes == bytes);
  proxy.DropAnswers(2);
  const auto read = store->Get("key");
  ASSERT_OK(read);
  EXPECT_TRUE(read->bytes == bytes);
  // The answer is lost, the put was done.
  proxy.DropAnswers(1);
  const auto created = store->Put("pointer", "1", PutCondition::IfAbsent());
  ASSERT_OK(created);
  EXPECT_EQ(store->Head("pointer")->etag, created->etag);
  proxy.DropAnswers(1);
  const auto moved = store->Put("pointer", "2", PutCondition::IfMatch(created->etag));
  ASSERT_OK(moved);
  EXPECT_EQ(store->Get("pointer")->bytes, "2");
  proxy.DropAnswers(1);
  EXPECT_KIND(store->Put("pointer", "2", PutCondition::IfAbsent()), kAlreadyExists);
}

TEST_F(GcsTest, ManyPartsArePutTogetherInSteps) {
  // More than the 32 that one call puts together.
  const auto store = MustOpen(options_);
  const std::uint64_t size = 35 * stores::kPartBytesMin + 77;
  const std::string bytes = Noise(size, 5);
  ASSERT_OK(stores::PutLarge(*store, "big", bytes, {.part_bytes = stores::kPartBytesMin, .in_flight = 4}));
  const auto got = stores::GetLarge(*store, "big", 1ULL << 30);
  ASSERT_OK(got);
  EXPECT_TRUE(got->bytes == bytes);
}

TEST_F(GcsTest, AKeyThatIsNoneIsSaid) {
  options_.credentials = Credentials::kAuto;
  options_.service_account = "{\"type\": \"service_account\"}";
  const auto store = Open(options_);
  ASSERT_FALSE(store.has_value());
  EXPECT_TRUE(store.error().kind == ErrorKind::kUnauthenticated || store.error().kind == ErrorKind::kInvalidArgument)
      << store.error().ToString();
}

}  // namespace
}  // namespace sightline::gcs
