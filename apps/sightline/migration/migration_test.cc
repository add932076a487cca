// What a migration decides without any engine.
#include "apps/sightline/migration/migration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/sightline/commands.h"
#include "apps/sightline/migration/mark.h"
#include "apps/sightline/migration/owner.h"
#include "apps/sightline/migration/record_cursor.h"
#include "apps/sightline/migration/topic_copy.h"
#include "apps/sightline/testing/world.h"
#include "sightline/bus/testing/simulated_log.h"
#include "sightline/model/replay.h"
#include "sightline/stores/objects/embedded/file_store.h"

namespace sightline::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MigrationTest : public ::testing::Test {
 protected:
  MigrationTest() {
    for (const char* file : {"contracts/camera_events.odcs.yaml", "contracts/locations.odcs.yaml", "references/locations.csv"}) {
      test_.Write(file, Read(std::string("presets/top-items/") + file));
    }
    test_.Write("sightline.yaml", Read("presets/top-items/sightline.yaml"));
    test_.environment = {{"PG_URL", "postgresql://127.0.0.1:1/none"}, {"S3_ACCESS_KEY", "key"}, {"S3_SECRET_KEY", "secret"}};
  }
  static std::string Read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string Path(const std::string& name) const { return test_.directory + "/" + name; }
  // The preset with the other drivers, with some text replaced.
  config::Config Target(const std::string& old = "", const std::string& replacement = "") {
    std::string text = Read("presets/top-items/kafka-s3-postgres.yaml");
    if (!old.empty()) {
      const std::size_t at = text.find(old);
      EXPECT_NE(at, std::string::npos) << old;
      text.replace(at, old.size(), replacement);
    }
    test_.Write("target.yaml", text);
    return Load("target.yaml");
  }
  config::Config Load(const std::string& name) {
    auto loaded = Context(test_.world).LoadConfig(Path(name));
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded ? std::move(*loaded) : config::Defaults();
  }
  std::string WhyNot(const config::Config& to) {
    const Status can = CheckMigratable(test_.files, Load("sightline.yaml"), to);
    return can ? "" : can.error().message;
  }

  TestWorld test_;
};

TEST_F(MigrationTest, PresetsDifferInWhatMayDifferAlone) {
  EXPECT_EQ(WhyNot(Target()), "");
  EXPECT_EQ(WhyNot(Target("http: 127.0.0.1:8080", "http: 127.0.0.1:9090")), "");
}

TEST_F(MigrationTest, OtherSettingsAreNamedWithTheirPlaces) {
  const std::string why = WhyNot(Target("out_of_orderness: 30s", "out_of_orderness: 31s"));
  EXPECT_THAT(why, HasSubstr("datasets.camera_events.watermark.out_of_orderness: 30s (" + Path("sightline.yaml:")));
  EXPECT_THAT(why, HasSubstr("31s (" + Path("target.yaml:")));
  EXPECT_THAT(WhyNot(Target("partitions: 8", "partitions: 9")), HasSubstr("datasets.camera_events.partitions"));
  EXPECT_THAT(WhyNot(Target("top: 10", "top: 11")), HasSubstr("rank"));
  EXPECT_THAT(WhyNot(Target("datasets:\n", "checkpoint: {interval: 500ms}\ndatasets:\n")), HasSubstr("checkpoint.interval"));
}

TEST_F(MigrationTest, ContractsMayLieElsewhereAndMustBeTheSame) {
  test_.Write("elsewhere/locations.odcs.yaml", Read("presets/top-items/contracts/locations.odcs.yaml"));
  EXPECT_EQ(WhyNot(Target("contract: contracts/locations.odcs.yaml", "contract: elsewhere/locations.odcs.yaml")), "");
  test_.Write("elsewhere/locations.odcs.yaml", Read("presets/top-items/contracts/locations.odcs.yaml") + "\n# changed\n");
  EXPECT_THAT(WhyNot(Target("contract: contracts/locations.odcs.yaml", "contract: elsewhere/locations.odcs.yaml")),
              HasSubstr("references.locations.contract"));
}

TEST_F(MigrationTest, DriversThatCannotBeMovedFromOrToAreSaid) {
  const config::Config from = Load("sightline.yaml");
  const auto why = [&](const config::Config& a, const config::Config& b) {
    const Status can = CheckMigratable(test_.files, a, b);
    return can ? "" : can.error().message;
  };
  EXPECT_THAT(why(from, from), HasSubstr("drivers.bus must be {type: kafka"));
  EXPECT_THAT(why(Target(), Target()), HasSubstr("drivers.bus must be {type: log}"));
  test_.Write("kafka.yaml", Read("presets/top-items/kafka.yaml"));
  EXPECT_THAT(why(from, Load("kafka.yaml")), HasSubstr("the same file as that of"));
  std::string text = Read("presets/top-items/kafka.yaml");
  text.replace(text.find("data: ./data"), 12, "data: ./other");
  test_.Write("kafka.yaml", text);
  EXPECT_EQ(why(from, Load("kafka.yaml")), "");
}

TEST_F(MigrationTest, AMarkIsReadAsItWasWritten) {
  const MigrationMark mark{
      .id = "0123", .state = MigrationMark::State::kDone, .from = "a.yaml", .to = "b.yaml", .target = "kafka prefix 'x.'", .at = 17};
  const auto read = MigrationMark::Parse(mark.ToJson(), "here");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->ToJson(), mark.ToJson());
  for (const char* broken : {"", "{}", "[1]", R"({"version":2,"id":"a"})", R"({"version":1})"}) {
    const auto refused = MigrationMark::Parse(broken, "/data/migration.json");
    ASSERT_FALSE(refused) << broken;
    EXPECT_THAT(refused.error().message, HasSubstr("/data/migration.json"));
  }
}

TEST_F(MigrationTest, AServerDoesNotStartOnDataThatWasMovedOrIsBeingMoved) {
  const config::Config from = Load("sightline.yaml");
  EXPECT_TRUE(CheckNotMigrating(test_.world, from));
  MigrationMark mark{.id = "1", .state = MigrationMark::State::kBegun, .from = "a.yaml", .to = "b.yaml", .target = "kafka", .at = 1};
  ASSERT_TRUE(test_.files.CreateDirectories(from.data));
  ASSERT_TRUE(WriteSourceMark(test_.files, from.data, mark));
  const Status begun = CheckNotMigrating(test_.world, from);
  ASSERT_FALSE(begun);
  EXPECT_THAT(begun.error().message, HasSubstr("sightline migrate a.yaml b.yaml"));
  mark.state = MigrationMark::State::kDone;
  ASSERT_TRUE(WriteSourceMark(test_.files, from.data, mark));
  const Status done = CheckNotMigrating(test_.world, from);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("sightline up b.yaml"));
  EXPECT_THAT(done.error().message, HasSubstr("remove " + from.data + "/migration.json"));
  ASSERT_TRUE(test_.files.Remove(SourceMarkPath(from.data)));
  EXPECT_TRUE(CheckNotMigrating(test_.world, from));
}

TEST_F(MigrationTest, AServerDoesNotStartWhereNotAllIsThereYet) {
  test_.Write("kafka.yaml", Read("presets/top-items/kafka.yaml"));
  const config::Config to = Load("kafka.yaml");
  EXPECT_TRUE(CheckNotMigrating(test_.world, to)) << "nothing is there yet";
  runtime::Failpoints failpoints;
  const runtime::Runtime runtime{test_.clock, test_.files, failpoints};
  const auto objects = stores::FileObjectStore::Open(runtime, to.data + "/objects", stores::FileObjectStore::Access::kOwn);
  ASSERT_TRUE(objects) << objects.error().message;
  MigrationMark mark{.id = "1", .state = MigrationMark::State::kBegun, .from = "a.yaml", .to = "b.yaml", .target = "kafka", .at = 1};
  ASSERT_TRUE(BeginTargetMark(**objects, mark));
  EXPECT_EQ(BeginTargetMark(**objects, mark).error().kind, ErrorKind::kAlreadyExists);
  const Status begun = CheckNotMigrating(test_.world, to);
  ASSERT_FALSE(begun);
  EXPECT_THAT(begun.error().message, HasSubstr("sightline migrate a.yaml b.yaml"));
  mark.state = MigrationMark::State::kDone;
  ASSERT_TRUE(EndTargetMark(**objects, mark));
  EXPECT_TRUE(CheckNotMigrating(test_.world, to));
}

TEST_F(MigrationTest, WhoOwnsTheDataIsSaidAndNoOtherProcessIsStopped) {
  const std::string data = Path("data");
  EXPECT_TRUE(CheckUnowned(test_.world, data)) << "there is none yet";
  ASSERT_TRUE(test_.files.CreateDirectories(data + "/log"));
  EXPECT_TRUE(CheckUnowned(test_.world, data));
  const auto lock = test_.files.Lock(data + "/log");
  ASSERT_TRUE(lock);
  const Status owned = CheckUnowned(test_.world, data);
  ASSERT_FALSE(owned);
  EXPECT_THAT(owned.error().message, HasSubstr("--stop"));
  // It is this very process, and no server: it gets no signal.
  const Status stopped = StopOwner(test_.world, data);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kFailedPrecondition);
}

TEST_F(MigrationTest, TheCommandSaysWhatDiffersAndChangesNothing) {
  Target("partitions: 8", "partitions: 9");
  CommandLine line(test_.world);
  AddAllCommands(line);
  EXPECT_EQ(line.Main({"migrate", Path("sightline.yaml"), Path("target.yaml")}), 1);
  EXPECT_THAT(test_.err.str(), HasSubstr("datasets.camera_events.partitions: 8"));
  EXPECT_FALSE(*test_.files.Exists(Path("data")));
}

TEST(RecordCursorTest, RecordsComeOneByOneWhateverTheirBatchesUpToTheEnd) {
  bus::testing::SimulatedLog log(1);
  ASSERT_TRUE(log.Open());
  ASSERT_TRUE(log.bus->EnsureTopic({.name = "t"}));
  const TopicPartition partition{"t", Partition(0)};
  const auto append = [&](std::vector<std::string_view> values, std::vector<std::string_view> keys, bus::BatchType type) {
    ASSERT_TRUE(bus::AppendAndWait(*log.bus, partition, {.type = type, .values = values, .keys = keys}));
  };
  append({"a", "b"}, {}, bus::BatchType::kData);
  append({""}, {}, bus::BatchType::kTick);
  append({"c", "d"}, {"k", ""}, bus::BatchType::kReplay);
  append({"e"}, {}, bus::BatchType::kData);
  RecordCursor cursor(std::move(*log.bus->OpenReader(partition, Offset(1))), Offset(5), [](std::chrono::milliseconds) {});
  std::vector<std::string> seen;
  for (auto record = cursor.Next(); record && *record; record = cursor.Next()) {
    seen.push_back(std::to_string((*record)->offset.value) + ":" + std::string((*record)->value) + ":" +
                   std::to_string(static_cast<int>((*record)->type)) + ":" + std::string((*record)->key.value_or("-")));
  }
  EXPECT_THAT(seen, ElementsAre("1:b:0:-", "2::1:-", "3:c:2:k", "4:d:2:-"));
  cursor.SetEnd(Offset(6));
  const auto last = cursor.Next();
  ASSERT_TRUE(last && *last);
  EXPECT_EQ((*last)->value, "e");
  EXPECT_FALSE(*cursor.Next());
}

TEST(ReplayKeyTest, NamesItsLetterWhereItLiesNow) {
  flow::OffsetMap map(Offset(10), Offset(2));
  map.Add(Offset(10), Offset(3));
  map.Add(Offset(11), Offset(7));
  const flow::OffsetMaps maps{{{"dead_letters.item_counts", Partition(4)}, map}};
  const auto moved = [&](std::int64_t offset) {
    std::string bytes;
    EncodeReplayKey({.pipeline = "item_counts",
                     .reason = Verdict::kInvalid,
                     .origin = DeadLetterOrigin::kTopic,
                     .topic = "dead_letters.item_counts",
                     .partition = Partition(4),
                     .offset = Offset(offset),
                     .received = WallTime(99)},
                    bytes);
    return *MoveReplayKey(bytes, maps);
  };
  const std::string there = moved(11);
  const auto key = DecodeReplayKey(there);
  ASSERT_TRUE(key);
  EXPECT_EQ(key->offset, Offset(7));
  EXPECT_EQ(key->topic, "dead_letters.item_counts");
  EXPECT_EQ(key->reason, Verdict::kInvalid);
  EXPECT_EQ(key->received, WallTime(99));
  const std::string removed = moved(9);
  const auto gone = DecodeReplayKey(removed);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->offset, Offset(9));
  EXPECT_EQ(gone->topic, flow::GoneTopic("dead_letters.item_counts"));
}

}  // namespace
}  // namespace sightline::app
