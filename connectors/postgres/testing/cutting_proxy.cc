#include "connectors/postgres/testing/cutting_proxy.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string_view>

namespace sightline::postgres::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool SendAll(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// One descriptor's life.
struct Socket {
  int fd;
  ~Socket() { close(fd); }
};

}  // namespace

CuttingProxy::CuttingProxy(int server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || bind(listener_, generic, size) != 0 || listen(listener_, 16) != 0 || getsockname(listener_, generic, &size) != 0) {
    throw std::runtime_error("the proxy cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

CuttingProxy::~CuttingProxy() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
  close(listener_);
}

void CuttingProxy::Accept() {
  while (!stopping_) {
    pollfd descriptor{.fd = listener_, .events = POLLIN, .revents = 0};
    if (poll(&descriptor, 1, 50) <= 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) connections_.emplace_back([this, client] { Serve(client); });
  }
}

void CuttingProxy::Serve(int client_fd) {
  const Socket client{client_fd};
  const Socket server{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const sockaddr_in address = Loopback(server_port_);
  if (connect(server.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
  static constexpr std::string_view kCommit("COMMIT\0", 7);
  char buffer[1 << 16];
  while (!stopping_) {
    pollfd both[2] = {{.fd = client.fd, .events = POLLIN, .revents = 0}, {.fd = server.fd, .events = POLLIN, .revents = 0}};
    if (poll(both, 2, 50) <= 0) continue;
    for (int side = 0; side < 2; ++side) {
      if (both[side].revents == 0) continue;
      const ssize_t got = recv(both[side].fd, buffer, sizeof buffer, 0);
      if (got <= 0) return;
      const std::string_view bytes(buffer, static_cast<std::size_t>(got));
      const bool commit = side == 0 && bytes.find(kCommit) != std::string_view::npos;
      const Cut cut = commit ? cut_.exchange(Cut::kNever) : Cut::kNever;
      if (cut != Cut::kNever) ++cuts_;
      if (cut == Cut::kBeforeCommit) return;
      if (!SendAll(both[1 - side].fd, bytes)) return;
      if (cut == Cut::kAfterCommit) {
        // The answer is waited for and kept: the server has committed.
        (void)recv(server.fd, buffer, sizeof buffer, 0);
        return;
      }
    }
  }
}

}  // namespace sightline::postgres::testing
