#pragma once

#include <memory>
#include <string>

#include "apps/sightline/framework.h"
#include "sightline/bus/embedded/log_bus.h"
#include "sightline/config/config.h"
#include "sightline/flow/reference_store.h"
#include "sightline/flow/task.h"
#include "sightline/runtime/runtime.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::app {

// The data of a deployment on one machine while no server runs on it. It brings the log into order after a crash, as the next start would,
// and changes nothing else. Owns the directory while it lives. Not thread-safe.
class MigrationSource {
 public:
  // `config` and `failpoints` must outlive it. kFailedPrecondition when another process owns the directory.
  static Result<std::unique_ptr<MigrationSource>> Open(const World& world, const config::Config& config, runtime::Failpoints& failpoints);
  MigrationSource(const MigrationSource&) = delete;
  MigrationSource& operator=(const MigrationSource&) = delete;

  const config::Config& config() const { return config_; }
  const flow::Plan& plan() const { return plan_; }
  bus::LogBus& bus() { return *bus_; }
  // For looks at what its tasks have committed.
  const flow::TaskContext& tasks() const { return *tasks_; }
  flow::ReferenceStore& references() { return references_; }
  // Null where there are no statistics yet.
  stores::StatisticsStore* statistics() { return statistics_.get(); }

 private:
  MigrationSource(const World& world, const config::Config& config, runtime::Failpoints& failpoints);
  Status Open();

  const World& world_;
  const config::Config& config_;
  const runtime::Runtime runtime_;
  flow::Plan plan_;
  std::unique_ptr<bus::LogBus> bus_;
  flow::FileReferenceStore references_;
  flow::ReferenceCatalog catalog_;
  std::unique_ptr<flow::TaskContext> tasks_;
  std::unique_ptr<stores::StatisticsStore> statistics_;
};

}  // namespace sightline::app
