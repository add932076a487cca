// A table that is followed on a real server.
#include "connectors/postgres/reference_follower.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/postgres/testing/server.h"
#include "sightline/runtime/posix_file_system.h"
#include "sightline/stores/statistics/testing/conformance.h"

namespace sightline::postgres {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A follower of a table `places` in a database of its own, with what it gave and said.
struct Following {
  explicit Following(testing::Server& its_server) : server(its_server), database(testing::FreshDatabase(server)) {
    Psql("create table places(id bigint primary key, name text, secret text)");
    options.connection = server.Connection(database);
    options.connection.statement_timeout = milliseconds(5000);
    options.reference = "places";
    options.table = "places";
    options.slot = "s_" + database;
    options.publication = "p_" + database;
    options.schema = {.fields = {{.name = "id"}, {.name = "name", .type = FieldType::kString, .nullable = true}}};
    options.state_file = directory.path() + "/places.postgres";
    options.heartbeat = milliseconds(300);
  }
  ~Following() {
    follower.reset();
    try {
      Psql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '" + options.slot + "' and not active");
    } catch (const std::exception&) {
      // Its server is gone already.
    }
  }
  std::string Psql(const std::string& sql) const { return server.Psql(sql, database); }
  void Start() {
    auto started = ReferenceFollower::Start(
        {clock, files, failpoints}, options,
        [this](const std::string& given) -> Status {
          const std::lock_guard lock(mutex);
          lines = given;
          if (refuse && refuse(given)) return Fail(ErrorKind::kInvalidArgument, "row 1: name: is wrong");
          return {};
        },
        ops::Log(clock, ops::LogLevel::kInfo, [this](std::string_view line) {
          const std::lock_guard lock(mutex);
          said += line;
        }));
    ASSERT_TRUE(started) << started.error().ToString();
    follower = *std::move(started);
  }
  bool Until(const std::function<bool()>& condition, milliseconds patience = milliseconds(20'000)) const {
    const std::int64_t end = clock.MonotonicNs() + std::chrono::nanoseconds(patience).count();
    while (clock.MonotonicNs() < end) {
      if (condition()) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return condition();
  }
  std::string Lines() const {
    const std::lock_guard lock(mutex);
    return lines;
  }
  std::string Said() const {
    const std::lock_guard lock(mutex);
    return said;
  }
  void ExpectLines(const std::string& expected, milliseconds patience = milliseconds(20'000)) const {
    Until([&] { return Lines() == expected; }, patience);
    EXPECT_EQ(Lines(), expected) << Said();
  }

  testing::Server& server;
  runtime::SystemClock clock;
  runtime::PosixFileSystem files;
  runtime::Failpoints failpoints;
  stores::testing::TestDirectory directory;
  const std::string database;
  FollowerOptions options;
  mutable std::mutex mutex;
  std::string lines = "nothing yet";
  std::string said;
  std::function<bool(const std::string&)> refuse;
  std::unique_ptr<ReferenceFollower> follower;
};

testing::Server& Shared() {
  static testing::Server server(testing::Server::Tls::kOff, "-c fsync=off -c max_replication_slots=40 -c max_wal_senders=40");
  return server;
}

TEST(PostgresReference, ASnapshotThenEveryChangeWithinASecond) {
  Following f(Shared());
  f.Psql("insert into places values (1, 'Bedok', 'x'), (2, null, 'x')");
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  EXPECT_EQ(f.Lines(), "{\"id\":1,\"name\":\"Bedok\"}\n{\"id\":2}\n");
  const milliseconds second(1000);
  f.Psql("insert into places values (3, 'Tampines')");
  f.ExpectLines("{\"id\":1,\"name\":\"Bedok\"}\n{\"id\":2}\n{\"id\":3,\"name\":\"Tampines\"}\n", second);
  f.Psql("update places set name = 'Bedok North' where id = 1");
  f.ExpectLines("{\"id\":1,\"name\":\"Bedok North\"}\n{\"id\":2}\n{\"id\":3,\"name\":\"Tampines\"}\n", second);
  f.Psql("begin; update places set id = 4 where id = 1; delete from places where id = 2; commit");
  f.ExpectLines("{\"id\":3,\"name\":\"Tampines\"}\n{\"id\":4,\"name\":\"Bedok North\"}\n", second);
  // Another table's changes, and those that are taken back, are none.
  const std::uint64_t versions = f.follower->status().versions;
  f.Psql("create table others(a int); insert into others values (1)");
  f.Psql("begin; delete from places; rollback");
  f.Psql("truncate places");
  f.ExpectLines("", second);
  EXPECT_EQ(f.follower->status().versions, versions + 1);
  EXPECT_THAT(f.Said(), Not(HasSubstr("warn")));
}

TEST(PostgresReference, ABurstIsAFewVersions) {
  Following f(Shared());
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  f.Psql("do $$ begin for i in 1..2000 loop insert into places values (i, 'x'); commit; end loop; end $$");
  ASSERT_TRUE(f.Until([&] { return std::ranges::count(f.Lines(), '\n') == 2000; }));
  EXPECT_EQ(f.follower->status().transactions, 2000u);
  EXPECT_LT(f.follower->status().versions, 20u);
}

TEST(PostgresReference, ALargeValueThatStaysStays) {
  Following f(Shared());
  f.Psql("alter table places alter column name set storage external; insert into places values (1, repeat('n', 20000), 'a')");
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  const std::string whole = f.Lines();
  f.Psql("update places set secret = 'b' where id = 1; update places set secret = 'c', id = 2 where id = 1");
  std::string expected = whole;
  expected.replace(0, 7, "{\"id\":2");
  f.ExpectLines(expected);
}

TEST(PostgresReference, ARestartGoesOnWhereItWas) {
  Following f(Shared());
  f.Psql("insert into places values (1, 'a')");
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  f.follower.reset();
  f.Psql("insert into places values (2, 'b'); update places set name = 'c' where id = 1");
  f.Start();
  f.ExpectLines("{\"id\":1,\"name\":\"c\"}\n{\"id\":2,\"name\":\"b\"}\n");
  EXPECT_EQ(f.follower->status().snapshots, 0u);
}

TEST(PostgresReference, AServerThatIsKilledIsFollowedAgain) {
  testing::Server server(testing::Server::Tls::kOff, "");
  Following f(server);
  f.Psql("insert into places values (0, 'a')");
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  std::string expected = "{\"id\":0,\"name\":\"a\"}\n";
  for (int round = 1; round <= 3; ++round) {
    f.Psql("insert into places values (" + std::to_string(round) + ", 'b')");
    server.Kill();
    ASSERT_TRUE(f.Until([&] { return !f.follower->status().following; }));
    server.Start();
    expected += "{\"id\":" + std::to_string(round) + ",\"name\":\"b\"}\n";
    f.ExpectLines(expected);
  }
  EXPECT_TRUE(f.Until([&] { return f.follower->status().following && !f.follower->status().error; }));
  EXPECT_EQ(f.follower->status().snapshots, 1u);
}

TEST(PostgresReference, AnIdleTableDoesNotPinTheServersLog) {
  Following f(Shared());
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  f.Psql("create table others(a text)");
  const auto lag = [&] {
    return std::stoll(
        f.Psql("select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint from pg_replication_slots where slot_name = '" +
               f.options.slot + "'"));
  };
  f.Psql("insert into others select repeat('x', 1000) from generate_series(1, 30000)");
  EXPECT_TRUE(f.Until([&] { return lag() < 100'000; })) << lag();
}

TEST(PostgresReference, ASlotThatIsGoneMeansANewSnapshot) {
  Following f(Shared());
  f.Psql("insert into places values (1, 'a')");
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  f.follower.reset();
  ASSERT_TRUE(f.Until([&] { return f.Psql("select active from pg_replication_slots where slot_name = '" + f.options.slot + "'") == "f"; }));
  f.Psql("select pg_drop_replication_slot('" + f.options.slot + "')");
  f.Psql("update places set name = 'b'");
  f.Start();
  f.ExpectLines("{\"id\":1,\"name\":\"b\"}\n");
  EXPECT_EQ(f.follower->status().snapshots, 1u);
  EXPECT_THAT(f.Said(), HasSubstr("the slot " + f.options.slot + " is gone"));
}

TEST(PostgresReference, ASlotWhoseLogTheServerRemovedIsSaid) {
  testing::Server server(testing::Server::Tls::kOff,
                         "-c fsync=off -c max_slot_wal_keep_size=16MB -c min_wal_size=32MB -c max_wal_size=32MB");
  Following f(server);
  f.Psql("insert into places values (1, 'a')");
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  f.follower.reset();
  f.Psql("create table others(a text); update places set name = 'b'");
  const auto lost = [&] { return f.Psql("select wal_status from pg_replication_slots") == "lost"; };
  for (int round = 0; round < 20 && !lost(); ++round) {
    f.Psql("insert into others select repeat('x', 1000) from generate_series(1, 30000)");
    f.Psql("checkpoint");
  }
  ASSERT_TRUE(lost());
  const auto checks = ExamineReference(f.options, f.clock);
  EXPECT_TRUE(
      std::ranges::any_of(checks, [](const Check& check) { return check.found.find("max_slot_wal_keep_size") != std::string::npos; }));
  f.Start();
  f.ExpectLines("{\"id\":1,\"name\":\"b\"}\n");
  EXPECT_THAT(f.Said(), AllOf(HasSubstr("is lost"), HasSubstr("max_slot_wal_keep_size")));
}

TEST(PostgresReference, ASlotThatLagsIsAnAlarm) {
  Following f(Shared());
  f.options.lag_bytes_max = 4 << 20;
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  EXPECT_FALSE(f.follower->status().slot_lag_alarm);
  // A long transaction of somebody else keeps the server's log from its beginning on.
  std::thread longest([&] { f.Psql("begin; create table held(a int); select pg_sleep(4); commit"); });
  std::this_thread::sleep_for(milliseconds(300));
  f.Psql("create table others(a text); insert into others select repeat('x', 1000) from generate_series(1, 20000); checkpoint");
  EXPECT_TRUE(f.Until([&] { return f.follower->status().slot_lag_alarm; }));
  EXPECT_GT(f.follower->status().slot_lag_bytes, 4 << 20);
  EXPECT_THAT(f.Said(), HasSubstr("keeps more of its log"));
  longest.join();
  EXPECT_TRUE(f.Until([&] {
    f.Psql("checkpoint");
    return !f.follower->status().slot_lag_alarm;
  }));
}

TEST(PostgresReference, RowsThatBreakTheContractLeaveTheVersion) {
  Following f(Shared());
  f.refuse = [](const std::string& lines) { return lines.find("wrong") != std::string::npos; };
  f.Psql("insert into places values (1, 'right')");
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  f.Psql("update places set name = 'wrong'");
  ASSERT_TRUE(f.Until([&] { return f.follower->status().error.has_value(); }));
  EXPECT_EQ(f.follower->status().versions, 1u);
  f.Psql("update places set name = 'good'");
  EXPECT_TRUE(f.Until([&] { return f.follower->status().versions == 2 && !f.follower->status().error; }));
}

TEST(PostgresReference, WhatIsMissingIsSaidWithTheRemedy) {
  const auto error_of = [](Following& f) {
    f.Start();
    f.Until([&] { return f.follower->status().error.has_value(); });
    std::string error = f.follower->status().error.value_or("none");
    f.follower.reset();
    return error;
  };
  {
    Following f(Shared());
    f.Psql("alter table places drop constraint places_pkey");
    EXPECT_THAT(error_of(f), AllOf(HasSubstr("no replica identity"), HasSubstr("REPLICA IDENTITY FULL")));
    // Nothing was made that would make its updates fail.
    f.Psql("insert into places values (1, 'a'); update places set name = 'b'");
    f.Psql("alter table places replica identity full");
    f.Start();
    f.ExpectLines("{\"id\":1,\"name\":\"b\"}\n");
    f.Psql("update places set name = 'c'");
    f.ExpectLines("{\"id\":1,\"name\":\"c\"}\n");
  }
  {
    Following f(Shared());
    f.options.table = "plases";
    EXPECT_THAT(error_of(f), HasSubstr("there is no table"));
  }
  {
    Following f(Shared());
    f.options.schema.fields.push_back({.name = "area", .type = FieldType::kString});
    EXPECT_THAT(error_of(f), HasSubstr("no column area"));
  }
  {
    Following f(Shared());
    f.Psql("create role reader_" + f.database + " login password 'r'; grant select on places to reader_" + f.database);
    f.options.connection = f.server.Connection(f.database, "reader_" + f.database, "r");
    EXPECT_THAT(error_of(f), AnyOf(HasSubstr("replication"), HasSubstr("REPLICATION")));
    const auto checks = ExamineReference(f.options, f.clock);
    EXPECT_TRUE(std::ranges::any_of(checks, [](const Check& check) { return check.remedy.find("REPLICATION") != std::string::npos; }));
  }
  {
    Following f(Shared());
    Following other(Shared());
    f.Start();
    ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
    Following* second = &other;
    second->options = f.options;
    second->options.state_file = other.directory.path() + "/places.postgres";
    EXPECT_THAT(error_of(*second), HasSubstr("in use by somebody else"));
  }
  {
    testing::Server server(testing::Server::Tls::kOff, "-c fsync=off -c wal_level=replica");
    Following f(server);
    EXPECT_THAT(error_of(f), AllOf(HasSubstr("wal_level"), HasSubstr("ALTER SYSTEM SET wal_level = logical")));
  }
}

TEST(PostgresReference, AColumnThatIsTakenAwayIsSaid) {
  Following f(Shared());
  f.Psql("insert into places values (1, 'a')");
  f.options.schema.fields[1].nullable = false;
  f.Start();
  ASSERT_TRUE(f.follower->AwaitFirst(milliseconds(20'000)));
  f.Psql("alter table places drop column name; insert into places values (2)");
  ASSERT_TRUE(f.Until([&] { return f.follower->status().error.has_value(); }));
  EXPECT_THAT(*f.follower->status().error, HasSubstr("column name"));
  f.Psql("alter table places add column name text default 'new'");
  f.ExpectLines("{\"id\":1,\"name\":\"new\"}\n{\"id\":2,\"name\":\"new\"}\n");
}

}  // namespace
}  // namespace sightline::postgres
