#include "connectors/kafka/patient_registry.h"

#include <gtest/gtest.h>

#include <thread>

namespace sightline::kafka {
namespace {

using std::chrono::milliseconds;

class Source final : public gate::SchemaSource {
 public:
  Result<gate::WriterSchema> Find(std::uint32_t id) override {
    ++asked;
    if (down) return Fail(ErrorKind::kUnavailable, "no answer");
    if (id == 9) return Fail(ErrorKind::kNotFound, "no such schema");
    return gate::WriterSchema{};
  }
  bool down = false;
  int asked = 0;
};

TEST(PatientRegistry, IsLeftAloneForAWhileAfterItDidNotAnswer) {
  Source source;
  PatientRegistry registry(&source, {}, milliseconds(100));
  EXPECT_TRUE(registry.Find(1));
  source.down = true;
  EXPECT_EQ(registry.Find(2).error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(registry.Find(3).error().message, "no answer");
  EXPECT_EQ(source.asked, 2) << "asked once, not for each record";
  EXPECT_TRUE(registry.trouble());
  source.down = false;
  std::this_thread::sleep_for(milliseconds(120));
  EXPECT_TRUE(registry.Find(3));
  EXPECT_FALSE(registry.trouble());
}

TEST(PatientRegistry, AnUnknownIdIsAnAnswer) {
  Source source;
  PatientRegistry registry(&source, {}, milliseconds(100));
  EXPECT_EQ(registry.Find(9).error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(registry.trouble());
}

TEST(PatientRegistry, ATopicIsAskedAboutUntilItMayBeJudged) {
  int asked = 0;
  Status answer = Fail(ErrorKind::kUnavailable, "no answer");
  PatientRegistry registry(
      nullptr,
      [&](const std::string&) {
        ++asked;
        return answer;
      },
      milliseconds(20));
  EXPECT_FALSE(registry.MayJudge("raw"));
  EXPECT_FALSE(registry.MayJudge("raw"));
  EXPECT_EQ(asked, 1);
  EXPECT_TRUE(registry.trouble());
  std::this_thread::sleep_for(milliseconds(30));
  // A contradiction holds up its topic alone, and is no sign of a registry that is away.
  answer = Fail(ErrorKind::kFailedPrecondition, "it contradicts");
  EXPECT_EQ(registry.MayJudge("raw").error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_FALSE(registry.trouble());
  EXPECT_EQ(registry.MayJudge("raw").error().message, "it contradicts");
  EXPECT_EQ(asked, 2);
  answer = {};
  EXPECT_TRUE(registry.MayJudge("other"));
  EXPECT_TRUE(registry.MayJudge("other"));
  EXPECT_EQ(asked, 3);
  EXPECT_FALSE(registry.MayJudge("raw")) << "asked again after a while";
  std::this_thread::sleep_for(milliseconds(120));
  EXPECT_TRUE(registry.MayJudge("raw"));
}

TEST(PatientRegistry, WithoutARegistryAllTopicsAreTaken) {
  PatientRegistry registry(nullptr, {}, milliseconds(100));
  EXPECT_TRUE(registry.MayJudge("raw"));
}

}  // namespace
}  // namespace sightline::kafka
