#include "sightline/stores/objects/testing/fault_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

namespace sightline::stores::testing {
namespace {

constexpr std::size_t kSaidMax = 1U << 20;
constexpr int kPollMs = 50;

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// The end of a connection that the other side sees as a reset, not as a regular end.
void Reset(int socket) {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  ::shutdown(socket, SHUT_RDWR);
}

}  // namespace

FaultProxy::FaultProxy(std::uint16_t target) : target_(target) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  EXPECT_EQ(::bind(listener_, generic, size), 0);
  EXPECT_EQ(::listen(listener_, 128), 0);
  EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

FaultProxy::~FaultProxy() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  for (const int socket : sockets_) ::close(socket);
  ::close(listener_);
}

void FaultProxy::Stall() { stalled_ = true; }
void FaultProxy::Resume() { stalled_ = false; }

void FaultProxy::CutRequests(std::uint64_t after_bytes, int times) {
  bytes_seen_ = 0;
  cut_after_ = after_bytes;
  cuts_left_ = times;
}

void FaultProxy::DropAnswers(int times) { drops_left_ = times; }

std::string FaultProxy::said() const {
  const std::lock_guard lock(mutex_);
  return said_;
}

void FaultProxy::Accept() {
  while (!stopping_) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(target_);
    ++connections_;
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      Reset(client);
      ::close(client);
      ::close(server);
      continue;
    }
    const std::lock_guard lock(mutex_);
    sockets_.push_back(client);
    sockets_.push_back(server);
    threads_.emplace_back([this, client, server] { Pump(client, server, Way::kToServer); });
    threads_.emplace_back([this, client, server] { Pump(server, client, Way::kToClient); });
  }
}

bool FaultProxy::Strikes(Way way, std::uint64_t bytes) {
  if (way == Way::kToServer) {
    if (cuts_left_ <= 0 || (bytes_seen_ += bytes) < cut_after_) return false;
    bytes_seen_ = 0;
    --cuts_left_;
    return true;
  }
  if (drops_left_ <= 0) return false;
  --drops_left_;
  return true;
}

void FaultProxy::Pump(int from, int to, Way way) {
  std::string buffer(64U << 10, '\0');
  while (!stopping_) {
    pollfd ready{.fd = from, .events = POLLIN, .revents = 0};
    if (stalled_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
      continue;
    }
    if (::poll(&ready, 1, kPollMs) == 0) continue;
    const ssize_t got = ::recv(from, buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    while (stalled_ && !stopping_) std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
    if (way == Way::kToServer) {
      const std::lock_guard lock(mutex_);
      if (said_.size() < kSaidMax) said_.append(buffer, 0, static_cast<std::size_t>(got));
    }
    if (Strikes(way, static_cast<std::uint64_t>(got))) {
      Reset(from);
      Reset(to);
      return;
    }
    for (ssize_t sent = 0; sent < got;) {
      const ssize_t now = ::send(to, buffer.data() + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
      if (now <= 0) return;
      sent += now;
    }
  }
  ::shutdown(to, SHUT_RDWR);
}

}  // namespace sightline::stores::testing
