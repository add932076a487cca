#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apps/sightline/server/hot_partitions.h"
#include "sightline/bus/embedded/log_bus.h"
#include "sightline/config/config.h"
#include "sightline/flow/engine.h"
#include "sightline/flow/reference_store.h"
#include "sightline/ops/log.h"
#include "sightline/stores/statistics/port.h"
#include "sightline/stores/statistics/results_sink.h"

namespace sightline::app {

// What stands behind the API: log, references, stream engine, statistics, in the order of the way of a record. Owns them all and
// ends them in the opposite order. Thread-safe after Open.
class DataPlane {
 public:
  struct Settings {
    const config::Config& config;
    const flow::Plan& plan;
    runtime::Runtime runtime;
    LiveSink* live = nullptr;
    const ops::Log& log;
    int threads = 2;
    std::optional<flow::StartAt> from = std::nullopt;  // where changed pipelines begin
  };
  // Recovers everything; the errors are for the operator: they say what, where and what to do.
  static Result<std::unique_ptr<DataPlane>> Open(const Settings& settings);
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  bus::LogBus& bus() { return *bus_; }
  stores::StatisticsStore& statistics() { return *statistics_; }
  flow::ReferenceCatalog& references() { return catalog_; }
  // Reads a reference's source again; the version in effect.
  Result<flow::ReferenceHandle> Reload(const std::string& reference);
  std::vector<flow::TaskStatus> tasks() const { return engine_->status(); }
  const flow::StateMemory& state_memory() const { return *state_memory_; }
  std::map<std::string, stores::ResultsSinkMetrics> sinks() const;  // by pipeline
  const HotPartitions& hot_partitions() const { return hot_partitions_; }

  // Commits, drains the sinks and closes the log. The first error.
  Status Stop();

 private:
  explicit DataPlane(const Settings& settings);
  Status Start();
  void ReportRecovery();
  Status MakeTopics();
  Status StartEngine();
  void StartSinks();
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> InputEnds(const flow::PipelinePlan& pipeline);
  void Housekeep();
  void WatchPartitions();

  Settings settings_;
  std::string directory_;
  std::unique_ptr<bus::LogBus> bus_;
  flow::ReferenceStore reference_store_;
  flow::ReferenceCatalog catalog_{&settings_.runtime.clock};
  std::mutex reload_mutex_;
  std::unique_ptr<stores::StatisticsStore> statistics_;
  std::unique_ptr<flow::StateMemory> state_memory_;
  std::unique_ptr<flow::TaskContext> context_;
  std::unique_ptr<flow::Engine> engine_;
  std::map<std::string, std::unique_ptr<stores::ResultsSinkThread>> sinks_;
  HotPartitions hot_partitions_;
  std::mutex watch_mutex_;
  std::condition_variable watch_wake_;
  bool stopping_ = false;
  std::thread watcher_;
};

}  // namespace sightline::app
