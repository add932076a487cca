// The gates of a configuration on a real broker with a real schema registry.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <thread>

#include "apps/sightline/server/gates.h"
#include "connectors/kafka/testing/kafka_engine.h"
#include "connectors/registry/testing/registry_engine.h"
#include "sightline/gate/testing/contracts.h"
#include "sightline/model/dead_letter.h"
#include "sightline/runtime/clock.h"

namespace sightline::app {
namespace {

using kafka::testing::KafkaEngine;
using registry::testing::RegistryEngine;
using registry::testing::WireValue;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{60};

std::string Varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string Zigzag(std::int64_t value) { return Varint(static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63)); }

constexpr std::int64_t kWhen = 1'700'000'000'000;

std::string Json(int location, int detection) {
  return R"({"geographical_location_oid":)" + std::to_string(location) + R"(,"video_camera_oid":2,"detection_oid":)" +
         std::to_string(detection) + R"(,"item_name":"cat","timestamp_detected":)" + std::to_string(kWhen) + "}";
}
std::string Avro(int location, int detection) {
  return Zigzag(location) + Zigzag(2) + Zigzag(detection) + Zigzag(3) + "cat" + Zigzag(kWhen);
}
std::string Protobuf(int location, int detection) {
  const auto varint = [](std::int64_t value) { return Varint(static_cast<std::uint64_t>(value)); };
  return "\x08" + varint(location) + "\x10\x02\x18" + varint(detection) + "\x22\x03" + "cat\x28" + varint(kWhen);
}

class ConfiguredGates : public ::testing::Test {
 protected:
  void SetUp() override {
    auto bus = kafka::KafkaBus::Open(KafkaEngine::Get().Options(prefix_));
    ASSERT_TRUE(bus) << bus.error().ToString();
    bus_ = std::move(*bus);
    auto client = registry::RegistryClient::Make({.url = RegistryEngine::Get().url()});
    ASSERT_TRUE(client) << client.error().ToString();
    registry_ = std::move(*client);
    config_ = config::Defaults();
    config_.drivers.bus.type = config::BusType::kKafka;
    config_.drivers.bus.brokers = {KafkaEngine::Get().clear()};
    config_.drivers.bus.prefix = prefix_;
    config_.drivers.bus.registry =
        config::RegistryConfig{.url = RegistryEngine::Get().url(), .user = {}, .password = {}, .ca = {}, .timeout = milliseconds(2'000)};
    config::DatasetConfig& dataset = config_.datasets.emplace_back();
    dataset.name = "camera_events";
    dataset.topic = "camera_events";
    dataset.partitions = 4;
    dataset.partition_by = "geographical_location_oid";
    dataset.contract = gate::CameraEvents();
    dataset.gate = config::GateConfig{.from = raw_, .format = config::GateFormat::kConfluent, .schema = config::SchemaLanguage::kAvro};
    ASSERT_TRUE(bus_->EnsureTopic(config_.TopicOf(dataset)));
  }
  config::GateConfig& gate() { return *config_.datasets[0].gate; }

  std::string MakeTopic(const std::string& name) {
    const Status made = bus_->admin().CreateTopic(
        {.name = name, .partitions = 1, .replication = 1, .configs = {{"message.timestamp.type", "LogAppendTime"}}});
    EXPECT_TRUE(made) << made.error().ToString();
    return name;
  }
  void Send(const std::string& topic, const std::vector<std::string>& values) {
    auto producer = std::move(*kafka::Producer::Make(KafkaEngine::Get().Client(), {}));
    std::vector<kafka::OutRecord> records;
    for (const std::string& value : values) records.push_back({.value = value});
    std::promise<Result<std::int64_t>> done;
    producer->Send(topic, Partition(0), records, std::nullopt, [&](Result<std::int64_t> first) { done.set_value(std::move(first)); });
    const auto first = done.get_future().get();
    ASSERT_TRUE(first) << first.error().ToString();
  }
  std::unique_ptr<Gates> Start() {
    auto gates = Gates::Start(*bus_, config_, clock_, log_);
    EXPECT_TRUE(gates) << gates.error().ToString();
    return gates ? std::move(*gates) : nullptr;
  }
  std::uint32_t IdOf(const std::string& topic) {
    const auto latest = registry_->Latest(registry::ValueSubject(topic));
    EXPECT_TRUE(latest && *latest) << topic;
    return latest && *latest ? (*latest)->id : 0;
  }
  template <typename Done>
  static bool Await(Done done) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return true;
  }
  static bool AwaitIn(const Gates& gates, std::uint64_t in) {
    const bool there = Await([&] { return gates.status().at(0).in >= in; });
    EXPECT_TRUE(there) << gates.status().at(0).in << " " << gates.status().at(0).error;
    return there;
  }
  // What the accepted topic's readers make of it: detections, by partition.
  std::multimap<std::int32_t, std::int64_t> Detections() {
    std::multimap<std::int32_t, std::int64_t> all;
    gate::Decoder decoder(config_.datasets[0].contract, {});
    gate::Decoded decoded;
    const auto info = bus_->Describe("camera_events");
    EXPECT_TRUE(info);
    for (std::int32_t p = 0; p < 4; ++p) {
      const auto reader = *bus_->OpenReader({"camera_events", Partition(p)}, Offset(0));
      while (reader->position() < info->partitions[static_cast<std::size_t>(p)].visible) {
        const auto batch = reader->Next();
        EXPECT_TRUE(batch) << batch.error().ToString();
        if (!batch || !*batch) break;
        decoder.DecodeRecords((*batch)->encoding, (*batch)->values, decoded);
        EXPECT_TRUE(decoded.rejects.empty());
        for (std::size_t row = 0; row < decoded.rows.rows; ++row) all.emplace(p, decoded.rows.columns[2].int64s[row]);
      }
    }
    return all;
  }
  std::int32_t PartitionFor(int location) const { return Partitioner(4).OfInt64(location).value; }

  const std::string prefix_ = KafkaEngine::Get().NewPrefix();
  const std::string raw_ = "others-" + prefix_ + "raw";
  runtime::SystemClock clock_;
  const ops::Log log_{clock_, ops::LogLevel::kError, [](std::string_view) {}};
  std::unique_ptr<kafka::KafkaBus> bus_;
  std::unique_ptr<registry::RegistryClient> registry_;
  config::Config config_;
};

TEST_F(ConfiguredGates, RecordsInEveryLanguageOfTheRegistryAreTakenOver) {
  // The contract is registered before anybody has made the topic.
  const auto gates = Start();
  const std::uint32_t avro = IdOf(raw_);
  ASSERT_TRUE(registry::Agree(*registry_, raw_ + "-json", gate::CameraEvents(), gate::SchemaFormat::kJson));
  ASSERT_TRUE(registry::Agree(*registry_, raw_ + "-protobuf", gate::CameraEvents(), gate::SchemaFormat::kProtobuf));
  const std::uint32_t json = (*registry_->Latest(raw_ + "-json"))->id;
  const std::uint32_t protobuf = (*registry_->Latest(raw_ + "-protobuf"))->id;
  MakeTopic(raw_);
  Send(raw_, {WireValue(avro, Avro(1, 11)), WireValue(json, Json(2, 12)), WireValue(protobuf, std::string(1, '\0') + Protobuf(3, 13)),
              WireValue(4'000'000'000U, "?"), WireValue(2'000'000'000U, "?"), Json(1, 14), WireValue(avro, Avro(1, 15)).substr(0, 9)});
  ASSERT_TRUE(AwaitIn(*gates, 7));
  const std::multimap<std::int32_t, std::int64_t> expected = {{PartitionFor(1), 11}, {PartitionFor(2), 12}, {PartitionFor(3), 13}};
  EXPECT_EQ(Detections(), expected);
  EXPECT_EQ(gates->status()[0].malformed, 4U);
  // The unknown id is said in its letter.
  std::string causes;
  const auto reader = *bus_->OpenReader({DeadLetterTopic("camera_events"), Partition(0)}, Offset(0));
  ASSERT_TRUE(bus_->Describe(DeadLetterTopic("camera_events")));
  while (const auto batch = *reader->Next()) {
    for (const std::string_view value : batch->values) {
      const auto letter = DecodeDeadLetter(value);
      ASSERT_TRUE(letter);
      EXPECT_EQ(letter->encoding, RecordEncoding::kBinary);
      causes += std::string(letter->cause) + "\n";
    }
  }
  EXPECT_NE(causes.find("4000000000"), std::string::npos) << causes;
}

TEST_F(ConfiguredGates, ASchemaThatContradictsTheContractEndsTheStart) {
  std::string text = registry::RenderSchema(gate::CameraEvents(), gate::SchemaFormat::kAvro);
  const std::string right = R"("name":"detection_oid","type":"long")";
  text.replace(text.find(right), right.size(), R"("name":"detection_oid","type":"string")");
  gate().from = raw_ + "_*";
  MakeTopic(raw_ + "_1");
  ASSERT_TRUE(registry_->Register(registry::ValueSubject(raw_ + "_1"), gate::SchemaFormat::kAvro, text));
  const auto refused = Gates::Start(*bus_, config_, clock_, log_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_NE(refused.error().message.find("dataset camera_events"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("`detection_oid` is int64, required in the contract and string in the schema"), std::string::npos)
      << refused.error().message;
}

TEST_F(ConfiguredGates, ARegistryThatIsDownIsWaitedFor) {
  // It keeps its schemas in memory, and gives the first one after each start the same id.
  RegistryEngine::Get().Stop();
  RegistryEngine::Get().Start();
  MakeTopic(raw_);
  ASSERT_TRUE(registry::Agree(*registry_, registry::ValueSubject(raw_), gate::CameraEvents(), gate::SchemaFormat::kAvro));
  Send(raw_, {WireValue(IdOf(raw_), Avro(1, 1))});
  RegistryEngine::Get().Stop();
  const auto gates = Start();
  ASSERT_TRUE(Await([&] { return !gates->status()[0].registry_answers; }));
  EXPECT_NE(gates->status()[0].error.find(RegistryEngine::Get().url()), std::string::npos) << gates->status()[0].error;
  ops::Health health;
  gates->Watch(&health);
  EXPECT_NE(health.ReadyJson().find("gate/camera_events"), std::string::npos) << health.ReadyJson();
  EXPECT_TRUE(health.ready()) << "what is there can be asked for all the same";
  std::this_thread::sleep_for(seconds(2));
  EXPECT_EQ(gates->status()[0].in, 0U);
  RegistryEngine::Get().Start();
  ASSERT_TRUE(AwaitIn(*gates, 1));
  EXPECT_EQ(gates->status()[0].accepted, 1U);
  EXPECT_TRUE(Await([&] { return gates->status()[0].registry_answers; }));
  gates->Watch(&health);
  EXPECT_EQ(health.ReadyJson().find("gate/camera_events"), std::string::npos) << health.ReadyJson();
}

TEST_F(ConfiguredGates, PlainProtobufNeedsNoRegistry) {
  gate() = config::GateConfig{.from = raw_, .format = config::GateFormat::kProtobuf, .schema = config::SchemaLanguage::kAvro};
  config_.drivers.bus.registry.reset();
  MakeTopic(raw_);
  Send(raw_, {Protobuf(1, 1), Protobuf(2, 2), "\xff"});
  const auto gates = Start();
  ASSERT_TRUE(AwaitIn(*gates, 3));
  const std::multimap<std::int32_t, std::int64_t> expected = {{PartitionFor(1), 1}, {PartitionFor(2), 2}};
  EXPECT_EQ(Detections(), expected);
  ops::Metrics metrics;
  const auto collector = metrics.AddCollector([&](ops::Metrics::Sink& sink) { CollectGates(gates->status(), sink); });
  const std::string page = metrics.Render();
  EXPECT_NE(page.find(R"(sightline_gate_records_total{dataset="camera_events",verdict="accepted"} 2)"), std::string::npos) << page;
  EXPECT_NE(page.find(R"(sightline_gate_records_total{dataset="camera_events",verdict="malformed"} 1)"), std::string::npos) << page;
}

}  // namespace
}  // namespace sightline::app
