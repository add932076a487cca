#include "apps/sightline-camera/stop_signal.h"

#include <pthread.h>
#include <signal.h>

#include <chrono>

#include "sightline/runtime/clock.h"

namespace sightline {
namespace {

// Ends the listener from within; nobody else sends it.
constexpr int kListenerEnds = SIGUSR1;

sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, kListenerEnds}) sigaddset(&set, signal);
  return set;
}

}  // namespace

StopSignal::StopSignal() {
  const sigset_t set = Signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  listener_ = std::thread([this, set] {
    int signal = 0;
    while (sigwait(&set, &signal) != 0) {
    }
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    wake_.notify_all();
  });
}

StopSignal::~StopSignal() {
  pthread_kill(listener_.native_handle(), kListenerEnds);
  listener_.join();
}

bool StopSignal::WaitUntil(std::int64_t monotonic_ns) {
  const std::int64_t left_ns = monotonic_ns - runtime::SystemClock().MonotonicNs();
  std::unique_lock lock(mutex_);
  if (left_ns > 0) wake_.wait_for(lock, std::chrono::nanoseconds(left_ns), [this] { return stopped_; });
  return !stopped_;
}

bool StopSignal::stopped() const {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

}  // namespace sightline
