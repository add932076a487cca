#include "sightline/serve/testing/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace sightline::serve::testing {
namespace {
constexpr timeval kPatience{20, 0};

std::string Lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}
}  // namespace

std::string RawResponse::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

RawClient::RawClient(std::uint16_t port, int receive_buffer) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

RawClient::~RawClient() {
  if (fd_ >= 0) ::close(fd_);
}

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool RawClient::Fill() {
  char raw[16384];
  const ssize_t got = ::recv(fd_, raw, sizeof raw, 0);
  if (got <= 0) return false;
  in_.append(raw, static_cast<std::size_t>(got));
  return true;
}

std::string_view RawClient::Peek(std::size_t size) {
  while (in_.size() < size && Fill()) {
  }
  return in_;
}

std::string RawClient::Take(std::size_t size) {
  Peek(size);
  std::string taken = in_.substr(0, size);
  in_.erase(0, taken.size());
  return taken;
}

std::optional<std::string> RawClient::TakeUntil(std::string_view mark) {
  std::size_t at = 0;
  while ((at = in_.find(mark)) == std::string::npos) {
    if (!Fill()) return std::nullopt;
  }
  return Take(at + mark.size());
}

std::optional<RawResponse> RawClient::ReceiveHead() {
  const auto head = TakeUntil("\r\n\r\n");
  if (!head) return std::nullopt;
  RawResponse response;
  response.status = std::atoi(head->substr(9, 3).c_str());
  std::size_t at = head->find("\r\n") + 2;
  while (at + 2 < head->size()) {
    const std::size_t end = head->find("\r\n", at);
    const std::size_t colon = head->find(": ", at);
    response.headers.emplace_back(Lower(head->substr(at, colon - at)), head->substr(colon + 2, end - colon - 2));
    at = end + 2;
  }
  return response;
}

std::optional<RawResponse> RawClient::Receive(bool head) {
  auto response = ReceiveHead();
  if (!response || head) return response;
  const auto size = static_cast<std::size_t>(std::atoll(response->Header("content-length").c_str()));
  response->body = Take(size);
  if (response->body.size() < size) return std::nullopt;
  return response;
}

bool RawClient::Closed() {
  if (!in_.empty()) return false;
  char raw;
  const ssize_t got = ::recv(fd_, &raw, 1, 0);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

void RawClient::CloseSending() { ::shutdown(fd_, SHUT_WR); }

bool RawClient::SendFrame(int opcode, std::string_view payload) {
  std::string frame(1, static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    frame += static_cast<char>(0x80 | payload.size());
  } else {
    frame += static_cast<char>(0x80 | 126);
    frame += static_cast<char>(payload.size() >> 8);
    frame += static_cast<char>(payload.size() & 255);
  }
  static constexpr char kMask[] = {1, 2, 3, 4};
  frame.append(kMask, 4);
  for (std::size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ kMask[i % 4]);
  return Send(frame);
}

std::optional<RawClient::Frame> RawClient::ReceiveFrame() {
  if (Peek(2).size() < 2) return std::nullopt;
  const std::string head = Take(2);
  Frame frame;
  frame.opcode = head[0] & 15;
  std::uint64_t size = static_cast<std::uint8_t>(head[1]);
  const std::size_t more = size == 126 ? 2 : size == 127 ? 8 : 0;
  if (more > 0) {
    size = 0;
    const std::string bytes = Take(more);
    if (bytes.size() < more) return std::nullopt;
    for (const char c : bytes) size = size << 8 | static_cast<std::uint8_t>(c);
  }
  frame.payload = Take(size);
  if (frame.payload.size() < size) return std::nullopt;
  return frame;
}

int RawClient::Upgrade(std::string_view target, std::string_view headers) {
  std::string request = "GET ";
  request += target;
  request +=
      " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  request += headers;
  request += "\r\n";
  if (!Send(request)) return 0;
  const auto response = ReceiveHead();
  return response ? response->status : 0;
}

}  // namespace sightline::serve::testing
