#include "apps/sightline/kafka.h"

#include <algorithm>
#include <iterator>

#include "connectors/kafka/examination.h"
#include "connectors/registry/client.h"
#include "sightline/model/dead_letter.h"

namespace sightline::app {
namespace {

// The two enumerations name the same things in the same order.
static_assert(static_cast<int>(config::SaslMechanism::kScramSha512) == static_cast<int>(kafka::SaslMechanism::kScramSha512));
static_assert(static_cast<int>(config::KafkaCompression::kZstd) == static_cast<int>(kafka::Codec::kZstd));

Finding ExamineRegistry(const config::RegistryConfig& config) {
  constexpr const char* kName = "schema registry";
  auto client = registry::RegistryClient::Make(RegistryOptions(config));
  const auto subjects = client ? (*client)->Subjects() : Result<std::vector<std::string>>(std::unexpected(client.error()));
  if (subjects) return {kName, Health::kGood, "answers at " + config.url + ", " + std::to_string(subjects->size()) + " subjects", ""};
  const std::string& message = subjects.error().message;
  const std::size_t cut = message.rfind("; ");
  return {kName, Health::kProblem, message.substr(0, cut), cut == std::string::npos ? "" : message.substr(cut + 2)};
}

}  // namespace

registry::RegistryOptions RegistryOptions(const config::RegistryConfig& config) {
  registry::RegistryOptions options;
  options.url = config.url;
  options.user = config.user;
  options.password = config.password.reveal();
  options.ca = config.ca;
  options.timeout = config.timeout;
  return options;
}

kafka::KafkaBusOptions KafkaOptions(const config::BusConfig& bus, const ops::Log& log) {
  kafka::KafkaBusOptions options;
  options.client.brokers = bus.brokers;
  if (bus.tls) {
    options.client.tls = kafka::Tls{
        .ca = bus.tls->ca, .certificate = bus.tls->certificate, .key = bus.tls->key, .key_password = bus.tls->key_password.reveal()};
  }
  if (bus.sasl) {
    options.client.sasl = kafka::Sasl{.mechanism = static_cast<kafka::SaslMechanism>(bus.sasl->mechanism),
                                      .user = bus.sasl->user,
                                      .password = bus.sasl->password.reveal()};
  }
  options.client.client_id = bus.client_id;
  options.client.compression = static_cast<kafka::Codec>(bus.compression);
  options.client.linger = bus.linger;
  options.client.message_bytes_max = bus.message_max;
  options.client.request_timeout = bus.request_timeout;
  options.client.delivery_timeout = bus.delivery_timeout;
  options.client.log = [out = log.For("kafka")](kafka::LogLevel level, std::string_view text) {
    switch (level) {
      case kafka::LogLevel::kDebug: return out.Debug(text);
      case kafka::LogLevel::kInfo: return out.Info(text);
      case kafka::LogLevel::kWarning: return out.Warning(text);
      case kafka::LogLevel::kError: return out.Error(text);
    }
  };
  options.prefix = bus.prefix;
  options.policy = {.replication = bus.replication, .min_insync = bus.min_insync};
  return options;
}

std::vector<Finding> ExamineKafkaBus(const config::Config& config, const World& world) {
  std::vector<bus::TopicSpec> topics;
  for (const config::DatasetConfig& dataset : config.datasets) {
    topics.push_back(config.TopicOf(dataset));
    bus::TopicSpec letters = config.TopicOf(dataset);
    letters.name = DeadLetterTopic(dataset.name);
    letters.partitions = 1;
    letters.retain_time = dataset.retain.dead_letters;
    letters.retain_bytes = 0;
    topics.push_back(std::move(letters));
  }
  const ops::Log silent(world.clock, ops::LogLevel::kError, [](std::string_view) {});
  const kafka::KafkaBusOptions options = KafkaOptions(config.drivers.bus, silent);
  std::vector<kafka::Looked> all = kafka::ExamineKafka(options, topics, world.clock);
  for (const config::DatasetConfig& dataset : config.datasets) {
    if (dataset.gate) std::ranges::move(kafka::ExamineOthers(options, dataset.gate->from), std::back_inserter(all));
  }
  std::vector<Finding> findings;
  for (kafka::Looked& looked : all) {
    const Health health = looked.state == kafka::Looked::State::kGood      ? Health::kGood
                          : looked.state == kafka::Looked::State::kWarning ? Health::kWarning
                                                                           : Health::kProblem;
    findings.push_back({std::move(looked.name), health, std::move(looked.found), std::move(looked.remedy)});
  }
  if (config.drivers.bus.registry) findings.push_back(ExamineRegistry(*config.drivers.bus.registry));
  return findings;
}

}  // namespace sightline::app
