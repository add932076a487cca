#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "sightline/runtime/clock.h"

namespace sightline::bus {

class LogPartition;

// A thread that syncs partitions: those with producers waiting at once, those of interval topics when they are due. Group
// commit: the producers that a sync releases mostly come back at once, so that it waits for them, up to `cohort_wait`,
// before the next sync, instead of leaving half of them for the one after. Thread-safe.
class Flusher {
 public:
  Flusher(runtime::Clock& clock, std::chrono::microseconds cohort_wait) : clock_(clock), cohort_wait_(cohort_wait) {}
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;
  ~Flusher() { Stop(); }

  void Start();
  // Nothing is synced by this thread afterwards.
  void Stop();
  // Partitions that it looks after; each outlives it or its Stop.
  void Add(LogPartition& partition);
  // `waiting` more appends of a partition wait for a sync.
  void Request(LogPartition& partition, std::size_t waiting);
  // An interval topic has its first unsynced append: look again when the next one is due.
  void LookAgain();
  // A sync is done and its producers are about to be released.
  void NoteRelease();

 private:
  void Run();
  std::int64_t NextDue() const;

  runtime::Clock& clock_;
  const std::chrono::microseconds cohort_wait_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<LogPartition*> partitions_;
  std::vector<LogPartition*> requested_;
  std::size_t arrived_ = 0;     // appends since the last release
  std::size_t wake_after_ = 0;  // of them, when the thread wants to be woken
  bool stopping_ = false;
};

}  // namespace sightline::bus
