#include "connectors/kafka/testing/kafka_engine.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace sightline::kafka::testing {

KafkaEngine& KafkaEngine::Get() {
  static KafkaEngine engine;
  return engine;
}

KafkaEngine::KafkaEngine() {
  if (const char* port = std::getenv("SIGHTLINE_TEST_KAFKA_PORT"); port != nullptr) port_ = std::atoi(port);
  Must("start");
  Run("where", &folder_);
  while (!folder_.empty() && folder_.back() == '\n') folder_.pop_back();
}

KafkaEngine::~KafkaEngine() {
  if (std::getenv("SIGHTLINE_TEST_KAFKA_KEEP") != nullptr) return;
  Run("stop", nullptr);
  Run("wipe", nullptr);
}

// The tests' working directory is the repository's root.
int KafkaEngine::Run(const std::string& what, std::string* output) const {
  const std::string command = "KAFKA_PORT=" + std::to_string(port_) + " KAFKA_SECURE=1 tools/engines/engines kafka " + what;
  FILE* pipe = popen(command.c_str(), "r");  // NOLINT(cert-env33-c): a script of ours with arguments of ours
  if (pipe == nullptr) return -1;
  std::array<char, 256> piece{};
  while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) {
    if (output != nullptr) *output += piece.data();
  }
  return pclose(pipe);
}

void KafkaEngine::Must(const std::string& what) const {
  if (Run(what, nullptr) != 0) throw std::runtime_error("tools/engines/engines kafka " + what + " failed");
}

KafkaBusOptions KafkaEngine::Options(const std::string& prefix) const {
  KafkaBusOptions options;
  options.client.brokers = {clear()};
  options.client.request_timeout = std::chrono::seconds(20);
  options.prefix = prefix;
  options.policy = {.replication = 1, .min_insync = 1};
  return options;
}

std::string KafkaEngine::NewPrefix() { return "t" + std::to_string(getpid()) + "-" + std::to_string(++prefixes_) + "."; }

std::vector<std::string> ReadAll(bus::Bus& bus, const TopicPartition& from, std::int64_t offset) {
  std::vector<std::string> all;
  const auto reader = bus.OpenReader(from, Offset(offset));
  EXPECT_TRUE(reader) << reader.error().ToString();
  while (reader) {
    const auto batch = (*reader)->Next();
    EXPECT_TRUE(batch) << batch.error().ToString();
    if (!batch || !*batch) break;
    for (std::size_t i = 0; i < (*batch)->values.size(); ++i) {
      all.push_back(std::to_string((*batch)->offset(i).value) + ":" + std::string((*batch)->values[i]));
    }
  }
  return all;
}

}  // namespace sightline::kafka::testing
