#include "sightline/ingest/intake.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>

#include "sightline/ingest/testing/held_bus.h"
#include "sightline/model/dead_letter.h"
#include "sightline/model/partitioner.h"
#include "sightline/runtime/simulated/simulated_clock.h"

namespace sightline::ingest {
namespace {

governance::Contract CameraContract() {
  governance::Contract contract;
  contract.name = "camera_events";
  contract.schema.fields = {{"geographical_location_oid", FieldType::kInt64, false, true},
                            {"detection_oid", FieldType::kInt64, false, true},
                            {"item_name", FieldType::kString, false, false},
                            {"timestamp_detected", FieldType::kInt64, false, false}};
  contract.rules.resize(4);
  for (auto& rule : contract.rules) rule.required = true;
  contract.rules[2].max_length = 5000;
  contract.event_time = 3;
  contract.key = {1};
  return contract;
}

std::string Event(std::int64_t location, std::int64_t id) {
  return "{\"geographical_location_oid\":" + std::to_string(location) + ",\"detection_oid\":" + std::to_string(id) +
         ",\"item_name\":\"person\",\"timestamp_detected\":1700000000000}";
}

class IntakeTest : public ::testing::Test {
 protected:
  IntakeTest() { Make({}); }
  void Make(IntakeOptions options) {
    IntakeDataset dataset;
    dataset.name = "cameras";
    dataset.contract = &contract_;
    dataset.topic = "camera_events";
    dataset.partitions = 4;
    dataset.partition_by = "geographical_location_oid";
    dataset.dead_letters.name = DeadLetterTopic("cameras");
    dataset.limits.record_bytes_max = 10'000;
    auto made = Intake::Make(bus_, clock_, metrics_, {dataset}, options);
    ASSERT_TRUE(made) << made.error().ToString();
    intake_ = std::move(*made);
  }
  Result<Receipt> Take(std::string body, Format format = Format::kLines, std::string key = "") {
    return TakeAndWait(*intake_, MakeOffer(std::move(body), format, std::move(key)));
  }
  static Offer MakeOffer(std::string body, Format format = Format::kLines, std::string key = "") {
    Offer offer;
    offer.dataset = "cameras";
    offer.format = format;
    const auto owner = std::make_shared<const std::string>(std::move(body));
    offer.body = *owner;
    offer.owner = owner;
    offer.idempotency_key = std::move(key);
    offer.principal = "admin";
    offer.request_id = "r-1";
    return offer;
  }
  std::vector<std::string> DeadLetters() {
    std::vector<std::string> letters;
    for (const auto& record : bus_.Records("dead_letters.cameras", 0)) letters.push_back(record.value);
    return letters;
  }

  governance::Contract contract_ = CameraContract();
  runtime::SimulatedClock clock_;
  ops::Metrics metrics_;
  testing::HeldBus bus_;
  std::unique_ptr<Intake> intake_;
};

TEST_F(IntakeTest, RecordsGoToTheirPartitionsInOrder) {
  std::string body;
  for (std::int64_t i = 0; i < 200; ++i) body += Event(i % 17, i) + "\n";
  const auto receipt = Take(body);
  ASSERT_TRUE(receipt) << receipt.error().ToString();
  EXPECT_EQ(receipt->received, 200U);
  EXPECT_EQ(receipt->accepted, 200U);
  EXPECT_FALSE(receipt->repeated);
  const Partitioner partitioner(4);
  std::vector<std::vector<std::string>> expected(4);
  for (std::int64_t i = 0; i < 200; ++i) {
    expected[static_cast<std::size_t>(partitioner.OfInt64(i % 17).value)].push_back(Event(i % 17, i));
  }
  for (std::int32_t p = 0; p < 4; ++p) {
    const auto records = bus_.Records("camera_events", p);
    ASSERT_EQ(records.size(), expected[static_cast<std::size_t>(p)].size());
    for (std::size_t i = 0; i < records.size(); ++i) {
      EXPECT_EQ(records[i].value, expected[static_cast<std::size_t>(p)][i]);
      EXPECT_EQ(records[i].encoding, bus::Encoding::kJson);
    }
  }
}

TEST_F(IntakeTest, RejectsAreNotedAndBecomeDeadLetters) {
  const std::string wrong_type = R"({"geographical_location_oid":"1","detection_oid":2,"item_name":"x","timestamp_detected":3})";
  const auto receipt = Take(Event(1, 1) + "\n\n{broken\r\n" + wrong_type + "\n" + Event(2, 2));
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->received, 4U);
  EXPECT_EQ(receipt->accepted, 2U);
  EXPECT_EQ(receipt->malformed, 1U);
  EXPECT_EQ(receipt->invalid, 1U);
  ASSERT_EQ(receipt->rejects.size(), 2U);
  EXPECT_EQ(receipt->rejects[0].line, 3U) << "lines count as an editor counts them";
  EXPECT_EQ(receipt->rejects[0].verdict, Verdict::kMalformed);
  EXPECT_EQ(receipt->rejects[1].line, 4U);
  EXPECT_EQ(receipt->rejects[1].field, "geographical_location_oid");
  const auto letters = DeadLetters();
  ASSERT_EQ(letters.size(), 2U);
  const auto letter = DecodeDeadLetter(letters[1]);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->reason, Verdict::kInvalid);
  EXPECT_EQ(letter->origin, DeadLetterOrigin::kIngest);
  EXPECT_EQ(letter->topic, "cameras");
  EXPECT_EQ(letter->offset, Offset(2));
  EXPECT_EQ(letter->field, "geographical_location_oid");
  EXPECT_EQ(letter->cause, receipt->rejects[1].cause);
  EXPECT_EQ(letter->original, wrong_type);
  EXPECT_EQ(letter->request_id, "r-1");
  EXPECT_EQ(letter->received, clock_.Now());
  EXPECT_FALSE(letter->shortened());
}

TEST_F(IntakeTest, NotesAreFewLettersAreAll) {
  std::string body;
  for (int i = 0; i < 100; ++i) body += "x\n";
  const auto receipt = Take(body);
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->accepted, 0U);
  EXPECT_EQ(receipt->malformed, 100U);
  EXPECT_EQ(receipt->rejects.size(), 20U);
  EXPECT_EQ(DeadLetters().size(), 100U);
}

TEST_F(IntakeTest, TooLongALineIsShortenedAndSaysHowLongItWas) {
  const std::string line = "{\"item_name\":\"" + std::string(50'000, 'a') + "\"}";
  const auto receipt = Take(Event(1, 1) + "\n" + line + "\n" + Event(1, 2));
  ASSERT_TRUE(receipt);
  EXPECT_EQ(receipt->accepted, 2U);
  EXPECT_EQ(receipt->malformed, 1U);
  const auto letters = DeadLetters();
  ASSERT_EQ(letters.size(), 1U);
  const auto letter = DecodeDeadLetter(letters[0]);
  ASSERT_TRUE(letter);
  EXPECT_TRUE(letter->shortened());
  EXPECT_EQ(letter->original_size, line.size());
}

TEST_F(IntakeTest, JsonArraysAndObjects) {
  const auto array = Take(" [ " + Event(1, 1) + " ,\n" + Event(2, 2) + ", 5, {\"a\":[1,\"],\\\"\"]} ] ", Format::kJson);
  ASSERT_TRUE(array) << array.error().ToString();
  EXPECT_EQ(array->received, 4U);
  EXPECT_EQ(array->accepted, 2U);
  ASSERT_EQ(array->rejects.size(), 2U);
  EXPECT_EQ(array->rejects[0].line, 3U);
  EXPECT_EQ(DecodeDeadLetter(DeadLetters()[1])->original, "{\"a\":[1,\"],\\\"\"]}");
  const auto object = Take(Event(1, 3), Format::kJson);
  ASSERT_TRUE(object);
  EXPECT_EQ(object->accepted, 1U);
  EXPECT_EQ(Take("[]", Format::kJson)->received, 0U);
  for (const char* broken : {"[", "[1", "[1,", "[1,]", "[,1]", "[\"a]", "[{]", "[1]x", "[1][2]", "[{\"a\":1}"}) {
    const auto refused = Take(broken, Format::kJson);
    ASSERT_FALSE(refused) << broken;
    EXPECT_EQ(refused.error().kind, ErrorKind::kInvalidArgument) << broken;
  }
  EXPECT_EQ(bus_.Total("camera_events"), 3U) << "a body that can't be taken apart is refused as a whole";
}

TEST_F(IntakeTest, BrokenProtobufFramingIsRefused) {
  for (const std::string& broken : {std::string("\x05"
                                                "abc"),
                                    std::string("\x80"), std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10)}) {
    const auto refused = Take(broken, Format::kProtobuf);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kInvalidArgument);
  }
}

TEST_F(IntakeTest, TheSameKeyIsTakenOnce) {
  const std::string body = Event(1, 1) + "\n" + Event(2, 2) + "\nbroken\n";
  const auto first = Take(body, Format::kLines, "key-1");
  const auto again = Take(body, Format::kLines, "key-1");
  ASSERT_TRUE(first && again);
  EXPECT_FALSE(first->repeated);
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(again->accepted, first->accepted);
  EXPECT_EQ(again->malformed, first->malformed);
  EXPECT_EQ(bus_.Total("camera_events"), 2U);
  EXPECT_EQ(DeadLetters().size(), 1U) << "a dead letter is written once a key";
  const auto other = Take(Event(1, 9) + "\n" + Event(2, 2) + "\nbroken\n", Format::kLines, "key-1");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::kAlreadyExists);
  ASSERT_TRUE(Take(body, Format::kLines, "key-2"));
  auto somebody_else = MakeOffer(body, Format::kLines, "key-1");
  somebody_else.principal = "camera-7";
  const auto theirs = TakeAndWait(*intake_, std::move(somebody_else));
  ASSERT_TRUE(theirs);
  EXPECT_FALSE(theirs->repeated) << "keys of different principals are different keys";
}

// A part that failed is taken by the retry, the parts that did not are not doubled.
TEST_F(IntakeTest, RetryAfterAPartialFailure) {
  std::string body;
  for (std::int64_t i = 0; i < 40; ++i) body += Event(i, i) + "\n";
  body += "broken\n";
  bus_.FailNext("camera_events", {ErrorKind::kResourceExhausted, "the log is full"});
  const auto failed = Take(body, Format::kLines, "k");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::kResourceExhausted);
  EXPECT_NE(failed.error().message.find("Idempotency-Key"), std::string::npos);
  EXPECT_LT(bus_.Total("camera_events"), 40U);
  const auto retried = Take(body, Format::kLines, "k");
  ASSERT_TRUE(retried);
  EXPECT_EQ(retried->accepted, 40U);
  EXPECT_EQ(bus_.Total("camera_events"), 40U);
  EXPECT_EQ(DeadLetters().size(), 1U);
}

TEST_F(IntakeTest, AnswersWhenEverythingIsDurable) {
  bus_.Hold();
  std::atomic<bool> answered{false};
  intake_->Take(MakeOffer(Event(1, 1) + "\n" + Event(2, 2) + "\nbroken"), [&](Result<Receipt> receipt) {
    EXPECT_TRUE(receipt);
    answered = true;
  });
  EXPECT_EQ(bus_.held(), 3U);
  EXPECT_FALSE(answered);
  bus_.Release();
  EXPECT_TRUE(answered);
}

TEST_F(IntakeTest, BytesInFlightAreBounded) {
  Make({.bytes_in_flight_max = 1000});
  bus_.Hold();
  int answered = 0;
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    intake_->Take(MakeOffer(Event(1, i)), [&](Result<Receipt> receipt) {
      ++answered;
      if (!receipt) {
        EXPECT_EQ(receipt.error().kind, ErrorKind::kResourceExhausted);
        ++refused;
      }
    });
  }
  EXPECT_EQ(answered, refused);
  EXPECT_GT(refused, 5);
  bus_.Release();
  EXPECT_EQ(answered, 20);
  EXPECT_TRUE(Take(Event(1, 100))) << "what was held is free again";
}

// Small lines must not become a mountain of dead letters in memory.
TEST_F(IntakeTest, DeadLettersCountAgainstTheBound) {
  Make({.bytes_in_flight_max = 100'000});
  std::string body;
  for (int i = 0; i < 20'000; ++i) body += "x\n";
  const auto refused = Take(body);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kResourceExhausted);
  EXPECT_EQ(DeadLetters().size(), 0U);
}

TEST_F(IntakeTest, TooManyRecordsAreRefused) {
  Make({.records_max = 10});
  std::string body;
  for (std::int64_t i = 0; i < 11; ++i) body += Event(i, i) + "\n";
  EXPECT_EQ(Take(body).error().kind, ErrorKind::kOutOfRange);
  EXPECT_EQ(bus_.Total("camera_events"), 0U);
}

TEST_F(IntakeTest, UnknownDatasetNamesTheNearest) {
  auto offer = MakeOffer(Event(1, 1));
  offer.dataset = "camera";
  const auto refused = TakeAndWait(*intake_, std::move(offer));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(refused.error().message.find("did you mean 'cameras'"), std::string::npos);
}

TEST_F(IntakeTest, ManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> accepted{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto receipt =
            Take(Event(t, i) + "\nbroken\n" + Event(t + 100, i), Format::kLines, std::to_string(t) + "-" + std::to_string(i / 2));
        if (receipt) accepted += receipt->accepted;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(bus_.Total("camera_events"), 4U * 25 * 2);
  EXPECT_EQ(DeadLetters().size(), 4U * 25);
}

TEST(MediaTypes, KnownAndUnknown) {
  EXPECT_EQ(*FormatOfMediaType(""), Format::kLines);
  EXPECT_EQ(*FormatOfMediaType("application/json"), Format::kJson);
  EXPECT_EQ(*FormatOfMediaType("application/x-protobuf"), Format::kProtobuf);
  EXPECT_FALSE(FormatOfMediaType("application/x-www-form-urlencoded"));
}

}  // namespace
}  // namespace sightline::ingest
