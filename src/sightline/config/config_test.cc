#include "sightline/config/config.h"

#include <fstream>
#include <iterator>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/config/describe.h"
#include "sightline/config/table.h"
#include "sightline/config/testing/memory_files.h"
#include "sightline/runtime/posix_file_system.h"

namespace sightline::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kContract = R"(apiVersion: v3.2.0
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
      - {name: camera, logicalType: integer, physicalType: int64, required: true}
      - {name: id, logicalType: integer, physicalType: int64, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: item, logicalType: string, required: true}
      - name: happened
        logicalType: integer
        physicalType: int64
        required: true
        customProperties: [{property: eventTime, value: true, vendor: sightline}]
)";
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
      - {name: title, logicalType: string, required: true}
)";
constexpr const char* kGood = R"(sightline: 1
datasets:
  events:
    contract: events.odcs.yaml
    partitions: 4
    partition_by: place
    determines: {id: [camera], camera: place}
    watermark: {on: happened}
references:
  places: {contract: places.odcs.yaml, from: places.csv, key: place}
pipelines:
  counts:
    from: events
    steps:
      - where: item <> 'shadow'
      - derive: {twice: id * 2}
      - dedupe: {by: [id], within: 24h}
      - window: {sliding: 60s, every: 5s, allowed_lateness: 10s}
      - aggregate: {by: [place, item], n: count(), most: max(id)}
      - enrich: {with: places, on: place, missing: drop}
    to: [live]
  top:
    from: counts
    steps: [{rank: {within: [window_start], by: n}}]
)";

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    files_.files["conf/events.odcs.yaml"] = kContract;
    files_.files["conf/places.odcs.yaml"] = kPlaces;
    files_.files["conf/places.csv"] = "place,title\n";
    options_.environment = [](const std::string& name) -> std::optional<std::string> {
      if (name == "LONG") return "0123456789abcdef0123456789abcdef";
      if (name == "SHORT") return "secret";
      return std::nullopt;
    };
  }
  Loaded Load(const std::string& text) {
    files_.files["conf/c.yaml"] = text;
    return LoadConfigReportingAll(files_, "conf/c.yaml", options_);
  }
  // The messages, without the directory.
  std::vector<std::string> Mistakes(const std::string& text) {
    std::vector<std::string> lines;
    for (const Mistake& mistake : Load(text).mistakes) lines.push_back(mistake.ToString());
    return lines;
  }
  // kGood with the first `from` replaced.
  static std::string Changed(const std::string& from, const std::string& to) {
    std::string text = kGood;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }
  MemoryFiles files_;
  LoadOptions options_;
};

TEST_F(ConfigTest, ReadsEverySettingAndFillsInDefaults) {
  const Loaded loaded = Load(kGood);
  ASSERT_TRUE(loaded.config) << loaded.mistakes.at(0).ToString();
  const Config& config = *loaded.config;
  EXPECT_EQ(config.data, "conf/data");
  EXPECT_EQ(config.listen.http, (Endpoint{"127.0.0.1", 8080}));
  EXPECT_EQ(config.drivers.bus.durability, bus::Durability::kFsync);
  EXPECT_EQ(config.limits.ingest.body_max, 64ULL << 20);
  EXPECT_EQ(config.checkpoint.interval, std::chrono::seconds(1));
  EXPECT_FALSE(config.listen.tls);

  const DatasetConfig& events = config.datasets.at(0);
  EXPECT_EQ(events.topic, "events");
  EXPECT_EQ(events.partitions, 4);
  EXPECT_EQ(events.watermark.on, "happened");
  EXPECT_EQ(events.watermark.out_of_orderness, std::chrono::seconds(30));
  EXPECT_EQ(events.contract.schema.fields.size(), 5U);
  EXPECT_THAT(events.ImpliesPartition(), ElementsAre("id", "camera"));
  const bus::TopicSpec topic = config.TopicOf(events);
  EXPECT_EQ(topic.partitions, 4);
  EXPECT_EQ(topic.retain_time, std::chrono::hours(24 * 7));

  const PipelineSpec& counts = *config.FindPipeline("counts");
  ASSERT_EQ(counts.steps.size(), 6U);
  EXPECT_EQ(std::get<WhereStep>(counts.steps[0].step).expression, "item <> 'shadow'");
  EXPECT_EQ(std::get<DeriveStep>(counts.steps[1].step).columns.at(0), (std::pair<std::string, std::string>("twice", "id * 2")));
  EXPECT_EQ(std::get<DedupeStep>(counts.steps[2].step).within, std::chrono::hours(24));
  const auto& window = std::get<WindowStep>(counts.steps[3].step);
  EXPECT_EQ(window.size, std::chrono::seconds(60));
  EXPECT_EQ(window.every, std::chrono::seconds(5));
  EXPECT_EQ(window.allowed_lateness, std::chrono::seconds(10));
  const auto& aggregate = std::get<AggregateStep>(counts.steps[4].step);
  EXPECT_THAT(aggregate.by, ElementsAre("place", "item"));
  EXPECT_THAT(aggregate.columns,
              ElementsAre(std::pair<std::string, std::string>("n", "count()"), std::pair<std::string, std::string>("most", "max(id)")));
  EXPECT_EQ(std::get<EnrichStep>(counts.steps[5].step).missing, EnrichStep::Missing::kDrop);
  EXPECT_EQ(counts.steps[2].place.line, 17);
  EXPECT_TRUE(counts.to_live);
  EXPECT_FALSE(counts.to_statistics);
  const PipelineSpec& top = *config.FindPipeline("top");
  EXPECT_EQ(std::get<RankStep>(top.steps[0].step).top, 10);
  EXPECT_EQ(config.RootOf(top)->name, "events");
  EXPECT_THAT(config.ChainOf(top), ElementsAre(&counts, &top));
}

struct BadCase {
  const char* name;
  const char* from;
  const char* to;
  const char* message;  // the whole of the only mistake
};
void PrintTo(const BadCase& bad, std::ostream* out) { *out << bad.name; }
class BadConfigTest : public ConfigTest, public ::testing::WithParamInterface<BadCase> {};

TEST_P(BadConfigTest, SaysWhatWhereAndWhatWasMeant) {
  EXPECT_THAT(Mistakes(Changed(GetParam().from, GetParam().to)), ElementsAre(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Golden, BadConfigTest,
    ::testing::Values(
        BadCase{"UnknownSetting", "    partitions: 4", "    partition: 4",
                R"(conf/c.yaml:5:5: unknown setting "partition" in datasets.events; did you mean "partitions"?)"},
        BadCase{"Misplaced", "    partitions: 4", "    idle_after: 4s",
                R"(conf/c.yaml:5:5: unknown setting "idle_after" in datasets.events; it belongs below "watermark")"},
        BadCase{"AtTheTop", "sightline: 1", "sightline: 1\nlissten: {}",
                R"(conf/c.yaml:2:1: unknown setting "lissten"; did you mean "listen"?)"},
        BadCase{"Twice", "    partitions: 4", "    partitions: 4\n    partitions: 5",
                R"(conf/c.yaml:6:5: "partitions" stands twice in datasets.events; keep one of the two)"},
        BadCase{"OtherVersion", "sightline: 1", "sightline: 2", "conf/c.yaml:1:12: sightline must be between 1 and 1, not 2"},
        BadCase{"NoVersion", "sightline: 1\n", "", "conf/c.yaml:1:1: sightline is missing; for example sightline: 1"},
        BadCase{
            "NoUnit", "within: 24h", "within: 24",
            R"(conf/c.yaml:17:36: pipelines.counts.steps[2].dedupe.within: the unit is missing in "24"; did you mean "24s"? Units are ms, s, m, h, d)"},
        BadCase{
            "WrongUnit", "within: 24h", "within: 24hours",
            R"(conf/c.yaml:17:36: pipelines.counts.steps[2].dedupe.within: "24hours" is not a duration: unknown unit "hours" (known: ms, s, m, h, d); write a whole number and a unit, such as 250ms, 30s, 5m or 24h)"},
        BadCase{"NotANumber", "partitions: 4", "partitions: four",
                R"(conf/c.yaml:5:17: datasets.events.partitions must be a whole number, not "four")"},
        BadCase{"QuotedNumber", "partitions: 4", "partitions: \"4\"",
                R"(conf/c.yaml:5:17: datasets.events.partitions must be a whole number, not "4", a text; write it without quotes)"},
        BadCase{"OutOfBounds", "partitions: 4", "partitions: 0",
                "conf/c.yaml:5:17: datasets.events.partitions must be between 1 and 1024, not 0"},
        BadCase{"MoreThanTheLiveBoardGives", "sightline: 1", "sightline: 1\nlive: {rate: 101}",
                "conf/c.yaml:2:14: live.rate must be between 1 and 100, not 101"},
        BadCase{"RareCommits", "sightline: 1", "sightline: 1\ncheckpoint: {interval: 2s}",
                "conf/c.yaml:2:24: checkpoint.interval must be between 10ms and 1s, not 2s"},
        BadCase{"ListForScalar", "partitions: 4", "partitions: [4]",
                "conf/c.yaml:5:17: datasets.events.partitions must be a whole number, not a list; for example partitions: 1"},
        BadCase{"UnknownField", "partition_by: place", "partition_by: plaec",
                R"(conf/c.yaml:6:19: datasets.events.partition_by: the contract "events" has no field "plaec"; did you mean "place"?)"},
        BadCase{"NotTheEventTime", "on: happened", "on: id",
                R"(conf/c.yaml:8:21: datasets.events.watermark.on: "id" is not the contract's event-time field; did you mean "happened"?)"},
        BadCase{
            "NoContract", "contract: events.odcs.yaml", "contract: event.odcs.yaml",
            R"(conf/c.yaml:4:15: datasets.events.contract: there is no file conf/event.odcs.yaml; paths are relative to "conf/c.yaml")"},
        BadCase{"NoTable", "from: places.csv", "from: place.csv",
                R"(conf/c.yaml:10:46: references.places.from: there is no file conf/place.csv; paths are relative to "conf/c.yaml")"},
        BadCase{
            "TableOfNoKind", "from: places.csv", "from: places.xls",
            R"(conf/c.yaml:10:46: references.places.from: "conf/places.xls" is of no known kind; it must end in .csv, .json, .ndjson or .parquet)"},
        BadCase{"UnknownSource", "from: events", "from: event",
                R"(conf/c.yaml:13:11: pipelines.counts.from: no dataset and no pipeline is named "event"; did you mean "events"?)"},
        BadCase{
            "ReferenceAsSource", "from: events", "from: places",
            R"(conf/c.yaml:13:11: pipelines.counts.from: no dataset and no pipeline is named "places"; it is a reference, for an enrich step)"},
        BadCase{"UnknownReference", "with: places", "with: place",
                R"(conf/c.yaml:20:24: pipelines.counts.steps[5].enrich.with: no reference is named "place"; did you mean "places"?)"},
        BadCase{"UnknownStep",
                "- dedupe:", "- dedup:", R"(conf/c.yaml:17:9: unknown step "dedup" in pipelines.counts.steps; did you mean "dedupe"?)"},
        BadCase{"TwoStepsInOne", "- dedupe: {by: [id], within: 24h}\n      - window", "- dedupe: {by: [id], within: 24h}\n        window",
                R"(conf/c.yaml:17:9: pipelines.counts.steps[2] must be a map with one step, not 2 of them; begin each step with "- ")"},
        BadCase{"ShortHorizon", "within: 24h", "within: 65s",
                "conf/c.yaml:17:36: pipelines.counts.steps[2].dedupe.within: 65s is shorter than window plus allowed lateness, 70s: a "
                "duplicate could be counted; write at least 70s"},
        BadCase{
            "KeyOverPartitions", "determines: {id: [camera], camera: place}", "determines: {id: [camera]}",
            R"(conf/c.yaml:17:22: pipelines.counts.steps[2].dedupe.by: the key [id] does not determine "place", by which events is partitioned: equal ones could lie in two partitions; add place, or say in datasets.events what they determine: `determines: {id: [place]}`)"},
        BadCase{
            "GroupOverPartitions", "by: [place, item]", "by: [item]",
            R"(conf/c.yaml:19:25: pipelines.counts.steps[4].aggregate.by: the group [item] does not determine "place", by which events is partitioned: equal ones could lie in two partitions; add place, or say in datasets.events what they determine: `determines: {item: [place]}`; groups over all partitions belong in a second pipeline `from: counts`, or run it on Flink (`engine: flink`))"},
        BadCase{"SlidingByHalves", "every: 5s", "every: 7s",
                "conf/c.yaml:18:27: pipelines.counts.steps[3].window: 1m is not a multiple of `every`, 7s"},
        BadCase{"NoWindowSize", "{sliding: 60s, every: 5s, allowed_lateness: 10s}", "{allowed_lateness: 10s}",
                "conf/c.yaml:18:17: pipelines.counts.steps[3].window has no size; write {tumbling: 1m} or {sliding: 60s, every: 5s}"},
        BadCase{"Zone", "{sliding: 60s, every: 5s, allowed_lateness: 10s}", "{tumbling: 60s, zone: Asia/Singapore}",
                "conf/c.yaml:18:33: pipelines.counts.steps[3].window.zone: this build aligns windows to UTC alone; leave `zone` out"},
        BadCase{"UnknownSink", "to: [live]", "to: [live, statistic]",
                R"(conf/c.yaml:21:16: pipelines.counts.to cannot be "statistic"; did you mean "statistics"?)"},
        BadCase{"KafkaWithoutBrokers", "sightline: 1", "sightline: 1\ndrivers: {bus: {type: kafka}}",
                "conf/c.yaml:2:16: drivers.bus: Kafka needs `brokers`; write brokers: [host:9092]"},
        BadCase{
            "KafkaBrokerWithoutPort", "sightline: 1", "sightline: 1\ndrivers: {bus: {type: kafka, brokers: [a]}}",
            R"(conf/c.yaml:2:40: drivers.bus.brokers: "a" is not an address: the port is missing; write host:port, such as 127.0.0.1:8080 or [::1]:8080)"},
        BadCase{"SettingOfTheOtherBus", "sightline: 1", "sightline: 1\ndrivers: {bus: {brokers: [\"a:1\"]}}",
                "conf/c.yaml:2:26: drivers.bus.brokers: it is a setting of the other driver, `type: kafka`; leave it out, or write `type: "
                "kafka`"},
        BadCase{"DurabilityOnKafka", "sightline: 1", "sightline: 1\ndrivers: {bus: {type: kafka, brokers: [\"a:1\"], durability: os}}",
                "conf/c.yaml:2:60: drivers.bus.durability: it is a setting of the other driver, `type: log`; leave it out: on Kafka "
                "acknowledged means on `min_insync` replicas"},
        BadCase{
            "PlainPasswordInClear", "sightline: 1",
            "sightline: 1\ndrivers: {bus: {type: kafka, brokers: [\"a:1\"], sasl: {mechanism: plain, user: u, password: {env: SHORT}}}}",
            "conf/c.yaml:2:54: drivers.bus.sasl: `plain` without TLS tells the password to everybody on the way; add tls: {}, or use "
            "scram-sha-512"},
        BadCase{"MoreInSyncThanReplicas", "sightline: 1", "sightline: 1\ndrivers: {bus: {type: kafka, brokers: [\"a:1\"], replication: 1}}",
                "conf/c.yaml:2:16: drivers.bus.min_insync: 2 copies cannot be there of 1; make it at most `replication`, better one less"},
        BadCase{"PostgresWithoutUrl", "sightline: 1", "sightline: 1\ndrivers: {statistics: {type: postgres}}",
                "conf/c.yaml:2:23: drivers.statistics: a Postgres store needs url; for example url: {env: PG_URL}"},
        BadCase{"PostgresUrlInTheFile", "sightline: 1",
                "sightline: 1\ndrivers: {statistics: {type: postgres, url: \"postgresql://u:hunter2@h/d\"}}",
                "conf/c.yaml:2:45: drivers.statistics.url: a secret must not stand in the file; write {env: NAME}, {file: path} or "
                "{credential: NAME}"},
        BadCase{"PostgresUrlNotSet", "sightline: 1", "sightline: 1\ndrivers: {statistics: {type: postgres, url: {env: NONE}}}",
                R"(conf/c.yaml:2:51: drivers.statistics.url: the environment variable "NONE" is not set)"},
        BadCase{
            "SchemaOfDuckdb", "sightline: 1", "sightline: 1\ndrivers: {statistics: {type: duckdb, schema: x}}",
            "conf/c.yaml:2:46: drivers.statistics.schema: the embedded store has no such setting; write type: postgres, or leave it out"},
        BadCase{"PostgresAuthority", "sightline: 1",
                "sightline: 1\ndrivers: {statistics: {type: postgres, url: {env: LONG}, tls: {ca: no.pem}}}",
                "conf/c.yaml:2:68: drivers.statistics.tls.ca: there is no file conf/no.pem"},
        BadCase{"TableFromNowhere", "from: places.csv, ", "",
                "conf/c.yaml:10:3: references.places: neither from nor postgres; for example from: references/locations.csv"},
        BadCase{"TableFromTwoPlaces", "from: places.csv, ", "from: places.csv, postgres: {url: {env: LONG}, table: places}, ",
                "conf/c.yaml:10:3: references.places: both from and postgres; keep one of the two"},
        BadCase{"OpenToAll", "sightline: 1", "sightline: 1\nlisten: {http: \"0.0.0.0:8080\"}",
                "conf/c.yaml:2:16: listen.http: others can reach 0.0.0.0:8080, which needs listen.tls and access.tokens; add listen.tls "
                "and access.tokens, or listen on 127.0.0.1:8080"},
        BadCase{
            "NoPort", "sightline: 1", "sightline: 1\nlisten: {http: localhost}",
            R"(conf/c.yaml:2:16: listen.http: "localhost" is not an address: the port is missing; write host:port, such as 127.0.0.1:8080 or [::1]:8080)"},
        BadCase{"PlainSecret", "sightline: 1", "sightline: 1\naccess: {tokens: [{name: a, token: hunter2}]}",
                "conf/c.yaml:2:36: access.tokens[0].token: a secret must not stand in the file; write {env: NAME}, {file: path} or "
                "{credential: NAME}"},
        BadCase{"UnsetSecret", "sightline: 1", "sightline: 1\naccess: {tokens: [{name: a, token: {env: NONE}}]}",
                R"(conf/c.yaml:2:42: access.tokens[0].token: the environment variable "NONE" is not set)"},
        BadCase{"ShortSecret", "sightline: 1", "sightline: 1\naccess: {tokens: [{name: a, token: {env: SHORT}}]}",
                "conf/c.yaml:2:36: access.tokens[0].token: shorter than 16 characters: it could be guessed; openssl rand -hex 32"},
        BadCase{"Circle", "from: events", "from: top",
                "conf/c.yaml:13:11: pipelines.counts.from: counts reads from top reads from counts: a circle; begin from a dataset"},
        BadCase{"NotYaml", "sightline: 1", "sightline: [1", "conf/c.yaml:2:9: not valid YAML: end of sequence flow not found"}),
    [](const auto& instance) { return instance.param.name; });

TEST_F(ConfigTest, ReportsAllMistakesAtOnceInOrderOfTheirPlace) {
  const auto lines = Mistakes(R"(sightline: 1
dta: x
datasets:
  events:
    contract: events.odcs.yaml
    partitions: many
    partition_by: place
    watermark: {on: happened, idle_after: 10}
pipelines:
  counts:
    from: nothing
    steps: [{wndow: {tumbling: 1m}}]
)");
  ASSERT_EQ(lines.size(), 5U);
  for (std::size_t i = 0; const char* place :
                          {"conf/c.yaml:2:1: ", "conf/c.yaml:6:17: ", "conf/c.yaml:8:43: ", "conf/c.yaml:11:11: ", "conf/c.yaml:12:14: "}) {
    EXPECT_THAT(lines[i++], ::testing::StartsWith(place));
  }
}

TEST_F(ConfigTest, MistakesOfAContractNameTheContractsFile) {
  files_.files["conf/events.odcs.yaml"] = "apiVersion: v3.2.0\nkind: DataContract\nnonsense: 1\n";
  const auto lines = Mistakes(kGood);
  ASSERT_FALSE(lines.empty());
  for (const std::string& line : lines) EXPECT_THAT(line, ::testing::StartsWith("conf/events.odcs.yaml:"));
}

TEST_F(ConfigTest, AMissingFileSaysSo) {
  const auto missing = LoadConfig(files_, "nowhere.yaml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("there is no configuration file nowhere.yaml"));
}

TEST_F(ConfigTest, AliasesWithinLimits) {
  EXPECT_TRUE(Load(Changed("from: places.csv", "from: &table places.csv")).config);
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c <= 'k'; ++c) {
    const std::string before(1, static_cast<char>(c - 1));
    bomb += std::string(1, c) + ": &" + c + " [*" + before;
    for (int i = 0; i < 9; ++i) bomb += ", *" + before;
    bomb += "]\n";
  }
  EXPECT_THAT(Mistakes(bomb), ElementsAre(HasSubstr("more than 200000 values")));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += '[';
  EXPECT_THAT(Mistakes(deep), ElementsAre(HasSubstr("not valid YAML")));
}

TEST_F(ConfigTest, OverridesGoBeforeTheFileAndAreRelativeToTheWorkingDirectory) {
  options_.overrides = {{"data", "elsewhere", "--data"}, {"listen.http", "127.0.0.1:0", "--listen"}};
  const Loaded loaded = Load(kGood);
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(loaded.config->data, "elsewhere");
  EXPECT_EQ(loaded.config->listen.http.port, 0);
  EXPECT_EQ(loaded.config->listen.health.port, 8081);
  options_.overrides = {{"listen.http", "nonsense", "--listen"}};
  EXPECT_THAT(Mistakes(kGood), ElementsAre(::testing::StartsWith("--listen: listen.http: \"nonsense\" is not an address")));
}

TEST_F(ConfigTest, OtherAddressesAreAllowedWithTlsAndTokens) {
  files_.files["conf/s.pem"] = files_.files["conf/s.key"] = "x";
  const std::string text = Changed("sightline: 1", R"(sightline: 1
listen: {http: "[::]:8443", tls: {certificate: s.pem, key: s.key}}
access: {tokens: [{name: a, token: {env: LONG}, permissions: [admin]}]})");
  const Loaded loaded = Load(text);
  ASSERT_TRUE(loaded.config) << loaded.mistakes.at(0).ToString();
  EXPECT_EQ(loaded.config->access.tokens.at(0).token.reveal(), "0123456789abcdef0123456789abcdef");
}

TEST_F(ConfigTest, SettingsTellWhereEachValueComesFromAndHideSecrets) {
  options_.overrides = {{"data", "elsewhere", "--data"}};
  const Loaded loaded = Load(Changed("sightline: 1", "sightline: 1\naccess: {tokens: [{name: a, token: {env: LONG}}]}"));
  ASSERT_TRUE(loaded.config);
  std::map<std::string, Setting> by_path;
  for (const Setting& setting : Settings(*loaded.config)) {
    EXPECT_THAT(setting.value, ::testing::Not(HasSubstr("0123456789abcdef")));
    EXPECT_TRUE(by_path.emplace(setting.path, setting).second) << setting.path;
  }
  EXPECT_EQ(by_path.at("data").value, "elsewhere");
  EXPECT_EQ(by_path.at("data").origin, "--data");
  EXPECT_EQ(by_path.at("datasets.events.partitions").value, "4");
  EXPECT_EQ(by_path.at("datasets.events.partitions").origin, "conf/c.yaml:6");
  EXPECT_EQ(by_path.at("datasets.events.retain.time").value, "7d");
  EXPECT_EQ(by_path.at("datasets.events.retain.time").origin, "default");
  EXPECT_EQ(by_path.at("access.tokens[0].token").value, "(secret from env LONG)");
  EXPECT_EQ(by_path.at("pipelines.counts.steps[3].window").value, "{sliding: 1m, every: 5s, allowed_lateness: 10s}");
  EXPECT_EQ(by_path.at("pipelines.counts.steps[4].aggregate").value, "{by: [place, item], n: count(), most: max(id)}");
  EXPECT_EQ(by_path.at("pipelines.counts.to").value, "[live]");
}

TEST(ConfigTable, EveryDefaultIsAValueOfItsKindAndEverySettingIsExplained) {
  std::set<const Section*> seen;
  const std::function<void(const Section&)> walk = [&](const Section& section) {
    if (!seen.insert(&section).second) return;
    for (const Property& property : section.properties) {
      EXPECT_FALSE(property.help.empty()) << property.name;
      EXPECT_FALSE(property.required && !property.default_text.empty()) << property.name;
      EXPECT_EQ(property.nested(), property.access.open != nullptr) << property.name;
      if (property.section != nullptr) walk(*property.section);
    }
  };
  walk(RootSection());
  walk(StepSection());
  EXPECT_GT(seen.size(), 15U);
}

TEST(Endpoints, KnowWhatOnlyThisMachineCanReach) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"}) EXPECT_TRUE(ParseEndpoint(text)->loopback()) << text;
  for (const char* text : {"0.0.0.0:1", "128.0.0.1:1", "127.0.0.1.evil.example:1", "[::]:1", "example.org:1", "127.0.0:1"})
    EXPECT_FALSE(ParseEndpoint(text)->loopback()) << text;
  for (const char* text : {"", ":1", "host", "host:", "host:65536", "host:-1", "::1:80", "[::1:80", "ho st:1", "http://x:1"})
    EXPECT_FALSE(ParseEndpoint(text)) << text;
}

// What ships, and what is generated from the table, kept with it.
class ShippedFiles : public ::testing::Test {
 protected:
  static std::string Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(in) << path;
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
};
TEST_F(ShippedFiles, ThePresetIsWithoutMistakes) {
  runtime::PosixFileSystem files;
  const auto config = LoadConfig(files, "presets/top-items/sightline.yaml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->pipelines.size(), 3U);
  EXPECT_EQ(config->datasets[0].partitions, 8);
}
TEST_F(ShippedFiles, ThePresetsForEnginesDifferInDriversAlone) {
  runtime::PosixFileSystem files;
  LoadOptions options;
  options.environment = [](const std::string& name) -> std::optional<std::string> {
    return name == "PG_URL" ? "postgresql://u:p@127.0.0.1/sightline" : "a-value";
  };
  const auto behind_drivers = [](const std::string& path) {
    const std::string text = Read(path);
    return text.substr(text.find("\ndatasets:"));
  };
  for (const char* name : {"kafka.yaml", "kafka-s3-postgres.yaml"}) {
    const std::string path = std::string("presets/top-items/") + name;
    const auto config = LoadConfig(files, path, options);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->drivers.bus.type, BusType::kKafka);
    EXPECT_EQ(behind_drivers(path), behind_drivers("presets/top-items/sightline.yaml")) << path;
  }
}
TEST_F(ShippedFiles, TheDocumentationIsThatOfTheTable) {
  EXPECT_EQ(Read("docs/configuration.md"), Documentation()) << "run: sightline config docs > docs/configuration.md";
}
TEST_F(ShippedFiles, TheSchemaIsThatOfTheTable) {
  EXPECT_EQ(Read("schema/sightline.schema.json"), JsonSchema()) << "run: sightline config schema > schema/sightline.schema.json";
}

}  // namespace
}  // namespace sightline::config
