#include "sightline/bus/embedded/flusher.h"

#include <algorithm>
#include <limits>

#include "sightline/bus/embedded/log_partition.h"

namespace sightline::bus {

void Flusher::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Flusher::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Flusher::Add(LogPartition& partition) {
  const std::lock_guard lock(mutex_);
  partitions_.push_back(&partition);
}

void Flusher::Request(LogPartition& partition, std::size_t waiting) {
  const std::lock_guard lock(mutex_);
  if (std::ranges::find(requested_, &partition) == requested_.end()) requested_.push_back(&partition);
  arrived_ += waiting;
  if (arrived_ >= wake_after_) wake_.notify_one();
}

void Flusher::LookAgain() {
  const std::lock_guard lock(mutex_);
  wake_.notify_one();
}

void Flusher::NoteRelease() {
  const std::lock_guard lock(mutex_);
  arrived_ = 0;
}

// When the first interval topic is due; with the lock.
std::int64_t Flusher::NextDue() const {
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  for (const LogPartition* partition : partitions_) {
    if (const std::int64_t due = partition->flush_due_ns(); due != 0) first = std::min(first, due);
  }
  return first;
}

void Flusher::Run() {
  constexpr auto kIdle = std::chrono::seconds(60);
  std::vector<LogPartition*> now;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto until_due = std::chrono::nanoseconds(NextDue() - clock_.MonotonicNs());
    if (requested_.empty() && until_due.count() > 0) {
      wake_.wait_for(lock, std::min<std::chrono::nanoseconds>(until_due, kIdle));
      if (stopping_) return;
    }
    now.swap(requested_);
    for (LogPartition* partition : partitions_) {
      const std::int64_t due = partition->flush_due_ns();
      const bool listed = std::ranges::find(now, partition) != now.end();
      if (due != 0 && due <= clock_.MonotonicNs() && !listed) now.push_back(partition);
    }
    lock.unlock();
    std::size_t answered = 0;
    for (LogPartition* partition : now) answered += partition->Flush();
    now.clear();
    lock.lock();
    if (answered == 0) continue;
    wake_after_ = answered;
    wake_.wait_for(lock, cohort_wait_, [&] { return stopping_ || arrived_ >= answered; });
    wake_after_ = 0;
  }
}

}  // namespace sightline::bus
