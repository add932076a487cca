#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "sightline/bus/port.h"

namespace sightline::kafka {

// What a process knows of one partition: how far it goes, who reads it, and who wants to hear of records. Thread-safe.
class PartitionState : public std::enable_shared_from_this<PartitionState> {
 public:
  // A lower bound of the partition's end, as far as this process has heard of it.
  std::int64_t known_end() const { return known_end_.load(std::memory_order_acquire); }
  // True if it is news.
  bool LearnEnd(std::int64_t end) {
    std::int64_t known = known_end_.load();
    while (known < end) {
      if (known_end_.compare_exchange_weak(known, end, std::memory_order_acq_rel)) return true;
    }
    return false;
  }

  // Until the handle is gone; no call is under way when it is.
  std::shared_ptr<void> Subscribe(bus::Waker waker) {
    const std::lock_guard lock(mutex_);
    wakers_.push_back(std::move(waker));
    subscribers_ = wakers_.size();
    const auto at = std::prev(wakers_.end());
    return {this, [self = shared_from_this(), at](void*) {
              const std::lock_guard inner(self->mutex_);
              self->wakers_.erase(at);
              self->subscribers_ = self->wakers_.size();
            }};
  }
  void Wake() {
    if (subscribers_ == 0) return;
    const std::lock_guard lock(mutex_);
    for (const bus::Waker& waker : wakers_) waker();
  }
  bool has_subscribers() const { return subscribers_ != 0; }

  // Readers of this process, whose queues tell of what comes.
  void AddReader() { ++readers_; }
  void RemoveReader() { --readers_; }
  bool has_readers() const { return readers_ != 0; }

 private:
  std::atomic<std::int64_t> known_end_ = 0;
  std::atomic<int> readers_ = 0;
  std::atomic<std::size_t> subscribers_ = 0;
  std::mutex mutex_;
  std::list<bus::Waker> wakers_;
};

}  // namespace sightline::kafka
