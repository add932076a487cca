// Events published -> seen by WebSocket clients, over real sockets, with clients, server and publisher on the same cores.
// The published count is the time of publication in nanoseconds, so that a client's latency is what it reads.

#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sightline/serve/api/api.h"
#include "sightline/serve/http_server.h"

namespace sightline::serve {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kLocations = 1000;

std::shared_ptr<const ResultShape> Shape() {
  auto shape = std::make_shared<ResultShape>();
  shape->pipeline = "top_items";
  shape->schema.fields = {{"geographical_location_oid", FieldType::kInt64, false, true},
                          {"geographical_location", FieldType::kString, true, false},
                          {"item_name", FieldType::kString, false, false},
                          {"item_count", FieldType::kInt64, false, false},
                          {"rank", FieldType::kInt64, false, false}};
  shape->group = {0};
  return shape;
}

// The server with nothing but the live view behind it.
struct LiveServer {
  explicit LiveServer(int loops) {
    ServerOptions options;
    options.loops = loops;
    options.connections_max = 100'000;
    security::AccessOptions access_options;
    access.emplace(clock, "token", access_options);
    server = std::move(*HttpServer::Make(options, clock, metrics, log));
    table.emplace(clock, &*access, metrics, "http");
    ApiContext context;
    context.clock = &clock;
    context.access = &*access;
    context.board = &board;
    context.live_clients_max = 100'000;
    PipelineInfo pipeline;
    pipeline.name = "top_items";
    pipeline.shape = shape;
    pipeline.live = true;
    context.pipelines = {pipeline};
    board.Declare(shape, 1);
    for (Loop* loop : server->loops()) context.hubs.emplace(loop, LiveHub::Make(board, *loop, clock, metrics));
    AddApiRoutes(*table, context);
    server->Start(*table);
  }
  // One group of ten rows whose first count is now.
  void Publish(std::int64_t location) {
    rows.Reset(shape->schema, 10);
    rows.rows = 10;
    for (std::size_t i = 0; i < 10; ++i) {
      rows.columns[0].int64s[i] = location;
      rows.columns[1].strings[i] = "Bedok \u00b7 Bedok North Post 1";
      rows.columns[2].strings[i] = "bicycle";
      rows.columns[3].int64s[i] = i == 0 ? clock.MonotonicNs() : 100;
      rows.columns[4].int64s[i] = static_cast<std::int64_t>(i) + 1;
    }
    LiveGroup group;
    group.rows = &rows;
    group.end = 10;
    group.header = {1, 0, ResultState::kOpen, EventTime(0), EventTime(60'000), 0};
    board.Publish(shape, std::span(&group, 1));
  }

  runtime::SystemClock clock;
  ops::Metrics metrics;
  ops::Log log{clock, ops::LogLevel::kError, ops::Log::ToStandardError()};
  std::shared_ptr<const ResultShape> shape = Shape();
  ColumnBatch rows;
  LiveBoard board{1, metrics};
  std::optional<security::Access> access;
  std::optional<RouteTable> table;
  std::unique_ptr<HttpServer> server;
};

// Many WebSocket clients on one thread.
class Clients {
 public:
  Clients(LiveServer& live, int count, const std::string& rate, bool one_location) : live_(live), epoll_(::epoll_create1(0)) {
    for (int i = 0; i < count; ++i) {
      const bool slow = i % 10 == 9;
      Connect(slow, "/v1/pipelines/top_items/live?rate=" + rate +
                        (one_location ? "&geographical_location_oid=" + std::to_string(i % kLocations) : std::string()));
    }
  }
  ~Clients() {
    for (const auto& client : clients_) ::close(client.fd);
    ::close(epoll_);
  }
  void Run(const std::atomic<bool>& stop) {
    std::vector<epoll_event> events(1024);
    while (!stop) {
      const int ready = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 10);
      for (int i = 0; i < ready; ++i) Read(clients_[events[static_cast<std::size_t>(i)].data.u32]);
    }
  }
  std::vector<std::int64_t> latencies;

 private:
  struct Client {
    int fd;
    std::string in;
  };
  void Connect(bool slow, const std::string& target) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const int small = 4096;
    if (slow) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(live_.server->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("connect");
    const std::string request =
        "GET " + target +
        " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer token\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    if (::send(fd, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size())) throw std::runtime_error("send");
    char answer[8192];
    if (::recv(fd, answer, sizeof answer, 0) < 12 || std::string_view(answer, 12) != "HTTP/1.1 101") throw std::runtime_error("no upgrade");
    clients_.push_back({fd, {}});
    if (slow) return;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<std::uint32_t>(clients_.size() - 1);
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
  void Read(Client& client) {
    static thread_local char raw[256 << 10];
    const ssize_t got = ::recv(client.fd, raw, sizeof raw, MSG_DONTWAIT);
    if (got <= 0) return;
    const std::int64_t now = live_.clock.MonotonicNs();
    client.in.append(raw, static_cast<std::size_t>(got));
    static constexpr std::string_view kMark = "\"item_count\":";
    std::size_t at = 0;
    std::size_t done = 0;
    while ((at = client.in.find(kMark, at)) != std::string::npos) {
      at += kMark.size();
      const std::size_t end = client.in.find_first_of(",}", at);
      if (end == std::string::npos) break;
      std::int64_t value = 0;
      std::from_chars(client.in.data() + at, client.in.data() + end, value);
      if (value > 1000) latencies.push_back(now - value);
      done = end;
    }
    client.in.erase(0, std::max(done, client.in.size() > 64 ? client.in.size() - 64 : 0));
  }
  LiveServer& live_;
  int epoll_;
  std::vector<Client> clients_;
};

void RaiseDescriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void Report(benchmark::State& state, std::vector<std::int64_t>& latencies) {
  if (latencies.empty()) return state.SkipWithError("no client saw anything");
  std::ranges::sort(latencies);
  const auto at = [&](double share) {
    return static_cast<double>(latencies[static_cast<std::size_t>(share * static_cast<double>(latencies.size() - 1))]) / 1e6;
  };
  state.counters["p50_ms"] = at(0.5);
  state.counters["p99_ms"] = at(0.99);
  state.counters["max_ms"] = at(1);
  state.counters["seen"] = static_cast<double>(latencies.size());
}

// Clients that each watch one location, one in ten of them never reads; a thousand groups a second change.
void BM_FanOutOneLocationEach(benchmark::State& state) {
  RaiseDescriptors();
  for (auto _ : state) {
    LiveServer live(2);
    for (std::int64_t location = 0; location < kLocations; ++location) live.Publish(location);
    Clients clients(live, static_cast<int>(state.range(0)), "all", true);
    std::atomic<bool> stop{false};
    std::thread reading([&] { clients.Run(stop); });
    std::this_thread::sleep_for(500ms);
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t published = 0;
    for (auto next = begin; next < begin + 5s; next += 10ms) {
      std::this_thread::sleep_until(next);
      for (int i = 0; i < 10; ++i) live.Publish(published++ % kLocations);
    }
    std::this_thread::sleep_for(300ms);
    stop = true;
    reading.join();
    live.server->Shutdown();
    Report(state, clients.latencies);
  }
}
BENCHMARK(BM_FanOutOneLocationEach)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(5000)
    ->Arg(10000)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// One client that wants every change of all locations, at 50,000 changes a second.
void BM_EveryChange(benchmark::State& state) {
  for (auto _ : state) {
    LiveServer live(2);
    for (std::int64_t location = 0; location < kLocations; ++location) live.Publish(location);
    Clients clients(live, 1, "all", false);
    std::atomic<bool> stop{false};
    std::thread reading([&] { clients.Run(stop); });
    std::this_thread::sleep_for(300ms);
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t published = 0;
    for (auto next = begin; next < begin + 5s; next += 1ms) {
      std::this_thread::sleep_until(next);
      for (int i = 0; i < 50; ++i) live.Publish(published++ * 7 % kLocations);
    }
    std::this_thread::sleep_for(300ms);
    stop = true;
    reading.join();
    live.server->Shutdown();
    Report(state, clients.latencies);
  }
}
BENCHMARK(BM_EveryChange)->Iterations(1)->Unit(benchmark::kMillisecond)->UseRealTime();

// What a publication costs flow's thread when nobody watches.
void BM_Publish(benchmark::State& state) {
  LiveServer live(1);
  std::int64_t location = 0;
  for (auto _ : state) live.Publish(location++ % kLocations);
  live.server->Shutdown();
}
BENCHMARK(BM_Publish);

}  // namespace
}  // namespace sightline::serve
