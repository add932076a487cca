#include "sightline/serve/http_server.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/serve/testing/raw_client.h"

namespace sightline::serve {
namespace {

using testing::RawClient;
using namespace std::chrono_literals;

// Answers what a test wants: /echo gives the body back, /held waits for the test.
class TestApplication final : public Application {
 public:
  Admission Admit(Request& request) override {
    Admission admission;
    admission.body_bytes_max = 1 << 20;
    admission.decodes_content = true;
    if (request.path == "/refused") {
      admission.refusal = ErrorResponse({ErrorKind::kPermissionDenied, "no"}, request.id);
    } else if (request.path == "/held") {
      admission.handler = [this](std::shared_ptr<const Request> held, Responder respond) { Hold(std::move(held), std::move(respond)); };
    } else if (request.path == "/dropped") {
      admission.handler = [](std::shared_ptr<const Request>, Responder) {};
    } else if (request.path == "/thrown") {
      admission.handler = [](std::shared_ptr<const Request>, Responder) { throw std::runtime_error("oops"); };
    } else if (request.path == "/large") {
      admission.handler = [](std::shared_ptr<const Request>, Responder respond) {
        Response response;
        response.body.assign(32 << 20, 'x');
        respond(std::move(response));
      };
    } else {
      admission.on_worker = request.path == "/worker";
      admission.handler = [](std::shared_ptr<const Request> echoed, Responder respond) {
        Response response;
        response.Set("X-Path", echoed->path);
        response.body = echoed->body.view();
        respond(std::move(response));
      };
    }
    return admission;
  }
  void Finish(const Request&, Response&) override {}

  void WaitForHeld(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_.size() >= count; });
  }
  void Release() {
    std::vector<std::pair<std::shared_ptr<const Request>, Responder>> held;
    {
      const std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (auto& [request, respond] : held) {
      Response response;
      response.body = "released " + std::string(request->body.view());
      respond(std::move(response));
    }
  }

 private:
  void Hold(std::shared_ptr<const Request> request, Responder respond) {
    const std::lock_guard lock(mutex_);
    held_.emplace_back(std::move(request), std::move(respond));
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<std::shared_ptr<const Request>, Responder>> held_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServer& Start(ServerOptions options = {}) {
    auto made = HttpServer::Make(options, clock_, metrics_, log_);
    if (!made) throw std::runtime_error(made.error().ToString());
    server_ = std::move(*made);
    server_->Start(application_);
    return *server_;
  }
  RawClient Connect() { return RawClient(server_->port()); }
  // Sends bytes and gives the status of the answer.
  int StatusOf(std::string_view bytes) {
    auto client = Connect();
    client.Send(bytes);
    const auto response = client.Receive();
    return response ? response->status : 0;
  }
  // Until the server has taken so many bytes in all.
  void WaitForReceived(std::uint64_t bytes) {
    const auto* received = metrics_.AddCounter("sightline_http_received_bytes_total", "", {{"listener", "http"}});
    while (received->value() < bytes) std::this_thread::yield();
  }
  void WaitForConnections(std::size_t count) {
    while (server_->connections() != count) std::this_thread::yield();
  }

  runtime::SimulatedClock clock_;
  ops::Metrics metrics_;
  ops::Log log_{clock_, ops::LogLevel::kError, [](std::string_view) {}};
  TestApplication application_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  Start();
  auto client = Connect();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        client.Send("POST /a%20b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-Request-Id: r-" + std::to_string(i) + "\r\n\r\nhello"));
    const auto response = client.Receive();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "hello");
    EXPECT_EQ(response->Header("x-path"), "/a b");
    EXPECT_EQ(response->Header("x-request-id"), "r-" + std::to_string(i));
    EXPECT_EQ(response->Header("date"), "Tue, 14 Nov 2023 22:13:20 GMT");
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  Start();
  auto client = Connect();
  std::string all;
  for (int i = 0; i < 200; ++i) {
    const std::string body = "n" + std::to_string(i);
    all += std::string("POST ") + (i % 3 == 0 ? "/worker" : "/echo") +
           " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  ASSERT_TRUE(client.Send(all));
  for (int i = 0; i < 200; ++i) {
    const auto response = client.Receive();
    ASSERT_TRUE(response) << i;
    EXPECT_EQ(response->body, "n" + std::to_string(i));
  }
}

TEST_F(HttpServerTest, ChunkedBodyInManyPieces) {
  Start();
  auto client = Connect();
  for (const char c : std::string(
           "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n")) {
    ASSERT_TRUE(client.Send(std::string_view(&c, 1)));
  }
  const auto response = client.Receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "abc0123456789");
}

TEST_F(HttpServerTest, HeadHasTheLengthAndNoBody) {
  Start();
  auto client = Connect();
  ASSERT_TRUE(client.Send("HEAD /large HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  const auto head = client.Receive(true);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->Header("content-length"), std::to_string(32 << 20));
  const auto next = client.Receive();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->Header("content-length"), "0");
}

// What a proxy and this server could read as two different requests must not be served, and the connection must end.
TEST_F(HttpServerTest, SmugglingIsRefused) {
  Start();
  const std::vector<std::string> attempts = {
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\ng\r\nabc\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nA\rB: c\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
      "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /%2e%2e/b HTTP/1.1\r\nHost: x\r\n\r\n",
  };
  for (const auto& attempt : attempts) {
    auto client = Connect();
    client.Send(attempt);
    client.CloseSending();
    const auto response = client.Receive();
    if (response) {
      EXPECT_EQ(response->status, 400) << attempt;
    }
  }
  // Not one of them left something behind that is taken for a request of its own.
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

TEST_F(HttpServerTest, BothLengthsEndTheConnection) {
  Start();
  auto client = Connect();
  client.Send(
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: "
      "x\r\n\r\n");
  const auto refusal = client.Receive();
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->status, 400);
  EXPECT_EQ(refusal->Header("connection"), "close");
  EXPECT_TRUE(client.Closed());
}

// Also where nothing of the request is left to be read.
TEST_F(HttpServerTest, WhatIsNoRequestEndsTheConnection) {
  Start();
  for (const char* const attempt :
       {"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    auto client = Connect();
    client.Send(std::string(attempt) + "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto refusal = client.Receive();
    ASSERT_TRUE(refusal) << attempt;
    EXPECT_EQ(refusal->status, 400) << attempt;
    EXPECT_EQ(refusal->Header("connection"), "close") << attempt;
    EXPECT_TRUE(client.Closed()) << attempt;
  }
}

TEST_F(HttpServerTest, OtherRefusals) {
  Start();
  EXPECT_EQ(StatusOf("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(StatusOf("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"), 413);
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Encoding: br\r\n\r\nx"), 415);
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: cake\r\n\r\nx"), 417);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(17 << 10, 'a') + "\r\n\r\n"), 431);
  EXPECT_EQ(StatusOf("GET /" + std::string(17 << 10, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 431);
  EXPECT_EQ(StatusOf("GET /dropped HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
  EXPECT_EQ(StatusOf("GET /thrown HTTP/1.1\r\nHost: x\r\n\r\n"), 500);
  EXPECT_EQ(StatusOf("\r\nGET http://other/ HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf("GET / HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf("OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), 204);
  EXPECT_EQ(StatusOf("GET * HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
}

TEST_F(HttpServerTest, ContinueIsSentOnlyWhenTheBodyIsWanted) {
  Start();
  auto client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  const auto go_on = client.ReceiveHead();
  ASSERT_TRUE(go_on);
  EXPECT_EQ(go_on->status, 100);
  client.Send("ok");
  const auto response = client.Receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "ok");
  EXPECT_EQ(StatusOf("POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"), 403);
}

TEST_F(HttpServerTest, BodyThatGrowsBeyondTheLimitIsCutOff) {
  Start();
  auto client = Connect();
  client.Send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  for (int i = 0; i < 17 && client.Send(chunk); ++i) {
  }
  const auto response = client.Receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(response->Header("connection"), "close");
}

TEST_F(HttpServerTest, MemoryOfAllBodiesIsBounded) {
  ServerOptions options;
  options.body_bytes_in_flight_max = 1000;
  Start(options);
  auto first = Connect();
  first.Send("POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n" + std::string(900, 'a'));
  application_.WaitForHeld(1);
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n" + std::string(200, 'b')), 429);
  application_.Release();
  ASSERT_TRUE(first.Receive());
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n" + std::string(200, 'b')), 200);
}

// A header that comes a byte at a time forever holds a connection only until the deadline, however recent its last byte is.
TEST_F(HttpServerTest, SlowHeaderIsCutOff) {
  Start();
  auto client = Connect();
  const std::string_view begun = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
  client.Send(begun);
  WaitForReceived(begun.size());
  auto settled = Connect();
  settled.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(settled.Receive());
  for (int i = 0; i < 9; ++i) {
    clock_.Advance(1s);
    server_->Sweep();
    ASSERT_TRUE(client.Send("b"));
  }
  EXPECT_EQ(server_->connections(), 2U);
  clock_.Advance(1s);
  server_->Sweep();
  const auto response = client.Receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 408);
  EXPECT_TRUE(client.Closed());
  EXPECT_EQ(server_->connections(), 1U);
  clock_.Advance(75s);
  server_->Sweep();
  EXPECT_TRUE(settled.Closed());
}

TEST_F(HttpServerTest, SlowBodyIsCutOffByItsRate) {
  Start();
  auto client = Connect();
  client.Send("POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
  // One byte every ten seconds is never idle, and far too slow: 30 s of grace, and a fraction of a second for the bytes.
  int seconds = 0;
  std::optional<testing::RawResponse> response;
  while (server_->connections() == 1 || seconds == 0) {
    client.Send("x");
    const auto received = [&] { return metrics_.AddCounter("sightline_http_received_bytes_total", "", {{"listener", "http"}})->value(); };
    const std::uint64_t before = received();
    for (int spin = 0; spin < 1'000'000 && received() == before && server_->connections() == 1; ++spin) std::this_thread::yield();
    clock_.Advance(10s);
    seconds += 10;
    server_->Sweep();
    ASSERT_LE(seconds, 60);
  }
  response = client.Receive();
  if (response) {
    EXPECT_EQ(response->status, 408);
  }
  EXPECT_GE(seconds, 20);
}

// A header that stays away, and a body whose last byte is fresh but which comes too slowly: both are told why.
TEST_F(HttpServerTest, TheTimeOfARequestIsBoundedAsConfigured) {
  ServerOptions options;
  options.BoundTimes(1h);
  EXPECT_EQ(options.header_timeout, 10s);
  EXPECT_EQ(options.body_idle_timeout, 15s);
  EXPECT_EQ(options.body_grace, 1h);
  options.BoundTimes(2s);
  EXPECT_EQ(options.write_timeout, 2s);
  Start(options);
  auto heading = Connect();
  auto posting = Connect();
  std::uint64_t sent = 0;
  const auto send = [&](RawClient& client, std::string_view bytes) {
    ASSERT_TRUE(client.Send(bytes));
    WaitForReceived(sent += bytes.size());
    server_->Sweep();  // behind it on the loop: the bytes are taken
  };
  send(heading, "GET / HTTP/1.1\r\n");
  send(posting, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx");
  clock_.Advance(1s);
  send(posting, "x");
  clock_.Advance(999ms);
  server_->Sweep();
  EXPECT_EQ(server_->connections(), 2U);
  clock_.Advance(1ms);
  server_->Sweep();
  for (const auto& [client, says] : {std::pair(&heading, "the request's header did not come within 2s"),
                                     std::pair(&posting, "nothing of it for 2s, or after 2s less than 4KiB a second")}) {
    const auto response = client->Receive();
    ASSERT_TRUE(response) << says;
    EXPECT_EQ(response->status, 408);
    EXPECT_NE(response->body.find(says), std::string::npos) << response->body;
  }
}

TEST_F(HttpServerTest, ClientThatDoesNotReadIsCutOff) {
  Start();
  RawClient client(server_->port(), 4096);
  client.Send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  client.Peek(1);
  // As long as the kernel's buffers take something the deadline moves; then it comes.
  while (server_->connections() > 0) {
    clock_.Advance(31s);
    server_->Sweep();
  }
}

TEST_F(HttpServerTest, ConnectionsAreLimited) {
  ServerOptions options;
  options.connections_max = 2;
  Start(options);
  auto a = Connect();
  auto b = Connect();
  for (auto* client : {&a, &b}) {
    client->Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(client->Receive());
  }
  auto c = Connect();
  EXPECT_TRUE(c.Closed());
  a.Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(a.Receive());
  a.CloseSending();
  WaitForConnections(1);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

TEST_F(HttpServerTest, ConnectionsOfOneAddressAreLimited) {
  ServerOptions options;
  options.connections_max_per_address = 1;
  Start(options);
  auto a = Connect();
  a.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(a.Receive());
  auto b = Connect();
  EXPECT_TRUE(b.Closed());
}

// A stop answers what is in flight, ends idle connections at once and takes no new ones.
TEST_F(HttpServerTest, ShutdownFinishesWhatIsInFlight) {
  Start();
  auto idle = Connect();
  idle.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(idle.Receive());
  auto posting = Connect();
  auto sending = Connect();
  posting.Send("POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  application_.WaitForHeld(1);
  sending.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(sending.ReceiveHead());
  const std::uint16_t port = server_->port();
  std::thread stopping([&] { server_->Shutdown(); });
  EXPECT_TRUE(idle.Closed());
  sending.Send("def456");
  const auto late = sending.Receive();
  ASSERT_TRUE(late);
  EXPECT_EQ(late->body, "def456");
  EXPECT_EQ(late->Header("connection"), "close");
  sending.CloseSending();
  application_.Release();
  const auto response = posting.Receive();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "released abc");
  EXPECT_EQ(response->Header("connection"), "close");
  posting.CloseSending();
  stopping.join();
  RawClient refused(port);
  EXPECT_FALSE(refused.connected() && refused.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") && refused.Receive());
}

TEST_F(HttpServerTest, ShutdownCutsOffWhatDoesNotEnd) {
  ServerOptions options;
  options.shutdown_grace = 50ms;
  Start(options);
  auto client = Connect();
  client.Send("POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  application_.WaitForHeld(1);
  server_->Shutdown();
  EXPECT_TRUE(client.Closed());
  application_.Release();  // too late: goes nowhere, harms nothing
}

TEST_F(HttpServerTest, ListeningErrorsSayWhatToDo) {
  Start();
  ServerOptions same;
  same.port = server_->port();
  const auto in_use = HttpServer::Make(same, clock_, metrics_, log_);
  ASSERT_FALSE(in_use);
  EXPECT_EQ(in_use.error().kind, ErrorKind::kFailedPrecondition);
  EXPECT_NE(in_use.error().message.find("another program listens there"), std::string::npos);
  ServerOptions open;
  open.host = "0.0.0.0";
  const auto no_tls = HttpServer::Make(open, clock_, metrics_, log_);
  ASSERT_FALSE(no_tls);
  EXPECT_NE(no_tls.error().message.find("tls"), std::string::npos);
}

}  // namespace
}  // namespace sightline::serve
