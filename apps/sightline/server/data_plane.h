#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apps/sightline/objects.h"
#include "apps/sightline/references.h"
#include "apps/sightline/roles.h"
#include "apps/sightline/server/flink_watch.h"
#include "apps/sightline/server/gates.h"
#include "apps/sightline/server/hot_partitions.h"
#include "apps/sightline/server/monitoring.h"
#include "connectors/kafka/membership.h"
#include "connectors/kafka/transaction_commits.h"
#include "sightline/bus/embedded/log_bus.h"
#include "sightline/config/config.h"
#include "sightline/flow/engine.h"
#include "sightline/flow/live_tail.h"
#include "sightline/flow/reference_store.h"
#include "sightline/ops/health.h"
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
    Roles roles = {};
    ops::Health* health = nullptr;                     // told when a sink cannot go on
  };
  // Recovers everything; the errors are for the operator: they say what, where and what to do.
  static Result<std::unique_ptr<DataPlane>> Open(const Settings& settings);
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  bus::Bus& bus() { return *bus_; }
  // The embedded log; null where the bus is another.
  bus::LogBus* log() { return log_; }
  stores::StatisticsStore& statistics() { return *statistics_; }
  flow::ReferenceCatalog& references() { return catalog_; }
  Objects& objects() { return objects_; }
  // Reads a reference's source again; the version in effect.
  Result<flow::ReferenceHandle> Reload(const std::string& reference);
  // Of all processes that share the work, as they last spoke of it.
  std::vector<flow::TaskStatus> tasks() const;
  // What the pipelines on datasets have committed, from what is kept of it: for processes that share the work. Blocks.
  Result<std::vector<flow::TaskStatus>> Recount();
  std::map<std::string, postgres::FollowerStatus> followed() const;  // references, by name
  // Null where no pipeline runs on Flink.
  const FlinkWatch* flink() const { return flink_.get(); }
  std::vector<kafka::GateStatus> gates() const;                      // of this process
  // Null where no pipeline runs here.
  const flow::StateMemory* state_memory() const { return state_memory_.get(); }
  std::map<std::string, stores::ResultsSinkMetrics> sinks() const;  // by pipeline
  const HotPartitions& hot_partitions() const { return hot_partitions_; }

  // Commits, drains the sinks and closes the log. The first error.
  Status Stop();

 private:
  explicit DataPlane(const Settings& settings);
  Status Start();
  Status OpenBus();
  Status OpenReferences();
  Status FollowLive();
  Status JoinWorkers();
  Status StartMonitoring();
  Status StartGates();
  void ReportRecovery();
  Status MakeTopics();
  bool RunsOnFlink() const;
  Status MakeFlinkTopics();
  Status MakeContext();
  Status StartEngine();
  void StartSinks();
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> InputEnds(const flow::PipelinePlan& pipeline);
  Status EnsureStatistics();
  void Housekeep();
  void WatchBus();
  void WatchSinks();
  void WatchPartitions();
  void WatchReferences();
  void TakeUpReferences();

  Settings settings_;
  std::string directory_;
  std::unique_ptr<bus::Bus> bus_;
  bus::LogBus* log_ = nullptr;          // bus_, where it is the embedded log
  kafka::KafkaBus* kafka_ = nullptr;    // bus_, where it is Kafka
  flow::ReferenceCatalog catalog_;
  Objects objects_;
  std::unique_ptr<flow::ReferenceStore> reference_store_;
  std::unique_ptr<ReferenceLoader> reference_loader_;
  std::unique_ptr<FollowedReferences> followed_;
  std::unique_ptr<stores::StatisticsStore> statistics_;
  std::unique_ptr<flow::StateMemory> state_memory_;
  std::unique_ptr<flow::TaskContext> context_;
  std::unique_ptr<kafka::TransactionCommitLogs> commits_;
  std::unique_ptr<flow::EarlyResults> early_;      // null: open windows go straight to the board
  std::unique_ptr<flow::Engine> engine_;
  std::unique_ptr<flow::LiveTailThread> live_tail_;
  std::map<std::string, std::unique_ptr<stores::ResultsSinkThread>> sinks_;
  std::unique_ptr<kafka::Membership> membership_;  // which partitions engine and sinks work on
  std::unique_ptr<FlinkWatch> flink_;              // null: no pipeline runs there
  std::unique_ptr<Gates> gates_;                   // null: no topics of others are read here
  std::unique_ptr<Monitoring> monitoring_;         // null: nobody else works on them
  bool bus_reached_ = true;
  HotPartitions hot_partitions_;
  std::map<std::string, std::string> sink_errors_;   // what was said of each
  std::map<std::string, std::string> store_errors_;  // of each reference's versions
  std::mutex watch_mutex_;
  std::condition_variable watch_wake_;
  bool stopping_ = false;
  std::thread watcher_;
};

}  // namespace sightline::app
