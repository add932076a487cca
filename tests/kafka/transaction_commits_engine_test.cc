// A pipeline's partition on a real broker, handed from worker to worker in every way there is: each result once, and the right one.
#include "connectors/kafka/transaction_commits.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "connectors/kafka/testing/kafka_engine.h"
#include "sightline/flow/task.h"
#include "sightline/flow/testing/fixture.h"
#include "sightline/runtime/posix_file_system.h"
#include "sightline/runtime/random.h"
#include "sightline/stores/objects/embedded/file_store.h"

namespace sightline::kafka {
namespace {

using flow::testing::Event;
using flow::testing::NaiveModel;
using testing::KafkaEngine;

constexpr std::int64_t kWindowMs = 60'000;
constexpr std::int64_t kStart = 1'700'000'040'000;

NaiveModel::Settings ModelSettings() {
  NaiveModel::Settings settings;
  settings.out_of_orderness = 5'000;
  settings.within = 10 * kWindowMs;
  return settings;
}

// The cluster and the store that all workers share, and what they must come to.
class World {
 public:
  World() : prefix_(KafkaEngine::Get().NewPrefix()), items_(flow::testing::MakeTopItems(ModelSettings())) {
    std::string folder = std::filesystem::temp_directory_path() / "sightline-commits-XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    auto store = stores::FileObjectStore::Open(runtime, folder_, stores::FileObjectStore::Access::kOwn);
    EXPECT_TRUE(store);
    objects = std::move(*store);
    bus = OpenBus();
    bus::TopicSpec spec;
    spec.name = "camera_events";
    EXPECT_TRUE(bus->EnsureTopic(spec));
    EXPECT_TRUE(flow::EnsureOwnedTopics(*bus, plan(), {}));
  }
  ~World() { std::filesystem::remove_all(folder_); }

  std::unique_ptr<KafkaBus> OpenBus() const {
    auto opened = KafkaBus::Open(KafkaEngine::Get().Options(prefix_));
    EXPECT_TRUE(opened) << opened.error().ToString();
    return opened ? std::move(*opened) : nullptr;
  }
  void Append(const std::vector<Event>& events) {
    std::vector<std::string> lines;
    for (const Event& event : events) {
      lines.push_back(flow::testing::Line(event));
      model_.Add(event);
    }
    const std::vector<std::string_view> values(lines.begin(), lines.end());
    bus::AppendBatch batch;
    batch.values = values;
    const auto appended = bus::AppendAndWait(*bus, {"camera_events", Partition(0)}, batch);
    ASSERT_TRUE(appended) << appended.error().ToString();
  }
  // Random events of three locations, some of them twice, some out of order, from `from` on.
  void AppendSome(runtime::Random& random, int count) {
    std::vector<Event> events;
    for (int i = 0; i < count; ++i) {
      now_ += static_cast<std::int64_t>(random.Below(200));
      if (!sent_.empty() && random.OneIn(10)) {
        events.push_back(sent_[random.Below(sent_.size())]);
        continue;
      }
      events.push_back({.location = static_cast<std::int64_t>(random.Below(3)),
                        .detection = static_cast<std::int64_t>(sent_.size()),
                        .item = "item-" + std::to_string(random.Below(20)),
                        .time = now_ - static_cast<std::int64_t>(random.Below(8'000))});
      sent_.push_back(events.back());
    }
    Append(events);
  }
  // Every window before it closes.
  void AppendFarAhead() { Append({{.location = 1, .detection = 1'000'000'000, .item = "last", .time = now_ + 100 * kWindowMs}}); }

  std::vector<NaiveModel::Row> Expected() {
    std::vector<NaiveModel::Row> rows = model_.Ranked();
    std::erase_if(rows, [&](const NaiveModel::Row& row) { return std::get<0>(row) > now_ + kWindowMs; });
    return rows;
  }
  // What a reader of the results topic sees that shares nothing with the workers. No group may be there twice.
  std::vector<NaiveModel::Row> Rows() {
    const auto reader_bus = OpenBus();
    flow::testing::RankedRows rows(plan().pipelines[static_cast<std::size_t>(plan().Find("top_items"))]);
    std::set<std::string> seen;
    const auto reader = reader_bus->OpenReader({flow::Plan::ResultsTopic("top_items"), Partition(0)}, Offset(0));
    EXPECT_TRUE(reader);
    for (auto batch = (*reader)->Next(); batch && *batch; batch = (*reader)->Next()) {
      for (const std::string_view value : (*batch)->values) {
        const auto mark = DecodeResultMark(value);
        EXPECT_TRUE(mark);
        EXPECT_TRUE(mark->closed || seen.insert(std::string(value)).second) << "a result twice";
        rows.Take(value);
      }
    }
    EXPECT_EQ(rows.broken, 0U);
    return rows.rows();
  }
  const flow::Plan& plan() const { return *items_->plan; }
  const NaiveModel& model() const { return model_; }

  runtime::SystemClock clock;
  runtime::PosixFileSystem files;
  runtime::Failpoints failpoints;
  runtime::Runtime runtime{.clock = clock, .files = files, .failpoints = failpoints};
  std::unique_ptr<stores::ObjectStore> objects;
  std::unique_ptr<KafkaBus> bus;  // of the producer

 private:
  const std::string prefix_;
  std::string folder_;
  std::unique_ptr<flow::testing::TopItems> items_;
  NaiveModel model_{ModelSettings()};
  std::vector<Event> sent_;
  std::int64_t now_ = kStart;
};

// A process that works on the partition. Destroyed without Finish it is a crash.
class Worker {
 public:
  explicit Worker(World& world, std::int64_t snapshot_records = 400)
      : bus_(world.OpenBus()),
        logs_(*bus_, *world.objects, world.failpoints, {}),
        context_{.runtime = world.runtime,
                 .bus = *bus_,
                 .plan = world.plan(),
                 .references = references_,
                 .versions = [](const std::string& name, std::uint64_t) -> Result<flow::ReferenceHandle> {
                   return Fail(ErrorKind::kNotFound, name);
                 },
                 .directory = "",
                 .live = nullptr,
                 .policy = {.interval = std::chrono::milliseconds(0),
                            .snapshot_interval = std::chrono::hours(1),
                            .snapshot_records = snapshot_records},
                 .limits = {},
                 .seed = 7,
                 .commits = &logs_} {
    auto task = flow::OpenRootTask(context_, 0, Partition(0));
    EXPECT_TRUE(task) << task.error().ToString();
    if (task) task_ = std::move(*task);
  }
  // Until nothing more is there; false when the worker was stopped by an error.
  bool Drain(int steps_max = 1'000'000) {
    int idle = 0;
    for (int i = 0; task_ != nullptr && i < steps_max && idle < 20; ++i) {
      const Result<bool> more = task_->Step();
      if (!more) {
        error = more.error();
        return false;
      }
      idle = *more ? 0 : idle + 1;
      if (!*more) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return task_ != nullptr;
  }
  void Finish() {
    const Status finished = task_->Finish();
    EXPECT_TRUE(finished) << finished.error().ToString();
  }
  flow::TaskStatus status() const { return task_->status(); }

  Error error{ErrorKind::kInternal, "none"};

 private:
  std::unique_ptr<KafkaBus> bus_;
  flow::ReferenceCatalog references_;
  TransactionCommitLogs logs_;
  flow::TaskContext context_;
  std::unique_ptr<flow::Task> task_;
};

TEST(TransactionCommits, EachResultIsThereOnceHoweverOftenAWorkerCrashes) {
  World world;
  runtime::Random random(11);
  for (int round = 0; round < 8; ++round) {
    Worker worker(world, 50 + 200 * (round % 3));
    world.AppendSome(random, 300);
    // Some crash in the middle, some when all is done; some give the partition away in order.
    ASSERT_TRUE(worker.Drain(round % 3 == 1 ? 3 : 1'000'000)) << worker.error.ToString();
    if (round % 4 == 2) worker.Finish();
  }
  world.AppendFarAhead();
  Worker last(world);
  ASSERT_TRUE(last.Drain()) << last.error.ToString();
  EXPECT_EQ(world.Rows(), world.Expected());
  EXPECT_EQ(last.status().counters.of(Verdict::kCounted), world.model().counted);
  EXPECT_EQ(last.status().counters.of(Verdict::kDuplicate), world.model().duplicates);
  EXPECT_EQ(last.status().counters.of(Verdict::kLate), world.model().late);
}

TEST(TransactionCommits, WhoWasOvertakenCommitsNothing) {
  World world;
  runtime::Random random(12);
  world.AppendSome(random, 500);
  auto zombie = std::make_unique<Worker>(world);
  ASSERT_TRUE(zombie->Drain());
  Worker heir(world);
  world.AppendSome(random, 2'000);
  // Both have the same records before them.
  EXPECT_FALSE(zombie->Drain());
  EXPECT_EQ(zombie->error.kind, ErrorKind::kFailedPrecondition) << zombie->error.ToString();
  ASSERT_TRUE(heir.Drain()) << heir.error.ToString();
  zombie.reset();
  world.AppendFarAhead();
  ASSERT_TRUE(heir.Drain()) << heir.error.ToString();
  EXPECT_EQ(world.Rows(), world.Expected());
}

TEST(TransactionCommits, ABrokerThatIsGoneForAWhileLosesNothing) {
  World world;
  runtime::Random random(13);
  world.AppendSome(random, 800);
  {
    Worker worker(world);
    ASSERT_TRUE(worker.Drain());
    KafkaEngine::Get().Kill();
    worker.Drain(50);
    KafkaEngine::Get().Start();
  }
  world.AppendSome(random, 800);
  Worker heir(world);
  world.AppendFarAhead();
  ASSERT_TRUE(heir.Drain()) << heir.error.ToString();
  EXPECT_EQ(world.Rows(), world.Expected());
}

TEST(TransactionCommits, SnapshotsThatNobodyNeedsAreDeleted) {
  World world;
  runtime::Random random(14);
  for (int round = 0; round < 30; ++round) {
    Worker worker(world, 10);
    world.AppendSome(random, 40);
    ASSERT_TRUE(worker.Drain()) << worker.error.ToString();
  }
  const auto left = stores::ListAll(*world.objects, "flow/");
  ASSERT_TRUE(left);
  // One snapshot, and the ids in a few runs.
  EXPECT_LT(left->size(), 24U);
  world.AppendFarAhead();
  Worker last(world);
  ASSERT_TRUE(last.Drain()) << last.error.ToString();
  EXPECT_EQ(world.Rows(), world.Expected());
}

TEST(TransactionCommits, ASnapshotThatIsGoneIsSaid) {
  World world;
  runtime::Random random(15);
  world.AppendSome(random, 100);
  {
    Worker worker(world);
    ASSERT_TRUE(worker.Drain());
    worker.Finish();
  }
  const auto objects = stores::ListAll(*world.objects, "flow/");
  ASSERT_TRUE(objects);
  for (const stores::ObjectInfo& object : *objects) ASSERT_TRUE(world.objects->Delete(object.key));
  TransactionCommitLogs logs(*world.bus, *world.objects, world.failpoints, {});
  const auto opened = logs.Open({.pipeline = "item_counts",
                                 .partition = Partition(0),
                                 .inputs = {{"camera_events", Partition(0)}},
                                 .topics = flow::CommittedPartition::TopicsOf(world.plan(), 0, ""),
                                 .fingerprint = flow::FamilyFingerprint(world.plan(), 0)});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(opened.error().message.find("restore the object"), std::string::npos) << opened.error().ToString();
}

}  // namespace
}  // namespace sightline::kafka
