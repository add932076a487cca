#include "connectors/postgres/pgoutput.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/postgres/binary.h"
#include "connectors/postgres/followed_table.h"

namespace sightline::postgres {
namespace {

using ::testing::HasSubstr;

std::string Cells(const std::vector<std::optional<std::string>>& values, const std::string& unchanged = "") {
  std::string out;
  PutBe(out, static_cast<std::int16_t>(values.size()));
  for (const auto& value : values) {
    if (!value) {
      out += 'n';
    } else if (!unchanged.empty() && *value == unchanged) {
      out += 'u';
    } else {
      out += 't';
      PutSized(out, std::string_view(*value));
    }
  }
  return out;
}

std::string RelationOf(const std::vector<std::pair<std::string, bool>>& columns) {
  std::string out = "R";
  PutBe(out, std::uint32_t{7});
  out += std::string("public\0places\0d", 15);
  PutBe(out, static_cast<std::int16_t>(columns.size()));
  for (const auto& [name, key] : columns) {
    out += key ? '\1' : '\0';
    out += name;
    out += '\0';
    PutBe(out, std::uint32_t{25});
    PutBe(out, std::int32_t{-1});
  }
  return out;
}

template <typename T>
T Parsed(const std::string& bytes) {
  static std::vector<std::unique_ptr<std::string>> kept;  // views point into it
  kept.push_back(std::make_unique<std::string>(bytes));
  const auto message = pgoutput::Parse(*kept.back());
  EXPECT_TRUE(message) << message.error().ToString();
  return std::get<T>(*message);
}

std::string Head(char kind) {
  std::string out(1, kind);
  PutBe(out, std::uint32_t{7});
  return out;
}

FollowedTable Table() {
  FollowedTable table;
  table.Begin(
      {.system = "1", .slot = "s", .table = "\"public\".\"places\"", .columns = {"id", "name", "open"}, .identity = {true, false, false}},
      5);
  EXPECT_TRUE(table.Describe(Parsed<pgoutput::Relation>(RelationOf({{"id", true}, {"secret", false}, {"name", false}, {"open", false}}))));
  EXPECT_TRUE(table.Insert(Parsed<pgoutput::Insert>(Head('I') + "N" + Cells({"1", "x", "Bedok", "t"})).row));
  EXPECT_TRUE(table.Insert(Parsed<pgoutput::Insert>(Head('I') + "N" + Cells({"2", "x", std::nullopt, "f"})).row));
  return table;
}

const Schema kSchema{.fields = {{.name = "id"}, {.name = "name", .type = FieldType::kString}, {.name = "open", .type = FieldType::kBool}}};

TEST(FollowedTable, BecomesLinesOfItsContract) {
  EXPECT_EQ(Table().Lines(kSchema), "{\"id\":1,\"name\":\"Bedok\",\"open\":true}\n{\"id\":2,\"open\":false}\n");
  // A number as a text stays a text: the gate says what is wrong.
  const Schema texts{.fields = {{.name = "id", .type = FieldType::kString}, {.name = "name", .type = FieldType::kInt64}}};
  EXPECT_EQ(Table().Lines(texts), "{\"id\":\"1\",\"name\":\"Bedok\"}\n{\"id\":\"2\"}\n");
}

TEST(FollowedTable, TakesChanges) {
  FollowedTable table = Table();
  // A large value that stays, a key that changes, a row that goes.
  EXPECT_TRUE(table.Update(Parsed<pgoutput::Update>(Head('U') + "N" + Cells({"1", "x", "-", "f"}, "-"))));
  EXPECT_TRUE(table.Update(Parsed<pgoutput::Update>(Head('U') + "K" + Cells({"2", std::nullopt, std::nullopt, std::nullopt}) + "N" +
                                                    Cells({"3", "x", "Tampines", "t"}))));
  EXPECT_EQ(table.Lines(kSchema), "{\"id\":1,\"name\":\"Bedok\",\"open\":false}\n{\"id\":3,\"name\":\"Tampines\",\"open\":true}\n");
  EXPECT_TRUE(table.Remove(Parsed<pgoutput::Delete>(Head('D') + "K" + Cells({"1", std::nullopt, std::nullopt, std::nullopt})).old));
  EXPECT_EQ(table.Lines(kSchema), "{\"id\":3,\"name\":\"Tampines\",\"open\":true}\n");
  const auto unknown = table.Update(Parsed<pgoutput::Update>(Head('U') + "N" + Cells({"9", "x", "-", "f"}, "-")));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::kFailedPrecondition);
}

TEST(FollowedTable, AsksForASnapshotWhenTheTableIsAnother) {
  for (const auto& columns : {std::vector<std::pair<std::string, bool>>{{"id", true}, {"name", false}},
                              std::vector<std::pair<std::string, bool>>{{"id", false}, {"name", true}, {"open", false}},
                              std::vector<std::pair<std::string, bool>>{{"id", true}, {"name", false}, {"open", false}, {"more", true}}}) {
    const auto status = Table().Describe(Parsed<pgoutput::Relation>(RelationOf(columns)));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::kFailedPrecondition);
  }
  // A row of other columns than described.
  FollowedTable table = Table();
  const auto wrong = table.Insert(Parsed<pgoutput::Insert>(Head('I') + "N" + Cells({"1"})).row);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, ErrorKind::kCorruption);
}

TEST(FollowedTable, IsKeptAsBytes) {
  const FollowedTable table = Table();
  const std::string bytes = table.Serialize();
  const auto again = FollowedTable::Deserialize(bytes);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->origin(), table.origin());
  EXPECT_EQ(again->position(), 5u);
  EXPECT_EQ(again->Lines(kSchema), table.Lines(kSchema));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(FollowedTable::Deserialize(damaged)) << i;
    EXPECT_FALSE(FollowedTable::Deserialize(bytes.substr(0, i))) << i;
  }
}

TEST(PgOutput, CutMessagesAreRefused) {
  for (const std::string& whole : {RelationOf({{"id", true}}), Head('I') + "N" + Cells({"1", "abc"}),
                                   Head('U') + "K" + Cells({"1"}) + "N" + Cells({"2"}), Head('D') + "O" + Cells({"1"})}) {
    EXPECT_TRUE(pgoutput::Parse(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(pgoutput::Parse(whole.substr(0, size))) << whole[0] << size;
  }
  EXPECT_FALSE(pgoutput::Parse("?"));
  EXPECT_FALSE(pgoutput::ParseEnvelope("x"));
}

TEST(PgOutput, PositionsAsTexts) {
  EXPECT_EQ(LsnText(0x16B3748), "0/16B3748");
  EXPECT_EQ(ParseLsn("A/FF"), std::optional<Lsn>(0xA000000FF));
  for (const char* bad : {"", "1", "/1", "1/", "1/g", "1/123456789", "-1/2"}) EXPECT_FALSE(ParseLsn(bad)) << bad;
  for (const Lsn lsn : {Lsn{0}, Lsn{1}, ~Lsn{0}}) EXPECT_EQ(ParseLsn(LsnText(lsn)), lsn);
}

TEST(PgOutput, TheAnswerSaysThreeTimesWhatIsKept) {
  const std::string answer = pgoutput::StatusUpdate(0x0102030405060708, 9);
  ASSERT_EQ(answer.size(), 34u);
  EXPECT_EQ(answer[0], 'r');
  for (const std::size_t at : {1, 9, 17}) EXPECT_EQ(LoadBe<Lsn>(answer.data() + at), 0x0102030405060708u);
}

}  // namespace
}  // namespace sightline::postgres
