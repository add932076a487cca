#include "apps/sightline/interrupt.h"

#include <csignal>

namespace sightline::app {
namespace {

// A signal handler reaches nothing but what is static.
volatile std::sig_atomic_t requested_signal = 0;

void Remember(int signal) {
  requested_signal = signal;
  std::signal(signal, SIG_DFL);
}

}  // namespace

InterruptScope::InterruptScope() {
  requested_signal = 0;
  std::signal(SIGINT, Remember);
  std::signal(SIGTERM, Remember);
}
InterruptScope::~InterruptScope() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}
bool InterruptScope::requested() const { return requested_signal != 0; }

}  // namespace sightline::app
