#include <cstdlib>
#include <limits>

#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>

#include "sightline/tabular/append.h"
#include "sightline/tabular/arrow.h"
#include "sightline/tabular/csv.h"
#include "sightline/tabular/json.h"
#include "sightline/tabular/result_rows.h"

namespace sightline::tabular {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();

const Schema& TestSchema() {
  static const Schema schema{.fields = {{.name = "oid", .type = FieldType::kInt64, .identifier = true},
                                        {.name = "count", .type = FieldType::kInt64, .nullable = true},
                                        {.name = "share", .type = FieldType::kDouble, .nullable = true},
                                        {.name = "open", .type = FieldType::kBool, .nullable = true},
                                        {.name = "na\"me", .type = FieldType::kString, .nullable = true}}};
  return schema;
}

// A plain row, one of nulls, and one of edges.
ColumnBatch TestBatch() {
  ColumnBatch batch;
  batch.Reset(TestSchema(), 3);
  batch.rows = 3;
  auto& c = batch.columns;
  c[0].int64s = {7, kMin, kMax};
  c[1].int64s = {12, 0, -1};
  c[2].doubles = {0.1, 0, std::numeric_limits<double>::infinity()};
  c[3].int64s = {1, 0, 0};
  c[4].strings = {"Bedok", "", "a,\"b\"\r\n\xF0\x9F\x9A\x97"};
  for (std::size_t column = 1; column < 5; ++column) SetNull(c[column], 1);
  return batch;
}

TEST(Json, RowsAfterTheProto3Mapping) {
  std::string out;
  AppendNdjson(TestSchema(), TestBatch(), out);
  EXPECT_EQ(out,
            "{\"oid\":\"7\",\"count\":12,\"share\":0.1,\"open\":true,\"na\\\"me\":\"Bedok\"}\n"
            "{\"oid\":\"-9223372036854775808\",\"count\":null,\"share\":null,\"open\":null,\"na\\\"me\":null}\n"
            "{\"oid\":\"9223372036854775807\",\"count\":-1,\"share\":\"Infinity\",\"open\":false,"
            "\"na\\\"me\":\"a,\\\"b\\\"\\r\\n\xF0\x9F\x9A\x97\"}\n");
  out.clear();
  AppendJsonArray(TestSchema(), TestBatch(), 0, out);
  EXPECT_EQ(out, "[\"7\",12,0.1,true,\"Bedok\"]");
}

TEST(Csv, RowsAfterRfc4180) {
  std::string out;
  AppendCsvHeader(TestSchema(), out);
  AppendCsvRows(TestSchema(), TestBatch(), out);
  EXPECT_EQ(out,
            "oid,count,share,open,\"na\"\"me\"\n"
            "7,12,0.1,true,Bedok\n"
            "-9223372036854775808,,,,\n"
            "9223372036854775807,-1,Infinity,false,\"a,\"\"b\"\"\r\n\xF0\x9F\x9A\x97\"\n");
}

TEST(Csv, TheEmptyStringIsNotNull) {
  const Schema schema{.fields = {{.name = "a", .type = FieldType::kString, .nullable = true}, {.name = "b", .type = FieldType::kInt64}}};
  ColumnBatch batch;
  batch.Reset(schema, 2);
  batch.rows = 2;
  batch.columns[0].strings = {"", ""};
  batch.columns[1].int64s = {1, 2};
  SetNull(batch.columns[0], 1);
  std::string out;
  AppendCsvRows(schema, batch, out);
  EXPECT_EQ(out, "\"\",1\n,2\n");
}

TEST(Json, DoublesReadBackTheSame) {
  const Schema schema{.fields = {{.name = "d", .type = FieldType::kDouble}}};
  for (const double value : {1e22, 5e-324, 1.7976931348623157e308, -0.0, 123456789.125}) {
    ColumnBatch batch;
    batch.Reset(schema, 1);
    batch.rows = 1;
    batch.columns[0].doubles[0] = value;
    std::string out;
    AppendJsonValue(schema.fields[0], batch.columns[0], 0, out);
    EXPECT_EQ(std::strtod(out.c_str(), nullptr), value) << out;
  }
}

void ExpectTestTable(const arrow::Table& table, int times) {
  ASSERT_EQ(table.num_rows(), 3 * times);
  ASSERT_EQ(table.num_columns(), 5);
  EXPECT_EQ(table.schema()->field(4)->name(), "na\"me");
  EXPECT_EQ(table.schema()->field(0)->type()->ToString(), "int64");
  const auto text = [&](int column, int row) { return table.column(column)->GetScalar(row).ValueOrDie()->ToString(); };
  for (int at = 0; at < 3 * times; at += 3) {
    EXPECT_EQ(text(0, at), "7");
    EXPECT_EQ(text(0, at + 1), std::to_string(kMin));
    EXPECT_EQ(text(0, at + 2), std::to_string(kMax));
    EXPECT_EQ(text(2, at + 2), "inf");
    EXPECT_EQ(text(3, at), "true");
    EXPECT_EQ(text(4, at + 2), "a,\"b\"\r\n\xF0\x9F\x9A\x97");
    for (int column = 1; column < 5; ++column) EXPECT_EQ(text(column, at + 1), "null");
  }
}

TEST(Arrow, TheStreamReadsBack) {
  std::string bytes;
  auto encoder = MakeArrowStreamEncoder(TestSchema(), [&](std::string_view piece) -> Status {
    bytes += piece;
    return {};
  });
  ASSERT_TRUE(encoder) << encoder.error().ToString();
  ASSERT_TRUE((*encoder)->Write(TestBatch()));
  ASSERT_TRUE((*encoder)->Write(TestBatch()));
  ASSERT_TRUE((*encoder)->Finish());
  auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes));
  auto reader = arrow::ipc::RecordBatchStreamReader::Open(input).ValueOrDie();
  ExpectTestTable(*reader->ToTable().ValueOrDie(), 2);
}

TEST(Arrow, AnEmptyStreamHasItsSchema) {
  std::string bytes;
  auto encoder = MakeArrowStreamEncoder(TestSchema(), [&](std::string_view piece) -> Status {
    bytes += piece;
    return {};
  });
  ASSERT_TRUE(encoder);
  ASSERT_TRUE((*encoder)->Finish());
  auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes));
  auto table = arrow::ipc::RecordBatchStreamReader::Open(input).ValueOrDie()->ToTable().ValueOrDie();
  EXPECT_EQ(table->num_rows(), 0);
  EXPECT_EQ(table->num_columns(), 5);
}

TEST(Parquet, TheFileReadsBack) {
  std::string bytes;
  auto encoder = MakeParquetEncoder(TestSchema(), [&](std::string_view piece) -> Status {
    bytes += piece;
    return {};
  });
  ASSERT_TRUE(encoder) << encoder.error().ToString();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE((*encoder)->Write(TestBatch()));
  ASSERT_TRUE((*encoder)->Finish());
  auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes));
  auto reader = parquet::arrow::OpenFile(input, arrow::default_memory_pool()).ValueOrDie();
  EXPECT_EQ(reader->num_row_groups(), 1) << "small batches share a row group";
  ExpectTestTable(*reader->ReadTable().ValueOrDie(), 1000);
}

TEST(Columnar, TheSinksErrorComesBackAsItIs) {
  const auto full = [](std::string_view) -> Status { return Fail(ErrorKind::kResourceExhausted, "disk full at out.parquet"); };
  for (auto* make : {MakeArrowStreamEncoder, MakeParquetEncoder}) {
    auto encoder = make(TestSchema(), full);
    Status status;
    if (!encoder) {
      status = std::unexpected(encoder.error());
    } else {
      status = (*encoder)->Write(TestBatch());
      if (status) status = (*encoder)->Finish();
    }
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::kResourceExhausted);
    EXPECT_EQ(status.error().message, "disk full at out.parquet");
  }
}

TEST(Append, KeepsNullsAndTextApart) {
  ColumnBatch to;
  to.Reset(TestSchema(), 0);
  {
    ColumnBatch from = TestBatch();
    const std::string text = "short-lived text, long enough for the heap";
    from.columns[4].strings[0] = text;
    AppendRows(from, 0, 1, to);
    EXPECT_TRUE(to.columns[4].nulls.empty());
    AppendRows(from, 0, 3, to);
  }
  ASSERT_EQ(to.rows, 4u);
  EXPECT_EQ(to.columns[4].strings[1], "short-lived text, long enough for the heap");
  EXPECT_FALSE(to.columns[4].IsNull(1));
  EXPECT_TRUE(to.columns[4].IsNull(2));
  EXPECT_FALSE(to.columns[4].IsNull(3));
  EXPECT_EQ(to.columns[0].int64s[3], kMax);
}

TEST(ResultRows, WindowAndStateStandAroundThePipelinesColumns) {
  const ResultShape shape{.pipeline = "p", .schema = TestSchema(), .group = {0}, .windowed = true};
  const Schema schema = ResultRowSchema(shape, ResultColumns::kWindowAndState);
  ColumnBatch rows;
  rows.Reset(schema, 0);
  ResultHeader header;
  header.window_start = EventTime(-60'000);
  header.window_end = EventTime(0);
  AppendResult(header, TestBatch(), 0, 1, ResultColumns::kWindowAndState, rows);
  header.state = ResultState::kCorrected;
  header.revision = 3;
  AppendResult(header, TestBatch(), 1, 2, ResultColumns::kWindowAndState, rows);
  std::string out;
  AppendCsvHeader(schema, out);
  AppendCsvRows(schema, rows, out);
  EXPECT_EQ(out,
            "window_start,window_end,oid,count,share,open,\"na\"\"me\",state,revision\n"
            "-60000,0,7,12,0.1,true,Bedok,final,0\n"
            "-60000,0,-9223372036854775808,,,,,corrected,3\n");
  EXPECT_EQ(ResultRowSchema(shape, ResultColumns::kWindow).fields.size(), 7u);
}

}  // namespace
}  // namespace sightline::tabular
