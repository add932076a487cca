// The statistics store on a real server.
#include "connectors/postgres/statistics_store.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/postgres/connection_options.h"
#include "connectors/postgres/examination.h"
#include "connectors/postgres/testing/cutting_proxy.h"
#include "connectors/postgres/testing/server.h"
#include "sightline/runtime/posix_file_system.h"
#include "sightline/stores/statistics/testing/conformance.h"

namespace sightline::postgres {
namespace {

using stores::StatisticsStore;
using stores::testing::RegisterConformance;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct World {
  runtime::SystemClock clock;
  runtime::PosixFileSystem files;
  runtime::Failpoints failpoints;
  runtime::Runtime runtime{clock, files, failpoints};
};

World& TheWorld() {
  static World world;
  return world;
}

// The suite's directories become databases.
Result<std::unique_ptr<StatisticsStore>> OpenFor(const std::string& directory) {
  static std::map<std::string, std::string> databases;
  auto& server = testing::SharedServer();
  if (!databases.contains(directory)) databases[directory] = testing::FreshDatabase(server);
  return OpenStatisticsStore(TheWorld().runtime, {.connection = server.Connection(databases[directory])});
}

const bool kRegistered = [] {
  RegisterConformance("Postgres", OpenFor);
  return true;
}();

constexpr char kTopic[] = "results.p";

std::unique_ptr<StatisticsStore> Opened(const StatisticsOptions& options, runtime::Failpoints* failpoints = nullptr) {
  World& world = TheWorld();
  auto store = OpenStatisticsStore({world.clock, world.files, failpoints == nullptr ? world.failpoints : *failpoints}, options);
  EXPECT_TRUE(store) << store.error().ToString();
  return *std::move(store);
}

// Records `from` to `to`, each a group of two rows in a window of its own.
Result<stores::Applied> Apply(StatisticsStore& store, std::int64_t from, std::int64_t to, std::int64_t since) {
  const ResultShape shape = stores::testing::TestShape("p");
  stores::ResultBatch batch(shape.schema);
  for (std::int64_t offset = from; offset < to; ++offset) {
    SL_TRY(batch.Add(Partition(0), Offset(offset),
                     stores::testing::TestRecord(offset * 60'000, 0, {{offset, "x", "a", 1}, {offset, "x", "b", 1}}), shape));
  }
  return store.Apply({.pipeline = "p",
                      .generation = 1,
                      .topic = kTopic,
                      .results = &batch,
                      .consumed = {{Partition(0), Offset(to)}},
                      .since = {{Partition(0), Offset(since)}}});
}
Result<stores::Applied> Apply(StatisticsStore& store, std::int64_t from, std::int64_t to) { return Apply(store, from, to, from); }

std::int64_t Stored(StatisticsStore& store) {
  const auto offsets = store.Offsets("p", 1, kTopic);
  if (!offsets) return -1;
  return offsets->empty() ? 0 : offsets->at(0).next.value;
}

// What a sink does: goes on from the stored position, and after an error asks for it again. Until `to` is stored or `seconds` are over.
void CarryUntil(StatisticsStore& store, std::int64_t to, std::int64_t step, std::atomic<int>* errors = nullptr) {
  const std::int64_t until = TheWorld().clock.MonotonicNs() + 60'000'000'000;
  while (TheWorld().clock.MonotonicNs() < until) {
    if (!store.Ensure(stores::testing::TestShape("p"), 1)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    std::int64_t at = Stored(store);
    if (at >= to) return;
    while (at >= 0 && at < to) {
      const std::int64_t next = std::min(to, at + step);
      if (const auto applied = Apply(store, at, next); !applied) {
        if (errors != nullptr) ++*errors;
        break;
      }
      at = next;
    }
  }
  ADD_FAILURE() << "not done in time";
}

// Each of the first `count` records is there once.
void ExpectWhole(const testing::Server& server, const std::string& database, std::int64_t count) {
  EXPECT_EQ(
      server.Psql("select count(*), count(distinct (window_start, item_name)), coalesce(sum(item_count), 0) from sightline.p", database),
      std::to_string(2 * count) + "|" + std::to_string(2 * count) + "|" + std::to_string(2 * count));
  EXPECT_EQ(server.Psql("select next from sightline_store.offsets", database), std::to_string(count));
}

struct Fixture {
  testing::Server& server = testing::SharedServer();
  std::string database = testing::FreshDatabase(server);
  StatisticsOptions options{.connection = server.Connection(database)};
  std::unique_ptr<StatisticsStore> store = Opened(options);
  Fixture() { EXPECT_TRUE(store->Ensure(stores::testing::TestShape("p"), 1)); }
  std::string Psql(const std::string& sql) const { return server.Psql(sql, database); }
};

// --- exactly once ---

TEST(PostgresStore, TwoSinksOfOnePartitionStoreEachResultOnce) {
  Fixture f;
  auto other = Opened(f.options);
  ASSERT_TRUE(Apply(*f.store, 0, 1));
  std::atomic<int> mine = 0;
  std::atomic<int> others = 0;
  const auto carry = [](StatisticsStore& store, std::atomic<int>& rows, std::int64_t step) {
    for (std::int64_t at = 1; at < 400;) {
      const std::int64_t next = std::min<std::int64_t>(400, at + step);
      const auto applied = Apply(store, at, next, 1);
      ASSERT_TRUE(applied) << applied.error().ToString();
      rows += static_cast<int>(applied->rows);
      at = next;
    }
  };
  std::thread thread([&] { carry(*other, others, 7); });
  carry(*f.store, mine, 5);
  thread.join();
  EXPECT_EQ(mine + others, 2 * 399);
  ExpectWhole(f.server, f.database, 400);
  // A zombie that wakes up with what is there already moves nothing.
  const auto late = Apply(*other, 100, 150, 100);
  ASSERT_TRUE(late);
  EXPECT_EQ(late->repeated, 50u);
  EXPECT_EQ(late->rows, 0u);
  ExpectWhole(f.server, f.database, 400);
}

TEST(PostgresStore, AnErrorAroundTheCommitIsNoSecondDelivery) {
  Fixture f;
  for (const char* spec : {"statistics.apply.before_commit=error@1", "statistics.apply.after_commit=error@1"}) {
    runtime::Failpoints failpoints;
    ASSERT_TRUE(runtime::Failpoints::Parse(spec, failpoints));
    auto store = Opened(f.options, &failpoints);
    const std::int64_t at = Stored(*store);
    EXPECT_FALSE(Apply(*store, at, at + 3));
    CarryUntil(*store, at + 3, 3);
    ExpectWhole(f.server, f.database, at + 3);
  }
}

TEST(PostgresStore, AConnectionCutInACommitIsDecidedByTheOffset) {
  Fixture f;
  testing::CuttingProxy proxy(f.server.port());
  StatisticsOptions options = f.options;
  const std::string port = ":" + std::to_string(f.server.port()) + "/";
  options.connection.url.replace(options.connection.url.find(port), port.size(), ":" + std::to_string(proxy.port()) + "/");
  options.connection.tls_mode = "disable";
  auto store = Opened(options);
  ASSERT_TRUE(Apply(*store, 0, 10));
  using Cut = testing::CuttingProxy::Cut;
  for (const auto& [cut, there] : {std::pair(Cut::kBeforeCommit, 10), std::pair(Cut::kAfterCommit, 20)}) {
    proxy.CutNext(cut);
    const auto lost = Apply(*store, 10, 20);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().kind, ErrorKind::kUnavailable) << lost.error().ToString();
    EXPECT_THAT(lost.error().message, HasSubstr("seen by the stored offsets"));
    EXPECT_EQ(Stored(*store), there);
    CarryUntil(*store, 20, 10);
    ExpectWhole(f.server, f.database, 20);
    if (cut == Cut::kBeforeCommit)
      f.Psql("delete from sightline_store.rows_1 where window_start >= 600000; update sightline_store.offsets set next = 10");
  }
  EXPECT_EQ(proxy.cuts(), 2);
}

// The server is killed again and again while results go in.
TEST(PostgresStore, KilledAndStartedAgainUnderLoad) {
  testing::Server server(testing::Server::Tls::kOff, "");
  const std::string database = testing::FreshDatabase(server);
  auto store = Opened({.connection = server.Connection(database)});
  std::atomic<int> errors = 0;
  std::atomic<bool> done = false;
  std::thread sink([&] {
    CarryUntil(*store, 6'000, 20, &errors);
    done = true;
  });
  for (int kill = 0; kill < 5; ++kill) {
    std::this_thread::sleep_for(std::chrono::milliseconds(150 + 130 * kill));
    server.Kill();
    server.Start();
  }
  sink.join();
  EXPECT_TRUE(done);
  EXPECT_GT(errors, 0);
  ExpectWhole(server, database, 6'000);
}

TEST(PostgresStore, APausedServerEndsTheCallByItsDeadline) {
  testing::Server server;
  const std::string database = testing::FreshDatabase(server);
  StatisticsOptions options{.connection = server.Connection(database)};
  options.connection.statement_timeout = std::chrono::milliseconds(500);
  options.connection.connect_timeout = std::chrono::milliseconds(500);
  auto store = Opened(options);
  CarryUntil(*store, 10, 10);
  server.Pause();
  const std::int64_t start = TheWorld().clock.MonotonicNs();
  const auto stuck = Apply(*store, 10, 20);
  EXPECT_LT(TheWorld().clock.MonotonicNs() - start, 10'000'000'000);
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().kind, ErrorKind::kDeadlineExceeded) << stuck.error().ToString();
  const auto again = store->Select({.pipeline = "p"});
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("does not answer"));
  server.Resume();
  CarryUntil(*store, 20, 10);
  ExpectWhole(server, database, 20);
}

TEST(PostgresStore, ARestoredBackupIsNoGap) {
  Fixture f;
  ASSERT_TRUE(Apply(*f.store, 0, 10));
  // As a dump from before the last five would leave it.
  f.Psql("delete from sightline_store.rows_1 where window_start >= 300000; update sightline_store.offsets set next = 5");
  const auto gap = Apply(*f.store, 10, 20);
  ASSERT_FALSE(gap);
  EXPECT_EQ(gap.error().kind, ErrorKind::kFailedPrecondition);
  CarryUntil(*f.store, 20, 10);
  ExpectWhole(f.server, f.database, 20);
}

TEST(PostgresStore, AnotherServersGenerationIsFound) {
  Fixture f;
  auto other = Opened(f.options);
  ASSERT_TRUE(Apply(*f.store, 0, 3));
  ResultShape changed = stores::testing::TestShape("p");
  changed.schema.fields[3].name = "total";
  ASSERT_TRUE(other->Ensure(changed, 2));
  ASSERT_TRUE(other->Activate("p", 2));
  auto rows = f.store->Select({.pipeline = "p", .columns = {"total"}});
  ASSERT_TRUE(rows) << rows.error().ToString();
  const auto late = Apply(*f.store, 3, 4);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::kNotFound) << late.error().ToString();
  EXPECT_THAT(
      f.Psql(
          "select string_agg(column_name, ',' order by ordinal_position) from information_schema.columns where table_schema = 'sightline'"),
      HasSubstr("total"));
}

// --- said with cause and remedy ---

TEST(PostgresStore, AWrongPasswordIsSaidWithoutIt) {
  Fixture f;
  auto store = Opened({.connection = f.server.Connection(f.database, "lab", "s3cret-and-wrong")});
  const Status status = store->Ensure(stores::testing::TestShape("p"), 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kUnauthenticated);
  EXPECT_THAT(status.error().message, HasSubstr("env PG_URL"));
  EXPECT_THAT(status.error().message, Not(HasSubstr("s3cret")));
  const auto broken =
      OpenStatisticsStore(TheWorld().runtime, {.connection = {.url = "postgresql://u:s3cret@h:port/%zz", .url_source = "env PG_URL"}});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().kind, ErrorKind::kInvalidArgument);
  EXPECT_THAT(broken.error().message, AllOf(HasSubstr("env PG_URL"), Not(HasSubstr("s3cret"))));
}

TEST(PostgresStore, ARoleWithoutRightsIsToldWhichItNeeds) {
  Fixture f;
  f.Psql("create role poor_" + f.database + " login password 'poor'");
  auto store = Opened({.connection = f.server.Connection(f.database, "poor_" + f.database, "poor"), .schema = "elsewhere"});
  const Status status = store->Ensure(stores::testing::TestShape("p"), 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kPermissionDenied);
  EXPECT_THAT(status.error().message, AllOf(HasSubstr("GRANT CREATE ON DATABASE"), HasSubstr("CREATE SCHEMA \"elsewhere\" AUTHORIZATION")));
  // With the schemas made for it, it needs no more.
  f.Psql("create schema elsewhere authorization poor_" + f.database);
  f.Psql("create schema elsewhere_store authorization poor_" + f.database);
  EXPECT_TRUE(store->Ensure(stores::testing::TestShape("p"), 1));
}

TEST(PostgresStore, ADatabaseOfAnotherEncodingIsRefused) {
  Fixture f;
  f.server.Psql("create database latin_" + f.database + " encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'");
  auto store = Opened({.connection = f.server.Connection("latin_" + f.database)});
  const Status status = store->Ensure(stores::testing::TestShape("p"), 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_THAT(status.error().message, HasSubstr("createdb -E UTF8"));
  auto nowhere = Opened({.connection = f.server.Connection("no_such_database")});
  EXPECT_EQ(nowhere->Ensure(stores::testing::TestShape("p"), 1).error().kind, ErrorKind::kNotFound);
  // Whoever asks for rows is told that they are not to be had now.
  EXPECT_EQ(nowhere->Tables().error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(nowhere->Select({.pipeline = "p"}).error().kind, ErrorKind::kUnavailable);
}

TEST(PostgresStore, TlsIsVerified) {
  testing::Server good(testing::Server::Tls::kOn);
  const auto with = [](const testing::Server& server, const std::string& mode, const std::string& ca) {
    StatisticsOptions options{.connection = server.Connection()};
    options.connection.tls_mode = mode;
    options.connection.tls_ca = ca;
    return Opened(options)->Ensure(stores::testing::TestShape("p"), 1);
  };
  const auto tables = with(good, "verify-full", good.folder() + "/tls/ca.pem");
  EXPECT_TRUE(tables) << tables.error().ToString();
  testing::Server expired(testing::Server::Tls::kExpired);
  const auto old = with(expired, "verify-full", expired.folder() + "/tls/ca.pem");
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().kind, ErrorKind::kUnauthenticated);
  EXPECT_THAT(old.error().message, AllOf(HasSubstr("certificate verify failed"), HasSubstr("has run out")));
  const auto stranger = with(expired, "verify-ca", good.folder() + "/tls/ca.pem");
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().kind, ErrorKind::kUnauthenticated) << stranger.error().ToString();
  const auto plain = with(testing::SharedServer(), "require", "");
  ASSERT_FALSE(plain);
  EXPECT_THAT(plain.error().message, HasSubstr("does not support SSL"));
}

struct ByHand {
  const char* sql;
  const char* said;
};
class PostgresChangedByHand : public ::testing::TestWithParam<ByHand> {};

TEST_P(PostgresChangedByHand, IsFoundAndNotMended) {
  Fixture f;
  ASSERT_TRUE(Apply(*f.store, 0, 3));
  f.Psql(GetParam().sql);
  // As a sink begins after a restart.
  auto store = Opened(f.options);
  Status status = store->Ensure(stores::testing::TestShape("p"), 1);
  if (status) {
    if (const auto offsets = store->Offsets("p", 1, kTopic); !offsets) status = std::unexpected(offsets.error());
  }
  if (status) {
    if (const auto applied = Apply(*store, 3, 4); !applied) status = std::unexpected(applied.error());
  }
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, AllOf(HasSubstr(GetParam().said), HasSubstr("by hand")));
  const auto checks = ExamineStatistics(f.options, TheWorld().clock);
  const bool trigger = std::string_view(GetParam().said).find("trigger") != std::string_view::npos;
  EXPECT_EQ(
      std::ranges::any_of(checks, [](const Check& check) { return check.name == "tables" && check.health == Check::Health::kProblem; }),
      !trigger);
}

INSTANTIATE_TEST_SUITE_P(
    Changes, PostgresChangedByHand,
    ::testing::Values(ByHand{"drop view sightline.p; alter table sightline_store.rows_1 drop column c3", "has no column \"c3\""},
                      ByHand{"alter table sightline_store.corrections_1 alter column k0 type text", "column \"k0\" is text"},
                      ByHand{"drop view sightline.p; alter table sightline_store.rows_1 alter column c2 type text collate \"en-x-icu\"",
                             "must be text COLLATE \"C\""},
                      ByHand{"drop view sightline.p", "\"sightline\".\"p\" is missing"},
                      ByHand{"drop table sightline_store.corrections_1", "\"corrections_1\" is missing"},
                      ByHand{"delete from sightline_store.offsets", "has no row for partition 0"},
                      ByHand{"delete from sightline_store.format", "must have one row"},
                      ByHand{"create function pg_temp.f() returns trigger language plpgsql as 'begin return null; end';"
                             "create function public.f() returns trigger language plpgsql as 'begin return null; end';"
                             "create trigger t before insert on sightline_store.rows_1 for each row execute function public.f()",
                             "a trigger or rule"}));

TEST(PostgresStore, TheRemedyRebuilds) {
  Fixture f;
  ASSERT_TRUE(Apply(*f.store, 0, 3));
  f.Psql("delete from sightline_store.offsets");
  auto store = Opened(f.options);
  const auto offsets = store->Offsets("p", 1, kTopic);
  ASSERT_FALSE(offsets);
  EXPECT_EQ(offsets.error().kind, ErrorKind::kCorruption);
  const std::size_t at = offsets.error().message.find("DROP VIEW");
  ASSERT_NE(at, std::string::npos);
  f.Psql(offsets.error().message.substr(at));
  auto anew = Opened(f.options);
  CarryUntil(*anew, 3, 3);
  ExpectWhole(f.server, f.database, 3);
}

TEST(PostgresStore, ANewerLayoutIsLeftAlone) {
  Fixture f;
  f.Psql("update sightline_store.format set version = 99");
  auto store = Opened(f.options);
  const Status tables = store->Ensure(stores::testing::TestShape("p"), 1);
  ASSERT_FALSE(tables);
  EXPECT_EQ(tables.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_THAT(tables.error().message, HasSubstr("run the newer program"));
}

TEST(PostgresStore, ManyServersMakeTheLayoutOnce) {
  testing::Server& server = testing::SharedServer();
  const std::string database = testing::FreshDatabase(server);
  std::vector<std::thread> threads;
  std::atomic<int> failed = 0;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      auto store = Opened({.connection = server.Connection(database)});
      if (const Status made = store->Ensure(stores::testing::TestShape("p"), 1); !made) {
        ++failed;
        ADD_FAILURE() << made.error().ToString();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(server.Psql("select count(*) from sightline_store.tables", database), "1");
}

TEST(PostgresStore, NamesThatPostgresWouldCutAreRefused) {
  Fixture f;
  ResultShape shape = stores::testing::TestShape("long");
  shape.schema.fields[3].name = std::string(64, 'n');
  const Status status = f.store->Ensure(shape, 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kInvalidArgument);
}

TEST(PostgresStore, AFullDiskLeavesNothingHalf) {
  Fixture f;
  const std::string place = f.server.folder() + "/small_" + f.database;
  if (std::system(("mkdir -p " + place + " && mount -t tmpfs -o size=2m,mode=777 tmpfs " + place + " 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "no small file system may be mounted here";
  }
  (void)std::system(("chown postgres " + place).c_str());
  f.Psql("create tablespace small_" + f.database + " location '" + place + "'");
  f.Psql("alter table sightline_store.rows_1 set tablespace small_" + f.database);
  Result<stores::Applied> applied = stores::Applied{};
  std::int64_t at = 0;
  for (; applied && at < 200'000; at += 2'000) applied = Apply(*f.store, at, at + 2'000);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().kind, ErrorKind::kResourceExhausted) << applied.error().ToString();
  EXPECT_THAT(applied.error().message, HasSubstr("make room"));
  ExpectWhole(f.server, f.database, Stored(*f.store));
  // With room it goes on.
  f.Psql("alter table sightline_store.rows_1 set tablespace pg_default");
  const std::int64_t more = Stored(*f.store) + 2'000;
  CarryUntil(*f.store, more, 2'000);
  ExpectWhole(f.server, f.database, more);
  f.Psql("drop tablespace small_" + f.database);
  (void)std::system(("umount " + place).c_str());
}

// --- for readers ---

TEST(PostgresStore, ReadersSeeTheViewsAlone) {
  Fixture f;
  f.Psql("create role readers_" + f.database + " nologin; create role viewer_" + f.database + " login password 'v' in role readers_" +
         f.database);
  StatisticsOptions options = f.options;
  options.schema = "shown";
  options.reader = "readers_" + f.database;
  auto store = Opened(options);
  ASSERT_TRUE(store->Ensure(stores::testing::TestShape("p"), 1));
  ASSERT_TRUE(Apply(*store, 0, 2));
  const auto as_viewer = [&](const std::string& sql) { return f.Psql("set role readers_" + f.database + "; " + sql); };
  EXPECT_EQ(as_viewer("select window_start, item_name, state from shown.p order by 1, 2 limit 1"), "1970-01-01 00:00:00+00|a|final");
  EXPECT_EQ(as_viewer("select table_name from information_schema.tables where table_schema like 'shown%'"), "p");
  EXPECT_THROW(as_viewer("select * from shown_store.rows_1"), std::runtime_error);
  EXPECT_THROW(as_viewer("delete from shown.p"), std::runtime_error);
  // A role that is made later gets its rights with the next start.
  f.Psql("create role late_" + f.database + " nologin");
  options.reader = "late_" + f.database;
  EXPECT_THROW(f.Psql("set role late_" + f.database + "; select count(*) from shown.p"), std::runtime_error);
  ASSERT_TRUE(Opened(options)->Tables());
  EXPECT_EQ(f.Psql("set role late_" + f.database + "; select count(*) from shown.p"), "4");
  // Another generation keeps the rights.
  ASSERT_TRUE(store->Ensure(stores::testing::TestShape("p"), 2));
  ASSERT_TRUE(store->Activate("p", 2));
  EXPECT_EQ(as_viewer("select count(*) from shown.p"), "0");
}

TEST(PostgresStore, EverythingHasAComment) {
  Fixture f;
  EXPECT_EQ(f.Psql("select string_agg(c.relname || coalesce('.' || a.attname, ''), ' ') from pg_class c join pg_namespace n on n.oid = "
                   "c.relnamespace "
                   "join (select attrelid, attnum, attname from pg_attribute where attnum > 0 and not attisdropped union all select oid, "
                   "0, null from pg_class) a "
                   "on a.attrelid = c.oid left join pg_description d on d.objoid = c.oid and d.objsubid = a.attnum "
                   "where n.nspname in ('sightline', 'sightline_store') and c.relkind in ('r', 'v') and d.description is null"),
            "");
}

TEST(PostgresStore, AViewsRangeOfTimeGoesByTheIndex) {
  Fixture f;
  ASSERT_TRUE(Apply(*f.store, 0, 60'000));
  f.Psql("vacuum analyze sightline_store.rows_1");
  const std::string plan =
      f.Psql("explain select * from sightline.p where window_start >= '1970-02-01' and window_start < '1970-02-01 01:00'");
  EXPECT_THAT(plan, HasSubstr("rows_1_time"));
  EXPECT_EQ(f.Psql("select count(*) from sightline.p where window_start >= '1970-02-01' and window_start < '1970-02-01 01:00'"), "120");
}

TEST(PostgresStore, DoctorSaysWhatWouldLoseData) {
  testing::Server server(testing::Server::Tls::kOff, "-c fsync=off -c synchronous_commit=off");
  const auto find = [](const std::vector<Check>& checks, const std::string& part) {
    for (const Check& check : checks) {
      if (check.found.find(part) != std::string::npos) return check;
    }
    return Check{"", Check::Health::kGood, "", ""};
  };
  const StatisticsOptions options{.connection = server.Connection()};
  auto checks = ExamineStatistics(options, TheWorld().clock);
  EXPECT_EQ(find(checks, "fsync is off").health, Check::Health::kProblem);
  EXPECT_EQ(find(checks, "synchronous_commit is off").health, Check::Health::kWarning);
  EXPECT_EQ(find(checks, "no role sightline_reader").health, Check::Health::kWarning);
  EXPECT_THAT(find(checks, "no role sightline_reader").remedy, HasSubstr("CREATE ROLE"));
  EXPECT_EQ(find(checks, "clocks").health, Check::Health::kGood);
  server.Psql("create role poor login password 'poor'");
  checks = ExamineStatistics({.connection = server.Connection("lab", "poor", "poor")}, TheWorld().clock);
  EXPECT_EQ(find(checks, "may make no schema").health, Check::Health::kProblem);
  server.Stop();
  checks = ExamineStatistics(options, TheWorld().clock);
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_EQ(checks[0].health, Check::Health::kProblem);
  EXPECT_THAT(checks[0].found, HasSubstr("refused"));
  server.SetOptions("");
  server.Start();
  server.Psql("create role sightline_reader");
  ASSERT_TRUE(Opened(options)->Ensure(stores::testing::TestShape("p"), 1));
  for (const Check& check : ExamineStatistics(options, TheWorld().clock)) {
    EXPECT_EQ(check.health, Check::Health::kGood) << check.name << ": " << check.found;
  }
}

}  // namespace
}  // namespace sightline::postgres
