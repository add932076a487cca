// Transactions, groups, gaps and limits on a real broker.
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <set>

#include "connectors/kafka/group_consumer.h"
#include "connectors/kafka/testing/kafka_engine.h"
#include "connectors/kafka/transaction.h"

namespace sightline::kafka::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{30};

class KafkaClients : public ::testing::Test {
 protected:
  void SetUp() override {
    auto bus = KafkaBus::Open(engine().Options(prefix_));
    ASSERT_TRUE(bus) << bus.error().ToString();
    bus_ = std::move(*bus);
  }
  static KafkaEngine& engine() { return KafkaEngine::Get(); }
  KafkaBus& bus() { return *bus_; }
  TopicPartition Ensure(const std::string& name, std::int32_t partitions = 1) {
    const Status ensured = bus().EnsureTopic({.name = name, .partitions = partitions});
    EXPECT_TRUE(ensured) << ensured.error().ToString();
    return {name, Partition(0)};
  }
  std::unique_ptr<TransactionalProducer> Transactional(const std::string& id) {
    auto producer = TransactionalProducer::Make(engine().Client(), {.transactional_id = prefix_ + id});
    EXPECT_TRUE(producer) << producer.error().ToString();
    if (!producer) return nullptr;
    const auto ready = (*producer)->Init(kPatience);
    EXPECT_TRUE(ready) << ready.error().error.ToString();
    return std::move(*producer);
  }
  void Produce(TransactionalProducer& producer, const TopicPartition& to, std::string_view value) {
    const auto produced = producer.Produce(bus().FullName(to.topic), to.partition, {.value = value});
    ASSERT_TRUE(produced) << produced.error().error.ToString();
  }
  // Until a reader sees so many records.
  std::vector<std::string> Await(const TopicPartition& from, std::size_t records) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      std::vector<std::string> seen = ReadAll(bus(), from);
      if (seen.size() >= records || std::chrono::steady_clock::now() > until) return seen;
    }
  }
  Result<bus::Appended> Append(const TopicPartition& to, const std::vector<std::string>& values) {
    const std::vector<std::string_view> views(values.begin(), values.end());
    return bus::AppendAndWait(bus(), to, {.values = views});
  }

  const std::string prefix_ = KafkaEngine::Get().NewPrefix();
  std::unique_ptr<KafkaBus> bus_;
};

TEST_F(KafkaClients, ReadersSeeCommittedTransactionsWithTheirTrueOffsets) {
  const TopicPartition topic = Ensure("t");
  const auto producer = Transactional("x");
  ASSERT_TRUE(producer->Begin());
  Produce(*producer, topic, "a");
  Produce(*producer, topic, "b");
  ASSERT_TRUE(producer->Commit(kPatience));
  ASSERT_TRUE(producer->Begin());
  Produce(*producer, topic, "gone");
  ASSERT_TRUE(producer->Flush(kPatience));
  ASSERT_TRUE(producer->Abort(kPatience));
  ASSERT_TRUE(producer->Begin());
  Produce(*producer, topic, "c");
  ASSERT_TRUE(producer->Commit(kPatience));
  EXPECT_EQ(producer->Ends().at({bus().FullName("t"), Partition(0)}), Offset(6));

  // 2: marker, 3: aborted, 4: marker, 6: marker.
  EXPECT_EQ(Await(topic, 3), (std::vector<std::string>{"0:a", "1:b", "5:c"}));
  const auto info = bus().Describe("t");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->partitions[0].visible, Offset(7));
  const auto reader = *bus().OpenReader(topic, Offset(0));
  std::vector<std::int64_t> ends;
  while (const auto batch = *reader->Next()) {
    ends.push_back(batch->end().value);
    EXPECT_EQ(batch->CountBefore(Offset(5)),
              static_cast<std::size_t>(batch->offset(0).value < 5 ? std::min<std::size_t>(2, batch->values.size()) : 0));
  }
  EXPECT_EQ(ends.back(), 6);
  EXPECT_EQ(reader->position(), Offset(7)) << "at the end a reader stands behind the last marker";
  EXPECT_EQ(ReadAll(bus(), topic, 2), std::vector<std::string>{"5:c"});
}

TEST_F(KafkaClients, AnOpenTransactionIsNotSeenAndHoldsNobodyUp) {
  const TopicPartition topic = Ensure("t");
  ASSERT_TRUE(Append(topic, {"before"}));
  const auto producer = Transactional("x");
  ASSERT_TRUE(producer->Begin());
  Produce(*producer, topic, "open");
  ASSERT_TRUE(producer->Flush(kPatience));
  ASSERT_TRUE(Append(topic, {"behind"}));
  EXPECT_EQ(ReadAll(bus(), topic), std::vector<std::string>{"0:before"});
  const auto info = bus().Describe("t")->partitions[0];
  EXPECT_EQ(info.visible, Offset(1));
  EXPECT_EQ(info.end, Offset(3));
  ASSERT_TRUE(producer->Commit(kPatience));
  EXPECT_EQ(Await(topic, 3), (std::vector<std::string>{"0:before", "1:open", "2:behind"}));
}

TEST_F(KafkaClients, ASecondProducerFencesTheFirst) {
  const TopicPartition topic = Ensure("t");
  const auto zombie = Transactional("x");
  ASSERT_TRUE(zombie->Begin());
  Produce(*zombie, topic, "zombie");
  ASSERT_TRUE(zombie->Flush(kPatience));
  const auto successor = Transactional("x");
  const auto committed = zombie->Commit(kPatience);
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().fault, Fault::kFenced) << committed.error().error.ToString();
  ASSERT_TRUE(successor->Begin());
  Produce(*successor, topic, "successor");
  ASSERT_TRUE(successor->Commit(kPatience));
  const std::vector<std::string> seen = Await(topic, 1);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(seen[0].ends_with(":successor")) << seen[0];
}

TEST_F(KafkaClients, OffsetsOfATransactionComeWithTheirMetadata) {
  const TopicPartition topic = Ensure("t", 2);
  const std::string full = bus().FullName("t");
  const auto producer = Transactional("x");
  const std::vector<GroupOffset> offsets = {{{full, Partition(0)}, Offset(7), "snapshot 12"}, {{full, Partition(1)}, Offset(9), ""}};
  ASSERT_TRUE(producer->Begin());
  Produce(*producer, topic, "a");
  const auto sent = producer->SendOffsets(offsets, GroupMetadata::OfGroup(prefix_ + "g"), kPatience);
  ASSERT_TRUE(sent) << sent.error().error.ToString();
  ASSERT_TRUE(producer->Abort(kPatience));
  const std::vector<TopicPartition> partitions = {{full, Partition(0)}, {full, Partition(1)}};
  EXPECT_TRUE(bus().positions().Committed(prefix_ + "g", partitions)->empty());
  ASSERT_TRUE(producer->Begin());
  Produce(*producer, topic, "a");
  ASSERT_TRUE(producer->SendOffsets(offsets, GroupMetadata::OfGroup(prefix_ + "g"), kPatience));
  ASSERT_TRUE(producer->Commit(kPatience));
  const auto found = bus().positions().Committed(prefix_ + "g", partitions);
  ASSERT_TRUE(found) << found.error().ToString();
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ((*found)[0].next, Offset(7));
  EXPECT_EQ((*found)[0].metadata, "snapshot 12");
  EXPECT_EQ((*found)[1].next, Offset(9));
}

TEST_F(KafkaClients, TypesEncodingsAndTimesComeBackFromHeaders) {
  const TopicPartition topic = Ensure("t");
  const std::vector<std::string_view> one = {"x"};
  for (const bus::Encoding encoding : {bus::Encoding::kJson, bus::Encoding::kProtobuf, bus::Encoding::kBinary}) {
    ASSERT_TRUE(bus::AppendAndWait(bus(), topic, {.encoding = encoding, .values = one}));
    ASSERT_TRUE(bus::AppendAndWait(bus(), topic, {.type = bus::BatchType::kReplay, .encoding = encoding, .values = one, .keys = one}));
  }
  auto producer = Producer::Make(engine().Client(), {});
  ASSERT_TRUE(producer);
  const std::vector<RecordHeader> headers = {{kAppendTimeHeader, "1234567890123"}, {"trace", "somebody's"}};
  const std::vector<OutRecord> records = {{.value = "y", .headers = headers}};
  std::promise<Result<std::int64_t>> sent;
  (*producer)->Send(bus().FullName("t"), Partition(0), records, std::nullopt,
                    [&](Result<std::int64_t> first) { sent.set_value(std::move(first)); });
  ASSERT_EQ(*sent.get_future().get(), 6);
  const auto reader = *bus().OpenReader(topic, Offset(0));
  std::vector<std::pair<bus::BatchType, bus::Encoding>> seen;
  AppendTime last;
  bus().NoteEnd(topic, Offset(7));
  while (const auto batch = *reader->Next()) {
    for (std::size_t i = 0; i < batch->values.size(); ++i) {
      seen.emplace_back(batch->type, batch->encoding);
      last = batch->time(i);
    }
  }
  using enum bus::BatchType;
  using enum bus::Encoding;
  EXPECT_EQ(seen, (std::vector<std::pair<bus::BatchType, bus::Encoding>>{{kData, kJson},
                                                                         {kReplay, kJson},
                                                                         {kData, kProtobuf},
                                                                         {kReplay, kProtobuf},
                                                                         {kData, kBinary},
                                                                         {kReplay, kBinary},
                                                                         {kData, kJson}}));
  EXPECT_EQ(last, AppendTime(1234567890123));
}

TEST_F(KafkaClients, ARecordAboveTheTopicsLimitIsRefusedWithTheReason) {
  const TopicPartition topic = Ensure("t");
  ASSERT_TRUE(bus().admin().AlterTopic(bus().FullName("t"), {{"max.message.bytes", "20000"}}));
  bus_ = std::move(*KafkaBus::Open(engine().Options(prefix_)));
  const auto refused = Append(topic, {"small", std::string(30'000, 'x')});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("20000"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("max.message.bytes"), std::string::npos) << refused.error().message;
  // Many that fit, which together do not, go in pieces.
  std::vector<std::string> many(40, std::string(5'000, 'y'));
  const auto appended = Append(topic, many);
  ASSERT_TRUE(appended) << appended.error().ToString();
  EXPECT_EQ(ReadAll(bus(), topic).size(), 40U);
  // The limit was lowered meanwhile: the broker refuses, and says so.
  ASSERT_TRUE(bus().admin().AlterTopic(bus().FullName("t"), {{"max.message.bytes", "1000"}}));
  std::string noise(9'000, ' ');
  std::uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  const auto lowered = Append(topic, {noise});
  ASSERT_FALSE(lowered);
  EXPECT_EQ(lowered.error().kind, ErrorKind::kInvalidArgument) << lowered.error().ToString();
  EXPECT_NE(lowered.error().message.find("max.message.bytes"), std::string::npos) << lowered.error().message;
}

TEST_F(KafkaClients, WhatWaitsTooLongToBeAcknowledgedIsRefusedForNow) {
  KafkaBusOptions options = engine().Options(prefix_);
  options.producer.pending_bytes_max = 100'000;
  bus_ = std::move(*KafkaBus::Open(options));
  const TopicPartition topic = Ensure("t");
  ASSERT_TRUE(Append(topic, {"first"}));
  engine().Pause();
  std::mutex mutex;
  std::condition_variable changed;
  int answered = 0, taken = 0, exhausted = 0;
  const std::string value(1'000, 'x');
  const std::vector<std::string_view> one = {value};
  for (int i = 0; i < 200; ++i) {
    bus().Append(topic, {.values = one}, [&](Result<bus::Appended> result) {
      const std::lock_guard lock(mutex);
      ++answered;
      taken += result ? 1 : 0;
      exhausted += !result && result.error().kind == ErrorKind::kResourceExhausted ? 1 : 0;
      changed.notify_all();
    });
  }
  {
    const std::lock_guard lock(mutex);
    EXPECT_GT(exhausted, 50);
    EXPECT_EQ(answered, exhausted);
  }
  engine().Resume();
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, kPatience, [&] { return answered == 200; }));
  EXPECT_EQ(taken + exhausted, 200);
  EXPECT_EQ(ReadAll(bus(), topic).size(), static_cast<std::size_t>(taken) + 1);
}

TEST_F(KafkaClients, ExistingTopicsAreLookedAt) {
  Admin& admin = bus().admin();
  ASSERT_TRUE(admin.CreateTopic({.name = bus().FullName("few"), .partitions = 2, .replication = 1, .configs = {}}));
  const auto few = bus().EnsureTopic({.name = "few", .partitions = 4});
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_NE(few.error().message.find("2 partitions, 4"), std::string::npos) << few.error().message;
  ASSERT_TRUE(admin.CreateTopic(
      {.name = bus().FullName("compacted"), .partitions = 1, .replication = 1, .configs = {{"cleanup.policy", "compact"}}}));
  const auto compacted = bus().EnsureTopic({.name = "compacted"});
  ASSERT_FALSE(compacted);
  EXPECT_NE(compacted.error().message.find("cleanup.policy"), std::string::npos) << compacted.error().message;
  ASSERT_TRUE(
      admin.CreateTopic({.name = bus().FullName("loose"),
                         .partitions = 1,
                         .replication = 1,
                         .configs = {{"retention.ms", "60000"}, {"unclean.leader.election.enable", "true"}, {"flush.messages", "7"}}}));
  ASSERT_TRUE(bus().EnsureTopic({.name = "loose", .retain_time = std::chrono::hours(24)}));
  const auto configs = admin.DescribeTopic(bus().FullName("loose"));
  ASSERT_TRUE(configs);
  EXPECT_EQ(configs->find("retention.ms")->second.value, "86400000");
  EXPECT_EQ(configs->find("unclean.leader.election.enable")->second.value, "false");
  EXPECT_EQ(configs->find("message.timestamp.type")->second.value, "LogAppendTime");
  EXPECT_EQ(configs->find("flush.messages")->second.value, "7") << "what else is set stays";
}

// A group's member with what it took, run by hand.
struct Member {
  std::set<TopicPartition> mine;
  std::multiset<std::string> taken;
  std::unique_ptr<GroupConsumer> consumer;  // last: it revokes what is mine when it goes

  void Step() {
    const Status polled = consumer->Poll(milliseconds(20));
    EXPECT_TRUE(polled) << polled.error().ToString();
    for (const TopicPartition& partition : mine) {
      RecordReader* const reader = consumer->Reader(partition);
      while (reader != nullptr) {
        const auto found = reader->Poll(milliseconds(0));
        ASSERT_TRUE(found) << found.error().ToString();
        if (!found->batch) break;
        for (std::string_view value : found->batch->values) taken.emplace(value);
        const std::vector<GroupOffset> next = {{partition, found->batch->end(), ""}};
        const Status committed = consumer->Commit(next);
        EXPECT_TRUE(committed) << committed.error().ToString();
      }
    }
  }
};

std::unique_ptr<Member> Join(const std::string& group, const std::vector<std::string>& topics) {
  auto member = std::make_unique<Member>();
  Member* raw = member.get();
  GroupConsumer::Events events;
  events.assigned = [raw](std::vector<GroupConsumer::Assigned>& partitions) {
    for (const auto& one : partitions) EXPECT_TRUE(raw->mine.insert(one.partition).second);
  };
  const auto gone = [raw](const std::vector<TopicPartition>& partitions) {
    for (const TopicPartition& partition : partitions) raw->mine.erase(partition);
  };
  events.revoked = events.lost = gone;
  auto consumer = GroupConsumer::Make(KafkaEngine::Get().Client(), {.group = group, .topics_refresh = milliseconds(500)}, events);
  EXPECT_TRUE(consumer);
  member->consumer = std::move(*consumer);
  EXPECT_TRUE(member->consumer->Subscribe(topics));
  return member;
}

template <typename Done>
bool StepUntil(const std::vector<Member*>& members, Done done) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    for (Member* member : members) member->Step();
  }
  return true;
}

TEST_F(KafkaClients, MembersShareTopicsOfAPatternAndFindNewOnes) {
  Ensure("raw_a", 2);
  const std::vector<std::string> pattern = {"^" + prefix_ + "raw_.*"};
  const auto first = Join(prefix_ + "g", pattern);
  ASSERT_TRUE(Append({"raw_a", Partition(0)}, {"1", "2"}));
  ASSERT_TRUE(Append({"raw_a", Partition(1)}, {"3"}));
  ASSERT_TRUE(StepUntil({first.get()}, [&] { return first->taken.size() == 3; }));

  // Everything stays with the one that has it; the new member gets what comes up.
  const auto second = Join(prefix_ + "g", pattern);
  ASSERT_TRUE(StepUntil({first.get(), second.get()}, [&] { return first->mine.size() == 1 && second->mine.size() == 1; }));
  Ensure("raw_b", 2);
  Ensure("other");
  ASSERT_TRUE(StepUntil({first.get(), second.get()}, [&] { return first->mine.size() + second->mine.size() == 4; }));
  ASSERT_TRUE(Append({"raw_b", Partition(0)}, {"4"}));
  ASSERT_TRUE(Append({"raw_b", Partition(1)}, {"5"}));
  ASSERT_TRUE(Append({"raw_a", Partition(0)}, {"6"}));
  ASSERT_TRUE(Append({"other", Partition(0)}, {"not mine"}));
  ASSERT_TRUE(StepUntil({first.get(), second.get()}, [&] { return first->taken.size() + second->taken.size() == 6; }));

  // One leaves: the other goes on where it stood.
  first->consumer->Close();
  ASSERT_TRUE(Append({"raw_a", Partition(0)}, {"7"}));
  ASSERT_TRUE(Append({"raw_a", Partition(1)}, {"8"}));
  ASSERT_TRUE(StepUntil({second.get()}, [&] { return first->taken.size() + second->taken.size() == 8 && second->mine.size() == 4; }));
  std::multiset<std::string> all = first->taken;
  all.insert(second->taken.begin(), second->taken.end());
  EXPECT_EQ(all, (std::multiset<std::string>{"1", "2", "3", "4", "5", "6", "7", "8"}));
}

TEST_F(KafkaClients, AMemberThatLostItsPartitionsCannotCommitForThem) {
  const TopicPartition topic = Ensure("t");
  const auto member = Join(prefix_ + "g", {bus().FullName("t")});
  ASSERT_TRUE(StepUntil({member.get()}, [&] { return member->mine.size() == 1; }));
  const GroupMetadata before = member->consumer->Metadata();
  const auto other = Join(prefix_ + "g", {bus().FullName("t")});
  member->consumer->Close();
  ASSERT_TRUE(StepUntil({other.get()}, [&] { return other->mine.size() == 1; }));
  const auto producer = Transactional("x");
  ASSERT_TRUE(producer->Begin());
  Produce(*producer, topic, "late");
  const std::vector<GroupOffset> offsets = {{{bus().FullName("t"), Partition(0)}, Offset(5), ""}};
  const auto sent = producer->SendOffsets(offsets, before, kPatience);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().fault, Fault::kAbortable) << sent.error().error.ToString();
  ASSERT_TRUE(producer->Abort(kPatience));
  EXPECT_TRUE(ReadAll(bus(), topic).empty());
}

TEST_F(KafkaClients, AMemberBeginsNowhereWhileATransactionThatSaysWhereIsOpen) {
  const TopicPartition topic = Ensure("t");
  ASSERT_TRUE(Append(topic, {"0", "1", "2", "3"}));
  const TopicPartition elsewhere = Ensure("elsewhere");
  const auto producer = Transactional("x");
  ASSERT_TRUE(producer->Begin());
  Produce(*producer, elsewhere, "made of the first three");
  const std::vector<GroupOffset> offsets = {{{bus().FullName("t"), Partition(0)}, Offset(3), ""}};
  ASSERT_TRUE(producer->SendOffsets(offsets, GroupMetadata::OfGroup(prefix_ + "g"), kPatience));
  const auto member = Join(prefix_ + "g", {bus().FullName("t")});
  ASSERT_TRUE(StepUntil({member.get()}, [&] { return member->mine.size() == 1; }));
  const auto until = std::chrono::steady_clock::now() + seconds(3);
  while (std::chrono::steady_clock::now() < until) member->Step();
  EXPECT_TRUE(member->taken.empty()) << *member->taken.begin() << " would be taken twice";
  ASSERT_TRUE(producer->Commit(kPatience));
  ASSERT_TRUE(StepUntil({member.get()}, [&] { return !member->taken.empty(); }));
  EXPECT_EQ(member->taken, (std::multiset<std::string>{"3"}));
}

TEST_F(KafkaClients, APartitionThatStaysThroughARebalanceGoesOnWhereItWas) {
  Ensure("raw_a");
  const std::vector<std::string> pattern = {"^" + prefix_ + "raw_.*"};
  const auto member = Join(prefix_ + "g", pattern);
  ASSERT_TRUE(Append({"raw_a", Partition(0)}, {"1"}));
  ASSERT_TRUE(StepUntil({member.get()}, [&] { return member->taken.size() == 1; }));
  // Long enough for the end to be known.
  const auto until = std::chrono::steady_clock::now() + seconds(1);
  while (std::chrono::steady_clock::now() < until) member->Step();
  Ensure("raw_b");
  ASSERT_TRUE(StepUntil({member.get()}, [&] { return member->mine.size() == 2; }));
  ASSERT_TRUE(Append({"raw_a", Partition(0)}, {"2"}));
  ASSERT_TRUE(Append({"raw_a", Partition(0)}, {"3"}));
  ASSERT_TRUE(StepUntil({member.get()}, [&] { return member->taken.size() == 3; }));
  EXPECT_EQ(member->taken, (std::multiset<std::string>{"1", "2", "3"}));
}

TEST_F(KafkaClients, RecordsOfOthersWakeSubscribersSoon) {
  const TopicPartition topic = Ensure("t");
  auto others = std::move(*KafkaBus::Open(engine().Options(prefix_)));
  std::mutex mutex;
  std::condition_variable woken;
  int calls = 0;
  const auto subscription = *bus().Subscribe(topic, [&] {
    const std::lock_guard lock(mutex);
    ++calls;
    woken.notify_all();
  });
  const std::vector<std::string_view> one = {"x"};
  const auto wait_for_more_than = [&](int seen) {
    std::unique_lock lock(mutex);
    return woken.wait_for(lock, kPatience, [&] { return calls > seen; });
  };
  ASSERT_TRUE(bus::AppendAndWait(*others, topic, {.values = one}));
  EXPECT_TRUE(wait_for_more_than(0)) << "without a reader";
  const auto reader = *bus().OpenReader(topic, Offset(0));
  ASSERT_TRUE(*reader->Next());
  while (*reader->Next()) {
  }
  std::vector<double> delays_ms;
  for (int i = 0; i < 40; ++i) {
    const auto began = std::chrono::steady_clock::now();
    ASSERT_TRUE(bus::AppendAndWait(*others, topic, {.values = one}));
    for (bool found = false; !found;) {
      int seen = 0;
      {
        const std::lock_guard lock(mutex);
        seen = calls;
      }
      found = reader->Next()->has_value();
      if (!found) {
        ASSERT_TRUE(wait_for_more_than(seen));
      }
    }
    delays_ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count());
  }
  std::sort(delays_ms.begin(), delays_ms.end());
  RecordProperty("produced_to_seen_p50_ms", std::to_string(delays_ms[20]));
  EXPECT_LT(delays_ms[20], 100) << "a busy machine is slow, but not by a polling interval of a second";
}

}  // namespace
}  // namespace sightline::kafka::testing
