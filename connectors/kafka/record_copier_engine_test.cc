// Records of another log on a real broker: as they were, once, and by one copier at a time.
#include "connectors/kafka/record_copier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/kafka/testing/kafka_engine.h"

namespace sightline::kafka {
namespace {

using ::testing::ElementsAre;
using testing::KafkaEngine;
using testing::ReadAll;

const TopicPartition kTopic{"t", Partition(0)};

std::unique_ptr<KafkaBus> Open(const std::string& prefix) {
  auto bus = KafkaBus::Open(KafkaEngine::Get().Options(prefix));
  EXPECT_TRUE(bus) << bus.error().ToString();
  return bus ? std::move(*bus) : nullptr;
}

std::unique_ptr<RecordCopier> OpenCopier(KafkaBus& bus) {
  auto copier = RecordCopier::Open(bus, "migration");
  EXPECT_TRUE(copier) << copier.error().ToString();
  return copier ? std::move(*copier) : nullptr;
}

TEST(RecordCopier, KeepsTypeEncodingKeyAndTime) {
  const auto bus = Open(KafkaEngine::Get().NewPrefix());
  ASSERT_TRUE(bus->EnsureTopic({.name = "t"}));
  const auto copier = OpenCopier(*bus);
  ASSERT_TRUE(copier->Put(kTopic, {.time = AppendTime(1000), .value = "json"}));
  ASSERT_TRUE(copier->Put(kTopic, {.encoding = bus::Encoding::kProtobuf, .time = AppendTime(1001), .value = "proto", .key = "k"}));
  ASSERT_TRUE(
      copier->Put(kTopic, {.type = bus::BatchType::kTick, .encoding = bus::Encoding::kBinary, .time = AppendTime(1002), .value = ""}));
  ASSERT_TRUE(copier->Commit());
  ASSERT_TRUE(copier->Put(kTopic, {.type = bus::BatchType::kReplay, .time = AppendTime(1003), .value = "", .key = "letter"}));
  ASSERT_TRUE(copier->Commit());
  ASSERT_TRUE(bus->Describe("t"));
  const auto reader = bus->OpenReader(kTopic, Offset(0));
  ASSERT_TRUE(reader) << reader.error().ToString();
  std::vector<std::string> seen;
  for (auto batch = (*reader)->Next(); batch && *batch; batch = (*reader)->Next()) {
    for (std::size_t i = 0; i < (*batch)->values.size(); ++i) {
      const std::string key((*batch)->keys.empty() ? "" : (*batch)->keys[i]);
      seen.push_back(std::to_string(static_cast<int>((*batch)->type)) + std::to_string(static_cast<int>((*batch)->encoding)) + " " +
                     std::to_string((*batch)->time(i).value) + " " + key + "=" + std::string((*batch)->values[i]));
    }
  }
  EXPECT_THAT(seen, ElementsAre("00 1000 =json", "01 1001 k=proto", "12 1002 =", "20 1003 letter="));
}

TEST(RecordCopier, WhoComesLaterFencesWhoWasBeforeAndNothingOfHimIsSeen) {
  const auto bus = Open(KafkaEngine::Get().NewPrefix());
  ASSERT_TRUE(bus->EnsureTopic({.name = "t"}));
  const auto first = OpenCopier(*bus);
  ASSERT_TRUE(first->Put(kTopic, {.time = AppendTime(1), .value = "a"}));
  ASSERT_TRUE(first->Commit());
  ASSERT_TRUE(first->Put(kTopic, {.time = AppendTime(2), .value = "lost"}));
  const auto second = OpenCopier(*bus);
  EXPECT_FALSE(first->Commit());
  EXPECT_FALSE(first->Put(kTopic, {.time = AppendTime(3), .value = "lost too"}));
  ASSERT_TRUE(second->Put(kTopic, {.time = AppendTime(2), .value = "b"}));
  ASSERT_TRUE(second->Commit());
  ASSERT_TRUE(bus->Describe("t"));
  std::vector<std::string> values;
  for (const std::string& record : ReadAll(*bus, kTopic)) values.push_back(record.substr(record.find(':') + 1));
  EXPECT_THAT(values, ElementsAre("a", "b"));
}

TEST(RecordCopier, ARecordThatIsTooLargeIsSaid) {
  const auto bus = Open(KafkaEngine::Get().NewPrefix());
  ASSERT_TRUE(bus->EnsureTopic({.name = "t"}));
  const auto copier = OpenCopier(*bus);
  const Status put = copier->Put(kTopic, {.time = AppendTime(1), .value = std::string(2'000'000, 'x')});
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().kind, ErrorKind::kInvalidArgument) << put.error().ToString();
}

TEST(AdoptedRequests, AreAnsweredAsTheyWereAndStillOnce) {
  const std::string prefix = KafkaEngine::Get().NewPrefix();
  const bus::IdempotencyTag tag{.key = {7, 9}, .part = 3, .digest = 11};
  const ClaimsLog::Known known{.tag = tag, .answer = {.base = Offset(42), .count = 5, .digest = 11}};
  {
    const auto bus = Open(prefix);
    ASSERT_TRUE(bus->Adopt({&known, 1}));
    ASSERT_TRUE(bus->Adopt({&known, 1})) << "the same again changes nothing";
  }
  const auto bus = Open(prefix);
  ASSERT_TRUE(bus->EnsureTopic({.name = "t"}));
  const std::vector<std::string_view> one = {"again"};
  const auto again = bus::AppendAndWait(*bus, kTopic, {.values = one, .idempotency = tag});
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(again->base, Offset(42));
  EXPECT_EQ(again->count, 5U);
  bus::IdempotencyTag other = tag;
  other.digest = 12;
  EXPECT_EQ(bus::AppendAndWait(*bus, kTopic, {.values = one, .idempotency = other}).error().kind, ErrorKind::kAlreadyExists);
  EXPECT_THAT(ReadAll(*bus, kTopic), ElementsAre());
}

}  // namespace
}  // namespace sightline::kafka
