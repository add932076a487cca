#include "connectors/postgres/connection_pool.h"

#include <algorithm>

namespace sightline::postgres {
namespace {

constexpr std::chrono::milliseconds kBackoffMin{50};
constexpr std::chrono::milliseconds kBackoffMax{2'000};

}  // namespace

Result<ConnectionPool::Lease> ConnectionPool::Acquire() {
  std::unique_lock lock(mutex_);
  while (true) {
    while (!idle_.empty()) {
      Idle last = std::move(idle_.back());
      idle_.pop_back();
      if (last.epoch == epoch_ && last.connection.Alive()) return Lease(*this, std::move(last.connection), last.epoch);
      if (last.epoch == epoch_) ++epoch_;  // the server closed it: the others are no better
      --open_;
    }
    if (open_ < options_.connections_max) break;
    if (returned_.wait_for(lock, options_.wait_max) == std::cv_status::timeout && idle_.empty() && open_ >= options_.connections_max) {
      return Fail(ErrorKind::kResourceExhausted, "all " + std::to_string(options_.connections_max) + " connections to Postgres at " +
                                                     parameters_.place +
                                                     " are in use; raise drivers.statistics.connections_max, or ask less at once");
    }
  }
  if (failure_ && clock_.MonotonicNs() < retry_at_ns_) return std::unexpected(*failure_);
  ++open_;
  const std::uint64_t epoch = epoch_;
  lock.unlock();
  auto connection = Connection::Open(parameters_, clock_);
  lock.lock();
  if (!connection) {
    --open_;
    returned_.notify_one();
    backoff_ = std::clamp(backoff_ * 2, kBackoffMin, kBackoffMax);
    retry_at_ns_ = clock_.MonotonicNs() + std::chrono::nanoseconds(backoff_).count();
    failure_ = connection.error();
    return std::unexpected(std::move(connection).error());
  }
  failure_.reset();
  backoff_ = std::chrono::milliseconds(0);
  return Lease(*this, *std::move(connection), epoch);
}

void ConnectionPool::Return(Connection connection, std::uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  if (connection.broken()) {
    if (epoch == epoch_) ++epoch_;
    --open_;
  } else if (epoch == epoch_ && connection.idle()) {
    idle_.push_back({std::move(connection), epoch});
  } else {
    --open_;
  }
  returned_.notify_one();
}

}  // namespace sightline::postgres
