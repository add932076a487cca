// Versions of a reference that processes share through an object store.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "apps/sightline/testing/world.h"
#include "sightline/flow/reference_store.h"
#include "sightline/stores/objects/embedded/file_store.h"

namespace sightline::app {
namespace {

class ReferenceVersionsTest : public ::testing::Test {
 protected:
  ReferenceVersionsTest() {
    schema_.fields = {{.name = "id", .type = FieldType::kInt64}, {.name = "name", .type = FieldType::kString}};
    auto opened = stores::FileObjectStore::Open(runtime_, test_.directory + "/objects", stores::FileObjectStore::Access::kOwn);
    EXPECT_TRUE(opened) << opened.error().ToString();
    objects_ = std::move(*opened);
  }
  ColumnBatch Rows(const std::string& name) const {
    ColumnBatch rows;
    rows.Reset(schema_, 1);
    rows.columns[0].int64s[0] = 7;
    names_.push_back(std::make_unique<std::string>(name));
    rows.columns[1].strings[0] = *names_.back();
    rows.rows = 1;
    return rows;
  }

  TestWorld test_;
  runtime::Failpoints failpoints_;
  runtime::Runtime runtime_{test_.clock, test_.files, failpoints_};
  Schema schema_;
  std::unique_ptr<stores::ObjectStore> objects_;
  mutable std::vector<std::unique_ptr<std::string>> names_;
};

TEST_F(ReferenceVersionsTest, HaveOneNumberForAllProcesses) {
  flow::ObjectReferenceStore one(*objects_, "references");
  flow::ObjectReferenceStore other(*objects_, "references");
  const auto none = other.NewestVersion("places");
  ASSERT_TRUE(none) << none.error().ToString();
  EXPECT_EQ(*none, 0U);
  const auto first = one.Add("places", schema_, 0, Rows("here"));
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ((*first)->version(), 1U);
  // Who reads the same rows from the source finds the version that is there.
  EXPECT_EQ((*other.Add("places", schema_, 0, Rows("here")))->version(), 1U);
  EXPECT_EQ((*other.Add("places", schema_, 0, Rows("there")))->version(), 2U);
  EXPECT_EQ(*one.NewestVersion("places"), 2U);
  EXPECT_EQ((*one.Newest("places", schema_, 0))->version(), 2U);
  const auto old = other.Load("places", schema_, 0, 1);
  ASSERT_TRUE(old) << old.error().ToString();
  EXPECT_EQ((*old)->rows().rows, 1U);
  EXPECT_EQ(other.Load("places", schema_, 0, 3).error().kind, ErrorKind::kNotFound);
}

TEST_F(ReferenceVersionsTest, BeyondTheNewestSixtyFourGo) {
  flow::ObjectReferenceStore store(*objects_, "references");
  for (int i = 0; i < 70; ++i) ASSERT_TRUE(store.Add("places", schema_, 0, Rows("name " + std::to_string(i))));
  EXPECT_EQ(store.Load("places", schema_, 0, 6).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(store.Load("places", schema_, 0, 7));
  EXPECT_EQ(*store.NewestVersion("places"), 70U);
}

}  // namespace
}  // namespace sightline::app
