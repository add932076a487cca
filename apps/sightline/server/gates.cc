#include "apps/sightline/server/gates.h"

#include <array>
#include <charconv>

#include "apps/sightline/kafka.h"
#include "apps/sightline/plan_input.h"
#include "sightline/model/dead_letter.h"
#include "sightline/runtime/random.h"

namespace sightline::app {
namespace {

constexpr std::uint64_t kLettersSegmentBytes = 16ULL << 20;

// The two enumerations name the same things in the same order.
static_assert(static_cast<int>(config::GateFormat::kConfluent) == static_cast<int>(gate::ValueFormat::kConfluent));

gate::SchemaFormat SchemaFormatOf(config::SchemaLanguage language) {
  switch (language) {
    case config::SchemaLanguage::kAvro: return gate::SchemaFormat::kAvro;
    case config::SchemaLanguage::kJson: return gate::SchemaFormat::kJson;
    case config::SchemaLanguage::kProtobuf: return gate::SchemaFormat::kProtobuf;
  }
  return gate::SchemaFormat::kAvro;
}

// As ingest asks for it.
bus::TopicSpec DeadLettersOf(const config::Config& config, const config::DatasetConfig& dataset) {
  const bus::TopicSpec accepted = config.TopicOf(dataset);
  bus::TopicSpec letters;
  letters.name = DeadLetterTopic(dataset.name);
  letters.segment_bytes = kLettersSegmentBytes;
  letters.durability = accepted.durability;
  letters.interval = accepted.interval;
  letters.retain_time = dataset.retain.dead_letters;
  return letters;
}

// No two processes, and no two starts of one, may have the same.
std::string NewInstance() {
  std::array<char, 17> digits{};
  const char* const begin = digits.data();
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), runtime::SystemEntropy(), 16).ptr;
  return {begin, end};
}

}  // namespace

Result<std::unique_ptr<Gates>> Gates::Start(kafka::KafkaBus& bus, const config::Config& config, const runtime::Clock& clock,
                                            const ops::Log& log) {
  std::unique_ptr<Gates> gates(new Gates(log));
  if (config.drivers.bus.registry) {
    registry::RegistryOptions options = RegistryOptions(*config.drivers.bus.registry);
    options.attempts = 1;  // a gate asks again by itself
    SL_ASSIGN_OR_RETURN(gates->registry_, registry::RegistryClient::Make(std::move(options)));
  }
  for (const config::DatasetConfig& dataset : config.datasets) {
    if (dataset.gate) SL_TRY(gates->Add(bus, config, dataset, clock));
  }
  return gates;
}

Status Gates::Add(kafka::KafkaBus& bus, const config::Config& config, const config::DatasetConfig& dataset, const runtime::Clock& clock) {
  const config::GateConfig& given = *dataset.gate;
  Gate gate;
  kafka::GateDataset judged;
  judged.name = dataset.name;
  judged.from = given.from;
  judged.judge = {.contract = &dataset.contract,
                  .format = static_cast<gate::ValueFormat>(given.format),
                  .limits = DecoderLimitsOf(config.limits.ingest),
                  .partition_by = dataset.partition_by,
                  .partitions = dataset.partitions,
                  .schemas = nullptr};
  judged.topic = dataset.topic;
  judged.compression = dataset.compression;
  judged.dead_letters = DeadLettersOf(config, dataset);
  if (given.format == config::GateFormat::kConfluent) {
    gate.schemas = std::make_unique<registry::RegistrySource>(*registry_, dataset.contract);
    judged.judge.schemas = gate.schemas.get();
    const gate::SchemaFormat format = SchemaFormatOf(given.schema);
    judged.admit = [client = registry_.get(), contract = &dataset.contract, format](const std::string& topic) {
      return registry::Agree(*client, registry::ValueSubject(topic), *contract, format);
    };
  }
  SL_ASSIGN_OR_RETURN(gate.worker, kafka::GateWorker::Start(bus, clock, std::move(judged), {.instance = NewInstance(), .step = {}}, log_));
  gates_.push_back(std::move(gate));
  return {};
}

Gates::~Gates() { Stop(); }

void Gates::Stop() {
  for (const Gate& gate : gates_) gate.worker->Stop();
}

std::vector<kafka::GateStatus> Gates::status() const {
  std::vector<kafka::GateStatus> all;
  for (const Gate& gate : gates_) all.push_back(gate.worker->status());
  return all;
}

// The health listener asks for no token: it hears that there is something, not what.
void Gates::Watch(ops::Health* health) {
  for (const kafka::GateStatus& gate : status()) {
    std::string& said = said_[gate.dataset];
    if (gate.error == said) continue;
    if (gate.error.empty()) {
      log_.Info("a gate goes on", {{"dataset", gate.dataset}, {"lag_records", gate.lag}});
    } else {
      log_.Error("a gate cannot go on with everything and tries again; what it does not judge waits in its topic",
                 {{"dataset", gate.dataset}, {"lag_records", gate.lag}, {"error", gate.error}});
    }
    said = gate.error;
    if (health != nullptr) health->SetDegraded("gate/" + gate.dataset, said.empty() ? "" : "GET /v1/status says why");
  }
}

void CollectGates(const std::vector<kafka::GateStatus>& gates, ops::Metrics::Sink& sink) {
  const auto number = [](auto value) { return static_cast<double>(value); };
  for (const kafka::GateStatus& gate : gates) {
    const ops::Labels labels = {{"dataset", gate.dataset}};
    const auto records = [&](const std::string& verdict, std::uint64_t count) {
      sink.CounterSample("sightline_gate_records_total", "Records of others by what the gate said of them.",
                         {{"dataset", gate.dataset}, {"verdict", verdict}}, number(count));
    };
    records("accepted", gate.accepted);
    records(std::string(VerdictName(Verdict::kMalformed)), gate.malformed);
    records(std::string(VerdictName(Verdict::kInvalid)), gate.invalid);
    sink.CounterSample("sightline_gate_lost_total", "Offsets of others that retention removed before they were judged.", labels,
                       number(gate.lost));
    sink.CounterSample("sightline_gate_transactions_total", "Transactions in which records of others were taken over.", labels,
                       number(gate.transactions));
    sink.GaugeSample("sightline_gate_partitions", "Partitions of others that this process judges.", labels, number(gate.partitions));
    sink.GaugeSample("sightline_gate_lag_records", "Records in them that are not judged yet.", labels, number(gate.lag));
    sink.GaugeSample("sightline_gate_registry_waits", "1 while the schema registry does not answer.", labels,
                     gate.registry_answers ? 0 : 1);
    sink.GaugeSample("sightline_gate_failed", "1 while something is wrong with the gate.", labels, gate.error.empty() ? 0 : 1);
  }
}

}  // namespace sightline::app
