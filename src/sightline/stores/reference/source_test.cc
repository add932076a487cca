#include "sightline/stores/reference/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sightline/runtime/posix_file_system.h"
#include "sightline/tabular/arrow.h"

namespace sightline::stores {
namespace {

using ::testing::HasSubstr;

constexpr const char* kContract = R"(apiVersion: v3.2.0
kind: DataContract
id: p
name: places
version: 1.0.0
status: active
schema:
  - name: places
    logicalType: object
    properties:
      - {name: oid, logicalType: integer, physicalType: int64, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: title, logicalType: string, required: true}
      - {name: share, logicalType: number}
      - {name: open, logicalType: boolean}
)";

// What every form of the table below must give.
constexpr const char* kRows =
    "7|Mall, north|0.5|1\n"
    "-1|a \"q\"|null|0\n"
    "9223372036854775807|東京|1000|null\n";

std::string Cell(const Column& column, std::size_t row) {
  if (column.IsNull(row)) return "null";
  switch (column.type) {
    case FieldType::kString: return std::string(column.strings[row]);
    case FieldType::kDouble: {
      std::ostringstream out;
      out << column.doubles[row];
      return out.str();
    }
    default: return std::to_string(column.int64s[row]);
  }
}

std::string Text(const ColumnBatch& rows) {
  std::string out;
  for (std::size_t row = 0; row < rows.rows; ++row) {
    for (std::size_t i = 0; i < rows.columns.size(); ++i) out += (i == 0 ? "" : "|") + Cell(rows.columns[i], row);
    out += "\n";
  }
  return out;
}

class ReferenceSourceTest : public ::testing::Test {
 protected:
  ReferenceSourceTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sightline-reference-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    auto contract = governance::ParseContract(kContract, "places.odcs.yaml");
    EXPECT_TRUE(contract) << contract.error().message;
    contract_ = std::move(*contract);
  }
  ~ReferenceSourceTest() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, const std::string& bytes) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  Result<ColumnBatch> Read(const std::string& name, const std::string& bytes) {
    return ReadReference(files_, Write(name, bytes), contract_);
  }
  std::string TextOf(const std::string& name, const std::string& bytes) {
    const Result<ColumnBatch> rows = Read(name, bytes);
    return rows ? Text(*rows) : rows.error().ToString();
  }
  // The message, which begins with the file's path.
  std::string Refusal(const std::string& name, const std::string& bytes) {
    const Result<ColumnBatch> rows = Read(name, bytes);
    if (rows) return "it was taken: " + Text(*rows);
    EXPECT_EQ(rows.error().kind, ErrorKind::kInvalidArgument);
    const std::string path = directory_ + "/" + name + ": ";
    EXPECT_EQ(rows.error().message.substr(0, path.size()), path);
    return rows.error().message.substr(std::min(path.size(), rows.error().message.size()));
  }
  static std::string Parquet(const Schema& schema, const ColumnBatch& rows) {
    std::string bytes;
    auto encoder = tabular::MakeParquetEncoder(schema, [&bytes](std::string_view more) -> Status {
      bytes += more;
      return {};
    });
    EXPECT_TRUE(encoder);
    EXPECT_TRUE((*encoder)->Write(rows));
    EXPECT_TRUE((*encoder)->Finish());
    return bytes;
  }

  std::string directory_;
  runtime::PosixFileSystem files_;
  governance::Contract contract_;
};

TEST_F(ReferenceSourceTest, TheFormsOfOneTableGiveTheSameRows) {
  EXPECT_EQ(TextOf("t.csv",
                   "title,oid,extra,open,share\n"
                   "\"Mall, north\",7,x,true,0.5\n"
                   "\"a \"\"q\"\"\",-1,,false,\n"
                   "東京,9223372036854775807,,,1e3\n"),
            kRows);
  const std::string first = R"({"oid":7,"title":"Mall, north","share":0.5,"open":true,"extra":{"x":[1]}})";
  const std::string second = R"({"open":false,"title":"a \"q\"","oid":-1,"share":null})";
  const std::string third = R"({"oid":9223372036854775807,"title":"\u6771\u4eac","share":1e3})";
  EXPECT_EQ(TextOf("t.ndjson", first + "\n" + second + "\n\n" + third), kRows);
  EXPECT_EQ(TextOf("t.json", "[" + first + ",\n " + second + ", " + third + "]\n"), kRows);

  Schema schema = contract_.schema;
  schema.fields.push_back({.name = "extra", .type = FieldType::kInt64});
  std::swap(schema.fields[0], schema.fields[1]);
  for (Field& field : schema.fields) field.nullable = true;
  ColumnBatch rows;
  rows.Reset(schema, 3);
  rows.rows = 3;
  rows.columns[0].strings = {"Mall, north", "a \"q\"", "東京"};
  rows.columns[1].int64s = {7, -1, INT64_MAX};
  rows.columns[2].doubles = {0.5, 0, 1000};
  rows.columns[2].nulls = {0, 1, 0};
  rows.columns[3].int64s = {1, 0, 0};
  rows.columns[3].nulls = {0, 0, 1};
  rows.columns[4].int64s = {1, 2, 3};
  EXPECT_EQ(TextOf("t.parquet", Parquet(schema, rows)), kRows);
}

TEST_F(ReferenceSourceTest, TablesWithoutRowsAreTables) {
  EXPECT_EQ(TextOf("t.csv", "oid,title\n"), "");
  EXPECT_EQ(TextOf("t.ndjson", ""), "");
  EXPECT_EQ(TextOf("t.json", "[]"), "");
  ColumnBatch none;
  none.Reset(contract_.schema, 1);
  EXPECT_EQ(TextOf("t.parquet", Parquet(contract_.schema, none)), "");
}

TEST_F(ReferenceSourceTest, ARowThatBreaksTheContractIsNamed) {
  EXPECT_THAT(Refusal("t.csv", "oid,title\n1,a\nx,b\n"), HasSubstr("row 2 (line 3): oid: "));
  EXPECT_THAT(Refusal("t.ndjson", "{\"oid\":1,\"title\":\"a\"}\n{\"oid\":\"2\",\"title\":\"b\"}\n"), HasSubstr("row 2: oid: "));
  EXPECT_THAT(Refusal("t.json", R"([{"oid":1,"title":"a"},{"oid":2}])"), HasSubstr("row 2: title: "));
  EXPECT_THAT(Refusal("t.json", "[1]"), HasSubstr("row 1: "));
  Schema schema = contract_.schema;
  for (Field& field : schema.fields) field.nullable = true;
  ColumnBatch rows;
  rows.Reset(schema, 2);
  rows.rows = 2;
  rows.columns[0].int64s = {1, 2};
  rows.columns[1].strings = {"a", ""};
  rows.columns[1].nulls = {0, 1};
  EXPECT_THAT(Refusal("t.parquet", Parquet(schema, rows)), HasSubstr("row 2: title: "));
  // The first ten, and how many more.
  std::string many;
  for (int i = 0; i < 13; ++i) many += "{}\n";
  EXPECT_THAT(Refusal("t.ndjson", many), HasSubstr("… and 3 more rows"));
}

TEST_F(ReferenceSourceTest, WhatIsNoTableIsRefusedByName) {
  EXPECT_THAT(Refusal("t.csv", ""), HasSubstr("is empty"));
  EXPECT_THAT(Refusal("t.csv", "oid,titel\n1,a\n"), HasSubstr("there is no column title; is it the one named titel?"));
  EXPECT_THAT(Refusal("t.csv", "oid,title\n1\n"), HasSubstr("Expected 2 columns, got 1"));
  EXPECT_THAT(Refusal("t.json", R"({"oid":1,"title":"a"})"), HasSubstr("for an object a line name it .ndjson"));
  EXPECT_THAT(Refusal("t.json", "[{]"), HasSubstr("is not a JSON array of objects"));
  EXPECT_THAT(Refusal("t.ndjson", "[{\"oid\":1,\"title\":\"a\"}]\n"), HasSubstr("row 1: "));
  EXPECT_FALSE(Read("t.parquet", "PAR1 and no more"));
  EXPECT_THAT(Refusal("t.xlsx", "x"), HasSubstr("a reference is a .csv, .json, .ndjson or .parquet file"));
  const auto missing = ReadReference(files_, directory_ + "/none.csv", contract_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace sightline::stores
