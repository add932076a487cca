#include "bench/load/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

namespace sightline::bench {
namespace {

constexpr std::size_t kChunkBytes = 256 << 10;
constexpr auto kRetryWait = std::chrono::milliseconds(20);

[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }
[[noreturn]] void FailErrno(const std::string& what) { Fail(what + ": " + std::strerror(errno)); }

std::size_t ContentLength(std::string_view head) {
  for (const std::string_view name : {"Content-Length: ", "content-length: "}) {
    if (const std::size_t at = head.find(name); at != std::string_view::npos)
      return std::stoul(std::string(head.substr(at + name.size(), 20)));
  }
  return 0;
}

}  // namespace

Connection::Connection(const Server& server, int receive_bytes) : server_(&server), receive_bytes_(receive_bytes) { Open(); }

void Connection::Open() {
  if (descriptor_ >= 0) ::close(descriptor_);
  buffer_.clear();
  descriptor_ = ::socket(AF_INET, SOCK_STREAM, 0);
  if (descriptor_ < 0) FailErrno("no socket");
  if (receive_bytes_ > 0) ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_bytes_, sizeof receive_bytes_);
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server_->port));
  if (::inet_pton(AF_INET, server_->host.c_str(), &address.sin_addr) != 1) Fail(server_->host + " is no IPv4 address");
  if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    FailErrno("can't connect to " + server_->host + ":" + std::to_string(server_->port));
  }
}

Connection::Connection(Connection&& other) noexcept
    : server_(other.server_),
      receive_bytes_(other.receive_bytes_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      buffer_(std::move(other.buffer_)),
      chunk_(std::move(other.chunk_)) {}

Connection::~Connection() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Connection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) FailErrno("the server took no more bytes");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::size_t Connection::Read(std::string& into, Wait wait) {
  if (!buffer_.empty()) {
    into += buffer_;
    return std::exchange(buffer_, {}).size();
  }
  chunk_.resize(kChunkBytes);
  const ssize_t got = ::recv(descriptor_, chunk_.data(), chunk_.size(), wait == Wait::kYes ? 0 : MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (got < 0) FailErrno("the connection broke");
  if (got == 0) Fail("the server closed the connection");
  into.append(chunk_.data(), static_cast<std::size_t>(got));
  return static_cast<std::size_t>(got);
}

// Up to and with the empty line.
std::string Connection::ReadHead() {
  std::string head;
  for (;;) {
    const std::size_t end = head.find("\r\n\r\n");
    if (end != std::string::npos) {
      buffer_ = head.substr(end + 4);
      head.resize(end + 4);
      return head;
    }
    Read(head, Wait::kYes);
  }
}

Connection::Answer Connection::ReadAnswer() {
  Answer answer;
  answer.head = ReadHead();
  if (answer.head.size() < 12) Fail("the server gave no HTTP answer");
  answer.status = std::stoi(answer.head.substr(9, 3));
  const std::size_t size = ContentLength(answer.head);
  while (answer.body.size() < size) Read(answer.body, Wait::kYes);
  return answer;
}

void Connection::Post(std::string_view dataset, std::string_view lines) {
  std::string request = "POST /v1/datasets/" + std::string(dataset) + "/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
                        server_->token + "\r\nContent-Type: application/x-ndjson\r\nContent-Length: " + std::to_string(lines.size()) +
                        "\r\n\r\n";
  request += lines;
  for (;;) {
    Send(request);
    const Answer answer = ReadAnswer();
    if (answer.status == 200) return;
    if (answer.status != 429 && answer.status != 503)
      Fail("the server answered " + std::to_string(answer.status) + ": " + answer.body.substr(0, 500));
    ++busy_;
    std::this_thread::sleep_for(kRetryWait);
    // A request that was refused before all of it was read takes the connection with it.
    if (answer.head.find("Connection: close") != std::string::npos) Open();
  }
}

void Connection::Upgrade(const std::string& target) {
  Send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + server_->token +
       "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  const std::string head = ReadHead();
  if (!head.starts_with("HTTP/1.1 101")) Fail("no WebSocket at " + target + ": " + head.substr(0, head.find('\r')) + " " + buffer_);
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace sightline::bench
