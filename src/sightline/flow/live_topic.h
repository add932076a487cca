#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/flow/plan.h"
#include "sightline/model/live.h"

namespace sightline::flow {

// Early results on their way between processes: a topic a pipeline that is shown live, `live.PIPELINE`, each record one group of an open
// window as it stands. They go past the commits and are marked open: what a worker had put out and not committed may be in them, and is
// replaced when the window is counted again. A topic keeps them for as long as windows are open, and nobody waits for its disk.

// Makes the topics that are missing. `like` gives the number of copies and the like.
Status EnsureLiveTopics(bus::Bus& bus, const Plan& plan, const bus::TopicSpec& like);

// Puts the groups of open windows into the topics. What the bus does not take is dropped and counted: the next change of the group says
// more. Thread-safe.
class LiveTopicSink final : public LiveSink {
 public:
  LiveTopicSink(bus::Bus& bus, const Plan& plan);
  void Publish(const std::shared_ptr<const ResultShape>& shape, std::span<const LiveGroup> groups) override;
  std::uint64_t dropped() const { return dropped_->load(); }

 private:
  bus::Bus& bus_;
  std::map<std::string, std::int32_t> partitions_;  // of a pipeline's topic
  std::shared_ptr<std::atomic<std::uint64_t>> dropped_;
};

// Takes what is in the topics to a live board: first what they still hold, then what comes. One thread.
class LiveTopicTail {
 public:
  LiveTopicTail(bus::Bus& bus, const Plan& plan, LiveSink& live) : bus_(bus), plan_(plan), live_(live) {}
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
  std::vector<TopicPartition> inputs_;
  std::vector<Source> sources_;
};

}  // namespace sightline::flow
