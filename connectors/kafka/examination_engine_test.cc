// What `doctor` says of a cluster, in order and broken on purpose.
#include "connectors/kafka/examination.h"

#include <gtest/gtest.h>

#include "connectors/kafka/testing/kafka_engine.h"
#include "sightline/runtime/clock.h"

namespace sightline::kafka::testing {
namespace {

using State = Looked::State;

class WallClock final : public runtime::Clock {
 public:
  explicit WallClock(std::chrono::milliseconds ahead = {}) : ahead_(ahead) {}
  WallTime Now() const override {
    const auto now = std::chrono::system_clock::now().time_since_epoch() + ahead_;
    return WallTime(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }
  std::int64_t MonotonicNs() const override { return std::chrono::steady_clock::now().time_since_epoch().count(); }

 private:
  std::chrono::milliseconds ahead_;
};

class KafkaDoctor : public ::testing::Test {
 protected:
  std::vector<Looked> Examine(const std::vector<bus::TopicSpec>& topics, const runtime::Clock& clock = WallClock()) {
    return ExamineKafka(options_, topics, clock);
  }
  static const Looked* Find(const std::vector<Looked>& all, const std::string& name, const std::string& part = "") {
    for (const Looked& looked : all) {
      if (looked.name == name && looked.found.find(part) != std::string::npos) return &looked;
    }
    return nullptr;
  }
  static std::string All(const std::vector<Looked>& all) {
    std::string text;
    for (const Looked& looked : all)
      text += looked.name + " [" + std::to_string(static_cast<int>(looked.state)) + "] " + looked.found + " -> " + looked.remedy + "\n";
    return text;
  }
  void Make(const std::string& name, std::int32_t partitions, const std::map<std::string, std::string>& configs) {
    const auto admin = Admin::Make(KafkaEngine::Get().Client());
    ASSERT_TRUE(admin);
    const Status made =
        (*admin)->CreateTopic({.name = options_.prefix + name, .partitions = partitions, .replication = 1, .configs = configs});
    ASSERT_TRUE(made) << made.error().ToString();
  }
  KafkaBusOptions options_ = KafkaEngine::Get().Options(KafkaEngine::Get().NewPrefix());
};

TEST_F(KafkaDoctor, AClusterInOrder) {
  const bus::TopicSpec there{.name = "there", .partitions = 2, .retain_time = std::chrono::hours(24)};
  const bus::TopicSpec missing{.name = "missing"};
  ASSERT_TRUE((*KafkaBus::Open(options_))->EnsureTopic(there));
  const auto all = Examine({there, missing});
  for (const Looked& looked : all) {
    // One broker is not what one would run.
    if (looked.name != "kafka brokers") {
      EXPECT_EQ(looked.state, State::kGood) << All(all);
    }
  }
  EXPECT_NE(Find(all, "kafka version", "4.1"), nullptr) << All(all);
  EXPECT_NE(Find(all, "kafka clock", "agree"), nullptr) << All(all);
  EXPECT_NE(Find(all, "kafka topic " + options_.prefix + "missing", "will be made"), nullptr) << All(all);
  const auto bus = std::move(*KafkaBus::Open(options_));
  EXPECT_TRUE(ReadAll(*bus, {"there", Partition(0)}).empty()) << "nothing stays that a reader would see";
  EXPECT_FALSE(bus->Describe("missing"));
}

TEST_F(KafkaDoctor, SettingsThatWouldLoseData) {
  Make("few", 1, {{"message.timestamp.type", "LogAppendTime"}});
  Make("short", 1, {{"retention.ms", "60000"}, {"message.timestamp.type", "LogAppendTime"}});
  Make("unclean", 1, {{"unclean.leader.election.enable", "true"}});
  Make("compacted", 1, {{"cleanup.policy", "compact"}});
  options_.policy.min_insync = 2;
  options_.policy.replication = 3;
  const auto all = Examine({{.name = "few", .partitions = 8},
                            {.name = "short", .retain_time = std::chrono::hours(24)},
                            {.name = "unclean"},
                            {.name = "compacted"},
                            {.name = "new"}});
  const auto expect = [&](const std::string& topic, State state, const std::string& part, const std::string& remedy) {
    const Looked* looked = Find(all, "kafka topic " + options_.prefix + topic, part);
    ASSERT_NE(looked, nullptr) << topic << ": " << part << "\n" << All(all);
    EXPECT_EQ(looked->state, state) << All(all);
    EXPECT_NE(looked->remedy.find(remedy), std::string::npos) << looked->remedy;
  };
  expect("few", State::kProblem, "has 1 partitions, 8", "another topic");
  expect("short", State::kWarning, "keeps records for 1m, the configuration needs 1d", "retention.ms=86400000");
  expect("unclean", State::kWarning, "unclean.leader.election.enable", "unclean.leader.election.enable=false");
  expect("unclean", State::kWarning, "CreateTime", "LogAppendTime");
  expect("unclean", State::kWarning, "on 1 replica", "min.insync.replicas=2");
  expect("unclean", State::kWarning, "drivers.bus.replication", "add replicas");
  expect("compacted", State::kProblem, "compacted", "cleanup.policy=delete");
  expect("new", State::kProblem, "eplication", "");
  const Looked* brokers = Find(all, "kafka brokers", "fewer than drivers.bus.replication");
  ASSERT_NE(brokers, nullptr) << All(all);
  EXPECT_EQ(brokers->state, State::kProblem);
}

TEST_F(KafkaDoctor, AClockThatGoesWrong) {
  const bus::TopicSpec topic{.name = "t"};
  ASSERT_TRUE((*KafkaBus::Open(options_))->EnsureTopic(topic));
  const auto all = Examine({topic}, WallClock(std::chrono::seconds(-300)));
  const Looked* clock = Find(all, "kafka clock", "ahead");
  ASSERT_NE(clock, nullptr) << All(all);
  EXPECT_EQ(clock->state, State::kProblem);
  EXPECT_NE(clock->remedy.find("NTP"), std::string::npos);
}

TEST_F(KafkaDoctor, TopicsOfOthersThatAGateReads) {
  const std::string raw = "others-" + options_.prefix;
  const auto none = ExamineOthers(options_, raw + "*");
  ASSERT_EQ(none.size(), 1U) << All(none);
  EXPECT_EQ(none[0].state, State::kWarning);
  EXPECT_NE(none[0].remedy.find("found when it comes"), std::string::npos);
  auto admin = Admin::Make(options_.client);
  ASSERT_TRUE(admin);
  const auto make = [&](const std::string& name, const std::map<std::string, std::string>& configs) {
    const Status made = (*admin)->CreateTopic({.name = raw + name, .partitions = 3, .replication = 1, .configs = configs});
    ASSERT_TRUE(made) << made.error().ToString();
  };
  make("a", {{"message.timestamp.type", "LogAppendTime"}});
  make("b", {{"message.timestamp.type", "LogAppendTime"}});
  const auto good = ExamineOthers(options_, raw + "*");
  ASSERT_EQ(good.size(), 1U) << All(good);
  EXPECT_EQ(good[0].state, State::kGood);
  EXPECT_EQ(good[0].found, "2 topics, 6 partitions");
  make("c", {{"message.timestamp.type", "CreateTime"}, {"cleanup.policy", "compact"}});
  const auto risky = ExamineOthers(options_, raw + "*");
  EXPECT_NE(Find(risky, "kafka gate " + raw + "*", "producers' clocks"), nullptr) << All(risky);
  EXPECT_NE(Find(risky, "kafka gate " + raw + "*", "is compacted"), nullptr) << All(risky);
}

TEST_F(KafkaDoctor, CredentialsAndRights) {
  options_.client.brokers = {KafkaEngine::Get().sasl_tls()};
  options_.client.tls = Tls{.ca = KafkaEngine::Get().authority(), .certificate = {}, .key = {}, .key_password = {}};
  options_.client.sasl = Sasl{.mechanism = SaslMechanism::kScramSha512, .user = "mallory", .password = "wrong"};
  const auto refused = Examine({{.name = "t"}});
  ASSERT_EQ(refused.size(), 1U) << All(refused);
  EXPECT_EQ(refused[0].state, State::kProblem);
  EXPECT_NE(refused[0].remedy.find("check user, password"), std::string::npos) << All(refused);
  EXPECT_EQ(All(refused).find("wrong"), std::string::npos);

  options_.client.sasl->password = "mallory-secret";
  const auto weak = Examine({{.name = "t"}});
  EXPECT_NE(Find(weak, "kafka", "as user mallory"), nullptr) << All(weak);
  for (const char* name : {"kafka consumer groups", "kafka transactions"}) {
    const Looked* looked = Find(weak, name);
    ASSERT_NE(looked, nullptr) << All(weak);
    EXPECT_EQ(looked->state, State::kProblem) << All(weak);
    EXPECT_NE(looked->remedy.find("grant this user"), std::string::npos) << All(weak);
  }
  const Looked* topic = Find(weak, "kafka topic " + options_.prefix + "t");
  ASSERT_NE(topic, nullptr) << All(weak);
  EXPECT_EQ(topic->state, State::kProblem) << All(weak);
}

}  // namespace
}  // namespace sightline::kafka::testing
