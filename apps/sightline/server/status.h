#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "apps/sightline/server/data_plane.h"
#include "apps/sightline/server/refused_records.h"
#include "sightline/ops/metrics.h"
#include "sightline/serve/api/status.h"
#include "sightline/serve/live/live_hub.h"

namespace sightline::app {

// Gathers what the components count into the status page and the metrics. Thread-safe; a snapshot is kept for a fraction of a
// second, so that many watchers cost no more than one.
class StatusSource {
 public:
  StatusSource(DataPlane& plane, const flow::Plan& plan, const config::Config& config, const runtime::Clock& clock, std::string version);

  serve::ServerStatus Status();
  void SetHubs(std::vector<std::shared_ptr<serve::LiveHub>> hubs);
  // Rendered as Prometheus samples.
  void Collect(ops::Metrics::Sink& sink);

 private:
  struct Rate {
    double Of(std::uint64_t now_counted, std::int64_t now_ns);
    std::uint64_t counted = 0;
    std::int64_t at_ns = 0;
    double per_s = 0;
  };
  serve::ServerStatus Gather();
  void AddTopics(serve::ServerStatus& status);
  serve::ServerStatus::Pipeline PipelineOf(const flow::PipelinePlan& plan, std::size_t index, const std::vector<flow::TaskStatus>& tasks,
                                           const std::map<std::string, bus::TopicInfo>& topics);
  void AddJob(const std::string& name, serve::ServerStatus::Pipeline& pipeline);
  void AddRefusedAtIngest(const flow::PipelinePlan& plan, serve::ServerStatus::Pipeline& pipeline);
  static void CollectVerdicts(const serve::ServerStatus::Pipeline& pipeline, ops::Metrics::Sink& sink);
  static void CollectPartitions(const serve::ServerStatus::Pipeline& pipeline, ops::Metrics::Sink& sink);

  DataPlane& plane_;
  const flow::Plan& plan_;
  const config::Config& config_;
  const runtime::Clock& clock_;
  const std::string version_;
  const std::int64_t started_ns_;
  std::mutex mutex_;
  RefusedRecords refused_;
  std::vector<std::shared_ptr<serve::LiveHub>> hubs_;
  std::map<std::string, Rate> rates_;
  std::map<std::pair<std::string, std::int32_t>, Rate> partition_rates_;
  Rate live_messages_;
  serve::ServerStatus kept_;
  std::int64_t kept_at_ns_ = 0;
};

}  // namespace sightline::app
