#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "sightline/base/testing/rounds.h"
#include "sightline/runtime/random.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/serve/live/live_board.h"
#include "sightline/serve/live/live_hub.h"
#include "sightline/serve/live/live_request.h"

namespace sightline::serve {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

constexpr std::int64_t kMinute = 60'000;

std::shared_ptr<const ResultShape> Shape() {
  static const auto shape = [] {
    auto s = std::make_shared<ResultShape>();
    s->pipeline = "top_items";
    s->schema.fields = {{"geographical_location_oid", FieldType::kInt64, false, true},
                        {"geographical_location", FieldType::kString, true, false},
                        {"item_name", FieldType::kString, false, false},
                        {"item_count", FieldType::kInt64, false, false}};
    s->group = {0};
    return std::shared_ptr<const ResultShape>(s);
  }();
  return shape;
}

// A group with one row a count; no counts: an empty group.
struct Made {
  ColumnBatch rows;
  LiveGroup group;
};
std::unique_ptr<Made> Group(std::int64_t location, std::int64_t minute, ResultState state, std::vector<std::int64_t> counts,
                            std::uint32_t revision = 0, std::uint64_t generation = 1) {
  auto made = std::make_unique<Made>();
  const std::size_t rows = std::max<std::size_t>(1, counts.size());
  made->rows.Reset(Shape()->schema, rows);
  made->rows.rows = rows;
  static const std::string_view kNames[] = {"person", "car", "bus", "bicycle"};
  for (std::size_t i = 0; i < rows; ++i) {
    made->rows.columns[0].int64s[i] = location;
    made->rows.columns[1].strings[i] = "Bedok \"1\"";
    made->rows.columns[2].strings[i] = kNames[i % 4];
    made->rows.columns[3].int64s[i] = i < counts.size() ? counts[i] : 0;
  }
  made->group.rows = &made->rows;
  made->group.end = counts.size();
  made->group.header.generation = generation;
  made->group.header.revision = revision;
  made->group.header.state = state;
  made->group.header.window_start = EventTime(minute * kMinute);
  made->group.header.window_end = EventTime((minute + 1) * kMinute);
  return made;
}

// Runs work when the test says so.
class FakeLoop final : public Loop {
 public:
  explicit FakeLoop(runtime::SimulatedClock& clock) : clock_(clock) {}
  void Post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    ready_.push_back(std::move(work));
  }
  void PostAfter(std::chrono::nanoseconds delay, std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    later_.emplace(clock_.MonotonicNs() + delay.count(), std::move(work));
  }
  void Run() {
    while (auto work = Next()) work();
  }
  // Lets time pass in steps, so that timers come at their time.
  void Advance(std::chrono::milliseconds by) {
    Run();
    for (; by > 0ms; by -= 10ms) {
      clock_.Advance(10ms);
      Run();
    }
  }

 private:
  std::function<void()> Next() {
    const std::lock_guard lock(mutex_);
    if (!later_.empty() && later_.begin()->first <= clock_.MonotonicNs()) {
      ready_.push_back(std::move(later_.begin()->second));
      later_.erase(later_.begin());
    }
    if (ready_.empty()) return nullptr;
    auto work = std::move(ready_.front());
    ready_.pop_front();
    return work;
  }
  runtime::SimulatedClock& clock_;
  std::mutex mutex_;
  std::deque<std::function<void()>> ready_;
  std::multimap<std::int64_t, std::function<void()>> later_;
};

// A client that applies what it is told, as the dashboard does; it takes messages at once, or only when the test says so.
class FakeStream final : public Stream {
 public:
  FakeStream(FakeLoop& loop, bool slow) : loop_(loop), slow_(slow) {}
  void SetListener(std::shared_ptr<StreamListener> listener) override { listener_ = std::move(listener); }
  void Send(StreamMessage message) override {
    ASSERT_FALSE(busy_) << "a second message before the first was sent";
    busy_ = true;
    json_ = message.json;
    ++messages;
    const Json parsed = Json::parse(*message.json);
    types.push_back(parsed["type"]);
    EXPECT_EQ(parsed["type"], message.type);
    if (parsed.contains("token")) {
      token = parsed["token"];
      EXPECT_EQ(token, message.id);
    }
    last = parsed;
    Apply(parsed);
    if (!slow_) Take();
  }
  void Close(std::string_view) override { Gone(); }
  // The message is with the client.
  void Take() {
    loop_.Post([this] {
      busy_ = false;
      if (const auto listener = listener_) listener->OnSent();
    });
  }
  void Gone() {
    if (const auto listener = std::exchange(listener_, nullptr)) listener->OnClosed();
  }

  int messages = 0;
  std::vector<std::string> types;
  std::string token;
  Json last;
  std::map<std::pair<std::string, std::int64_t>, Json> board;  // by key and window
  std::shared_ptr<const std::string> json_;

 private:
  void Apply(const Json& message) {
    if (message["type"] == "ping") return;
    if (message["type"] == "snapshot") board.clear();
    for (const auto& group : message["groups"]) {
      const std::string key = group["key"].dump();
      const std::int64_t start = group["window_start"];
      if (group["state"] != "open") std::erase_if(board, [&](const auto& e) { return e.first.first == key && e.first.second < start; });
      if (group["rows"].empty()) {
        board.erase({key, start});
      } else {
        board[{key, start}] = group;
      }
    }
  }
  FakeLoop& loop_;
  bool slow_;
  bool busy_ = false;
  std::shared_ptr<StreamListener> listener_;
};

class LiveTest : public ::testing::Test {
 protected:
  LiveTest() {
    clock_.Advance(1s);
    board_.Declare(Shape(), 1);
  }
  // A client and its stream hold each other until the connection ends.
  ~LiveTest() override {
    for (const auto& stream : streams_) stream->Gone();
    loop_.Run();
  }
  void Publish(const std::unique_ptr<Made>& made) { board_.Publish(Shape(), std::span(&made->group, 1)); }
  LiveRequest Ask(const Parameters& query) {
    auto request = ParseLiveRequest(*Shape(), query, principal_);
    if (!request) throw std::runtime_error(request.error().ToString());
    return *request;
  }
  std::shared_ptr<FakeStream> MakeStream(bool slow) {
    streams_.push_back(std::make_shared<FakeStream>(loop_, slow));
    return streams_.back();
  }
  std::shared_ptr<FakeStream> Join(const Parameters& query, bool slow = false) {
    auto stream = MakeStream(slow);
    hub_->Add(stream, Ask(query));
    loop_.Run();
    return stream;
  }
  // What a client that joins now would be shown.
  std::map<std::pair<std::string, std::int64_t>, Json> Truth(const Parameters& query) {
    auto late = Join(query);
    auto board = late->board;
    late->Gone();
    return board;
  }

  runtime::SimulatedClock clock_;
  ops::Metrics metrics_;
  security::Principal principal_{"p", security::Permissions::All(), {}};
  FakeLoop loop_{clock_};
  LiveBoard board_{7, metrics_};
  std::shared_ptr<LiveHub> hub_ = LiveHub::Make(board_, loop_, clock_, metrics_);
  std::vector<std::shared_ptr<FakeStream>> streams_;
};

TEST_F(LiveTest, SnapshotThenChanges) {
  Publish(Group(12, 0, ResultState::kOpen, {5, 3}));
  auto client = Join({{"rate", "all"}});
  ASSERT_EQ(client->types, std::vector<std::string>{"snapshot"});
  EXPECT_EQ(client->last["pipeline"], "top_items");
  const Json expected = Json::parse(R"({"window_start":0,"window_end":60000,"state":"open","revision":0,
    "key":{"geographical_location_oid":"12"},"rows":[
    {"geographical_location":"Bedok \"1\"","item_name":"person","item_count":5},
    {"geographical_location":"Bedok \"1\"","item_name":"car","item_count":3}]})");
  ASSERT_EQ(client->last["groups"].size(), 1U);
  EXPECT_EQ(client->last["groups"][0], expected);
  Publish(Group(12, 0, ResultState::kOpen, {6, 3}));
  loop_.Run();
  EXPECT_EQ(client->types.back(), "change");
  EXPECT_EQ(client->last["groups"][0]["rows"][0]["item_count"], 6);
  Publish(Group(12, 0, ResultState::kOpen, {}));
  loop_.Run();
  EXPECT_EQ(client->last["groups"][0]["rows"], Json::array());
  EXPECT_TRUE(client->board.empty());
}

TEST_F(LiveTest, FirstChangeAtOnceThenTheRate) {
  auto client = Join({});
  EXPECT_EQ(client->messages, 1);
  clock_.Advance(1s);
  for (int i = 1; i <= 300; ++i) {  // three seconds of a change every 10 ms
    Publish(Group(1, 0, ResultState::kOpen, {i}));
    loop_.Run();
    if (i == 1) {
      EXPECT_EQ(client->messages, 2) << "the first change is not held back";
    }
    loop_.Advance(10ms);
  }
  loop_.Advance(400ms);
  EXPECT_GE(client->messages - 2, 13);
  EXPECT_LE(client->messages - 2, 17);
  EXPECT_EQ(client->last["groups"][0]["rows"][0]["item_count"], 300) << "the last state arrives without another change";
  const int before = client->messages;
  loop_.Advance(5s);
  EXPECT_EQ(client->messages, before) << "nothing is sent when nothing changes";
  loop_.Advance(12s);
  EXPECT_EQ(client->types.back(), "ping");
}

TEST_F(LiveTest, FiltersAndSharedMessages) {
  for (std::int64_t location = 0; location < 10; ++location) Publish(Group(location, 0, ResultState::kOpen, {location + 1}));
  auto three = Join({{"rate", "all"}, {"geographical_location_oid", "3"}});
  auto some = Join({{"rate", "all"}, {"geographical_location_oid", "3"}, {"geographical_location_oid", "4"}});
  auto all_a = Join({{"rate", "all"}});
  auto all_b = Join({{"rate", "all"}});
  EXPECT_EQ(three->last["groups"].size(), 1U);
  EXPECT_EQ(some->last["groups"].size(), 2U);
  EXPECT_EQ(all_a->last["groups"].size(), 10U);
  EXPECT_EQ(all_a->json_, all_b->json_) << "clients that see the same share the bytes";
  Publish(Group(4, 0, ResultState::kOpen, {50}));
  loop_.Run();
  EXPECT_EQ(three->messages, 1);
  EXPECT_EQ(some->messages, 2);
  EXPECT_EQ(all_a->messages, 2);
  EXPECT_EQ(all_a->json_, all_b->json_);
  // A location that appears later.
  auto future = Join({{"rate", "all"}, {"geographical_location_oid", "77"}});
  EXPECT_TRUE(future->last["groups"].empty());
  Publish(Group(77, 0, ResultState::kOpen, {1}));
  loop_.Run();
  EXPECT_EQ(future->board.size(), 1U);
}

TEST_F(LiveTest, SlowClientGetsTheNewestStateAndHoldsUpNobody) {
  auto slow = Join({{"rate", "all"}}, true);
  auto fast = Join({{"rate", "all"}});
  for (int i = 1; i <= 1000; ++i) {
    Publish(Group(i % 5, 0, ResultState::kOpen, {i}));
    loop_.Run();
  }
  EXPECT_EQ(slow->messages, 1) << "one message on its way, no queue";
  EXPECT_EQ(fast->messages, 1001);
  slow->Take();
  loop_.Run();
  EXPECT_EQ(slow->messages, 2);
  EXPECT_EQ(slow->last["groups"].size(), 5U) << "a thousand changes have become five groups";
  EXPECT_EQ(slow->board, fast->board);
}

TEST_F(LiveTest, FinalResultsCloseWindows) {
  auto client = Join({{"rate", "all"}});
  const std::string key = R"({"geographical_location_oid":"1"})";
  Publish(Group(1, 0, ResultState::kOpen, {5}));
  Publish(Group(1, 1, ResultState::kOpen, {1}));
  Publish(Group(1, 0, ResultState::kFinal, {6}));
  Publish(Group(1, 0, ResultState::kOpen, {4}));  // came by the other way, too late
  loop_.Run();
  EXPECT_EQ((client->board[{key, 0}]["state"]), "final");
  EXPECT_EQ((client->board[{key, 0}]["rows"][0]["item_count"]), 6);
  EXPECT_EQ(client->board.size(), 2U);
  Publish(Group(1, 1, ResultState::kFinal, {2}));
  Publish(Group(1, 2, ResultState::kOpen, {9}));
  loop_.Run();
  EXPECT_EQ(client->board.size(), 2U) << "the newest final and the open window";
  EXPECT_EQ(client->board, Truth({}));
  Publish(Group(1, 1, ResultState::kCorrected, {3}, 1));
  Publish(Group(1, 1, ResultState::kCorrected, {8}, 1));  // not a higher revision: nothing new
  loop_.Run();
  EXPECT_EQ((client->board[{key, kMinute}]["rows"][0]["item_count"]), 3);
  EXPECT_EQ(client->board, Truth({}));
}

TEST_F(LiveTest, ACorrectionWithoutRowsRemovesItsGroup) {
  auto client = Join({{"rate", "all"}});
  const std::string key = R"({"geographical_location_oid":"1"})";
  Publish(Group(1, 0, ResultState::kFinal, {5}));
  Publish(Group(2, 0, ResultState::kFinal, {5}));
  Publish(Group(1, 1, ResultState::kOpen, {1}));
  Publish(Group(1, 0, ResultState::kCorrected, {}, 1));
  loop_.Run();
  EXPECT_EQ(client->board.size(), 2U);
  EXPECT_FALSE((client->board.contains({key, 0})));
  EXPECT_EQ(client->board, Truth({}));
  EXPECT_EQ(board_.OpenWindows("top_items").size(), 1U);
  Publish(Group(1, 0, ResultState::kFinal, {5}));         // came by another way, too late
  Publish(Group(1, 0, ResultState::kCorrected, {9}, 1));  // no higher revision
  loop_.Run();
  EXPECT_FALSE((client->board.contains({key, 0})));
  Publish(Group(1, 0, ResultState::kCorrected, {6}, 2));
  loop_.Run();
  EXPECT_EQ((client->board[{key, 0}]["rows"][0]["item_count"]), 6);
  EXPECT_EQ(client->board, Truth({}));
}

TEST_F(LiveTest, WhatNeverHadRowsIsNothingToTellOf) {
  auto client = Join({{"rate", "all"}});
  Publish(Group(1, 0, ResultState::kOpen, {}));
  Publish(Group(1, 0, ResultState::kCorrected, {}, 1));
  loop_.Run();
  EXPECT_EQ(client->messages, 1) << "the snapshot alone";
  EXPECT_EQ(metrics_.AddCounter("sightline_live_ignored_total", "")->value(), 0U);
  Publish(Group(1, 0, ResultState::kOpen, {3}));
  Publish(Group(1, 0, ResultState::kOpen, {}));
  loop_.Run();
  EXPECT_TRUE(client->board.empty());
  const int messages = client->messages;
  Publish(Group(1, 0, ResultState::kOpen, {}));
  Publish(Group(1, 1, ResultState::kOpen, {}));
  loop_.Run();
  EXPECT_EQ(client->messages, messages) << "it is gone already, and another window never was";
  EXPECT_TRUE(board_.OpenWindows("top_items").empty());
}

TEST_F(LiveTest, ResumeGivesWhatChangedSince) {
  for (std::int64_t location = 0; location < 10; ++location) Publish(Group(location, 0, ResultState::kOpen, {1}));
  auto client = Join({{"rate", "all"}});
  const std::string token = client->token;
  const auto known = client->board;
  client->Gone();
  Publish(Group(4, 0, ResultState::kOpen, {2}));
  Publish(Group(5, 0, ResultState::kOpen, {}));
  auto back = MakeStream(false);
  back->board = known;
  hub_->Add(back, Ask({{"rate", "all"}, {"resume", token}}));
  loop_.Run();
  EXPECT_EQ(back->types, std::vector<std::string>{"resumed"});
  EXPECT_EQ(back->last["groups"].size(), 2U);
  EXPECT_EQ(back->board, Truth({}));
  // With another filter the token says nothing about what the client knows.
  EXPECT_EQ(Join({{"geographical_location_oid", "4"}, {"resume", token}})->types[0], "snapshot");
  // Nor one of another run of the program, nor nonsense.
  auto other = LiveToken::Parse(token);
  ASSERT_TRUE(other);
  other->epoch ^= 1;
  EXPECT_EQ(Join({{"resume", other->ToString()}})->types[0], "snapshot");
  other->epoch ^= 1;
  other->version += 1000;
  EXPECT_EQ(Join({{"resume", other->ToString()}})->types[0], "snapshot");
  EXPECT_EQ(Join({{"resume", "!!"}})->types[0], "snapshot");
}

TEST_F(LiveTest, NewGenerationStartsEverybodyOver) {
  Publish(Group(1, 0, ResultState::kOpen, {1}));
  Publish(Group(2, 0, ResultState::kOpen, {1}));
  auto client = Join({{"rate", "all"}});
  const std::string token = client->token;
  board_.Declare(Shape(), 2);
  Publish(Group(3, 0, ResultState::kOpen, {7}, 0, 2));
  Publish(Group(1, 0, ResultState::kOpen, {9}, 0, 1));  // a straggler of the old one
  loop_.Run();
  EXPECT_EQ(client->types.back() == "snapshot" || client->types[1] == "snapshot", true);
  ASSERT_EQ(client->board.size(), 1U);
  EXPECT_EQ(client->board.begin()->first.first, R"({"geographical_location_oid":"3"})");
  EXPECT_EQ(Join({{"resume", token}})->types[0], "snapshot");
}

TEST_F(LiveTest, ClientsLeaveNothingBehind) {
  for (int round = 0; round < 50; ++round) {
    Publish(Group(round, 0, ResultState::kOpen, {1}));
    auto client = Join({{"geographical_location_oid", std::to_string(round)}, {"rate", round % 2 == 0 ? "all" : "5"}});
    Publish(Group(round, 0, ResultState::kOpen, {2}));
    client->Gone();
    loop_.Advance(20ms);
  }
  EXPECT_EQ(hub_->clients(), 0U);
  EXPECT_EQ(metrics_.AddGauge("sightline_live_clients", "")->value(), 0);
}

// Whatever the order of publications, joins, slowness and resumption: in the end every client has what the board has.
TEST_F(LiveTest, EveryClientConverges) {
  for (std::uint64_t seed = 1; seed <= OneThreadRounds(60); ++seed) {
    runtime::Random random(seed);
    LiveBoard board(seed, metrics_);
    board.Declare(Shape(), 1);
    auto hub = LiveHub::Make(board, loop_, clock_, metrics_);
    struct Member {
      Parameters query;
      std::shared_ptr<FakeStream> stream;
      bool slow;
    };
    std::vector<Member> members;
    std::map<std::int64_t, std::int64_t> newest;
    const auto join = [&](Parameters query, bool slow, const FakeStream* before) {
      auto stream = MakeStream(slow);
      if (before != nullptr) {
        stream->board = before->board;
        query.emplace_back("resume", before->token);
      }
      hub->Add(stream, Ask(query));
      return stream;
    };
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t what = random.Below(20);
      if (what == 0 && members.size() < 12) {
        Parameters query;
        if (random.OneIn(2)) query.emplace_back("rate", "all");
        for (std::uint64_t i = random.Below(3); i > 0; --i)
          query.emplace_back("geographical_location_oid", std::to_string(random.Below(6)));
        const bool slow = random.OneIn(3);
        members.push_back({query, join(query, slow, nullptr), slow});
      } else if (what == 1 && !members.empty()) {
        Member& member = members[random.Below(members.size())];
        loop_.Run();
        member.stream->Gone();
        member.stream = join(member.query, member.slow, member.stream.get());
      } else if (what == 2) {
        loop_.Advance(std::chrono::milliseconds(random.Below(30) * 10));
      } else {
        const auto location = static_cast<std::int64_t>(random.Below(6));
        auto& window = newest[location];
        ResultState state = ResultState::kOpen;
        std::int64_t minute = window + static_cast<std::int64_t>(random.Below(2));
        if (random.OneIn(8)) {
          state = ResultState::kFinal;
          minute = window++;
        } else if (random.OneIn(10) && window > 0) {
          state = ResultState::kCorrected;
          minute = window - 1;
        }
        const auto made = Group(location, minute, state,
                                random.OneIn(10) ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{static_cast<std::int64_t>(step)},
                                state == ResultState::kCorrected ? static_cast<std::uint32_t>(step) : 0);
        board.Publish(Shape(), std::span(&made->group, 1));
      }
      if (random.OneIn(3)) loop_.Run();
    }
    for (int rest = 0; rest < 4; ++rest) {
      for (auto& member : members) {
        if (member.slow) member.stream->Take();
      }
      loop_.Advance(500ms);
    }
    for (const auto& member : members) {
      const auto late = join(member.query, false, nullptr);
      loop_.Run();
      EXPECT_EQ(member.stream->board, late->board) << "seed " << seed;
      late->Gone();
    }
    for (const auto& member : members) member.stream->Gone();
    loop_.Run();
  }
}

TEST_F(LiveTest, PublishingFromManyThreads) {
  auto client = Join({{"rate", "all"}});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 1; i <= 2000; ++i) Publish(Group(t * 100 + i % 7, 0, ResultState::kOpen, {i}));
    });
  }
  for (int i = 0; i < 1000; ++i) loop_.Run();
  for (auto& thread : threads) thread.join();
  loop_.Run();
  EXPECT_EQ(client->board.size(), 28U);
  EXPECT_EQ(client->board, Truth({}));
}

TEST(LiveRequest, MistakesAreNamed) {
  const security::Principal principal{"p", security::Permissions::All(), {}};
  const auto message = [&](const Parameters& query) {
    const auto request = ParseLiveRequest(*Shape(), query, principal);
    return request ? std::string("fine") : request.error().message;
  };
  EXPECT_NE(message({{"geographical_location_iod", "1"}}).find("did you mean 'geographical_location_oid'"), std::string::npos);
  EXPECT_NE(message({{"item_name", "person"}}).find("group columns"), std::string::npos);
  EXPECT_NE(message({{"geographical_location_oid", "1x"}}).find("must be an integer"), std::string::npos);
  for (const char* rate : {"0", "-1", "101", "nan", "fast", "", "5x"}) EXPECT_NE(message({{"rate", rate}}), "fine") << rate;
  EXPECT_EQ(message({{"rate", "0.5"}, {"geographical_location_oid", "007"}}), "fine");
}

TEST(LiveRequest, GrantsNarrowWhatIsAskedFor) {
  security::Principal principal{"p", security::Permissions::All(), security::GrantFilter{"geographical_location_oid", {"1", "2"}}};
  LiveKey key;
  const auto passes = [&](const Parameters& query, const char* location) {
    key.values = {location};
    return ParseLiveRequest(*Shape(), query, principal)->filter.Passes(key);
  };
  EXPECT_TRUE(passes({}, "1"));
  EXPECT_FALSE(passes({}, "3"));
  EXPECT_FALSE(passes({{"geographical_location_oid", "3"}}, "3"));
  EXPECT_FALSE(passes({{"geographical_location_oid", "2"}}, "1"));
  EXPECT_TRUE(passes({{"geographical_location_oid", "2"}}, "2"));
  principal.grants->column = "camera";
  EXPECT_EQ(ParseLiveRequest(*Shape(), {}, principal).error().kind, ErrorKind::kPermissionDenied);
}

TEST(LiveRequest, AnyTextIsATokenOrNone) {
  const LiveToken token{0x0123456789abcdefULL, 3, 1'000'000'000'000ULL, 42};
  const std::string text = token.ToString();
  const auto back = LiveToken::Parse(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->version, token.version);
  EXPECT_EQ(back->epoch, token.epoch);
  EXPECT_EQ(back->incarnation, token.incarnation);
  EXPECT_EQ(back->filter, token.filter);
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(LiveToken::Parse(text.substr(0, size))) << size;
}

}  // namespace
}  // namespace sightline::serve
