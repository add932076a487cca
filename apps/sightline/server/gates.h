#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connectors/kafka/gate_worker.h"
#include "connectors/registry/contract_schemas.h"
#include "sightline/config/config.h"
#include "sightline/ops/health.h"
#include "sightline/ops/log.h"
#include "sightline/ops/metrics.h"

namespace sightline::app {

// The gates of a configuration on Kafka: a worker for each dataset that has one. Thread-safe after Start.
class Gates {
 public:
  // Starts none where no dataset has a gate. The topics of accepted events must be there; everything given must outlive the object. Errors
  // are for the operator: a registered schema that contradicts a contract, a right that is missing.
  static Result<std::unique_ptr<Gates>> Start(kafka::KafkaBus& bus, const config::Config& config, const runtime::Clock& clock,
                                              const ops::Log& log);
  ~Gates();
  Gates(const Gates&) = delete;
  Gates& operator=(const Gates&) = delete;
  void Stop();
  std::vector<kafka::GateStatus> status() const;

  // Says on /readyz and in the log which cannot go on, when that changes; one thread. `health` may be null.
  void Watch(ops::Health* health);

 private:
  struct Gate {
    std::unique_ptr<registry::RegistrySource> schemas;  // null: its values have no schema
    std::unique_ptr<kafka::GateWorker> worker;
  };
  explicit Gates(const ops::Log& log) : log_(log.For("gate")) {}
  Status Add(kafka::KafkaBus& bus, const config::Config& config, const config::DatasetConfig& dataset, const runtime::Clock& clock);

  const ops::Log log_;
  std::unique_ptr<registry::RegistryClient> registry_;
  std::vector<Gate> gates_;
  std::map<std::string, std::string> said_;  // of each dataset's gate
};

// As samples of a Prometheus page.
void CollectGates(const std::vector<kafka::GateStatus>& gates, ops::Metrics::Sink& sink);

}  // namespace sightline::app
