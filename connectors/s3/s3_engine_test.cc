// S3 on real servers: versitygw, which checks credentials and rights, and moto, another reading of the protocol.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "connectors/s3/s3_store.h"
#include "sightline/runtime/random.h"
#include "sightline/stores/objects/testing/conformance.h"
#include "sightline/stores/objects/testing/engine.h"
#include "sightline/stores/objects/testing/fault_proxy.h"

namespace sightline::s3 {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using stores::ObjectInfo;
using stores::PutCondition;
using stores::testing::Engine;
using stores::testing::FaultProxy;
using stores::testing::FreePort;
using stores::testing::Noise;
using stores::testing::ObjectsCase;
using stores::testing::ObjectsCaseName;
using stores::testing::ObjectsConformance;
using stores::testing::ObjectsHarness;
using stores::testing::ScratchDirectory;
using stores::testing::Validity;

constexpr const char* kBucket = "sightline-test";

// One server of each kind for the whole program.
struct Servers {
  std::uint16_t s3_port = FreePort();
  std::uint16_t moto_port = FreePort();
  ScratchDirectory root;
  std::unique_ptr<Engine> s3;
  std::unique_ptr<Engine> moto;
};
std::unique_ptr<Servers> servers;

class ServersEnvironment final : public ::testing::Environment {
 public:
  void SetUp() override {
    servers = std::make_unique<Servers>();
    servers->s3 = std::make_unique<Engine>(
        "s3", std::map<std::string, std::string>{{"S3_PORT", std::to_string(servers->s3_port)}, {"S3_DATA", servers->root.path()}});
    servers->moto = std::make_unique<Engine>("moto", std::map<std::string, std::string>{{"MOTO_PORT", std::to_string(servers->moto_port)}});
    ASSERT_TRUE(servers->s3->Start());
    ASSERT_TRUE(servers->s3->Run(std::string("bucket ") + kBucket));
    ASSERT_TRUE(servers->moto->Start());
    ASSERT_TRUE(servers->moto->Run(std::string("bucket ") + kBucket));
  }
  void TearDown() override { servers.reset(); }
};
[[maybe_unused]] const ::testing::Environment* const kEnvironment = ::testing::AddGlobalTestEnvironment(new ServersEnvironment);

std::string FreshPrefix() { return "test/" + std::to_string(runtime::SystemEntropy()); }

Options OptionsFor(std::uint16_t port) {
  return {.bucket = kBucket,
          .prefix = FreshPrefix(),
          .endpoint = "http://127.0.0.1:" + std::to_string(port),
          .access_key = "sightline",
          .secret_key = "sightline-secret",
          .patience = {.connect_timeout = milliseconds(2000),
                       .request_timeout = milliseconds(20'000),
                       .retries_max = 5,
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

std::unique_ptr<ObjectsHarness> WithChecksum(Checksum checksum) {
  Options options = OptionsFor(servers->s3_port);
  options.checksum = checksum;
  return std::make_unique<Harness>(options);
}

INSTANTIATE_TEST_SUITE_P(S3, ObjectsConformance,
                         ::testing::Values(ObjectsCase{"Versitygw", [] { return std::make_unique<Harness>(OptionsFor(servers->s3_port)); }},
                                           ObjectsCase{"VersitygwSha256", [] { return WithChecksum(Checksum::kSha256); }},
                                           ObjectsCase{"VersitygwCrc64", [] { return WithChecksum(Checksum::kCrc64Nvme); }},
                                           ObjectsCase{"Moto", [] { return std::make_unique<Harness>(OptionsFor(servers->moto_port)); }}),
                         ObjectsCaseName);

class S3Test : public ::testing::Test {
 protected:
  Options options_ = OptionsFor(servers->s3_port);
};

bool Says(const Error& error, std::string_view part) { return error.message.find(part) != std::string::npos; }
#define EXPECT_SAYS(result, part) EXPECT_TRUE(!(result) && Says((result).error(), part)) << stores::testing::KindOf(result)

TEST_F(S3Test, WrongCredentialsAreSaid) {
  for (const auto& [access, secret] : {std::pair("sightline", "wrong"), std::pair("nobody", "sightline-secret")}) {
    options_.access_key = access;
    options_.secret_key = secret;
    const auto store = MustOpen(options_);
    const auto put = store->Put("key", "x");
    EXPECT_KIND(put, kUnauthenticated);
    EXPECT_SAYS(put, "drivers.objects.access_key");
    EXPECT_SAYS(put, "s3://sightline-test/");
    EXPECT_KIND(store->Get("key"), kUnauthenticated);
    EXPECT_KIND(stores::ListAll(*store, ""), kUnauthenticated);
    if (!put) {
      EXPECT_FALSE(Says(put.error(), "sightline-secret"));
    }
  }
}

TEST_F(S3Test, MissingRightsAreSaid) {
  ASSERT_TRUE(servers->s3->Run("user stranger stranger-secret"));
  const auto owner = MustOpen(options_);
  ASSERT_OK(owner->Put("key", "bytes"));
  options_.access_key = "stranger";
  options_.secret_key = "stranger-secret";
  const auto store = MustOpen(options_);
  EXPECT_KIND(store->Put("other", "x"), kPermissionDenied);
  EXPECT_KIND(store->Get("key"), kPermissionDenied);
  EXPECT_KIND(store->Head("key"), kPermissionDenied);
  EXPECT_KIND(stores::ListAll(*store, ""), kPermissionDenied);
  EXPECT_KIND(store->Delete("key"), kPermissionDenied);
  EXPECT_EQ(owner->Get("key")->bytes, "bytes");
}

TEST_F(S3Test, AVanishedBucketIsNoMissingObject) {
  ASSERT_TRUE(servers->s3->Run("bucket going"));
  options_.bucket = "going";
  const auto store = MustOpen(options_);
  ASSERT_OK(store->Put("key", "x"));
  std::filesystem::remove_all(servers->root.path() + "/going");
  const auto get = store->Get("key");
  EXPECT_KIND(get, kFailedPrecondition);
  EXPECT_SAYS(get, "there is no bucket going");
  EXPECT_KIND(store->Put("key", "x"), kFailedPrecondition);
  EXPECT_KIND(store->Put("key", "x", PutCondition::IfAbsent()), kFailedPrecondition);
  EXPECT_KIND(store->Head("key"), kFailedPrecondition);
  EXPECT_KIND(store->Delete("key"), kFailedPrecondition);
  EXPECT_KIND(store->Copy("key", "other"), kFailedPrecondition);
  EXPECT_KIND(stores::ListAll(*store, ""), kFailedPrecondition);
  EXPECT_KIND(store->StartUpload("key", stores::kPartBytes), kFailedPrecondition);
}

TEST_F(S3Test, AServerThatIsDownIsUnavailableAndComesBack) {
  const std::uint16_t port = FreePort();
  ScratchDirectory root;
  Engine server("s3", {{"S3_PORT", std::to_string(port)}, {"S3_DATA", root.path()}});
  ASSERT_TRUE(server.Start());
  ASSERT_TRUE(server.Run(std::string("bucket ") + kBucket));
  options_.endpoint = "http://127.0.0.1:" + std::to_string(port);
  options_.patience.retries_max = 2;
  const auto store = MustOpen(options_);
  ASSERT_OK(store->Put("key", "bytes"));
  ASSERT_TRUE(server.Stop());
  const auto start = steady_clock::now();
  const auto get = store->Get("key");
  EXPECT_KIND(get, kUnavailable);
  EXPECT_SAYS(get, "cannot be reached");
  EXPECT_KIND(store->Put("key", "other"), kUnavailable);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(10)) << "two retries each, not more";
  ASSERT_TRUE(server.Start());
  EXPECT_EQ(store->Get("key")->bytes, "bytes");
  EXPECT_OK(store->Put("key", "other"));
}

TEST_F(S3Test, ASlowServerIsGivenUpInTime) {
  FaultProxy proxy(servers->s3_port);
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  options_.patience = {
      .connect_timeout = milliseconds(500), .request_timeout = milliseconds(500), .retries_max = 1, .retry_time_max = milliseconds(5000)};
  const auto store = MustOpen(options_);
  ASSERT_OK(store->Put("key", "bytes"));
  proxy.Stall();
  const auto start = steady_clock::now();
  EXPECT_KIND(store->Get("key"), kDeadlineExceeded);
  EXPECT_KIND(store->Put("key", "other"), kDeadlineExceeded);
  EXPECT_KIND(store->Put("new", "x", PutCondition::IfAbsent()), kDeadlineExceeded);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(15));
  proxy.Resume();
  // A put that was given up may have been done: one or the other.
  const auto now = store->Get("key");
  ASSERT_OK(now);
  EXPECT_TRUE(now->bytes == "bytes" || now->bytes == "other") << now->bytes;
}

TEST_F(S3Test, ACutInTheMiddleOfAPutLeavesTheOldObjectOrIsMadeGood) {
  FaultProxy proxy(servers->s3_port);
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  const auto store = MustOpen(options_);
  const auto direct = MustOpen([&] {
    Options direct_options = options_;
    direct_options.endpoint = "http://127.0.0.1:" + std::to_string(servers->s3_port);
    return direct_options;
  }());
  const std::string bytes = Noise(2'000'000, 1);
  ASSERT_OK(direct->Put("key", "old"));
  // Cut twice, then let through.
  proxy.CutRequests(500'000, 2);
  const auto put = store->Put("key", bytes);
  ASSERT_OK(put);
  EXPECT_EQ(proxy.faults_left(), 0);
  EXPECT_TRUE(direct->Get("key")->bytes == bytes);
  // Cut every time.
  proxy.CutRequests(500'000, 1000);
  const auto lost = store->Put("key", Noise(2'000'000, 2));
  ASSERT_FALSE(lost.has_value());
  EXPECT_TRUE(lost.error().kind == ErrorKind::kUnavailable || lost.error().kind == ErrorKind::kDeadlineExceeded) << lost.error().ToString();
  EXPECT_TRUE(direct->Get("key")->bytes == bytes) << "not half of the new one";
  EXPECT_EQ(stores::ListAll(*direct, "")->size(), 1U);
}

TEST_F(S3Test, AConditionalPutWhoseAnswerWasLostIsKnownAsDone) {
  FaultProxy proxy(servers->s3_port);
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  const auto store = MustOpen(options_);
  proxy.DropAnswers(1);
  const auto created = store->Put("pointer", "1", PutCondition::IfAbsent());
  ASSERT_OK(created);
  EXPECT_EQ(proxy.faults_left(), 0);
  EXPECT_EQ(store->Head("pointer")->etag, created->etag);
  proxy.DropAnswers(1);
  const auto moved = store->Put("pointer", "2", PutCondition::IfMatch(created->etag));
  ASSERT_OK(moved);
  EXPECT_EQ(proxy.faults_left(), 0);
  EXPECT_EQ(store->Get("pointer")->bytes, "2");
  EXPECT_EQ(store->Head("pointer")->etag, moved->etag);
  // Equal bytes of somebody else are not taken for one's own.
  proxy.DropAnswers(1);
  EXPECT_KIND(store->Put("pointer", "2", PutCondition::IfAbsent()), kAlreadyExists);
}

TEST_F(S3Test, AReadThatBreaksOffGoesOnWhereItBroke) {
  FaultProxy proxy(servers->s3_port);
  const auto direct = MustOpen(options_);
  const std::string bytes = Noise(5'000'000, 3);
  ASSERT_OK(direct->Put("key", bytes));
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  const auto store = MustOpen(options_);
  proxy.DropAnswers(2);
  const auto object = store->Get("key");
  ASSERT_OK(object);
  EXPECT_TRUE(object->bytes == bytes);
  EXPECT_EQ(proxy.faults_left(), 0);
}

TEST_F(S3Test, ALostAnswerToTheEndOfAnUploadIsMadeGood) {
  FaultProxy proxy(servers->s3_port);
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  const auto store = MustOpen(options_);
  const auto upload = store->StartUpload("big", stores::kPartBytesMin);
  ASSERT_OK(upload);
  const std::string bytes = Noise(stores::kPartBytesMin + 10, 4);
  ASSERT_OK((*upload)->PutPart(1, std::string_view(bytes).substr(0, stores::kPartBytesMin)));
  ASSERT_OK((*upload)->PutPart(2, std::string_view(bytes).substr(stores::kPartBytesMin)));
  proxy.DropAnswers(1);
  const auto done = (*upload)->Complete();
  ASSERT_OK(done);
  EXPECT_EQ(proxy.faults_left(), 0);
  EXPECT_TRUE(store->Get("big")->bytes == bytes);
}

TEST_F(S3Test, SessionTokensAreSent) {
  FaultProxy proxy(servers->moto_port);
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  options_.session_token = "a-token-for-a-while";
  const auto store = MustOpen(options_);
  ASSERT_OK(store->Put("key", "x"));
  EXPECT_NE(proxy.said().find("x-amz-security-token: a-token-for-a-while"), std::string::npos);
  EXPECT_NE(proxy.said().find("PUT /sightline-test/"), std::string::npos) << "path style with an endpoint";
  EXPECT_EQ(proxy.said().find("sightline-secret"), std::string::npos);
}

TEST_F(S3Test, VirtualAddressingPutsTheBucketIntoTheHost) {
  FaultProxy proxy(servers->moto_port);
  options_.endpoint = "http://localhost:" + std::to_string(proxy.port());
  options_.addressing = Addressing::kVirtual;
  const auto store = MustOpen(options_);
  // A name below localhost is this machine wherever the resolver follows RFC 6761; elsewhere there is no connection to look at.
  (void)store->Put("key", "x");
  if (proxy.connections() == 0) GTEST_SKIP() << "sightline-test.localhost is not resolved here";
  EXPECT_NE(proxy.said().find("host: sightline-test.localhost"), std::string::npos);
}

TEST_F(S3Test, ChecksumsAreSentAndWrongBytesRefused) {
  FaultProxy proxy(servers->s3_port);
  options_.endpoint = "http://127.0.0.1:" + std::to_string(proxy.port());
  options_.checksum = Checksum::kSha256;
  ASSERT_OK(MustOpen(options_)->Put("key", "x"));
  EXPECT_NE(proxy.said().find("x-amz-checksum-sha256: LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="), std::string::npos);
  options_.checksum = Checksum::kCrc64Nvme;
  ASSERT_OK(MustOpen(options_)->Put("key", "x"));
  EXPECT_NE(proxy.said().find("x-amz-checksum-crc64nvme: "), std::string::npos);
}

TEST_F(S3Test, TheClockOfTheServiceIsKnown) {
  const auto store = MustOpen(options_);
  EXPECT_FALSE(store->clock_skew().has_value());
  ASSERT_OK(store->Put("key", "x"));
  ASSERT_TRUE(store->clock_skew().has_value());
  EXPECT_LT(std::abs(store->clock_skew()->count()), 3000);
}

TEST_F(S3Test, OptionsThatCannotBeAreRefused) {
  Options no_bucket = options_;
  no_bucket.bucket.clear();
  EXPECT_KIND(Open(no_bucket), kInvalidArgument);
  Options no_secret = options_;
  no_secret.secret_key.clear();
  EXPECT_KIND(Open(no_secret), kInvalidArgument);
  Options bad_authority = options_;
  bad_authority.ca_pem = "no certificate";
  EXPECT_KIND(Open(bad_authority), kInvalidArgument);
}

class S3TlsTest : public ::testing::Test {
 protected:
  // A server with certificates of the given validity; the store's options trust their authority.
  void Serve(Validity validity) {
    stores::testing::MakeCertificates(files_.path(), validity);
    port_ = FreePort();
    server_ = std::make_unique<Engine>("s3", std::map<std::string, std::string>{{"S3_PORT", std::to_string(port_)},
                                                                                {"S3_DATA", root_.path()},
                                                                                {"S3_CERT", files_.path() + "/server.pem"},
                                                                                {"S3_KEY", files_.path() + "/server.key"}});
    ASSERT_TRUE(server_->Start());
    ASSERT_TRUE(server_->Run(std::string("bucket ") + kBucket));
    options_ = OptionsFor(port_);
    options_.endpoint = "https://127.0.0.1:" + std::to_string(port_);
    std::ifstream in(files_.path() + "/ca.pem");
    options_.ca_pem = std::string(std::istreambuf_iterator<char>(in), {});
  }
  ScratchDirectory files_;
  ScratchDirectory root_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Engine> server_;
  Options options_;
};

TEST_F(S3TlsTest, AnAuthorityOfOnesOwnIsTrusted) {
  Serve(Validity::kNow);
  const auto store = MustOpen(options_);
  ASSERT_OK(store->Put("key", "over TLS"));
  EXPECT_EQ(store->Get("key")->bytes, "over TLS");
  options_.ca_pem.clear();
  const auto start = steady_clock::now();
  const auto get = MustOpen(options_)->Get("key");
  EXPECT_KIND(get, kFailedPrecondition);
  EXPECT_SAYS(get, "certificate");
  EXPECT_SAYS(get, "drivers.objects.tls_ca");
  options_.endpoint = "http://127.0.0.1:" + std::to_string(port_);
  EXPECT_FALSE(MustOpen(options_)->Get("key").has_value()) << "plain HTTP to a TLS port";
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(30));
}

TEST_F(S3TlsTest, AnExpiredCertificateIsSaidAtOnce) {
  Serve(Validity::kOver);
  const auto start = steady_clock::now();
  const auto put = MustOpen(options_)->Put("key", "x");
  EXPECT_KIND(put, kFailedPrecondition);
  EXPECT_SAYS(put, "expired");
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(3)) << "another try would fail as well";
}

}  // namespace
}  // namespace sightline::s3
