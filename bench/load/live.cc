#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "bench/load/options.h"
#include "bench/load/watcher.h"

namespace sightline::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kPosters = 4;
constexpr auto kFirstMessagePatience = 60s;
constexpr auto kLastEventPatience = 15s;

// Posts a schedule from several connections in turns, each batch when it is due: a slow answer holds up one connection only, and an event
// that leaves late counts from when it was due.
class Posters {
 public:
  Posters(const Server& server, const Schedule& schedule) : schedule_(schedule) {
    for (std::int64_t i = 0; i < kPosters; ++i) connections_.push_back(std::make_unique<Connection>(server));
  }
  ~Posters() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  void Start() {
    for (std::int64_t i = 0; i < kPosters; ++i) threads_.emplace_back([this, i] { Run(i); });
  }
  void Check() {
    const std::lock_guard lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
  }
  double late_ms_max() const { return static_cast<double>(late_ns_max_.load()) / 1e6; }

 private:
  void Run(std::int64_t poster) {
    try {
      std::string body;
      for (std::int64_t batch = poster; batch * schedule_.batch < schedule_.events && !stop_; batch += kPosters) {
        const std::int64_t first = batch * schedule_.batch;
        body.clear();
        for (std::int64_t n = first; n < std::min(first + schedule_.batch, schedule_.events); ++n) schedule_.Append(n, body);
        std::this_thread::sleep_until(schedule_.Due(first));
        const std::int64_t late = (Schedule::Clock::now() - schedule_.Due(first)).count();
        if (late > late_ns_max_) late_ns_max_ = late;
        connections_[static_cast<std::size_t>(poster)]->Post("camera_events", body);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  const Schedule& schedule_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_{false};
  std::atomic<std::int64_t> late_ns_max_{0};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

// All watchers, those that read on one thread. The slow ones ask for everything: the first message fills their buffers.
class Audience {
 public:
  Audience(const Server& server, std::int64_t clients, std::int64_t slow_in_ten, bool one_location) : epoll_(::epoll_create1(0)) {
    for (std::int64_t i = 0; i < clients; ++i) {
      const bool slow = i % 10 < slow_in_ten;
      watchers_.push_back(
          std::make_unique<Watcher>(server, one_location && !slow ? i / 10 % Schedule::kLocations : Watcher::kAllLocations, slow));
      if (slow) continue;
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u32 = static_cast<std::uint32_t>(i);
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, watchers_.back()->descriptor(), &event);
      // What came with the answer to the upgrade is read already, and epoll does not tell of it.
      watchers_.back()->Read(nullptr, 0, delays_us_);
    }
  }
  ~Audience() { ::close(epoll_); }

  void Read(const Schedule* schedule, std::int64_t count_from) {
    epoll_event events[1024];
    const int ready = ::epoll_wait(epoll_, events, 1024, 10);
    for (int i = 0; i < ready; ++i) watchers_[events[i].data.u32]->Read(schedule, count_from, delays_us_);
  }
  bool AllHeard() const {
    return std::ranges::all_of(watchers_, [](const auto& w) { return w->slow() || w->messages() > 0; });
  }
  std::int64_t seen() const {
    std::int64_t sum = 0;
    for (const auto& watcher : watchers_) sum += watcher->seen();
    return sum;
  }
  // How many events all that read have to see.
  std::int64_t ToSee(const Schedule& schedule) const {
    std::vector<std::int64_t> at_location(Schedule::kLocations, 0);
    for (std::int64_t n = 0; n < schedule.events; ++n) ++at_location[static_cast<std::size_t>(n % Schedule::kLocations)];
    std::int64_t sum = 0;
    for (const auto& watcher : watchers_) {
      if (watcher->slow()) continue;
      sum += watcher->location() < 0 ? schedule.events : at_location[static_cast<std::size_t>(watcher->location())];
    }
    return sum;
  }
  std::uint64_t messages() const {
    std::uint64_t sum = 0;
    for (const auto& watcher : watchers_) sum += watcher->messages();
    return sum;
  }
  std::vector<std::uint32_t>& delays_us() { return delays_us_; }

 private:
  int epoll_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::vector<std::uint32_t> delays_us_;
};

double PercentileMs(std::vector<std::uint32_t>& delays, double share) {
  const auto at = delays.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(delays.size() - 1));
  std::ranges::nth_element(delays, at);
  return *at / 1e3;
}

}  // namespace

void Live(Options& options) {
  const Server server = options.TakeServer();
  Schedule schedule;
  const std::int64_t rate = options.Number("rate", 1000);
  schedule.batch = options.Number("batch", 50);
  schedule.interval_ns = 1'000'000'000 * schedule.batch / rate;
  const std::int64_t warm_up = options.Number("warm_up", 1) * rate;
  schedule.events = options.Number("seconds", 5) * rate + warm_up;
  const std::int64_t clients = options.Number("clients", 1);
  const std::int64_t slow_in_ten = options.Number("slow_in_ten", 0);
  const bool one_location = options.Number("one_location", 0) != 0;
  options.Finish();
  if (schedule.events >= 1 << 21) throw std::runtime_error("at most 2 million events: fewer seconds or a lower rate");

  Audience audience(server, clients, slow_in_ten, one_location);
  for (const auto until = Schedule::Clock::now() + kFirstMessagePatience; !audience.AllHeard();) {
    if (Schedule::Clock::now() > until) throw std::runtime_error("not every client got its first message");
    audience.Read(nullptr, 0);
  }
  for (const auto quiet = Schedule::Clock::now() + 300ms; Schedule::Clock::now() < quiet;) audience.Read(nullptr, 0);

  schedule.start = Schedule::Clock::now() + 100ms;
  schedule.start_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>((std::chrono::system_clock::now() + 100ms).time_since_epoch()).count();
  const std::int64_t to_see = audience.ToSee(schedule);
  audience.delays_us().reserve(static_cast<std::size_t>(to_see));
  Posters posters(server, schedule);
  posters.Start();
  const auto end = schedule.Due(schedule.events) + kLastEventPatience;
  while (audience.seen() < to_see && Schedule::Clock::now() < end) {
    audience.Read(&schedule, warm_up);
    posters.Check();
  }
  if (audience.seen() != to_see) {
    throw std::runtime_error("of " + std::to_string(to_see) + " events to see, clients saw " + std::to_string(audience.seen()));
  }
  auto& delays = audience.delays_us();
  std::printf(
      "{\"events\":%ld,\"seen\":%ld,\"messages\":%lu,\"samples\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"post_late_ms_max\":%"
      ".3f}\n",
      schedule.events, to_see, audience.messages(), delays.size(), PercentileMs(delays, 0.5), PercentileMs(delays, 0.99),
      PercentileMs(delays, 1), posters.late_ms_max());
}

}  // namespace sightline::bench
