#include "sightline/vision/http_transport.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sightline::vision {
namespace {

using ::testing::HasSubstr;

// A server on a loopback port that answers each connection's requests with the next of the given texts, word for word, and then closes it.
class ScriptedServer {
 public:
  // One entry a connection: the answers it gives before it is closed.
  explicit ScriptedServer(std::vector<std::vector<std::string>> script)
      : script_(std::move(script)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 8), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~ScriptedServer() {
    thread_.join();
    ::close(socket_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // Once all of the script was played.
  const std::vector<std::string>& requests() {
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
    return requests_;
  }

 private:
  // Head and body of one request; empty when the client has gone.
  static std::string ReadRequest(int connection) {
    std::string request;
    std::size_t wanted = std::string::npos;
    char buffer[4096];
    while (request.size() < wanted) {
      const ssize_t got = ::read(connection, buffer, sizeof(buffer));
      if (got <= 0) return request;
      request.append(buffer, static_cast<std::size_t>(got));
      const std::size_t head = request.find("\r\n\r\n");
      if (head == std::string::npos) continue;
      const std::size_t length = request.find("Content-Length: ");
      wanted = head + 4 + (length < head ? std::stoul(request.substr(length + 16)) : 0);
    }
    return request;
  }
  void Serve() {
    for (const auto& answers : script_) {
      const int connection = ::accept(socket_, nullptr, nullptr);
      for (const std::string& answer : answers) {
        requests_.push_back(ReadRequest(connection));
        EXPECT_EQ(::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL), static_cast<ssize_t>(answer.size()));
      }
      ::close(connection);
    }
  }

  std::vector<std::vector<std::string>> script_;
  int socket_;
  std::uint16_t port_ = 0;
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::string Answer(std::string_view status, std::string_view headers, std::string_view body) {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" +
         std::string(body);
}

std::unique_ptr<HttpTransport> MakeTransport(const std::string& url, std::string token = "secret") {
  auto transport = HttpTransport::Make({.url = *EventUrl::Parse(url),
                                        .token = [token] { return Result<std::string>(token); },
                                        .ca_file = "",
                                        .timeout = std::chrono::seconds(30)});
  EXPECT_TRUE(transport);
  return std::move(*transport);
}

TEST(HttpTransport, SendsWhatTheServerExpects) {
  ScriptedServer server({{Answer("200 OK", "", R"({"accepted":1})")}});
  const auto answer = MakeTransport(server.url())->Post("{}\n", "key-1");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, R"({"accepted":1})");
  EXPECT_EQ(answer->retry_after, std::nullopt);
  const std::string& request = server.requests().at(0);
  EXPECT_THAT(request, ::testing::StartsWith("POST /v1/datasets/camera_events/events HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("Host: 127.0.0.1:"));
  EXPECT_THAT(request, HasSubstr("Content-Type: application/x-ndjson\r\n"));
  EXPECT_THAT(request, HasSubstr("Authorization: Bearer secret\r\n"));
  EXPECT_THAT(request, HasSubstr("Idempotency-Key: key-1\r\n"));
  EXPECT_THAT(request, ::testing::EndsWith("\r\n\r\n{}\n"));
}

TEST(HttpTransport, WithoutATokenNoneIsSent) {
  ScriptedServer server({{Answer("200 OK", "", "")}});
  ASSERT_TRUE(MakeTransport(server.url(), "")->Post("{}\n", "k"));
  EXPECT_THAT(server.requests().at(0), ::testing::Not(HasSubstr("Authorization")));
}

TEST(HttpTransport, ReadsTheServersWishForAPause) {
  ScriptedServer server({{Answer("429 Too Many Requests", "Retry-After: 7\r\n", "slow down")}});
  const auto answer = MakeTransport(server.url())->Post("{}\n", "k");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 429);
  EXPECT_EQ(answer->retry_after, std::chrono::seconds(7));
}

TEST(HttpTransport, KeepsTheConnectionAndConnectsAnewWhenTheServerClosedIt) {
  ScriptedServer server({{Answer("200 OK", "", "1"), Answer("200 OK", "", "2")},
                         {Answer("200 OK", "Connection: close\r\n", "3")},
                         {Answer("200 OK", "", "4")}});
  const auto transport = MakeTransport(server.url());
  for (const char* expected : {"1", "2", "3", "4"}) {
    const auto answer = transport->Post("{}\n", "k");
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->body, expected);
  }
}

TEST(HttpTransport, AnAnswerThatIsNoHttpIsAnError) {
  ScriptedServer server({{"SSH-2.0-nothing here\r\n\r\n"}});
  const auto answer = MakeTransport(server.url())->Post("{}\n", "k");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("did not answer"));
}

TEST(HttpTransport, NobodyThereIsAnError) {
  std::string url;
  {
    ScriptedServer server({});
    url = server.url();
  }
  const auto answer = MakeTransport(url)->Post("{}\n", "k");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("cannot connect to http://127.0.0.1:"));
}

TEST(HttpTransport, NeverSendsTheTokenUnencryptedOverANetwork) {
  const auto make = [](const std::string& url, std::string token) {
    return HttpTransport::Make({.url = *EventUrl::Parse(url), .token = [token] { return Result<std::string>(token); }, .ca_file = ""});
  };
  const auto refused = make("http://camera.example:8080", "secret");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("use https"));
  EXPECT_TRUE(make("http://camera.example:8080", ""));
  EXPECT_TRUE(make("https://camera.example:8080", "secret"));
  EXPECT_TRUE(make("http://localhost:8080", "secret"));
}

TEST(EventUrl, IsTakenApart) {
  const auto url = EventUrl::Parse("https://host.example");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "host.example");
  EXPECT_EQ(url->port, "443");
  EXPECT_EQ(url->path, "/v1/datasets/camera_events/events");
  const auto six = EventUrl::Parse("http://[::1]:81/v1/datasets/other/events");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host, "::1");
  EXPECT_EQ(six->port, "81");
  EXPECT_EQ(six->path, "/v1/datasets/other/events");
  EXPECT_TRUE(six->loopback());
  EXPECT_FALSE(url->loopback());
}

TEST(EventUrl, MistakesAreNamed) {
  for (const char* text : {"127.0.0.1:8080", "ftp://host", "http://", "http://host:", "http://host:0", "http://host:65536",
                           "http://host:8x", "http://[::1", "http://user:pass@host", "http://host/a b"}) {
    const auto url = EventUrl::Parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().kind, ErrorKind::kInvalidArgument);
    EXPECT_THAT(url.error().message, HasSubstr(text));
  }
}

}  // namespace
}  // namespace sightline::vision
