#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "connectors/postgres/connection.h"
#include "sightline/base/result.h"
#include "sightline/runtime/clock.h"

namespace sightline::postgres {

// Sessions with one server, opened as they are needed and used again. After a failed attempt the next one waits, longer each time up to
// two seconds, and calls in between fail at once with the reason: nobody queues up before a dead server. Thread-safe; outlives its leases.
class ConnectionPool {
 public:
  struct Options {
    std::size_t connections_max = 8;
    std::chrono::milliseconds wait_max{5'000};  // for one that others use
  };
  ConnectionPool(ConnectionParameters parameters, const runtime::Clock& clock, Options options)
      : parameters_(std::move(parameters)), clock_(clock), options_(options) {}

  // A session for one owner; it goes back when that is destroyed, unless it is broken or within a transaction.
  class Lease {
   public:
    Lease(ConnectionPool& pool, Connection connection, std::uint64_t epoch)
        : pool_(&pool), connection_(std::move(connection)), epoch_(epoch) {}
    ~Lease() {
      if (pool_ != nullptr) pool_->Return(std::move(connection_), epoch_);
    }
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), connection_(std::move(other.connection_)), epoch_(other.epoch_) {}
    Lease& operator=(Lease&&) = delete;
    Connection& operator*() { return connection_; }
    Connection* operator->() { return &connection_; }
    // Rises when a connection broke: what was read of the server before may no longer hold.
    std::uint64_t epoch() const { return epoch_; }

   private:
    ConnectionPool* pool_;
    Connection connection_;
    std::uint64_t epoch_;
  };
  // Errors of Connection::Open; kResourceExhausted when all are in use for wait_max.
  Result<Lease> Acquire();
  const ConnectionParameters& parameters() const { return parameters_; }

 private:
  struct Idle {
    Connection connection;
    std::uint64_t epoch;
  };
  void Return(Connection connection, std::uint64_t epoch);

  const ConnectionParameters parameters_;
  const runtime::Clock& clock_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<Idle> idle_;
  std::size_t open_ = 0;  // idle ones and leases
  std::uint64_t epoch_ = 1;
  std::optional<Error> failure_;  // of the last attempt
  std::chrono::milliseconds backoff_{0};
  std::int64_t retry_at_ns_ = 0;
};

}  // namespace sightline::postgres
