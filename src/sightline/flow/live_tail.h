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

#include "sightline/bus/port.h"
#include "sightline/flow/plan.h"
#include "sightline/model/live.h"

namespace sightline::flow {

// What topics say of windows, handed to a live board: what they hold of late first, then all that comes. One thread.
class LiveTail {
 public:
  enum class Of : std::uint8_t {
    kResults,  // final and corrected ones, from the results topics
    kEarly,    // open windows, from the topics of early results
  };
  LiveTail(bus::Bus& bus, const Plan& plan, LiveSink& live, Of of = Of::kResults) : bus_(bus), plan_(plan), live_(live), of_(of) {}
  Status Open();
  // True if there may be more right now.
  Result<bool> Step();
  const std::vector<TopicPartition>& inputs() const { return inputs_; }

 private:
  struct Source {
    const PipelinePlan* pipeline;
    std::shared_ptr<const ResultShape> shape;
    std::unique_ptr<bus::Reader> reader;
  };
  bus::Bus& bus_;
  const Plan& plan_;
  LiveSink& live_;
  const Of of_;
  std::vector<TopicPartition> inputs_;
  std::vector<Source> sources_;
};

// A thread that follows the topics for a live board.
class LiveTailThread {
 public:
  // All must outlive the object. `on_error` is called from the thread; it goes on after an error.
  static Result<std::unique_ptr<LiveTailThread>> Start(bus::Bus& bus, const Plan& plan, LiveSink& live, const std::vector<LiveTail::Of>& of,
                                                       std::function<void(const Error&)> on_error);
  ~LiveTailThread();
  LiveTailThread(const LiveTailThread&) = delete;
  LiveTailThread& operator=(const LiveTailThread&) = delete;

 private:
  explicit LiveTailThread(std::function<void(const Error&)> on_error) : on_error_(std::move(on_error)) {}
  void Run();
  void Wake();

  std::function<void(const Error&)> on_error_;
  std::vector<std::unique_ptr<LiveTail>> tails_;
  std::vector<std::shared_ptr<void>> subscriptions_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false, stopping_ = false;
  std::thread thread_;
};

// Early results on their way between processes: a topic a pipeline that is shown live, each record one group of an open window as it
// stands. They go past the commits and are marked open: what a worker had put out and not committed may be in them, and is replaced when
// the window is counted again. The topics keep them for as long as windows are open, and nobody waits for their disk.

// Makes the topics that are missing. `like` gives the number of copies and the like.
Status EnsureEarlyTopics(bus::Bus& bus, const Plan& plan, const bus::TopicSpec& like);

// Puts the groups of open windows into the topics. What the bus does not take is dropped and counted: the next change of the group says
// more. Thread-safe.
class EarlyResults final : public LiveSink {
 public:
  EarlyResults(bus::Bus& bus, const Plan& plan);
  void Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) override;
  std::uint64_t dropped() const { return dropped_->load(); }

 private:
  bus::Bus& bus_;
  std::map<std::string, std::int32_t> partitions_;  // of a pipeline's topic
  std::shared_ptr<std::atomic<std::uint64_t>> dropped_;
};

}  // namespace sightline::flow
