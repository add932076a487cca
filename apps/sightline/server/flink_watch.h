#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "apps/sightline/flink.h"
#include "connectors/flink/cluster.h"
#include "sightline/ops/log.h"
#include "sightline/ops/metrics.h"
#include "sightline/runtime/clock.h"

namespace sightline::app {

// What is known of the job that makes a pipeline's results.
struct WatchedJob {
  FlinkJobRecord record;
  std::optional<flink::JobHealth> health;  // none: the cluster said nothing of it
  std::string error;                       // why not, or why it does not run; empty: it runs
};

// Looks every few seconds at the jobs that were submitted, for the status page and the metrics: what the cluster does not answer holds up
// nobody. Thread-safe.
class FlinkWatch {
 public:
  FlinkWatch(bus::Bus& bus, const config::FlinkConfig& config, const flow::Plan& plan, const ops::Log& log);
  ~FlinkWatch();
  FlinkWatch(const FlinkWatch&) = delete;
  FlinkWatch& operator=(const FlinkWatch&) = delete;

  // By pipeline: all whose results come from Flink.
  std::map<std::string, WatchedJob> jobs() const;
  void Collect(ops::Metrics::Sink& sink, const runtime::Clock& clock) const;

 private:
  void Run();
  std::map<std::string, WatchedJob> Look();
  void Say(const std::map<std::string, WatchedJob>& jobs);

  bus::Bus& bus_;
  const config::FlinkConfig& config_;
  const flow::Plan& plan_;
  const ops::Log log_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::map<std::string, WatchedJob> jobs_;
  std::map<std::string, std::string> said_;
  std::thread thread_;
};

}  // namespace sightline::app
