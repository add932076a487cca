#pragma once

#include <memory>
#include <string>

#include "connectors/kafka/kafka_bus.h"
#include "tests/scenario/ground.h"

namespace sightline::scenario {

// A ground on the real broker, under a prefix of its own.
class KafkaScenarioGround : public Ground {
 public:
  virtual kafka::KafkaBus& kafka() = 0;
};

// Whether Examine asks a real Postgres for what is in the topics.
enum class Store : std::uint8_t { kNone, kPostgres };
std::unique_ptr<KafkaScenarioGround> MakeKafkaGround(Store store);

}  // namespace sightline::scenario
