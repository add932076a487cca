#pragma once

#include <memory>
#include <string>

#include "connectors/kafka/kafka_bus.h"

namespace sightline::kafka::testing {

// The real broker that tools/engines/kafka starts, with TLS, SASL and ACLs, on ports of its own (SIGHTLINE_TEST_KAFKA_PORT, 29192).
// Started with the first use, stopped and wiped when the program ends.
class KafkaEngine {
 public:
  static KafkaEngine& Get();
  KafkaEngine(const KafkaEngine&) = delete;
  KafkaEngine& operator=(const KafkaEngine&) = delete;

  void Start() { Must("start"); }
  void Stop() { Must("stop"); }
  void Kill() { Must("kill"); }
  void Pause() { Must("pause"); }
  void Resume() { Must("resume"); }

  int port() const { return port_; }
  std::string clear() const { return Address(0); }
  std::string sasl_tls() const { return Address(2); }
  std::string sasl_clear() const { return Address(3); }
  std::string expired() const { return Address(4); }
  std::string authority() const { return folder_ + "/tls/ca.pem"; }

  // A bus with topics of its own.
  KafkaBusOptions Options(const std::string& prefix) const;
  ClientOptions Client() const { return Options("").client; }
  // A prefix that no earlier call gave.
  std::string NewPrefix();

 private:
  KafkaEngine();
  ~KafkaEngine();
  std::string Address(int above) const { return "127.0.0.1:" + std::to_string(port_ + above); }
  int Run(const std::string& what, std::string* output) const;
  void Must(const std::string& what) const;

  int port_ = 29192;
  int prefixes_ = 0;
  std::string folder_;
};

// A topic's records from an offset to the end, as "offset:value".
std::vector<std::string> ReadAll(bus::Bus& bus, const TopicPartition& from, std::int64_t offset = 0);

}  // namespace sightline::kafka::testing
