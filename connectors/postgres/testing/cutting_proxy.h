#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace sightline::postgres::testing {

// Stands between a client and a server on this machine, and cuts the connection at a COMMIT: before the server hears of it, or after, when
// its answer comes. What passes is not encrypted.
class CuttingProxy {
 public:
  enum class Cut { kNever, kBeforeCommit, kAfterCommit };
  explicit CuttingProxy(int server_port);
  ~CuttingProxy();
  int port() const { return port_; }
  // The next COMMIT is cut so; then the proxy lets everything pass again.
  void CutNext(Cut cut) { cut_ = cut; }
  int cuts() const { return cuts_; }

 private:
  void Accept();
  void Serve(int client);

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<Cut> cut_ = Cut::kNever;
  std::atomic<int> cuts_ = 0;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace sightline::postgres::testing
