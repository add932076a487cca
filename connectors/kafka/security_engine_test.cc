// Credentials, certificates and rights on a real broker: what is wrong, where, and what to do.
#include <gtest/gtest.h>

#include <librdkafka/rdkafka.h>

#include "connectors/kafka/testing/kafka_engine.h"

namespace sightline::kafka::testing {
namespace {

using std::chrono::seconds;

KafkaEngine& engine() { return KafkaEngine::Get(); }

KafkaBusOptions As(const std::string& user, const std::string& password, SaslMechanism mechanism = SaslMechanism::kScramSha512) {
  KafkaBusOptions options = engine().Options(engine().NewPrefix());
  options.client.brokers = {engine().sasl_tls()};
  options.client.tls = Tls{.ca = engine().authority(), .certificate = {}, .key = {}, .key_password = {}};
  options.client.sasl = Sasl{.mechanism = mechanism, .user = user, .password = password};
  return options;
}

Error MustFail(const KafkaBusOptions& options) {
  const auto began = std::chrono::steady_clock::now();
  const auto bus = KafkaBus::Open(options);
  EXPECT_FALSE(bus);
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(15));
  return bus ? Error{} : bus.error();
}

#define EXPECT_SAYS(error, part) EXPECT_NE((error).message.find(part), std::string::npos) << (error).ToString()

// Lets a user do something with everything whose name begins so.
void Grant(const std::string& user, rd_kafka_ResourceType_t resource, const std::string& name, rd_kafka_AclOperation_t operation) {
  auto admin = Admin::Make(engine().Client());
  ASSERT_TRUE(admin);
  rd_kafka_t* client = (*admin)->handle()->get();
  char text[256];
  rd_kafka_AclBinding_t* binding = rd_kafka_AclBinding_new(
      resource, name.c_str(), resource == RD_KAFKA_RESOURCE_BROKER ? RD_KAFKA_RESOURCE_PATTERN_LITERAL : RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
      ("User:" + user).c_str(), "*", operation, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, text, sizeof(text));
  ASSERT_NE(binding, nullptr) << text;
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
  rd_kafka_CreateAcls(client, &binding, 1, nullptr, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 20'000);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_event_error_string(event);
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AclBinding_destroy(binding);
}

TEST(KafkaSecurity, EveryMechanismCarriesRecords) {
  for (const SaslMechanism mechanism : {SaslMechanism::kPlain, SaslMechanism::kScramSha256, SaslMechanism::kScramSha512}) {
    const auto bus = KafkaBus::Open(As("alice", "alice-secret", mechanism));
    ASSERT_TRUE(bus) << bus.error().ToString();
    ASSERT_TRUE((*bus)->EnsureTopic({.name = "t"}));
    const std::vector<std::string_view> one = {"x"};
    ASSERT_TRUE(bus::AppendAndWait(**bus, {"t", Partition(0)}, {.values = one}));
    EXPECT_EQ(ReadAll(**bus, {"t", Partition(0)}), std::vector<std::string>{"0:x"});
  }
  KafkaBusOptions clear = As("alice", "alice-secret");
  clear.client.tls.reset();
  clear.client.brokers = {engine().sasl_clear()};
  EXPECT_TRUE(KafkaBus::Open(clear));
}

TEST(KafkaSecurity, WrongCredentialsAreSaidAtOnceAndNeverShown) {
  std::string lines;
  std::mutex mutex;
  KafkaBusOptions options = As("alice", "guessed-password");
  options.client.log = [&](LogLevel, std::string_view text) {
    const std::lock_guard lock(mutex);
    lines.append(text).append("\n");
  };
  for (const SaslMechanism mechanism : {SaslMechanism::kPlain, SaslMechanism::kScramSha512}) {
    options.client.sasl->mechanism = mechanism;
    const Error error = MustFail(options);
    EXPECT_EQ(error.kind, ErrorKind::kUnauthenticated) << error.ToString();
    EXPECT_SAYS(error, engine().sasl_tls());
    EXPECT_SAYS(error, "check user, password");
    EXPECT_EQ(error.message.find("guessed-password"), std::string::npos);
  }
  EXPECT_EQ(lines.find("guessed-password"), std::string::npos);
  EXPECT_FALSE(lines.empty());
}

TEST(KafkaSecurity, AnExpiredCertificateIsRefusedByName) {
  KafkaBusOptions options = engine().Options("");
  options.client.brokers = {engine().expired()};
  options.client.tls = Tls{.ca = engine().authority(), .certificate = {}, .key = {}, .key_password = {}};
  const Error error = MustFail(options);
  EXPECT_EQ(error.kind, ErrorKind::kUnauthenticated) << error.ToString();
  EXPECT_SAYS(error, "certificate has expired");
  EXPECT_SAYS(error, engine().expired());
}

TEST(KafkaSecurity, ACertificateOfAnUnknownAuthorityIsRefused) {
  KafkaBusOptions options = As("alice", "alice-secret");
  options.client.tls->ca.clear();
  const Error error = MustFail(options);
  EXPECT_EQ(error.kind, ErrorKind::kUnauthenticated) << error.ToString();
  EXPECT_SAYS(error, "tls.ca");
  options.client.tls->ca = "no/such/file.pem";
  const auto missing = KafkaBus::Open(options);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kInvalidArgument);
  EXPECT_SAYS(missing.error(), "no/such/file.pem");
}

TEST(KafkaSecurity, ABrokerThatIsNotThereIsNamed) {
  KafkaBusOptions options = engine().Options("");
  options.client.brokers = {"127.0.0.1:" + std::to_string(engine().port() + 7)};
  options.connect_timeout = seconds(2);
  const Error error = MustFail(options);
  EXPECT_EQ(error.kind, ErrorKind::kUnavailable) << error.ToString();
  EXPECT_SAYS(error, options.client.brokers[0]);
  EXPECT_SAYS(error, "onnection refused");
}

TEST(KafkaSecurity, MissingRightsAreNamed) {
  const KafkaBusOptions options = As("mallory", "mallory-secret");
  const auto bus = KafkaBus::Open(options);
  ASSERT_TRUE(bus) << bus.error().ToString();
  const auto refused = (*bus)->EnsureTopic({.name = "t"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kPermissionDenied) << refused.error().ToString();
  EXPECT_SAYS(refused.error(), options.prefix + "t");
  EXPECT_SAYS(refused.error(), "grant this user");

  // It is there, and may be looked at: neither written nor read.
  KafkaBusOptions owner = As("alice", "alice-secret");
  owner.prefix = options.prefix;
  const auto owners = KafkaBus::Open(owner);
  ASSERT_TRUE(owners);
  ASSERT_TRUE((*owners)->EnsureTopic({.name = "t"}));
  const std::vector<std::string_view> one = {"x"};
  ASSERT_TRUE(bus::AppendAndWait(**owners, {"t", Partition(0)}, {.values = one}));
  Grant("mallory", RD_KAFKA_RESOURCE_TOPIC, options.prefix, RD_KAFKA_ACL_OPERATION_DESCRIBE);
  Grant("mallory", RD_KAFKA_RESOURCE_TOPIC, options.prefix, RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS);
  const auto written = bus::AppendAndWait(**bus, {"t", Partition(0)}, {.values = one});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::kPermissionDenied) << written.error().ToString();
  EXPECT_SAYS(written.error(), options.prefix + "t");
  auto reader = (*bus)->OpenReader({"t", Partition(0)}, Offset(0));
  ASSERT_TRUE(reader) << reader.error().ToString();
  const auto read = (*reader)->Next();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::kPermissionDenied) << read.error().ToString();
  const auto group = (*bus)->CommitOffset("g", {"t", Partition(0)}, Offset(1));
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().kind, ErrorKind::kPermissionDenied) << group.error().ToString();

  Grant("mallory", RD_KAFKA_RESOURCE_TOPIC, options.prefix, RD_KAFKA_ACL_OPERATION_WRITE);
  Grant("mallory", RD_KAFKA_RESOURCE_TOPIC, options.prefix, RD_KAFKA_ACL_OPERATION_READ);
  reader->reset();
  EXPECT_TRUE(bus::AppendAndWait(**bus, {"t", Partition(0)}, {.values = one}));
  EXPECT_EQ(ReadAll(**bus, {"t", Partition(0)}).size(), 2U);
}

}  // namespace
}  // namespace sightline::kafka::testing
