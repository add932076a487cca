#include "sightline/stores/statistics/sql.h"

#include <filesystem>
#include <limits>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sightline/runtime/posix_file_system.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"
#include "sightline/stores/statistics/embedded/duckdb_store.h"
#include "sightline/stores/statistics/sql/isolated_database.h"
#include "sightline/stores/statistics/testing/conformance.h"
#include "sightline/tabular/csv.h"

namespace sightline::stores {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::TestRecord;
using testing::TestRow;

class SqlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = OpenDuckDbStore(runtime_, {.directory = directory_.path()});
    ASSERT_TRUE(opened) << opened.error().ToString();
    store_ = *std::move(opened);
    shape_ = testing::TestShape("item_counts");
    ASSERT_TRUE(store_->Ensure(shape_, 1));
    Put(0, {{1, "Bedok", "person", 5}, {1, "Bedok", "car", 2}});
    Put(0, {{2, "Yishun", "person", 7}});
    Put(60'000, {{1, "Bedok", "person", 1}});
    Put(60'000, {{std::nullopt, std::nullopt, "car", 4}});
    Serve({});
  }
  void Put(std::int64_t start, const std::vector<TestRow>& rows) {
    ResultBatch batch(shape_.schema);
    ASSERT_TRUE(batch.Add(Partition(0), Offset(offset_), TestRecord(start, 0, rows), shape_));
    ++offset_;
    const auto applied = store_->Apply(
        {.pipeline = "item_counts", .generation = 1, .topic = "t", .results = &batch, .consumed = {{Partition(0), Offset(offset_)}}});
    ASSERT_TRUE(applied) << applied.error().ToString();
  }
  void Serve(const SqlOptions& options) { service_ = MakeSqlService(*store_, clock_, options); }
  Result<SqlAnswer> Run(const std::string& sql, const GrantFilter& grants = {}) {
    return service_->Run({.principal = "admin", .sql = sql, .grants = grants});
  }
  // The answer as CSV, or the error.
  std::string Csv(const std::string& sql, const GrantFilter& grants = {}) {
    const auto answer = Run(sql, grants);
    if (!answer) return answer.error().ToString();
    std::string out;
    tabular::AppendCsvHeader(answer->schema, out);
    tabular::AppendCsvRows(answer->schema, answer->rows, out);
    return out;
  }

  testing::TestDirectory directory_;
  runtime::SystemClock clock_;
  runtime::PosixFileSystem files_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{clock_, files_, failpoints_};
  ResultShape shape_;
  std::int64_t offset_ = 0;
  std::unique_ptr<StatisticsStore> store_;
  std::unique_ptr<SqlService> service_;
};

TEST_F(SqlTest, PipelinesAreRelations) {
  EXPECT_EQ(Csv("SELECT item_name, sum(item_count) AS n FROM item_counts GROUP BY ALL ORDER BY n DESC, item_name"),
            "item_name,n\nperson,13\ncar,6\n");
  EXPECT_EQ(Csv("select * from item_counts where geographical_location_oid = 2; -- all of it"),
            "window_start,window_end,geographical_location_oid,geographical_location,item_name,item_count,state,revision\n"
            "0,60000,2,Yishun,person,7,final,0\n");
  EXPECT_EQ(Csv("SELECT count(*) FROM item_counts"), "count_star()\n5\n");
  EXPECT_EQ(Csv("SELECT count(*) AS n FROM item_counts WHERE geographical_location IS NULL"), "n\n1\n");
  EXPECT_EQ(Csv("WITH t AS (SELECT * FROM item_counts) SELECT max(a.item_count) AS m FROM t a JOIN item_counts b USING (item_name)"),
            "m\n7\n");
}

TEST_F(SqlTest, ARangeOfWindowsIsReadAlone) {
  EXPECT_EQ(Csv("SELECT sum(item_count) AS n FROM item_counts_between(60000, 120000)"), "n\n5\n");
  EXPECT_EQ(Csv("SELECT sum(item_count) AS n FROM item_counts_between(NULL, 60000)"), "n\n14\n");
}

TEST_F(SqlTest, NewRowsAndPipelinesAreSeen) {
  EXPECT_EQ(Csv("SELECT count(*) AS n FROM item_counts"), "n\n5\n");
  Put(120'000, {{1, "Bedok", "person", 9}});
  EXPECT_EQ(Csv("SELECT count(*) AS n FROM item_counts"), "n\n6\n");
  ASSERT_TRUE(store_->Ensure(testing::TestShape("top_items"), 1));
  EXPECT_EQ(Csv("SELECT count(*) AS n FROM top_items"), "n\n0\n");
  EXPECT_THAT(Csv("SHOW TABLES"), HasSubstr("top_items"));
  EXPECT_THAT(Csv("DESCRIBE top_items"), HasSubstr("geographical_location_oid,BIGINT"));
}

TEST_F(SqlTest, TypesLeaveAsOursAndOrderStays) {
  EXPECT_EQ(Csv("SELECT 1::TINYINT AS a, 1.5 AS b, 2.25::FLOAT AS c, true AS d, 'x' AS e, NULL AS f, TIMESTAMP '2026-01-02 03:04:05' AS g, "
                "[1, 2] AS h, {'k': 1} AS i, 170141183460469231731687303715884105727::HUGEINT % 10 AS j"),
            "a,b,c,d,e,f,g,h,i,j\n1,1.5,2.25,true,x,,2026-01-02 03:04:05,\"[1, 2]\",{'k': 1},7\n");
  const auto answer = Run("SELECT i::INTEGER AS i FROM range(5000) t(i) ORDER BY i DESC");
  ASSERT_TRUE(answer) << answer.error().ToString();
  ASSERT_EQ(answer->rows.rows, 5000u);
  for (std::size_t row = 0; row < 5000; ++row) ASSERT_EQ(answer->rows.columns[0].int64s[row], 4999 - static_cast<std::int64_t>(row));
  EXPECT_EQ(Run("SELECT 9223372036854775807::HUGEINT + 1").error().kind, ErrorKind::kInvalidArgument);
}

TEST_F(SqlTest, MistakesAreTheUsers) {
  for (const char* sql : {"SELEC 1", "SELECT nothing FROM item_counts", "SELECT * FROM item_count", "", "SELECT 1; SELECT 2", "SELECT ?",
                          "SELECT 'a'::INTEGER"}) {
    const auto answer = Run(sql);
    ASSERT_FALSE(answer) << sql;
    EXPECT_EQ(answer.error().kind, ErrorKind::kInvalidArgument) << sql << ": " << answer.error().ToString();
  }
  EXPECT_EQ(Run("SELECT '\xFF'").error().kind, ErrorKind::kInvalidArgument);
}

// Each of these would read, write, change or outgrow what SQL may.
constexpr const char* kRefused[] = {

    "SELECT * FROM read_csv('$FILE')",
    "SELECT * FROM '$FILE'",
    "SELECT * FROM read_text('$FILE')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM read_blob('$FILE')",
    "SELECT * FROM read_json('$FILE')",
    "SELECT * FROM read_parquet('$FILE')",
    "SELECT * FROM sniff_csv('$FILE')",
    "SELECT (SELECT content FROM read_text('$FILE'))",
    "WITH x AS (SELECT * FROM read_text('$FILE')) SELECT * FROM x",
    "SELECT * FROM read_duckdb('$FILE')",
    "COPY (SELECT 1) TO '$NEW'",
    "COPY item_counts TO '$NEW' (FORMAT parquet)",
    "EXPORT DATABASE '$NEW'",
    "ATTACH '$NEW' AS x",
    "ATTACH ':memory:' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '$FILE'",
    "SET memory_limit = '10GB'",
    "SET threads = 8",
    "RESET memory_limit",
    "SET enable_external_access = true",
    "PRAGMA threads = 8",
    "PRAGMA enable_profiling",
    "CALL enable_logging()",
    "SELECT * FROM enable_logging(level = 'debug', storage = 'file', storage_path = '$NEW')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''$NEW''')",
    "SELECT * FROM query_table('item_counts')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM duckdb_settings()'))",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM force_checkpoint()",
    "CREATE TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "DROP VIEW item_counts",
    "INSERT INTO item_counts SELECT * FROM item_counts",
    "DELETE FROM item_counts",
    "UPDATE item_counts SET item_count = 1",
    "BEGIN TRANSACTION",
    "CHECKPOINT",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN ANALYZE SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "SELECT * FROM sightline_rows_0()",
    "SELECT * FROM sightline.r1",
    "SELECT repeat('x', 1000000000)",
    "SELECT length(lpad('x', 1000000000, 'y'))",
    "SELECT len(range(100000000))",
    "SELECT format('{:>1000000000}', 'x')",
    "SELECT 1) AS x, (SELECT 2",
    "SELECT 1 FROM (SELECT 1; DROP VIEW item_counts)"};

TEST_F(SqlTest, WhatIsNotReadingTheStatisticsIsRefused) {
  const std::string file = directory_.path() + "/outside.csv";
  const std::string made = directory_.path() + "/made";
  ASSERT_TRUE(runtime::WriteFileAtomically(files_, file, "contents-of-the-file\n"));
  for (const char* attempt : kRefused) {
    std::string sql = attempt;
    SCOPED_TRACE(sql);
    for (std::size_t at = sql.find("$FILE"); at != sql.npos; at = sql.find("$FILE")) sql.replace(at, 5, file);
    for (std::size_t at = sql.find("$NEW"); at != sql.npos; at = sql.find("$NEW")) sql.replace(at, 4, made);
    const auto answer = Run(sql);
    EXPECT_FALSE(answer);
    if (answer) continue;
    EXPECT_THAT(answer.error().kind, AnyOf(ErrorKind::kPermissionDenied, ErrorKind::kInvalidArgument)) << answer.error().ToString();
    EXPECT_THAT(answer.error().message, ::testing::Not(HasSubstr("contents-of-the-file")));
    EXPECT_FALSE(std::filesystem::exists(made));
    // The instance and the store live on as they were.
    EXPECT_EQ(Csv("SELECT count(*) AS n FROM item_counts"), "n\n5\n");
  }
}

// The walls behind the guard: the instance itself refuses files and settings.
TEST(IsolatedDatabase, RefusesFilesAndSettingsByItself) {
  auto database = duck::OpenIsolated(64ULL << 20);
  ASSERT_TRUE(database) << database.error().ToString();
  auto connection = duck::Connection::Open(*database);
  ASSERT_TRUE(connection);
  ASSERT_TRUE(duck::LockConfiguration(*connection));
  for (const char* sql :
       {"SELECT * FROM read_text('/etc/hostname')", "SELECT * FROM glob('/*')", "COPY (SELECT 1) TO '/tmp/sightline-made'",
        "ATTACH '/tmp/sightline-made' AS x", "INSTALL httpfs", "LOAD httpfs", "SET threads = 8", "RESET memory_limit",
        "SET enable_external_access = true", "SET lock_configuration = false", "PRAGMA memory_limit = '10GB'"}) {
    EXPECT_FALSE(connection->Execute(sql)) << sql;
  }
}

TEST_F(SqlTest, ALongQueryIsStopped) {
  Serve({.time_max = std::chrono::milliseconds(200)});
  const auto start = std::chrono::steady_clock::now();
  const auto answer = Run("SELECT count(*) FROM range(100000000000) a(i) WHERE hash(i) = 1");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kDeadlineExceeded) << answer.error().ToString();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  EXPECT_EQ(Csv("SELECT 1::BIGINT AS one"), "one\n1\n");
}

TEST_F(SqlTest, MemoryIsLimited) {
  Serve({.time_max = std::chrono::minutes(2), .memory_bytes_max = 32ULL << 20});
  const auto answer = Run("SELECT len(list(i)) FROM range(20000000) t(i)");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kResourceExhausted) << answer.error().ToString();
  EXPECT_EQ(Csv("SELECT 1::BIGINT AS one"), "one\n1\n");
}

TEST_F(SqlTest, LargeAnswersAreCut) {
  Serve({.rows_max = 3000});
  auto rows = Run("SELECT i FROM range(1000000) t(i)");
  ASSERT_TRUE(rows) << rows.error().ToString();
  EXPECT_EQ(rows->rows.rows, 3000u);
  EXPECT_TRUE(rows->truncated);
  rows = Run("SELECT i FROM range(3000) t(i)");
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->rows.rows, 3000u);
  EXPECT_FALSE(rows->truncated);
  Serve({.rows_max = 1'000'000, .bytes_max = 1 << 20});
  rows = Run("SELECT i::VARCHAR || 'some text of some length' AS t FROM range(1000000) t(i)");
  ASSERT_TRUE(rows);
  EXPECT_TRUE(rows->truncated);
  EXPECT_LT(rows->rows.rows, 100'000u);
}

TEST_F(SqlTest, GrantsStandInsideEveryWayToTheRows) {
  const GrantFilter bedok = [](const StatisticsTable&) {
    return std::vector<ColumnFilter>{{"geographical_location_oid", {std::int64_t{1}}}};
  };
  for (const char* sql :
       {"SELECT sum(item_count) AS n FROM item_counts", "SELECT sum(item_count) AS n FROM item_counts_between(NULL, NULL)",
        "SELECT sum(item_count) AS n FROM item_counts WHERE geographical_location_oid IN (1, 2) OR true"}) {
    EXPECT_EQ(Csv(sql, bedok), "n\n8\n") << sql;
  }
  EXPECT_EQ(Csv("SELECT count(*) AS n FROM item_counts", bedok), "n\n3\n");
  // A grant that is taken away is gone at the next query.
  const GrantFilter nothing = [](const StatisticsTable&) { return std::vector<ColumnFilter>{{"geographical_location_oid", {}}}; };
  EXPECT_EQ(Csv("SELECT count(*) AS n FROM item_counts", nothing), "n\n0\n");
}

TEST_F(SqlTest, QueriesOfSeveralRunAtOnceUpToTheLimit) {
  Serve({.concurrent_max = 8});
  std::vector<std::string> answers(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int times = 0; times < 5; ++times) {
        const auto answer =
            service_->Run({.principal = "p" + std::to_string(i % 3), .sql = "SELECT sum(item_count)::BIGINT FROM item_counts"});
        answers[i] += answer ? std::to_string(answer->rows.columns[0].int64s[0]) + " " : answer.error().ToString();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(answers, ::testing::Each(std::string("19 19 19 19 19 ")));
  Serve({.concurrent_max = 0});
  EXPECT_EQ(Run("SELECT 1").error().kind, ErrorKind::kResourceExhausted);
}

TEST_F(SqlTest, PrincipalsComeAndGo) {
  Serve({.principals_max = 2});
  for (int i = 0; i < 6; ++i) {
    const auto answer = service_->Run({.principal = std::to_string(i % 4), .sql = "SELECT count(*) FROM item_counts"});
    ASSERT_TRUE(answer) << answer.error().ToString();
    EXPECT_EQ(answer->rows.columns[0].int64s[0], 5);
  }
}

}  // namespace
}  // namespace sightline::stores
