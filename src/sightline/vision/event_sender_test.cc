#include "sightline/vision/event_sender.h"

#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sightline::vision {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr DeliveryOptions kQuick{.events_max = 100,
                                 .batch_events_max = 10,
                                 .batch_wait = milliseconds(1),
                                 .backoff_first = milliseconds(1),
                                 .backoff_max = milliseconds(4)};

DetectionEvent Event(std::int64_t id) {
  return {.geographical_location_oid = 1,
          .video_camera_oid = 2,
          .detection_oid = id,
          .item_name = "person",
          .timestamp_detected = EventTime(3)};
}

// Answers as it was told, keeps what it was sent, and lets tests wait for it.
class FakeServer final : public EventTransport {
 public:
  struct Request {
    std::string body;
    std::string key;
  };
  Result<Answer> Post(std::string_view ndjson, std::string_view key) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !held_; });
    requests_.push_back({std::string(ndjson), std::string(key)});
    changed_.notify_all();
    if (answers_.empty()) return Answer{.status = 200};
    Result<Answer> answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }
  void Then(Result<Answer> answer) {
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(answer));
  }
  void Hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  // Waits until there were so many requests.
  std::vector<Request> Requests(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, seconds(30), [&] { return requests_.size() >= count; }));
    return requests_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Result<Answer>> answers_;
  std::vector<Request> requests_;
  bool held_ = false;
};

class EventSenderTest : public ::testing::Test {
 protected:
  EventSender::Parts Parts() {
    return {.transport = server_, .clock = clock_, .log = [this](std::string_view text) {
              const std::lock_guard lock(log_mutex_);
              log_.emplace_back(text);
            }};
  }
  std::vector<std::string> LogLines() {
    const std::lock_guard lock(log_mutex_);
    return log_;
  }
  FakeServer server_;
  runtime::SystemClock clock_;

 private:
  std::mutex log_mutex_;
  std::vector<std::string> log_;
};

TEST_F(EventSenderTest, DeliversAllInOrderAndSaysNothing) {
  EventSender sender(kQuick, "cam", Parts());
  std::string expected;
  for (int i = 0; i < 25; ++i) {
    AppendNdjson(expected, Event(i));
    sender.Take(Event(i));
  }
  EXPECT_TRUE(sender.Close(seconds(30)));
  std::string got;
  for (const auto& request : server_.Requests(1)) got += request.body;
  EXPECT_EQ(got, expected);
  EXPECT_EQ(sender.counters().delivered, 25);
  EXPECT_THAT(LogLines(), ::testing::IsEmpty());
}

TEST_F(EventSenderTest, AnOutageIsToldOnceAndItsEndToo) {
  server_.Then(Fail(ErrorKind::kUnavailable, "cannot connect"));
  server_.Then(Fail(ErrorKind::kUnavailable, "cannot connect"));
  server_.Then(EventTransport::Answer{.status = 503, .body = "starting"});
  EventSender sender(kQuick, "cam", Parts());
  sender.Take(Event(1));
  const auto requests = server_.Requests(4);
  EXPECT_TRUE(sender.Close(seconds(30)));
  for (const auto& request : requests) {
    EXPECT_EQ(request.body, requests[0].body);
    EXPECT_EQ(request.key, requests[0].key);
  }
  EXPECT_EQ(sender.counters().failures, 3);
  EXPECT_EQ(sender.counters().delivered, 1);
  const auto lines = LogLines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr("not delivered: cannot connect"));
  EXPECT_THAT(lines[1], HasSubstr("delivered again"));
}

TEST_F(EventSenderTest, WhatTheServerRefusesIsCountedAndToldWithItsWords) {
  server_.Then(EventTransport::Answer{.status = 200, .body = R"({"received":2,"accepted":1,"rejected":{"invalid":1}})"});
  server_.Then(EventTransport::Answer{.status = 422, .body = R"({"received":1,"accepted":0})"});
  server_.Hold(true);
  EventSender sender(kQuick, "cam", Parts());
  for (int i = 0; i < 10; ++i) sender.Take(Event(i));
  server_.Hold(false);
  server_.Requests(1);
  sender.Take(Event(10));
  server_.Requests(2);
  EXPECT_TRUE(sender.Close(seconds(30)));
  EXPECT_EQ(sender.counters().delivered, 1);
  EXPECT_EQ(sender.counters().refused, 10);
  EXPECT_THAT(LogLines(), Contains(HasSubstr("\"invalid\":1")));
  EXPECT_THAT(LogLines(), Contains(HasSubstr("422")));
}

TEST_F(EventSenderTest, AWrongTokenIsTriedAgainBecauseItMayBeRenewed) {
  server_.Then(EventTransport::Answer{.status = 401, .body = "who are you"});
  EventSender sender(kQuick, "cam", Parts());
  sender.Take(Event(1));
  server_.Requests(2);
  EXPECT_TRUE(sender.Close(seconds(30)));
  EXPECT_EQ(sender.counters().delivered, 1);
}

TEST_F(EventSenderTest, AFullQueueSaysWhatItDrops) {
  server_.Hold(true);
  EventSender sender(kQuick, "cam", Parts());
  for (int i = 0; i < 150; ++i) sender.Take(Event(i));
  EXPECT_EQ(sender.waiting(), 100U);
  EXPECT_EQ(sender.counters().dropped, 50);
  EXPECT_THAT(LogLines(), Contains(HasSubstr("dropping the oldest (1 dropped so far)")));
  server_.Hold(false);
  EXPECT_TRUE(sender.Close(seconds(30)));
  EXPECT_EQ(sender.counters().delivered, 100);
}

TEST_F(EventSenderTest, ClosingGivesUpAndSaysWhatIsLeft) {
  for (int i = 0; i < 1000; ++i) server_.Then(Fail(ErrorKind::kUnavailable, "cannot connect"));
  EventSender sender(kQuick, "cam", Parts());
  sender.Take(Event(1));
  sender.Take(Event(2));
  server_.Requests(2);
  EXPECT_FALSE(sender.Close(milliseconds(0)));
  EXPECT_THAT(LogLines(), Contains(HasSubstr("2 events were not delivered")));
}

}  // namespace
}  // namespace sightline::vision
