#include "connectors/flink/testing/fake_service.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace sightline::flink::testing {
namespace {

// The request as it came, up to the length that it names.
std::string ReadRequest(int connection) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const std::size_t end = text.find("\r\n\r\n");
    if (end != std::string::npos) {
      const std::size_t length = text.find("Content-Length: ");
      const std::size_t body = length < end ? std::strtoul(text.c_str() + length + 16, nullptr, 10) : 0;
      if (text.size() >= end + 4 + body) return text;
    }
    const ssize_t got = read(connection, buffer, sizeof buffer);
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

Asked Parse(const std::string& text) {
  Asked asked;
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return asked;
  asked.method = text.substr(0, space);
  asked.target = text.substr(space + 1, text.find(' ', space + 1) - space - 1);
  const std::size_t end = text.find("\r\n\r\n");
  if (end != std::string::npos) asked.body = text.substr(end + 4);
  if (const std::size_t at = text.find("Authorization: "); at < end)
    asked.authorization = text.substr(at + 15, text.find("\r\n", at) - at - 15);
  return asked;
}

}  // namespace

FakeService::FakeService(Handler handler) : handler_(std::move(handler)) {
  socket_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  void* const raw = &address;
  if (bind(socket_, static_cast<sockaddr*>(raw), sizeof address) != 0 || listen(socket_, 16) != 0) std::abort();
  socklen_t size = sizeof address;
  getsockname(socket_, static_cast<sockaddr*>(raw), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

FakeService::~FakeService() {
  stopping_ = true;
  shutdown(socket_, SHUT_RDWR);
  close(socket_);
  thread_.join();
}

void FakeService::Run() {
  while (!stopping_) {
    const int connection = accept(socket_, nullptr, nullptr);
    if (connection < 0) continue;
    const Asked asked = Parse(ReadRequest(connection));
    asked_.push_back(asked);
    const Answered answered = handler_(asked);
    const std::string text =
        "HTTP/1.1 " + std::to_string(answered.status) +
        " X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + std::to_string(answered.body.size()) +
        "\r\n\r\n" + answered.body;
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t sent = write(connection, text.data() + at, text.size() - at);
      if (sent <= 0) break;
      at += static_cast<std::size_t>(sent);
    }
    close(connection);
  }
}

}  // namespace sightline::flink::testing
