// Topics of others are judged and taken over on a real broker.
#include <gtest/gtest.h>

#include <librdkafka/rdkafka.h>

#include <array>
#include <atomic>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "connectors/kafka/gate_worker.h"
#include "connectors/kafka/group_consumer.h"
#include "connectors/kafka/testing/kafka_engine.h"
#include "sightline/gate/testing/contracts.h"
#include "sightline/gate/wire_schema.h"
#include "sightline/model/dead_letter.h"

namespace sightline::kafka::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{60};
constexpr std::int32_t kPartitions = 4;

// What others send.
struct Sent {
  std::string value;
  std::optional<std::string> key = std::nullopt;
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool null_value = false;
};

// A record as any reader of a topic sees it.
struct Seen {
  Partition partition;
  Offset offset;
  AppendTime time;
  bus::Encoding encoding = bus::Encoding::kJson;
  std::string value;
  std::optional<std::string> key;
  std::multimap<std::string, std::string> headers;
};

std::string Event(int location, int detection) {
  return R"({"geographical_location_oid":)" + std::to_string(location) + R"(,"video_camera_oid":2,"detection_oid":)" +
         std::to_string(detection) + R"(,"item_name":"person","timestamp_detected":1700000000000})";
}

class KafkaGate : public ::testing::Test {
 protected:
  void SetUp() override {
    auto bus = KafkaBus::Open(engine().Options(prefix_));
    ASSERT_TRUE(bus) << bus.error().ToString();
    bus_ = std::move(*bus);
    ASSERT_TRUE(bus_->EnsureTopic({.name = "camera_events", .partitions = kPartitions}));
  }
  void TearDown() override {
    if (HasFailure()) std::cout << logged_;
  }
  static KafkaEngine& engine() { return KafkaEngine::Get(); }

  // A topic that is none of ours; its name.
  std::string Others(const std::string& name, std::int32_t partitions = 1, const std::string& timestamps = "LogAppendTime") {
    const std::string full = "others-" + prefix_ + name;
    const Status made = bus_->admin().CreateTopic(
        {.name = full, .partitions = partitions, .replication = 1, .configs = {{"message.timestamp.type", timestamps}}});
    EXPECT_TRUE(made) << made.error().ToString();
    return full;
  }
  std::string Pattern() const { return "others-" + prefix_ + "raw_*"; }

  void Send(const std::string& topic, std::int32_t partition, const std::vector<Sent>& sent) {
    if (producer_ == nullptr) producer_ = std::move(*Producer::Make(engine().Client(), {}));
    std::vector<std::vector<RecordHeader>> headers(sent.size());
    std::vector<OutRecord> records;
    for (std::size_t i = 0; i < sent.size(); ++i) {
      for (const auto& [name, value] : sent[i].headers) headers[i].push_back({name, value});
      OutRecord record{.value = sent[i].value, .null_value = sent[i].null_value, .key = std::nullopt, .headers = headers[i]};
      if (sent[i].key) record.key = *sent[i].key;
      records.push_back(record);
    }
    std::promise<Result<std::int64_t>> done;
    producer_->Send(topic, Partition(partition), records, std::nullopt,
                    [&](Result<std::int64_t> first) { done.set_value(std::move(first)); });
    const auto first = done.get_future().get();
    ASSERT_TRUE(first) << first.error().ToString();
  }
  void SendValues(const std::string& topic, std::int32_t partition, const std::vector<std::string>& values) {
    std::vector<Sent> sent;
    for (const std::string& value : values) sent.push_back({.value = value});
    Send(topic, partition, sent);
  }

  GateDataset Dataset(const std::string& from) const {
    GateDataset dataset;
    dataset.name = "camera_events";
    dataset.from = from;
    dataset.judge = {.contract = &contract_,
                     .format = gate::ValueFormat::kJson,
                     .limits = {},
                     .partition_by = "geographical_location_oid",
                     .partitions = kPartitions,
                     .schemas = nullptr};
    dataset.topic = "camera_events";
    dataset.dead_letters = {.name = DeadLetterTopic("camera_events")};
    return dataset;
  }
  std::unique_ptr<GateWorker> Start(GateDataset dataset, GateOptions options = {}) {
    if (options.instance.empty()) options.instance = "one";
    options.topics_refresh = milliseconds(500);
    options.retry_wait = milliseconds(200);
    auto worker = GateWorker::Start(*bus_, clock_, std::move(dataset), std::move(options), log_);
    EXPECT_TRUE(worker) << worker.error().ToString();
    return worker ? std::move(*worker) : nullptr;
  }

  // All that a topic holds for a reader of what was committed.
  std::vector<Seen> Read(const std::string& full, std::int32_t partitions) {
    std::vector<Seen> all;
    for (std::int32_t p = 0; p < partitions; ++p) {
      auto from = bus_->consumers().Open({full, Partition(p)}, Offset(0), {});
      EXPECT_TRUE(from) << from.error().ToString();
      RecordReader& records = (*from)->records();
      const auto until = std::chrono::steady_clock::now() + kPatience;
      while (std::chrono::steady_clock::now() < until) {
        const auto polled = records.Poll(milliseconds(500));
        EXPECT_TRUE(polled) << polled.error().ToString();
        if (!polled || polled->at_end) break;
        if (!polled->batch) continue;
        for (std::size_t i = 0; i < polled->batch->values.size(); ++i) all.push_back(SeenOf(p, *polled->batch, i, records.message(i)));
      }
    }
    return all;
  }
  static Seen SeenOf(std::int32_t partition, const bus::Batch& batch, std::size_t i, const rd_kafka_message_t& message) {
    Seen seen{.partition = Partition(partition),
              .offset = batch.offset(i),
              .time = batch.time(i),
              .encoding = batch.encoding,
              .value = std::string(batch.values[i]),
              .key = std::nullopt,
              .headers = {}};
    if (message.key != nullptr) seen.key = std::string(static_cast<const char*>(message.key), message.key_len);
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return seen;
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t h = 0; rd_kafka_header_get_all(headers, h, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++h) {
      seen.headers.emplace(name, std::string(static_cast<const char*>(value), value == nullptr ? 0 : size));
    }
    return seen;
  }
  std::vector<Seen> Accepted() { return Read(bus_->FullName("camera_events"), kPartitions); }
  std::vector<Seen> LettersRead() { return Read(bus_->FullName(DeadLetterTopic("camera_events")), 1); }

  template <typename Done>
  static bool Await(Done done) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return true;
  }
  static bool AwaitIn(const std::vector<const GateWorker*>& workers, std::uint64_t in) {
    const bool there = Await([&] {
      std::uint64_t sum = 0;
      for (const GateWorker* worker : workers) sum += worker->status().in;
      return sum >= in;
    });
    for (const GateWorker* worker : workers) EXPECT_TRUE(there) << worker->status().in << " " << worker->status().error;
    return there;
  }
  static void ExpectEachOnce(const std::vector<Seen>& seen, const std::vector<std::string>& sent) {
    std::map<std::string, int> times;
    for (const Seen& one : seen) ++times[one.value];
    for (const std::string& value : sent) EXPECT_EQ(times[value], 1) << value;
    EXPECT_EQ(seen.size(), sent.size());
  }

  const std::string prefix_ = KafkaEngine::Get().NewPrefix();
  const governance::Contract contract_ = gate::CameraEvents();
  runtime::SystemClock clock_;
  std::mutex log_mutex_;
  std::string logged_;
  const ops::Log log_{clock_, ops::LogLevel::kDebug, [this](std::string_view line) {
                        const std::lock_guard lock(log_mutex_);
                        logged_ += line;
                      }};
  std::unique_ptr<KafkaBus> bus_;
  std::unique_ptr<Producer> producer_;
};

TEST_F(KafkaGate, RecordsGoWhereTheirFieldSaysWithAllThatCameAlong) {
  const std::string raw = Others("raw", 2);
  std::vector<Sent> first, second;
  for (int i = 0; i < 40; ++i) {
    Sent one{.value = Event(i % 5, i)};
    if (i % 2 == 0) one.key = "key-" + std::to_string(i);
    one.headers = {{"trace", "t" + std::to_string(i)}, {"sl-type", "tick"}, {"sl-at", "1"}, {"sl-enc", "binary"}};
    for (int h = 0; i == 3 && h < 20; ++h) one.headers.emplace_back("many", std::to_string(h));
    (i < 20 ? first : second).push_back(one);
  }
  Send(raw, 0, first);
  Send(raw, 1, second);
  const auto worker = Start(Dataset(raw));
  ASSERT_TRUE(AwaitIn({worker.get()}, 40));

  std::map<std::string, Seen> originals;
  for (Seen& one : Read(raw, 2)) originals.emplace(one.value, std::move(one));
  const std::vector<Seen> accepted = Accepted();
  ASSERT_EQ(accepted.size(), 40U);
  const Partitioner partitioner(kPartitions);
  std::map<std::pair<Partition, Partition>, Offset> last;  // by partition here and there
  for (const Seen& one : accepted) {
    const Seen& original = originals.at(one.value);
    const std::string location = one.value.substr(one.value.find(':') + 1, 1);
    EXPECT_EQ(one.partition, partitioner.OfInt64(std::stoll(location)));
    EXPECT_EQ(one.key, original.key);
    EXPECT_EQ(one.encoding, bus::Encoding::kJson);
    EXPECT_EQ(one.headers.find("trace")->second, original.headers.find("trace")->second);
    EXPECT_EQ(one.headers.count("many"), original.headers.count("many"));
    EXPECT_EQ(one.headers.count("sl-type"), 0U) << "means something here that its writer did not mean";
    EXPECT_EQ(one.headers.count("sl-at"), 1U);
    const auto [at, fresh] = last.emplace(std::pair(one.partition, original.partition), original.offset);
    if (!fresh) {
      EXPECT_LT(std::exchange(at->second, original.offset), original.offset) << "out of order";
    }
  }
  // What the others' header says of the time counts for nothing.
  for (const Seen& one : accepted) {
    EXPECT_GT(one.time, AppendTime(1'700'000'000'000));
    EXPECT_LE(one.time, AppendTime(clock_.Now().value + 60'000));
    EXPECT_EQ(one.headers.find("sl-at")->second, std::to_string(one.time.value));
  }
  const GateStatus status = worker->status();
  EXPECT_EQ(status.accepted, 40U);
  EXPECT_EQ(status.partitions, 2U);
  EXPECT_EQ(status.error, "");
  EXPECT_TRUE(Await([&] { return worker->status().lag == 0; })) << worker->status().lag;
}

TEST_F(KafkaGate, TheTimeOfArrivalIsTheBrokersOfTheRawTopic) {
  const std::string by_broker = Others("broker");
  SendValues(by_broker, 0, {Event(1, 1)});
  const AppendTime came = Read(by_broker, 1).at(0).time;
  std::this_thread::sleep_for(milliseconds(300));
  auto worker = Start(Dataset(by_broker));
  ASSERT_TRUE(AwaitIn({worker.get()}, 1));
  ASSERT_EQ(Accepted().size(), 1U);
  EXPECT_EQ(Accepted()[0].time, came);
  worker.reset();

  // Where the topic keeps its producers' times, the record's, but not one that lies ahead.
  const std::string by_producer = Others("producer", 1, "CreateTime");
  const std::int64_t now = clock_.Now().value;
  const std::int64_t old = now - 86'400'000;
  const auto own = Handle::Make(engine().Client(), Handle::Role::kProducer, Handle::Serving::kThread, {}, {});
  ASSERT_TRUE(own) << own.error().ToString();
  rd_kafka_t* const client = (*own)->get();
  const std::int64_t ahead = now + 1'800'000;  // brokers take an hour
  for (const std::int64_t time : {old, ahead}) {
    const std::string value = Event(1, time == old ? 2 : 3);
    std::array<rd_kafka_vu_t, 5> parts{};
    parts[0].vtype = RD_KAFKA_VTYPE_TOPIC;
    parts[0].u.cstr = by_producer.c_str();
    parts[1].vtype = RD_KAFKA_VTYPE_PARTITION;
    parts[1].u.i32 = 0;
    parts[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[2].u.i = RD_KAFKA_MSG_F_COPY;
    parts[3].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[3].u.mem = {.ptr = const_cast<char*>(value.data()), .size = value.size()};
    parts[4].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
    parts[4].u.i64 = time;
    ASSERT_EQ(rd_kafka_produceva(client, parts.data(), parts.size()), nullptr);
    ASSERT_EQ(rd_kafka_flush(client, 20'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  worker = Start(Dataset(by_producer), {.instance = "two"});
  ASSERT_TRUE(AwaitIn({worker.get()}, 2));
  std::map<std::string, AppendTime> times;
  for (const Seen& one : Accepted()) times[one.value] = one.time;
  EXPECT_EQ(times.at(Event(1, 2)), AppendTime(old));
  EXPECT_GE(times.at(Event(1, 3)), AppendTime(now));
  EXPECT_LT(times.at(Event(1, 3)), AppendTime(ahead));
}

TEST_F(KafkaGate, WhatIsRefusedBecomesADeadLetterWithItsOrigin) {
  const std::string raw = Others("raw", 2);
  SendValues(raw, 1, {Event(1, 1), "{", R"({"geographical_location_oid":"1"})", Event(1, 2)});
  Send(raw, 1, {{.value = "", .key = "deleted", .headers = {}, .null_value = true}, {.value = ""}});
  const auto worker = Start(Dataset(raw));
  ASSERT_TRUE(AwaitIn({worker.get()}, 6));
  ExpectEachOnce(Accepted(), {Event(1, 1), Event(1, 2)});
  const std::vector<Seen> originals = Read(raw, 2);
  const std::vector<Seen> letters = LettersRead();
  ASSERT_EQ(letters.size(), 4U);
  const std::vector<std::pair<std::int64_t, Verdict>> expected = {
      {1, Verdict::kMalformed}, {2, Verdict::kInvalid}, {4, Verdict::kMalformed}, {5, Verdict::kMalformed}};
  for (std::size_t i = 0; i < letters.size(); ++i) {
    EXPECT_EQ(letters[i].encoding, bus::Encoding::kBinary);
    const auto letter = DecodeDeadLetter(letters[i].value);
    ASSERT_TRUE(letter) << letter.error().ToString();
    EXPECT_EQ(letter->reason, expected[i].second) << letter->cause;
    EXPECT_EQ(letter->origin, DeadLetterOrigin::kTopic);
    EXPECT_EQ(letter->topic, raw);
    EXPECT_EQ(letter->partition, Partition(1));
    EXPECT_EQ(letter->offset, Offset(expected[i].first));
    EXPECT_EQ(letter->original, originals[static_cast<std::size_t>(expected[i].first)].value);
    EXPECT_EQ(letter->received.value, originals[static_cast<std::size_t>(expected[i].first)].time.value);
  }
  EXPECT_NE(DecodeDeadLetter(letters[2].value)->cause.find("has no value"), std::string::npos);
  const GateStatus status = worker->status();
  EXPECT_EQ(status.in, status.accepted + status.malformed + status.invalid);
  EXPECT_EQ(status.malformed, 3U);
  EXPECT_EQ(status.invalid, 1U);
}

TEST_F(KafkaGate, ATopicThatComesLaterIsFoundByThePattern) {
  const auto worker = Start(Dataset(Pattern()));
  const std::string lobby = Others("raw_lobby");
  SendValues(lobby, 0, {Event(1, 1)});
  ASSERT_TRUE(AwaitIn({worker.get()}, 1));
  SendValues(Others("raw_garden.east", 2), 1, {Event(2, 2), Event(2, 3)});
  SendValues(Others("other"), 0, {Event(3, 4)});
  ASSERT_TRUE(AwaitIn({worker.get()}, 3));
  // A partition that stays through a rebalance goes on where it was, although it had been read to its end.
  SendValues(lobby, 0, {Event(1, 5)});
  ASSERT_TRUE(AwaitIn({worker.get()}, 4));
  ExpectEachOnce(Accepted(), {Event(1, 1), Event(2, 2), Event(2, 3), Event(1, 5)});
  EXPECT_EQ(worker->status().partitions, 3U);
}

TEST_F(KafkaGate, OneTopicThatIsMissingIsWaitedForAndSaid) {
  const std::string raw = "others-" + prefix_ + "raw";
  const auto worker = Start(Dataset(raw));
  EXPECT_TRUE(Await([&] { return worker->status().error.find(raw) != std::string::npos; })) << worker->status().error;
  SendValues(Others("raw"), 0, {Event(1, 1)});
  ASSERT_TRUE(AwaitIn({worker.get()}, 1));
  EXPECT_TRUE(Await([&] { return worker->status().error.empty(); })) << worker->status().error;
}

TEST_F(KafkaGate, EachRecordIsTakenOnceWhereverASessionEnds) {
  const std::string raw = Others("raw", 3);
  // Each step fails now and then.
  std::map<GateStep, int> passes;
  std::map<GateStep, int> ended;
  GateOptions options;
  options.batch_bytes_max = 4'000;
  options.step = [&](GateStep step) -> Status {
    if (++passes[step] % 8 != static_cast<int>(step) + 1) return {};
    ++ended[step];
    return Fail(ErrorKind::kCancelled, "as if it had died");
  };
  const auto worker = Start(Dataset(raw), options);
  std::vector<std::string> sent;
  for (int i = 0; i < 600; ++i) sent.push_back(Event(i % 7, i));
  for (int i = 0; i < 600; i += 20) SendValues(raw, i / 20 % 3, {sent.begin() + i, sent.begin() + i + 20});
  // What was committed just before a session ended is not in its counts.
  ASSERT_TRUE(Await([&] { return Accepted().size() >= sent.size(); })) << worker->status().error;
  ExpectEachOnce(Accepted(), sent);
  EXPECT_TRUE(LettersRead().empty());
  for (const GateStep step : {GateStep::kProduced, GateStep::kOffsetsSent, GateStep::kCommitted}) EXPECT_GT(ended[step], 0);
}

TEST_F(KafkaGate, AWorkerThatDiesWithAnOpenTransactionLosesAndDoublesNothing) {
  const std::string raw = Others("raw", 2);
  std::vector<std::string> sent;
  for (int i = 0; i < 40; ++i) sent.push_back(Event(i % 7, i));
  const auto part = [&](int from, int to) { return std::vector<std::string>(sent.begin() + from, sent.begin() + to); };
  SendValues(raw, 0, part(0, 10));
  SendValues(raw, 1, part(10, 20));
  // The positions of its last transaction are written and neither committed nor aborted when it ends.
  std::atomic<bool> dead = false;
  std::atomic<int> transactions = 0;
  GateOptions options;
  options.transaction_timeout = seconds(6);
  options.step = [&](GateStep step) -> Status {
    if (step == GateStep::kOffsetsSent && ++transactions > 1) dead = true;
    return dead ? Fail(ErrorKind::kCancelled, "it died") : Status();
  };
  auto worker = Start(Dataset(raw), options);
  ASSERT_TRUE(Await([&] { return worker->status().in > 0; }));
  SendValues(raw, 0, part(20, 30));
  SendValues(raw, 1, part(30, 40));
  ASSERT_TRUE(Await([&] { return dead.load(); }));
  worker.reset();
  const auto successor = Start(Dataset(raw), {.instance = "two"});
  ASSERT_TRUE(Await([&] { return Accepted().size() >= sent.size(); })) << successor->status().error;
  ExpectEachOnce(Accepted(), sent);
}

TEST_F(KafkaGate, WorkersShareThePartitionsAndNoneIsTakenTwice) {
  for (const char* name : {"raw_1", "raw_2", "raw_3"}) Others(name, 2);
  std::vector<std::string> sent;
  const auto send = [&](int count) {
    for (int i = 0; i < count; ++i) {
      sent.push_back(Event(static_cast<int>(sent.size()) % 7, static_cast<int>(sent.size())));
      SendValues("others-" + prefix_ + "raw_" + std::to_string(i % 3 + 1), i % 2, {sent.back()});
    }
  };
  auto first = Start(Dataset(Pattern()), {.instance = "first"});
  send(60);
  auto second = Start(Dataset(Pattern()), {.instance = "second"});
  // Under load all the while.
  ASSERT_TRUE(Await([&] {
    send(12);
    return second->status().partitions == 3 && first->status().partitions == 3;
  }));
  send(60);
  first.reset();
  ASSERT_TRUE(Await([&] {
    send(12);
    return second->status().partitions == 6;
  }));
  auto third = Start(Dataset(Pattern()), {.instance = "third"});
  send(60);
  ASSERT_TRUE(Await([&] { return Accepted().size() >= sent.size(); })) << second->status().error << third->status().error;
  ExpectEachOnce(Accepted(), sent);
}

TEST_F(KafkaGate, ARecordThatTheAcceptedTopicCannotTakeIsADeadLetter) {
  const std::string raw = Others("raw");
  ASSERT_TRUE(bus_->admin().AlterTopic(bus_->FullName("camera_events"), {{"max.message.bytes", "4000"}}));
  std::string noise;
  std::uint32_t state = 1;
  while (noise.size() < 3'900) noise += static_cast<char>('a' + (state = state * 1664525 + 1013904223) % 26);
  const auto event = [&](std::size_t size) {
    return R"({"geographical_location_oid":1,"video_camera_oid":2,"detection_oid":3,"item_name":")" + noise.substr(0, size) +
           R"(","timestamp_detected":1700000000000})";
  };
  // Many that fit, and some that do not.
  std::vector<std::string> fit;
  for (int i = 0; i < 10; ++i) fit.push_back(event(2'000 + static_cast<std::size_t>(i)));
  SendValues(raw, 0, fit);
  SendValues(raw, 0, {event(3'900)});
  const auto worker = Start(Dataset(raw));
  ASSERT_TRUE(AwaitIn({worker.get()}, 11));
  ExpectEachOnce(Accepted(), fit);
  auto letters = LettersRead();
  ASSERT_EQ(letters.size(), 1U);
  const auto letter = DecodeDeadLetter(letters[0].value);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->reason, Verdict::kInvalid);
  EXPECT_NE(letter->cause.find("4000"), std::string::npos) << letter->cause;
  EXPECT_NE(letter->cause.find("max.message.bytes"), std::string::npos) << letter->cause;
  EXPECT_EQ(letter->original, event(3'900));
  // The limit is lowered while it runs: the broker refuses, the gate looks again.
  ASSERT_TRUE(bus_->admin().AlterTopic(bus_->FullName("camera_events"), {{"max.message.bytes", "1000"}}));
  SendValues(raw, 0, {event(3'000), Event(1, 4)});
  ASSERT_TRUE(AwaitIn({worker.get()}, 13));
  letters = LettersRead();
  ASSERT_EQ(letters.size(), 2U);
  EXPECT_NE(DecodeDeadLetter(letters[1].value)->cause.find("1000"), std::string::npos);
}

TEST_F(KafkaGate, RecordsThatRetentionRemovedAreCountedAndSaid) {
  const std::string raw = Others("raw");
  SendValues(raw, 0, {Event(1, 1), Event(1, 2), Event(1, 3)});
  auto worker = Start(Dataset(raw));
  ASSERT_TRUE(AwaitIn({worker.get()}, 3));
  worker.reset();
  SendValues(raw, 0, {Event(1, 4), Event(1, 5), Event(1, 6)});
  const std::vector<GroupOffset> before = {{{raw, Partition(0)}, Offset(5), ""}};
  ASSERT_TRUE(bus_->admin().DeleteRecords(before));
  worker = Start(Dataset(raw), {.instance = "two"});
  ASSERT_TRUE(AwaitIn({worker.get()}, 1));
  EXPECT_EQ(worker->status().lost, 2U);
  ExpectEachOnce(Accepted(), {Event(1, 1), Event(1, 2), Event(1, 3), Event(1, 6)});
  const std::lock_guard lock(log_mutex_);
  EXPECT_NE(logged_.find("removed by their topic's retention"), std::string::npos);
}

TEST_F(KafkaGate, ATopicMadeAnewIsNotReadFromAnywhere) {
  const std::string raw = Others("raw");
  SendValues(raw, 0, {Event(1, 1), Event(1, 2), Event(1, 3)});
  auto worker = Start(Dataset(raw));
  ASSERT_TRUE(AwaitIn({worker.get()}, 3));
  worker.reset();
  // As if it had been shorter all the while.
  const std::string group = bus_->FullName("gate.camera_events");
  const std::vector<GroupOffset> beyond = {{{raw, Partition(0)}, Offset(100), ""}};
  ASSERT_TRUE(Await([&] { return bus_->positions().Commit(group, beyond).has_value(); }));
  worker = Start(Dataset(raw), {.instance = "two"});
  ASSERT_TRUE(Await([&] { return worker->status().error.find("offset 100") != std::string::npos; })) << worker->status().error;
  EXPECT_NE(worker->status().error.find(group), std::string::npos) << worker->status().error;
  EXPECT_EQ(worker->status().in, 0U);
}

// A registry that can be told not to answer.
class Schemas final : public gate::SchemaSource {
 public:
  Result<gate::WriterSchema> Find(std::uint32_t id) override {
    if (down) return Fail(ErrorKind::kUnavailable, "the registry does not answer");
    if (id != 1) return Fail(ErrorKind::kNotFound, "no such schema");
    return gate::WriterSchema{.format = gate::SchemaFormat::kJson, .text = "{}", .messages = {}, .unreadable = {}};
  }
  std::atomic<bool> down = false;
};

TEST_F(KafkaGate, WithoutTheRegistryNothingIsJudgedAndNothingDropped) {
  Schemas schemas;
  schemas.down = true;
  std::mutex mutex;
  std::set<std::string> contradicting;
  GateDataset dataset = Dataset(Pattern());
  dataset.judge.format = gate::ValueFormat::kConfluent;
  dataset.judge.schemas = &schemas;
  dataset.admit = [&](const std::string& topic) -> Status {
    const std::lock_guard lock(mutex);
    if (schemas.down) return Fail(ErrorKind::kUnavailable, "the registry does not answer");
    if (contradicting.contains(topic)) return Fail(ErrorKind::kFailedPrecondition, topic + " contradicts the contract");
    return {};
  };
  const std::string framed("\0\0\0\0\1", 5);
  const std::string known = Others("raw_1");
  SendValues(known, 0, {framed + Event(1, 1), "no frame"});
  const auto worker = Start(dataset);
  ASSERT_TRUE(Await([&] { return !worker->status().registry_answers; }));
  EXPECT_NE(worker->status().error.find("does not answer"), std::string::npos) << worker->status().error;
  EXPECT_EQ(worker->status().in, 0U) << "not even what has no frame";
  schemas.down = false;
  ASSERT_TRUE(AwaitIn({worker.get()}, 2));
  EXPECT_TRUE(Await([&] { return worker->status().registry_answers && worker->status().error.empty(); })) << worker->status().error;

  // A topic that comes later with a schema that contradicts: its records wait, the others go on.
  const std::string wrong = "others-" + prefix_ + "raw_2";
  {
    const std::lock_guard lock(mutex);
    contradicting.insert(wrong);
  }
  Others("raw_2");
  SendValues(wrong, 0, {framed + Event(2, 2)});
  ASSERT_TRUE(Await([&] { return worker->status().error.find("contradicts") != std::string::npos; })) << worker->status().error;
  SendValues(known, 0, {framed + Event(1, 3)});
  ASSERT_TRUE(AwaitIn({worker.get()}, 3));
  ExpectEachOnce(Accepted(), {Event(1, 1), Event(1, 3)});
  {
    const std::lock_guard lock(mutex);
    contradicting.clear();
  }
  ASSERT_TRUE(AwaitIn({worker.get()}, 4));
  EXPECT_EQ(worker->status().malformed, 1U);

  // At start it is no topic to begin with.
  {
    const std::lock_guard lock(mutex);
    contradicting.insert(wrong);
  }
  GateOptions options;
  options.instance = "two";
  const auto refused = GateWorker::Start(*bus_, clock_, dataset, options, log_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_NE(refused.error().message.find(wrong), std::string::npos);
}

TEST_F(KafkaGate, ABrokerThatGoesAwayHoldsUpAndNothingElse) {
  const std::string raw = Others("raw", 2);
  const auto worker = Start(Dataset(raw));
  std::vector<std::string> sent;
  const auto send = [&](int count) {
    for (int i = 0; i < count; ++i) {
      sent.push_back(Event(static_cast<int>(sent.size()) % 7, static_cast<int>(sent.size())));
      SendValues(raw, i % 2, {sent.back()});
    }
  };
  send(50);
  engine().Kill();
  std::this_thread::sleep_for(seconds(3));
  engine().Start();
  send(50);
  ASSERT_TRUE(Await([&] { return Accepted().size() >= sent.size(); })) << worker->status().error;
  ExpectEachOnce(Accepted(), sent);
}

}  // namespace
}  // namespace sightline::kafka::testing
