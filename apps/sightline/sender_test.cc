#include "apps/sightline/sender.h"

#include <future>
#include <map>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/sightline/testing/server.h"
#include "apps/sightline/testing/world.h"

namespace sightline::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

EventBatch Lines(std::uint64_t first, const std::string& body, std::uint64_t records) {
  return {.body = body, .form = EventForm::kLines, .packing = Packing::kNone, .first = first, .records = records};
}
TestingServer::Answer Accepted(std::uint64_t count) {
  return {.status = 200,
          .body = "{\"received\":" + std::to_string(count) + ",\"accepted\":" + std::to_string(count) + ",\"rejected\":{},\"rejects\":[]}",
          .headers = {}};
}

class SenderTest : public ::testing::Test {
 protected:
  // Starts a server of which the n-th request (from 0) is answered by `script`.
  void Serve(std::function<TestingServer::Answer(std::size_t, const TestingServer::Request&)> script) {
    server_ = std::make_unique<TestingServer>([this, script = std::move(script)](const TestingServer::Request& request) {
      const std::lock_guard lock(mutex_);
      bodies_.push_back(request.body);
      keys_.push_back(request.Header("idempotency-key"));
      return script(bodies_.size() - 1, request);
    });
  }
  Sender Make(std::size_t in_flight, std::chrono::milliseconds retry_for = std::chrono::minutes(1)) {
    auto client = Client::Make({.url = server_->url(), .token = "t", .ca_file = "", .time_max = std::chrono::seconds(20)});
    return Sender(test_.world, std::move(*client),
                  {.dataset = "camera_events", .run_id = "run", .in_flight = in_flight, .retry_for = retry_for, .seed = 1});
  }
  std::vector<std::string> bodies() {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }
  TestWorld test_;
  std::mutex mutex_;
  std::vector<std::string> bodies_, keys_;
  std::unique_ptr<TestingServer> server_;
};

TEST_F(SenderTest, CountsWhatTheServerSaysAndPlacesRejectsInTheInput) {
  Serve([](std::size_t n, const TestingServer::Request& request) -> TestingServer::Answer {
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.target, "/v1/datasets/camera_events/events");
    EXPECT_EQ(request.Header("authorization"), "Bearer t");
    EXPECT_EQ(request.Header("content-type"), "application/x-ndjson");
    if (n == 0) return Accepted(2);
    return {
        .status = 422,
        .body =
            R"({"received":2,"accepted":0,"rejected":{"malformed":1,"invalid":1},"rejects":[{"line":1,"verdict":"malformed","field":"","cause":"cut off"},{"line":3,"verdict":"invalid","field":"id","cause":"no int64"}]})",
        .headers = {}};
  });
  Sender sender = Make(2);
  ASSERT_TRUE(sender.Submit(Lines(1, "a\nb\n", 2)));
  ASSERT_TRUE(sender.Submit(Lines(3, "x\n\ny\n", 2)));
  ASSERT_TRUE(sender.Finish());
  const SendSummary& summary = sender.summary();
  EXPECT_EQ(summary.received, 4U);
  EXPECT_EQ(summary.accepted, 2U);
  EXPECT_EQ(summary.all_rejected(), 2U);
  EXPECT_EQ(summary.retries, 0U);
  ASSERT_EQ(summary.rejects.size(), 2U);
  EXPECT_EQ(summary.rejects[0].line, 3U);
  EXPECT_EQ(summary.rejects[1].line, 5U);
  EXPECT_EQ(summary.rejects[1].field, "id");
  EXPECT_THAT(keys_, ElementsAre("run-0", "run-1"));
}

TEST_F(SenderTest, ARefusalForNowIsSentAgainUnderItsKeyAfterTheTimeAskedFor) {
  Serve([](std::size_t n, const TestingServer::Request&) -> TestingServer::Answer {
    if (n < 2)
      return {.status = 429,
              .body = R"({"error":{"kind":"resource_exhausted","message":"the log is full"}})",
              .headers = {{"Retry-After", "3"}}};
    return Accepted(1);
  });
  Sender sender = Make(1);
  ASSERT_TRUE(sender.Submit(Lines(1, "a\n", 1)));
  ASSERT_TRUE(sender.Finish());
  EXPECT_THAT(keys_, ElementsAre("run-0", "run-0", "run-0"));
  EXPECT_EQ(sender.summary().retries, 2U);
  EXPECT_GE(test_.slept_ms, 6000);
  EXPECT_LE(test_.slept_ms, 9000);
}

// What is sent depends on the answers alone: requests go out when they are submitted, and the server answers one after the other.
TEST_F(SenderTest, WhatWasRefusedWithSeveralInFlightGoesAgainInOrder) {
  Serve([](std::size_t n, const TestingServer::Request&) -> TestingServer::Answer {
    if (n == 1 || n == 2) return {.status = 429, .body = R"({"error":{"kind":"resource_exhausted","message":"full"}})", .headers = {}};
    return Accepted(1);
  });
  Sender sender = Make(4);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(sender.Submit(Lines(static_cast<std::uint64_t>(i) + 1, std::to_string(i) + "\n", 1)));
  ASSERT_TRUE(sender.Finish());
  EXPECT_THAT(keys_, ElementsAre("run-0", "run-1", "run-2", "run-3", "run-1", "run-2"));
  EXPECT_THAT(bodies(), ElementsAre("0\n", "1\n", "2\n", "3\n", "1\n", "2\n"));
  EXPECT_EQ(sender.summary().received, 4U) << "each once";
  EXPECT_EQ(sender.summary().retries, 2U);
}

TEST_F(SenderTest, ABrokenConnectionIsMadeAgainAndEverythingInFlightGoesAgain) {
  Serve([](std::size_t n, const TestingServer::Request&) -> TestingServer::Answer {
    if (n == 1) return {.status = 0, .body = "", .headers = {}, .hang_up = true};
    return Accepted(1);
  });
  Sender sender = Make(3);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(sender.Submit(Lines(static_cast<std::uint64_t>(i) + 1, std::to_string(i) + "\n", 1)));
  ASSERT_TRUE(sender.Finish());
  EXPECT_EQ(sender.summary().received, 3U);
  EXPECT_GT(test_.slept_ms, 0);
}

TEST_F(SenderTest, GivesUpAfterTheTimeAndSaysWhatIsNotAcknowledged) {
  Serve([](std::size_t n, const TestingServer::Request&) -> TestingServer::Answer {
    if (n == 0) return Accepted(10);
    return {.status = 503, .body = R"({"error":{"kind":"unavailable","message":"starting"}})", .headers = {}};
  });
  Sender sender = Make(1, std::chrono::seconds(10));
  ASSERT_TRUE(sender.Submit(Lines(1, "a\n", 10)));
  Status sent = sender.Submit(Lines(11, "b\n", 7));
  if (sent) sent = sender.Finish();
  ASSERT_FALSE(sent);
  EXPECT_THAT(sent.error().message, HasSubstr("starting (tried for 10s)"));
  EXPECT_EQ(sender.unacknowledged(), 7U);
  EXPECT_EQ(sender.first_unacknowledged(), 11U);
  EXPECT_GE(test_.slept_ms, 9'900);
}

TEST_F(SenderTest, WhatTheServerWillNeverTakeEndsAtOnce) {
  Serve([](std::size_t, const TestingServer::Request&) -> TestingServer::Answer {
    return {
        .status = 404, .body = R"({"error":{"kind":"not_found","message":"no dataset camera_event","request_id":"r1"}})", .headers = {}};
  });
  Sender sender = Make(1);
  Status sent = sender.Submit(Lines(1, "a\n", 1));
  if (sent) sent = sender.Finish();
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(sent.error().message, HasSubstr("no dataset camera_event (request r1)"));
  EXPECT_EQ(test_.slept_ms, 0);
}

TEST_F(SenderTest, TheClientAsksAgainOnAConnectionThatWasClosedMeanwhile) {
  Serve([](std::size_t n, const TestingServer::Request&) -> TestingServer::Answer {
    if (n == 1) return {.status = 0, .body = "", .headers = {}, .hang_up = true};
    return {.status = 200, .body = "ok " + std::to_string(n), .headers = {{"X-Request-Id", "7"}}};
  });
  auto client = Client::Make({.url = server_->url() + "/", .token = "", .ca_file = "", .time_max = std::chrono::seconds(20)});
  ASSERT_TRUE(client);
  EXPECT_EQ(client->Ask({.target = "/a"})->body, "ok 0");
  const auto second = client->Ask({.target = "/b"});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->body, "ok 2");
  EXPECT_EQ(second->Header("x-request-id"), "7");
}

TEST_F(SenderTest, ARequestMayHaveLongerThanTheClientGives) {
  // Each connection's request is answered when the test says so, and that is after the client's own time.
  std::promise<void> given_up;
  Serve([&, waited = given_up.get_future().share()](std::size_t n, const TestingServer::Request&) -> TestingServer::Answer {
    if (n == 0) waited.wait();
    if (n == 1) std::this_thread::sleep_for(std::chrono::milliseconds(150));
    return {.status = 200, .body = "ok " + std::to_string(n), .headers = {}};
  });
  auto client = Client::Make({.url = server_->url(), .token = "", .ca_file = "", .time_max = std::chrono::milliseconds(50)});
  ASSERT_TRUE(client);
  const auto impatient = client->Ask({.target = "/"});
  given_up.set_value();
  ASSERT_FALSE(impatient);
  EXPECT_EQ(impatient.error().kind, ErrorKind::kDeadlineExceeded);
  EXPECT_THAT(impatient.error().message, HasSubstr("the answer took longer than 50ms"));
  const auto patient = client->Ask({.target = "/", .answer_time_max = std::chrono::seconds(20)});
  ASSERT_TRUE(patient) << patient.error().message;
  EXPECT_EQ(patient->body, "ok 1");
}

TEST_F(SenderTest, NobodyThereIsAClearError) {
  std::string url;
  {
    TestingServer gone([](const TestingServer::Request&) { return TestingServer::Answer(); });
    url = gone.url();
  }
  auto client = Client::Make({.url = url, .token = "", .ca_file = "", .time_max = std::chrono::seconds(20)});
  const auto answer = client->Ask({.target = "/"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("no server answers at " + url));
  for (const char* bad : {"127.0.0.1:80", "ftp://x", "http://", "http://a/b", "http://u@h:1"})
    EXPECT_FALSE(Client::Make({.url = bad, .token = "", .ca_file = ""})) << bad;
}

}  // namespace
}  // namespace sightline::app
