#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sightline::stores::testing {

// Stands between a client and a server on this machine, and breaks what it is told to. Thread-safe.
class FaultProxy {
 public:
  // Listens on a free port of 127.0.0.1 and connects to `target` there.
  explicit FaultProxy(std::uint16_t target);
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;
  ~FaultProxy();

  std::uint16_t port() const { return port_; }
  // Nothing is passed on any more in either direction, and nothing closed, until Resume.
  void Stall();
  void Resume();
  // Each of the next `times`: the client's connection is reset once so many bytes of the client have gone through.
  void CutRequests(std::uint64_t after_bytes, int times);
  // Each of the next `times`: the server gets its request, and its answer is thrown away with the connection.
  void DropAnswers(int times);
  // Faults that were asked for and have not struck yet.
  int faults_left() const { return cuts_left_ + drops_left_; }
  int connections() const { return connections_; }
  // The beginning of everything that clients said.
  std::string said() const;

 private:
  enum class Way : std::uint8_t { kToServer, kToClient };
  void Accept();
  void Pump(int from, int to, Way way);
  bool Strikes(Way way, std::uint64_t bytes);

  std::uint16_t target_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> stalled_{false};
  std::atomic<int> cuts_left_{0};
  std::atomic<std::uint64_t> cut_after_{0};
  std::atomic<std::uint64_t> bytes_seen_{0};
  std::atomic<int> drops_left_{0};
  std::atomic<int> connections_{0};
  mutable std::mutex mutex_;
  std::string said_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace sightline::stores::testing
