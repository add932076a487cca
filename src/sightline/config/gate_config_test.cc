// datasets.NAME.gate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/config/config.h"
#include "sightline/config/describe.h"
#include "sightline/config/testing/memory_files.h"

namespace sightline::config {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
      - name: place
        logicalType: integer
        physicalType: int64
        required: true
        customProperties: [{property: protobufNumber, value: 1, vendor: sightline}]
      - name: happened
        logicalType: integer
        physicalType: int64
        required: true
        customProperties: [{property: eventTime, value: true, vendor: sightline}]
)";

constexpr const char* kKafka = "type: kafka, brokers: [\"a:1\"], prefix: sightline.";
constexpr const char* kRegistry = "type: kafka, brokers: [\"a:1\"], prefix: sightline., registry: {url: \"https://r/apis\"}";

class GateConfigTest : public ::testing::Test {
 protected:
  GateConfigTest() { files_.files["conf/events.odcs.yaml"] = kEvents; }
  Loaded Load(const std::string& bus, const std::string& gate) {
    files_.files["conf/c.yaml"] = "sightline: 1\ndrivers: {bus: {" + bus +
                                  "}}\n"
                                  "datasets:\n  events:\n    contract: events.odcs.yaml\n    partition_by: place\n    gate: {" +
                                  gate + "}\n    watermark: {on: happened}\n";
    return LoadConfigReportingAll(files_, "conf/c.yaml", options_);
  }
  // All mistakes as one text.
  std::string Said(const std::string& bus, const std::string& gate) {
    std::string all;
    for (const Mistake& mistake : Load(bus, gate).mistakes) all += mistake.ToString() + "\n";
    return all;
  }
  MemoryFiles files_;
  LoadOptions options_;
};

TEST_F(GateConfigTest, OneTopicOrAPattern) {
  const Loaded one = Load(kKafka, "from: raw_camera_events");
  ASSERT_TRUE(one.config) << one.mistakes.at(0).ToString();
  ASSERT_TRUE(one.config->datasets[0].gate);
  EXPECT_EQ(one.config->datasets[0].gate->from, "raw_camera_events");
  EXPECT_EQ(one.config->datasets[0].gate->format, GateFormat::kJson);
  const Loaded pattern = Load(kRegistry, "from: Raw.*, format: confluent, schema: json");
  ASSERT_TRUE(pattern.config) << pattern.mistakes.at(0).ToString();
  EXPECT_EQ(pattern.config->datasets[0].gate->from, "Raw.*");
  EXPECT_EQ(pattern.config->datasets[0].gate->format, GateFormat::kConfluent);
  EXPECT_EQ(pattern.config->datasets[0].gate->schema, SchemaLanguage::kJson);
  std::string shown;
  for (const Setting& setting : Settings(*pattern.config)) shown += setting.path + " = " + setting.value + "\n";
  EXPECT_THAT(shown, HasSubstr("datasets.events.gate.from = Raw.*\n"));
  EXPECT_THAT(shown, HasSubstr("datasets.events.gate.format = confluent\n"));
}

TEST_F(GateConfigTest, WithoutAGateThereIsNone) {
  files_.files["conf/c.yaml"] =
      "sightline: 1\ndatasets: {events: {contract: events.odcs.yaml, partition_by: place, watermark: {on: happened}}}\n";
  const Loaded loaded = LoadConfigReportingAll(files_, "conf/c.yaml", options_);
  ASSERT_TRUE(loaded.config);
  EXPECT_FALSE(loaded.config->datasets[0].gate);
}

TEST_F(GateConfigTest, OnTheEmbeddedLogEventsComeInByIngest) {
  EXPECT_EQ(Said("type: log", "from: raw_*"),
            "conf/c.yaml:7:11: datasets.events.gate: nobody else writes to the embedded log: there events come in by ingest; leave `gate` "
            "out and send events to POST /v1/datasets/events/events or by `sightline send`, or write drivers.bus.type: kafka\n");
}

TEST_F(GateConfigTest, SaysWhatIsWrongAndWhatIsMeant) {
  EXPECT_THAT(Said(kKafka, "format: json"), HasSubstr("datasets.events.gate.from is missing; for example from: raw_camera_events_*"));
  EXPECT_THAT(Said(kKafka, "from: \"raw events\""), HasSubstr(R"("raw events" is no topic of Kafka; a topic has letters, digits)"));
  EXPECT_THAT(Said(kKafka, "from: \"\""), HasSubstr(R"("" is no topic of Kafka)"));
  EXPECT_THAT(Said(kKafka, "from: raw, format: avro"), HasSubstr("datasets.events.gate.format cannot be \"avro\""));
  EXPECT_EQ(Said(kKafka, "from: raw, format: confluent"),
            "conf/c.yaml:7:31: datasets.events.gate.format: `confluent` values name schemas of a registry, and there is none; add "
            "drivers.bus.registry: {url: ...}\n");
  EXPECT_THAT(Said(kRegistry, "from: raw, schema: avro"), HasSubstr("only `format: confluent` has a registry; leave it out"));
}

TEST_F(GateConfigTest, ProtobufNeedsNumbers) {
  EXPECT_THAT(Said(kKafka, "from: raw, format: protobuf"),
              HasSubstr(R"(the contract gives its required field "happened" no Protobuf number: every record would lack it)"));
  EXPECT_THAT(Said(kRegistry, "from: raw, format: confluent, schema: protobuf"), HasSubstr(R"(.gate.schema: the contract gives)"));
  EXPECT_THAT(Said(kRegistry, "from: raw, format: confluent"), IsEmpty());
}

TEST_F(GateConfigTest, AGateReadsNothingOfOurs) {
  EXPECT_THAT(Said(kKafka, "from: sightline.events"), HasSubstr(R"("sightline.events" takes in "sightline.events", a topic of ours)"));
  EXPECT_THAT(Said(kKafka, "from: \"*events\""), HasSubstr("write a narrower pattern, or set drivers.bus.prefix"));
  EXPECT_THAT(Said(kKafka, "from: \"sightline.dead*\""), HasSubstr("sightline.dead_letters.events"));
  EXPECT_THAT(Said(kKafka, "from: \"__*\""), HasSubstr("a topic of Kafka's own"));
  // The name without prefix is another topic.
  EXPECT_THAT(Said(kKafka, "from: events"), IsEmpty());
  EXPECT_THAT(Said("type: kafka, brokers: [\"a:1\"]", "from: events"), HasSubstr("the accepted events need a topic of their own"));
}

}  // namespace
}  // namespace sightline::config
