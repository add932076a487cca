#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sightline/flow/task.h"

namespace sightline::flow {

// Writes ticks into a dataset's partitions that stay idle, so that their watermark moves on. Step-driven; one thread.
class IdleTicker {
 public:
  IdleTicker(bus::Bus& bus, const runtime::Clock& clock, const Plan& plan);
  // Looks at every partition; call it a few times a second at most.
  Status Step();

 private:
  struct Watched {
    TopicPartition partition;
    std::int64_t idle_after_ms = 0;
    std::int64_t end = -1;
    std::int64_t since_ns = 0;
  };
  bus::Bus& bus_;
  const runtime::Clock& clock_;
  std::vector<Watched> watched_;
};

// Runs all tasks of a plan on a fixed number of threads. A task that fails is opened anew after a while and goes on from its last
// commit; the others go on meanwhile. Thread-safe.
class Engine {
 public:
  struct Options {
    int threads = 2;
    // Works on every partition from the start; else on those that Acquire names.
    bool all = true;
    // Opens the task that brings home the results of a pipeline that runs elsewhere (PipelinePlan::engine): each pipeline has its own.
    std::function<Result<std::unique_ptr<Task>>(const TaskContext& context, int pipeline, Partition partition)> open_home = {};
    std::function<void(const std::string& pipeline, std::int32_t partition, const Error& error)> on_error;
  };
  // Opens every task (each recovers) and starts; the owned topics must be there. An error of kFailedPrecondition or kCorruption
  // at opening is returned, since it needs a decision by the operator.
  static Result<std::unique_ptr<Engine>> Start(const TaskContext& context, Options options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Works on a root pipeline's partition from now on: it is opened soon, again and again until that succeeds.
  void Acquire(int root, Partition partition);
  // How a partition is given away.
  enum class Release : std::uint8_t {
    kCommit,  // what was done in it is committed first
    kDrop,    // somebody else may work on it already: nothing may be committed
  };
  // Returns when nothing is done in the partition any more.
  void GiveUp(int root, Partition partition, Release how);

  // Commits and ends all threads. The first error, after trying all.
  Status Stop();
  std::vector<TaskStatus> status() const;

 private:
  struct Slot {
    int root = 0;       // whose partition this is
    int pipeline = 0;   // the root, or a pipeline whose results come from elsewhere
    Partition partition;
    bool merge = false;
    std::atomic<bool> here{true};          // this process works on it
    std::atomic<Release> release{Release::kCommit};  // how, once it is not here
    std::unique_ptr<Task> task;
    bool opening = false;
    std::vector<std::shared_ptr<void>> subscriptions;
    std::int64_t retry_at_ns = 0;
    std::int64_t backoff_ns = 0;
    std::string error;
  };
  struct Worker {
    std::vector<std::unique_ptr<Slot>> slots;
    mutable std::mutex mutex;  // of the slots' task pointers, errors and whether one is being opened
    std::condition_variable closed;  // a slot that is not here any more has no task
    std::mutex wake_mutex;
    std::condition_variable wake;
    bool woken = false;
    std::thread thread;
  };
  Engine(const TaskContext& context, Options options);
  Status OpenRoots();
  Status OpenMerges();
  Status OpenSlot(Worker& worker, Slot& slot);
  void CloseSlot(Worker& worker, Slot& slot);
  std::vector<std::pair<Worker*, Slot*>> Find(int root, Partition partition) const;
  static void Wake(Worker& worker);
  void Run(Worker& worker);
  bool StepSlot(Worker& worker, Slot& slot);
  void RunHousekeeping();
  void FailSlot(Worker& worker, Slot& slot, const Error& error);

  TaskContext context_;
  Options options_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stopping_{false};
  std::mutex housekeeping_mutex_;
  std::condition_variable housekeeping_wake_;
  std::thread housekeeping_;
  bool stopped_ = false;
};

}  // namespace sightline::flow
