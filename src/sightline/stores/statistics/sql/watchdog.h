#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>

#include "sightline/runtime/clock.h"
#include "sightline/stores/statistics/embedded/duckdb_internal.h"

namespace sightline::stores::duck {

// Interrupts queries whose time is over, from a thread of its own. DuckDB forgets an interrupt that comes before its query has begun,
// so it is repeated until the query has ended. Thread-safe.
class Watchdog {
  struct Entry {
    Connection* connection;
    std::int64_t deadline_ns;
  };

 public:
  explicit Watchdog(const runtime::Clock& clock);

  // While it lives, the connection's queries end at the deadline. Destroy it before the connection.
  class Watch {
   public:
    Watch(Watchdog& dog, Connection& connection, std::chrono::milliseconds time);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    bool expired() const { return dog_.clock_.MonotonicNs() >= entry_->deadline_ns; }

   private:
    Watchdog& dog_;
    std::list<Entry>::iterator entry_;
  };

 private:
  void Run(const std::stop_token& stop);

  const runtime::Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::list<Entry> entries_;
  std::jthread thread_;
};

}  // namespace sightline::stores::duck
