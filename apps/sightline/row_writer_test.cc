#include "apps/sightline/row_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/sightline/testing/world.h"

namespace sightline::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RowWriterTest : public ::testing::TestWithParam<const char*> {
 protected:
  RowWriterTest() {
    shape_.schema.fields = {{.name = "n", .type = FieldType::kInt64}};
    rows_.rows = 2;
    rows_.columns.resize(1);
    rows_.columns[0].int64s = {1, 2};
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(test_.directory)) names.push_back(entry.path().filename());
    return names;
  }
  std::string name() const { return std::string("out.") + GetParam(); }
  std::string path() const { return test_.directory + "/" + name(); }

  TestWorld test_;
  ResultShape shape_;
  ColumnBatch rows_;
};

TEST_P(RowWriterTest, TheFileAppearsWhenItIsWhole) {
  auto writer = RowWriter::Make(test_.files, path());
  ASSERT_TRUE(writer) << writer.error().ToString();
  ASSERT_TRUE((*writer)->Write({}, shape_, rows_));
  EXPECT_THAT(Files(), ElementsAre(name() + ".partial"));
  ASSERT_TRUE((*writer)->Finish(shape_));
  writer->reset();
  EXPECT_THAT(Files(), ElementsAre(name()));
}

TEST_P(RowWriterTest, WhatIsNotFinishedLeavesNothing) {
  for (const bool written : {false, true}) {
    auto writer = RowWriter::Make(test_.files, path());
    ASSERT_TRUE(writer) << writer.error().ToString();
    if (written) {
      ASSERT_TRUE((*writer)->Write({}, shape_, rows_));
    }
    writer->reset();
    EXPECT_THAT(Files(), IsEmpty());
  }
  // What stood under the name before stays.
  test_.Write(name(), "earlier");
  ASSERT_TRUE(RowWriter::Make(test_.files, path()));
  EXPECT_THAT(Files(), ElementsAre(name()));
}

INSTANTIATE_TEST_SUITE_P(Formats, RowWriterTest, ::testing::Values("csv", "ndjson", "parquet"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace sightline::app
