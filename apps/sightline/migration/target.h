#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/sightline/examination.h"
#include "apps/sightline/framework.h"
#include "apps/sightline/objects.h"
#include "connectors/kafka/kafka_bus.h"
#include "connectors/kafka/transaction_commits.h"
#include "sightline/config/config.h"
#include "sightline/flow/plan.h"
#include "sightline/flow/reference_store.h"
#include "sightline/runtime/runtime.h"
#include "sightline/stores/statistics/port.h"

namespace sightline::app {

// The engines that a deployment is moved to, before any server runs on them. Not thread-safe.
class MigrationTarget {
 public:
  using Access = stores::FileObjectStore::Access;
  // `config` and `failpoints` must outlive it. `access` to objects that are local files: for a look beside a server it is kRead.
  static Result<std::unique_ptr<MigrationTarget>> Open(const World& world, const config::Config& config, runtime::Failpoints& failpoints,
                                                       Access access);
  MigrationTarget(const MigrationTarget&) = delete;
  MigrationTarget& operator=(const MigrationTarget&) = delete;

  const config::Config& config() const { return config_; }
  kafka::KafkaBus& bus() { return *bus_; }
  stores::ObjectStore& objects() { return *objects_; }
  flow::ReferenceStore& references() { return *references_; }
  kafka::TransactionCommitLogs& commits() { return *commits_; }
  // Opened with the first call.
  Result<stores::StatisticsStore*> statistics();

  // What holds something already of what a migration brings: `topics`, and what the plan's pipelines have beside them. Sentences for
  // people; none: it is new. Results are looked at only where `results` says so, since a look makes their tables.
  enum class Results : std::uint8_t { kLookAt, kLeaveOut };
  Result<std::vector<std::string>> Contents(const flow::Plan& plan, const std::vector<std::string>& topics, Results results);

 private:
  MigrationTarget(const World& world, const config::Config& config, runtime::Failpoints& failpoints);
  Status Open(Access access);
  Status AddTopics(const flow::Plan& plan, const std::vector<std::string>& topics, std::vector<std::string>& found);
  Result<bool> HoldsRecords(const std::string& topic);
  Status AddPositions(const flow::Plan& plan, std::vector<std::string>& found);
  Status AddRequests(std::vector<std::string>& found);
  Status AddStates(const flow::Plan& plan, std::vector<std::string>& found);
  Status AddResults(const flow::Plan& plan, std::vector<std::string>& found);

  const World& world_;
  const config::Config& config_;
  const runtime::Runtime runtime_;
  std::unique_ptr<kafka::KafkaBus> bus_;
  std::unique_ptr<stores::ObjectStore> objects_;
  std::unique_ptr<flow::ReferenceStore> references_;
  std::unique_ptr<kafka::TransactionCommitLogs> commits_;
  std::unique_ptr<stores::StatisticsStore> statistics_;
};

// What `doctor` says of the engines that a configuration names.
std::vector<Finding> ExamineEngines(const World& world, const config::Config& config);

}  // namespace sightline::app
