#include "sightline/serve/http_server.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/address.hpp>

#include <openssl/ssl.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <utility>

#include "sightline/runtime/random.h"
#include "sightline/serve/server_internal.h"

namespace sightline::serve {
namespace internal {

WorkerPool::WorkerPool(int threads, std::size_t queue_max) : queue_max_(queue_max) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

bool WorkerPool::TryPost(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= queue_max_) return false;
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void WorkerPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

namespace {
std::string RequestPrefix() {
  char text[16];
  std::snprintf(text, sizeof text, "%08x", static_cast<unsigned>(runtime::SystemEntropy()));
  return std::string(text) + "-";
}
}  // namespace

ServerState::ServerState(ServerOptions o, const runtime::Clock& c, ops::Metrics& metrics, const ops::Log& l)
    : options(std::move(o)),
      clock(c),
      log(l.For(options.name)),
      request_prefix(RequestPrefix()),
      workers(options.workers, options.queue_max) {
  const ops::Labels labels = {{"listener", options.name}};
  open = metrics.AddGauge("sightline_http_connections", "Open connections.", labels);
  accepted = metrics.AddCounter("sightline_http_accepted_total", "Connections accepted.", labels);
  turned_away = metrics.AddCounter("sightline_http_turned_away_total", "Connections closed at once because there were too many.", labels);
  timed_out = metrics.AddCounter("sightline_http_timed_out_total", "Connections closed because the client was too slow.", labels);
  bad_requests = metrics.AddCounter("sightline_http_bad_requests_total", "Requests that were not HTTP as we take it.", labels);
  bytes_in = metrics.AddCounter("sightline_http_received_bytes_total", "Bytes received.", labels);
  bytes_out = metrics.AddCounter("sightline_http_sent_bytes_total", "Bytes sent.", labels);
}

bool ServerState::Admit(const std::string& address) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t per_address = options.connections_max_per_address;
  if (count_ >= options.connections_max || (per_address > 0 && by_address_[address] >= per_address)) {
    turned_away->Add();
    return false;
  }
  ++count_;
  if (per_address > 0) ++by_address_[address];
  open->Add(1);
  return true;
}

void ServerState::Release(const std::string& address) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_address_.find(address); found != by_address_.end() && --found->second == 0) by_address_.erase(found);
  open->Add(-1);
  if (--count_ == 0) none_.notify_all();
}

std::size_t ServerState::connections() {
  const std::lock_guard lock(mutex_);
  return count_;
}

bool ServerState::WaitUntilNone(std::chrono::milliseconds longest) {
  std::unique_lock lock(mutex_);
  return none_.wait_for(lock, longest, [this] { return count_ == 0; });
}

LoopThread::LoopThread() : work_(asio::make_work_guard(context_)) {}

LoopThread::~LoopThread() { Join(); }

void LoopThread::Post(std::function<void()> work) { asio::post(context_, std::move(work)); }

void LoopThread::PostAfter(std::chrono::nanoseconds delay, std::function<void()> work) {
  // The timer belongs to this thread alone, so it is made there.
  asio::dispatch(context_, [this, delay, work = std::move(work)]() mutable {
    auto timer = std::make_unique<asio::steady_timer>(context_, delay);
    auto& waiting = *timer;
    waiting.async_wait([timer = std::move(timer), work = std::move(work)](ErrorCode error) {
      if (!error) work();
    });
  });
}

void LoopThread::Start() {
  thread_ = std::thread([this] { context_.run(); });
}

void LoopThread::Join() {
  work_.reset();
  context_.stop();
  if (thread_.joinable()) thread_.join();
  sessions_.clear();
}

void LoopThread::ForEach(const std::function<void(Session&)>& visit) {
  // Sessions may end while they are visited.
  std::vector<std::shared_ptr<Session>> all;
  all.reserve(sessions_.size());
  for (const auto& [raw, session] : sessions_) all.push_back(session);
  for (const auto& session : all) visit(*session);
}

namespace {

constexpr auto kSweepEvery = std::chrono::milliseconds(200);
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

class Server final : public HttpServer {
 public:
  Server(std::shared_ptr<ServerState> state) : state_(std::move(state)) {
    for (int i = 0; i < std::max(1, state_->options.loops); ++i) loops_.push_back(std::make_shared<LoopThread>());
    acceptor_.emplace(loops_[0]->context());
  }
  ~Server() override { Shutdown(); }

  Status Listen() {
    ErrorCode error;
    const std::string& host = state_->options.host;
    const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
    if (error) {
      return Fail(ErrorKind::kInvalidArgument,
                  "cannot listen on '" + host + "': it is no IP address (write 127.0.0.1 for this machine alone)");
    }
    if (!address.is_loopback() && !state_->options.tls) {
      return Fail(ErrorKind::kFailedPrecondition,
                  "listening on " + host + " needs tls (certificate and key): only loopback addresses may go without");
    }
    const asio::ip::tcp::endpoint endpoint(address, state_->options.port);
    const auto failed = [&](std::string_view what) {
      const bool in_use = error == boost::system::errc::address_in_use;
      return Fail(in_use ? ErrorKind::kFailedPrecondition : ErrorKind::kIo,
                  "cannot " + std::string(what) + " " + state_->options.host + ":" + std::to_string(state_->options.port) + ": " +
                      error.message() + (in_use ? "; another program listens there. Choose another port under listen:" : ""));
    };
    acceptor_->open(endpoint.protocol(), error);
    if (error) return failed("open a socket for");
    acceptor_->set_option(asio::socket_base::reuse_address(true), error);
    acceptor_->bind(endpoint, error);
    if (error) return failed("listen on");
    acceptor_->listen(4096, error);
    if (error) return failed("listen on");
    port_ = acceptor_->local_endpoint(error).port();
    return {};
  }

  void Start(Application& application) override {
    state_->application = &application;
    for (const auto& loop : loops_) {
      loop->Start();
      ScheduleSweep(*loop);
    }
    asio::post(loops_[0]->context(), [this] { Accept(); });
    started_ = true;
  }

  std::vector<Loop*> loops() override {
    std::vector<Loop*> all;
    for (const auto& loop : loops_) all.push_back(loop.get());
    return all;
  }
  std::uint16_t port() const override { return port_; }
  std::string url() const override {
    const auto& o = state_->options;
    const std::string host = o.host.find(':') == std::string::npos ? o.host : "[" + o.host + "]";
    return (o.tls ? "https://" : "http://") + host + ":" + std::to_string(port_);
  }
  std::size_t connections() const override { return state_->connections(); }

  void Sweep() override {
    OnEveryLoop([this](LoopThread& loop) { SweepOne(loop); });
  }

  void Shutdown() override {
    if (std::exchange(stopped_, true)) return;
    state_->stopping = true;
    if (started_) {
      OnLoop(*loops_[0], [this] {
        ErrorCode ignored;
        acceptor_->close(ignored);
      });
      OnEveryLoop([](LoopThread& loop) { loop.ForEach([](Session& session) { session.Stop(); }); });
      if (!state_->WaitUntilNone(state_->options.shutdown_grace)) {
        state_->log.Warning("connections that did not end within the grace period are cut off", {{"connections", state_->connections()}});
      }
      OnEveryLoop([](LoopThread& loop) { loop.ForEach([](Session& session) { session.Kill(); }); });
    }
    state_->workers.Stop();
    for (const auto& loop : loops_) loop->Join();
    acceptor_.reset();
  }

 private:
  template <typename Work>
  static void OnLoop(LoopThread& loop, Work work) {
    std::promise<void> done;
    asio::post(loop.context(), [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  template <typename Work>
  void OnEveryLoop(Work work) {
    for (const auto& loop : loops_) OnLoop(*loop, [&] { work(*loop); });
  }

  void SweepOne(LoopThread& loop) {
    const std::int64_t now = state_->clock.MonotonicNs();
    loop.ForEach([now](Session& session) { session.Sweep(now); });
  }
  void ScheduleSweep(LoopThread& loop) {
    loop.PostAfter(kSweepEvery, [this, &loop] {
      SweepOne(loop);
      ScheduleSweep(loop);
    });
  }

  void Accept() {
    const auto& loop = loops_[next_loop_++ % loops_.size()];
    acceptor_->async_accept(loop->context().get_executor(), [this, loop](ErrorCode error, Socket socket) {
      if (state_->stopping || error == asio::error::operation_aborted) return;
      if (error) {
        // Out of descriptors, or the client has gone already: go on, but not in a tight circle.
        state_->log.Warning("a connection could not be accepted", {{"error", error.message()}});
        loops_[0]->PostAfter(std::chrono::milliseconds(20), [this] {
          if (!state_->stopping) Accept();
        });
        return;
      }
      Welcome(loop, std::move(socket));
      Accept();
    });
  }

  void Welcome(const std::shared_ptr<LoopThread>& loop, Socket socket) {
    ErrorCode error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    std::string remote = peer.address().to_string();
    if (!state_->Admit(remote)) return;
    state_->accepted->Add();
    socket.set_option(asio::ip::tcp::no_delay(true), error);
    asio::dispatch(loop->context(), [state = state_, loop, socket = std::move(socket), remote = std::move(remote)]() mutable {
      StartConnection(state, loop, std::move(socket), std::move(remote));
    });
  }

  const std::shared_ptr<ServerState> state_;
  std::vector<std::shared_ptr<LoopThread>> loops_;
  std::optional<Acceptor> acceptor_;
  std::size_t next_loop_ = 0;
  std::uint16_t port_ = 0;
  bool started_ = false;
  bool stopped_ = false;
};

Status LoadTls(ServerState& state) {
  if (!state.options.tls) return {};
  auto& tls = state.tls.emplace(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(tls.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  ErrorCode error;
  tls.use_certificate_chain_file(state.options.tls->certificate, error);
  if (error) {
    return Fail(ErrorKind::kInvalidArgument, "cannot use the certificate " + state.options.tls->certificate + ": " + error.message());
  }
  tls.use_private_key_file(state.options.tls->key, asio::ssl::context::pem, error);
  if (error) return Fail(ErrorKind::kInvalidArgument, "cannot use the key " + state.options.tls->key + ": " + error.message());
  if (SSL_CTX_check_private_key(tls.native_handle()) != 1) {
    return Fail(ErrorKind::kInvalidArgument,
                "the key " + state.options.tls->key + " does not belong to the certificate " + state.options.tls->certificate);
  }
  return {};
}

}  // namespace
}  // namespace internal

void ServerOptions::BoundTimes(std::chrono::milliseconds time_max) {
  header_timeout = std::min(header_timeout, time_max);
  body_idle_timeout = std::min(body_idle_timeout, time_max);
  body_grace = write_timeout = time_max;
}

Result<std::unique_ptr<HttpServer>> HttpServer::Make(ServerOptions options, const runtime::Clock& clock, ops::Metrics& metrics,
                                                     const ops::Log& log) {
  auto state = std::make_shared<internal::ServerState>(std::move(options), clock, metrics, log);
  SL_TRY(internal::LoadTls(*state));
  auto server = std::make_unique<internal::Server>(std::move(state));
  SL_TRY(server->Listen());
  return server;
}

}  // namespace sightline::serve
