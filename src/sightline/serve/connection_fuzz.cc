#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sightline/base/text.h"
#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/serve/http_text.h"
#include "sightline/serve/server_internal.h"

namespace sightline::serve {
namespace {

constexpr std::size_t kInputMax = 16 << 10;
constexpr std::uint64_t kBodyMax = 4 << 10;
constexpr int kTurnsMax = 100'000;

void Require(bool holds) {
  if (!holds) std::abort();
}

// Gives every body back, and looks at what the connection lets through.
class Echo final : public Application {
 public:
  Admission Admit(Request& request) override {
    // What two servers in a row could read as two different requests must not come as far as here.
    const std::size_t encodings = request.headers.Count("Transfer-Encoding");
    const std::size_t lengths = request.headers.Count("Content-Length");
    Require(encodings + lengths <= 1 && request.headers.Count("Host") <= 1);
    if (encodings == 1) Require(IsChunked(request.headers.Find("Transfer-Encoding")));
    if (lengths == 1) Require(request.headers.Find("Content-Length").find_first_not_of("0123456789") == std::string_view::npos);
    Require(request.path.starts_with('/') && IsUtf8(request.path));
    for (const auto segment : Split(request.path, '/')) Require(segment != "..");
    ++admitted;
    request.route = 0;
    Admission admission;
    admission.body_bytes_max = kBodyMax;
    admission.decodes_content = true;
    admission.handler = [](std::shared_ptr<const Request> echoed, Responder respond) {
      Require(echoed->body.size() <= kBodyMax);
      Response response;
      response.body = echoed->body.view();
      respond(std::move(response));
    };
    return admission;
  }
  void Finish(const Request& request, Response& response) override {
    answers.push_back({.status = response.status, .head = request.method == Method::kHead, .admitted = request.route == 0});
  }

  struct Answered {
    int status;
    bool head;
    bool admitted;
  };
  std::size_t admitted = 0;
  std::vector<Answered> answers;  // in the order of their requests
};

ServerOptions OneThread() {
  ServerOptions options;
  options.workers = 0;
  options.header_bytes_max = 2 << 10;
  return options;
}

// One server's half for the whole run. Its loop has no thread: it runs when it is told to.
struct Fixture {
  runtime::SimulatedClock clock;
  ops::Metrics metrics;
  ops::Log log{clock, ops::LogLevel::kError, [](std::string_view) {}};
  Echo application;
  std::shared_ptr<internal::ServerState> state = std::make_shared<internal::ServerState>(OneThread(), clock, metrics, log);
  std::shared_ptr<internal::LoopThread> loop = std::make_shared<internal::LoopThread>();
};

// The client's end of a connection: sends in pieces, and takes what comes back.
class Exchange {
 public:
  explicit Exchange(Fixture& fixture) : fixture_(fixture) {
    std::array<int, 2> ends{};
    Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    mine_ = ends[0];
    internal::Socket socket(fixture.loop->context());
    socket.assign(internal::asio::ip::tcp::v4(), ends[1]);
    Require(fixture.state->Admit("peer"));
    internal::StartConnection(fixture.state, fixture.loop, std::move(socket), "peer");
  }
  ~Exchange() { close(mine_); }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  std::string Run(std::string_view bytes, std::size_t piece) {
    while (!bytes.empty()) {
      const ssize_t sent = send(mine_, bytes.data(), std::min(piece, bytes.size()), MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      // A connection that is over takes nothing more; one whose buffers are full does when it has run.
      if (!Turn() && sent < 0) break;
    }
    shutdown(mine_, SHUT_WR);
    while (Turn()) {
    }
    // The end of what it can hear is the end of it, at the latest when it has lingered.
    fixture_.loop->ForEach([](internal::Session& session) { session.Kill(); });
    Turn();
    Require(fixture_.state->connections() == 0);
    return std::move(answers_);
  }

 private:
  // What can be done now; false when there was nothing.
  bool Turn() {
    Require(++turns_ < kTurnsMax);
    auto& context = fixture_.loop->context();
    context.restart();
    bool done = context.poll() > 0;
    std::array<char, 16 << 10> more;
    for (ssize_t size = recv(mine_, more.data(), more.size(), 0); size > 0; size = recv(mine_, more.data(), more.size(), 0)) {
      answers_.append(more.data(), static_cast<std::size_t>(size));
      done = true;
    }
    return done;
  }

  Fixture& fixture_;
  int mine_ = -1;
  int turns_ = 0;
  std::string answers_;
};

// The answers must be whole, in the order of the requests, one each; behind one that closes the connection there is nothing.
void CheckAnswers(std::string_view text, const std::vector<Echo::Answered>& given) {
  bool closed = false;
  for (const Echo::Answered& answer : given) {
    while (text.starts_with("HTTP/1.1 100 Continue\r\n\r\n")) text.remove_prefix(25);
    Require(!closed && text.starts_with("HTTP/1.1 " + std::to_string(answer.status) + " "));
    const std::size_t end = text.find("\r\n\r\n");
    Require(end != std::string_view::npos);
    const std::string_view head = text.substr(0, end + 2);
    text.remove_prefix(end + 4);
    closed = head.find("\r\nConnection: close\r\n") != std::string_view::npos;
    // Whoever breaks the protocol is told so, and heard no more.
    if (!answer.admitted && (answer.status == 400 || answer.status == 431 || answer.status == 505)) Require(closed);
    if (answer.head || answer.status == 204) continue;
    constexpr std::string_view kLength = "\r\nContent-Length: ";
    const std::size_t at = head.find(kLength);
    Require(at != std::string_view::npos);
    const std::string_view digits = head.substr(at + kLength.size());
    const auto length = ParseInt64(digits.substr(0, digits.find('\r')));
    Require(length && *length >= 0 && static_cast<std::size_t>(*length) <= text.size());
    text.remove_prefix(static_cast<std::size_t>(*length));
  }
  while (text.starts_with("HTTP/1.1 100 Continue\r\n\r\n")) text.remove_prefix(25);
  Require(text.empty());
}

}  // namespace
}  // namespace sightline::serve

// A connection as strangers speak to it: parser, checks against request smuggling, bodies, pipelining. The first byte says in which
// pieces the others come: all at once, or eight times so many bytes at a time.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sightline::serve;
  static Fixture fixture;
  fixture.state->application = &fixture.application;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, std::min(size - 1, kInputMax));
  fixture.application.answers.clear();
  fixture.application.admitted = 0;
  const std::string answers = Exchange(fixture).Run(bytes, data[0] == 0 ? kInputMax : data[0] * 8UZ);
  Require(fixture.application.admitted <= fixture.application.answers.size() + 1);
  CheckAnswers(answers, fixture.application.answers);
  return 0;
}
