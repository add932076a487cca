#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "sightline/serve/beast_internal.h"
#include "sightline/serve/http_server.h"

namespace sightline::serve::internal {

// Threads for handlers that may block. Thread-safe.
class WorkerPool {
 public:
  WorkerPool(int threads, std::size_t queue_max);
  ~WorkerPool() { Stop(); }
  // False when too much is queued already, or after Stop.
  bool TryPost(std::function<void()> work);
  // Finishes what is queued, then joins.
  void Stop();

 private:
  void Run();
  const std::size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// What all connections of a server share. Thread-safe.
struct ServerState {
  ServerState(ServerOptions o, const runtime::Clock& c, ops::Metrics& metrics, const ops::Log& l);

  const ServerOptions options;
  const runtime::Clock& clock;
  const ops::Log log;
  Application* application = nullptr;
  std::optional<asio::ssl::context> tls;
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> body_bytes{0};
  std::atomic<std::uint64_t> next_request{0};
  const std::string request_prefix;
  WorkerPool workers;

  ops::Gauge* open;
  ops::Counter* accepted;
  ops::Counter* turned_away;
  ops::Counter* timed_out;
  ops::Counter* bad_requests;
  ops::Counter* bytes_in;
  ops::Counter* bytes_out;

  // Counts a connection in, unless there are too many already.
  bool Admit(const std::string& address);
  void Release(const std::string& address);
  std::size_t connections();
  // False when nothing was left after the deadline.
  bool WaitUntilNone(std::chrono::milliseconds longest);

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  std::size_t count_ = 0;
  std::unordered_map<std::string, std::uint32_t> by_address_;
};

// A connection in one of its forms; lives on one loop. Every method is called on its thread.
class Session {
 public:
  virtual ~Session() = default;
  // Compares its deadline with the time.
  virtual void Sweep(std::int64_t now_ns) = 0;
  // The server stops: finish what is in flight, take nothing new.
  virtual void Stop() = 0;
  // Ends at once.
  virtual void Kill() = 0;
};

// One thread with its connections.
class LoopThread final : public Loop {
 public:
  LoopThread();
  ~LoopThread() override;
  void Post(std::function<void()> work) override;
  void PostAfter(std::chrono::nanoseconds delay, std::function<void()> work) override;
  void Start();
  void Join();

  // On the loop's thread.
  void Add(std::shared_ptr<Session> session) { sessions_.emplace(session.get(), session); }
  void Remove(Session* session) { sessions_.erase(session); }
  void ForEach(const std::function<void(Session&)>& visit);

  asio::io_context& context() { return context_; }

 private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions_;
  std::thread thread_;
};

// A freshly accepted connection: keeps itself alive through the loop it was given.
void StartConnection(const std::shared_ptr<ServerState>& state, const std::shared_ptr<LoopThread>& loop, Socket socket, std::string remote);

// Takes a connection over as a stream.
using UpgradeRequest = beast::http::request<beast::http::empty_body>;
void StartWebSocket(const std::shared_ptr<ServerState>& state, LoopThread& loop, AnyStream stream, std::string remote,
                    UpgradeRequest request, std::string extra_headers, StreamStart start);
void StartServerSentEvents(const std::shared_ptr<ServerState>& state, LoopThread& loop, AnyStream stream, std::string remote,
                           std::string head, StreamStart start);

inline std::int64_t Ns(std::chrono::milliseconds ms) { return std::chrono::nanoseconds(ms).count(); }
inline constexpr std::int64_t kNever = INT64_MAX;

}  // namespace sightline::serve::internal
