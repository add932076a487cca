// The conformance suite of the bus on a real broker.
#include "connectors/kafka/testing/kafka_engine.h"
#include "sightline/bus/testing/conformance.h"

namespace sightline::bus::testing {
namespace {

using kafka::KafkaBus;
using kafka::testing::KafkaEngine;

class KafkaHarness final : public BusHarness {
 public:
  explicit KafkaHarness(bool gaps = false) : gaps_(gaps), prefix_(KafkaEngine::Get().NewPrefix()) { Open(); }
  ~KafkaHarness() override {
    if (bus_ == nullptr) return;
    const auto topics = bus_->Topics();
    for (const std::string& topic : topics.value_or(std::vector<std::string>())) {
      static_cast<void>(bus_->admin().DeleteTopic(bus_->FullName(topic)));
    }
  }
  Bus& bus() override { return *bus_; }
  bool HasGaps() const override { return gaps_; }
  void Reopen() override {
    bus_.reset();
    Open();
  }

 private:
  void Open() {
    auto bus = KafkaBus::Open(KafkaEngine::Get().Options(prefix_));
    ASSERT_TRUE(bus) << bus.error().ToString();
    bus_ = std::move(*bus);
  }

  const bool gaps_;  // with transactions
  const std::string prefix_;
  std::unique_ptr<KafkaBus> bus_;
};

INSTANTIATE_TEST_SUITE_P(Kafka, BusConformance, ::testing::Values(BusCase{"Broker", [] { return std::make_unique<KafkaHarness>(); }}),
                         BusCaseName);

INSTANTIATE_TEST_SUITE_P(Kafka, RetryConformance, ::testing::Values(BusCase{"Broker", [] { return std::make_unique<KafkaHarness>(true); }}),
                         BusCaseName);

}  // namespace
}  // namespace sightline::bus::testing
