#include "sightline/stores/statistics/sql/watchdog.h"

namespace sightline::stores::duck {
namespace {

// How exact a deadline is.
constexpr std::chrono::milliseconds kGlance{20};

}  // namespace

Watchdog::Watchdog(const runtime::Clock& clock) : clock_(clock), thread_([this](const std::stop_token& stop) { Run(stop); }) {}

Watchdog::Watch::Watch(Watchdog& dog, Connection& connection, std::chrono::milliseconds time) : dog_(dog) {
  const std::int64_t deadline = dog.clock_.MonotonicNs() + std::chrono::nanoseconds(time).count();
  const std::lock_guard lock(dog_.mutex_);
  entry_ = dog_.entries_.insert(dog_.entries_.end(), {&connection, deadline});
  dog_.changed_.notify_one();
}

Watchdog::Watch::~Watch() {
  const std::lock_guard lock(dog_.mutex_);
  dog_.entries_.erase(entry_);
}

void Watchdog::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (entries_.empty()) {
      changed_.wait(lock, stop, [&] { return !entries_.empty(); });
      continue;
    }
    const std::int64_t now = clock_.MonotonicNs();
    for (const Entry& entry : entries_) {
      if (now >= entry.deadline_ns) entry.connection->Interrupt();
    }
    changed_.wait_for(lock, stop, kGlance, [] { return false; });
  }
}

}  // namespace sightline::stores::duck
