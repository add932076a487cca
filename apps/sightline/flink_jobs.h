#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "apps/sightline/flink.h"
#include "apps/sightline/framework.h"
#include "connectors/kafka/kafka_bus.h"

namespace sightline::app {

// Jobs of one configuration: what commands do with them, one process at a time. Everything is opened when it is first needed.
class FlinkJobs {
 public:
  // The configuration must put its bus on Kafka and name a cluster, or `gateway` does. Both must outlive the object.
  static Result<std::unique_ptr<FlinkJobs>> Open(const World& world, const config::Config& config, const flow::Plan& plan,
                                                 const std::string& gateway);

  struct Submitted {
    FlinkJobRecord record;
    std::int64_t prepared_ms = 0;  // until the cluster had it: compiled, topics made, statements taken
    std::int64_t running_ms = 0;   // and until all its tasks ran
    std::int64_t own_ms = 0;       // of that, without waiting for the gateway and the job manager
    std::string flink_version;
  };
  // kFailedPrecondition when a job that runs makes one of these results already.
  Result<Submitted> Submit(const FlinkSubmission& submission, const std::string& savepoint);

  Result<std::map<std::string, FlinkJobRecord>> Kept() { return KeptFlinkJobs(*bus_); }
  // The job that `name` means: a pipeline's, or that with this id.
  Result<FlinkJobRecord> Find(const std::string& name);
  Result<std::string> Stop(FlinkJobRecord record);
  Status Cancel(const FlinkJobRecord& record);
  flink::Cluster& cluster() { return *cluster_; }

 private:
  FlinkJobs(const World& world, const config::Config& config, const flow::Plan& plan, std::string gateway)
      : world_(world), config_(config), plan_(plan), gateway_url_(std::move(gateway)) {}
  Status Connect();
  flink::HttpOptions HttpTo(const std::string& url);
  std::function<void(std::chrono::milliseconds)> Sleeper();
  Status RefuseSecond(const FlinkSubmission& submission);

  const World& world_;
  const config::Config& config_;
  const flow::Plan& plan_;
  std::string gateway_url_;
  std::atomic<std::int64_t> waited_ns_{0};  // for answers of Flink, and between two looks at it
  std::unique_ptr<kafka::KafkaBus> bus_;
  std::unique_ptr<flink::Cluster> cluster_;
};

}  // namespace sightline::app
