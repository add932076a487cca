#include "sightline/config/semantics.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "sightline/base/glob.h"
#include "sightline/base/text.h"
#include "sightline/config/reader.h"
#include "sightline/model/dead_letter.h"
#include "sightline/model/object_key.h"

namespace sightline::config {
namespace {

constexpr std::uint64_t kContractBytesMax = 8U << 20;

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(out, text);
  return out;
}

std::string List(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

bool Contains(const std::vector<std::string>& names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

std::vector<std::string> FieldNames(const Schema& schema) {
  std::vector<std::string> names;
  for (const Field& field : schema.fields) names.push_back(field.name);
  return names;
}

// One pass over a configuration. Checks do not depend on each other: where one has failed, the next ones that would only
// repeat it keep silent.
class Semantics {
 public:
  Semantics(runtime::FileSystem& files, Config& config, std::vector<Mistake>& mistakes)
      : files_(files), config_(config), mistakes_(mistakes) {}

  void Check() {
    CheckListeners();
    CheckBus();
    CheckObjects();
    CheckTokens();
    CheckNames();
    CheckStatistics();
    CheckFlink();
    for (DatasetConfig& dataset : config_.datasets) CheckDataset(dataset);
    for (ReferenceConfig& reference : config_.references) CheckReference(reference);
    for (const PipelineSpec& pipeline : config_.pipelines) CheckSource(pipeline);
    CheckCycles();
    for (const PipelineSpec& pipeline : config_.pipelines) CheckSteps(pipeline);
  }

 private:
  void Report(std::string_view path, std::string what, std::string meant = "") {
    mistakes_.push_back({config_.PlaceOf(path), std::string(path) + ": " + std::move(what), std::move(meant)});
  }
  void CheckListeners();
  void CheckBus();
  void CheckObjects();
  void CheckEndpoint();
  void CheckTokens();
  void CheckNames();
  void CheckStatistics();
  void CheckFlink();
  void CheckPostgresTls(const PostgresTlsConfig& tls, const std::string& path);
  void CheckDataset(DatasetConfig& dataset);
  void CheckGate(const DatasetConfig& dataset);
  void CheckGateTopics(const DatasetConfig& dataset);
  void CheckReference(ReferenceConfig& reference);
  void CheckSource(const PipelineSpec& pipeline);
  void CheckCycles();
  void CheckSteps(const PipelineSpec& pipeline);
  void CheckGroup(const PipelineSpec& pipeline, const std::string& path, const std::vector<std::string>& columns, std::string_view what);
  void CheckEnrich(const EnrichStep& step, const std::string& path);
  void CheckField(const governance::Contract& contract, std::string_view name, const std::string& path);
  bool LoadContract(const std::string& file, const std::string& path, governance::Contract& into);
  std::vector<std::string> SourceNames() const;

  runtime::FileSystem& files_;
  Config& config_;
  std::vector<Mistake>& mistakes_;
  std::set<std::string> partitioned_;  // datasets whose partition_by is a field of their contract
  std::set<std::string> in_a_cycle_;   // pipelines without a root
};

void Semantics::CheckListeners() {
  const ListenConfig& listen = config_.listen;
  if (!listen.http.host.empty() && !listen.http.loopback()) {
    const bool tls = listen.tls.has_value();
    const bool tokens = !config_.access.tokens.empty();
    if (!tls || !tokens) {
      std::string missing = tls ? "" : "listen.tls";
      if (!tokens) missing += missing.empty() ? "access.tokens" : " and access.tokens";
      Report("listen.http", "others can reach " + listen.http.ToString() + ", which needs " + missing,
             "add " + missing + ", or listen on 127.0.0.1:" + std::to_string(listen.http.port));
    }
  }
  if (listen.http.port != 0 && listen.http == listen.health)
    Report("listen.health", "the same address as listen.http", "give it a port of its own");
  if (listen.tls) {
    for (const auto& [name, file] : {std::pair("certificate", listen.tls->certificate), std::pair("key", listen.tls->key)}) {
      if (file.empty()) continue;
      const auto exists = files_.Exists(file);
      if (exists && !*exists) Report("listen.tls." + std::string(name), "there is no file " + file);
    }
  }
}

void Semantics::CheckBus() {
  const BusConfig& bus = config_.drivers.bus;
  const auto written = [&](std::string_view name) { return config_.places.contains("drivers.bus." + std::string(name)); };
  const bool kafka = bus.type == BusType::kKafka;
  constexpr std::string_view kOfLog[] = {"durability", "interval", "segment", "when_full"};
  constexpr std::string_view kOfKafka[] = {"brokers",         "prefix",           "tls",         "sasl",        "client_id",
                                           "compression",     "linger",           "message_max", "replication", "min_insync",
                                           "request_timeout", "delivery_timeout", "registry"};
  for (const std::string_view name : kafka ? std::span<const std::string_view>(kOfLog) : std::span<const std::string_view>(kOfKafka)) {
    if (written(name)) {
      Report("drivers.bus." + std::string(name), std::string("it is a setting of the other driver, `type: ") + (kafka ? "log`" : "kafka`"),
             kafka ? "leave it out: on Kafka acknowledged means on `min_insync` replicas" : "leave it out, or write `type: kafka`");
    }
  }
  if (!kafka) return;
  if (!written("brokers")) Report("drivers.bus", "Kafka needs `brokers`", "write brokers: [host:9092]");
  if (bus.min_insync > bus.replication) {
    Report("drivers.bus.min_insync", std::to_string(bus.min_insync) + " copies cannot be there of " + std::to_string(bus.replication),
           "make it at most `replication`, better one less");
  }
  if (bus.tls && bus.tls->certificate.empty() != bus.tls->key.empty())
    Report("drivers.bus.tls", "a certificate and its key go together", "give both, or none");
  const bool near = std::ranges::all_of(bus.brokers, [](const std::string& broker) {
    const auto endpoint = ParseEndpoint(broker);
    return endpoint && endpoint->loopback();
  });
  if (bus.sasl && bus.sasl->mechanism == SaslMechanism::kPlain && !bus.tls && !near)
    Report("drivers.bus.sasl", "`plain` without TLS tells the password to everybody on the way", "add tls: {}, or use scram-sha-512");
  if (!bus.registry) return;
  const std::string& url = bus.registry->url;
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    Report("drivers.bus.registry.url", Quoted(url) + " is no address", "write https://host/path");
  const bool local = url.starts_with("http://127.") || url.starts_with("http://localhost") || url.starts_with("http://[::1]");
  if (!bus.registry->password.empty() && url.starts_with("http://") && !local)
    Report("drivers.bus.registry.url", "the password would be readable on the way", "use https");
}

// Settings of one type of object store written for another would do nothing: they are mistakes.
void Semantics::CheckObjects() {
  const ObjectsConfig& objects = config_.drivers.objects;
  constexpr std::uint8_t kS3 = 1, kGcs = 2, kHdfs = 4;
  struct Setting {
    std::string_view name;
    std::uint8_t types;
  };
  constexpr Setting kSettings[] = {{"bucket", kS3 | kGcs},
                                   {"prefix", kS3 | kGcs},
                                   {"endpoint", kS3 | kGcs},
                                   {"region", kS3},
                                   {"addressing", kS3},
                                   {"credentials", kS3 | kGcs},
                                   {"access_key", kS3},
                                   {"secret_key", kS3},
                                   {"session_token", kS3},
                                   {"checksum", kS3},
                                   {"service_account", kGcs},
                                   {"url", kHdfs},
                                   {"user", kHdfs},
                                   {"hadoop_conf", kHdfs},
                                   {"principal", kHdfs},
                                   {"keytab", kHdfs},
                                   {"tls_ca", kS3 | kGcs},
                                   {"connect_timeout", kS3 | kGcs},
                                   {"request_timeout", kS3 | kGcs | kHdfs},
                                   {"retries_max", kS3 | kGcs | kHdfs},
                                   {"retry_time_max", kS3 | kGcs | kHdfs}};
  constexpr std::string_view kTypes[] = {"files", "s3", "gcs", "hdfs"};
  const auto type = static_cast<std::size_t>(objects.type);
  const auto bit = static_cast<std::uint8_t>(type == 0 ? 0 : 1 << (type - 1));
  const auto written = [this](std::string_view name) { return config_.places.contains("drivers.objects." + std::string(name)); };
  for (const Setting& setting : kSettings) {
    if ((setting.types & bit) != 0 || !written(setting.name)) continue;
    std::string meant;
    for (std::size_t i = 1; i < 4; ++i) {
      if ((setting.types & (1 << (i - 1))) != 0) meant += (meant.empty() ? "" : ", ") + std::string(kTypes[i]);
    }
    Report("drivers.objects." + std::string(setting.name), "means nothing for the type " + Quoted(kTypes[type]), "it belongs to " + meant);
  }
  const bool bucket = objects.type == ObjectsType::kS3 || objects.type == ObjectsType::kGcs;
  if (bucket && objects.bucket.empty()) Report("drivers.objects", "the bucket is missing", "for example bucket: my-bucket");
  if (bucket && objects.bucket.find('/') != std::string::npos)
    Report("drivers.objects.bucket", Quoted(objects.bucket) + " is not a bucket's name", "write what follows the '/' as prefix");
  if (!objects.prefix.empty()) {
    if (const Status valid = ValidateObjectKey(objects.prefix); !valid) Report("drivers.objects.prefix", valid.error().message);
  }
  if (written("access_key") != written("secret_key"))
    Report(written("access_key") ? "drivers.objects.access_key" : "drivers.objects.secret_key", "access_key and secret_key come together");
  if (written("session_token") && !written("access_key"))
    Report("drivers.objects.session_token", "a session token belongs to access_key and secret_key");
  if (written("principal") != written("keytab"))
    Report(written("principal") ? "drivers.objects.principal" : "drivers.objects.keytab", "principal and keytab come together");
  if (objects.type == ObjectsType::kHdfs) {
    const auto url = ParseObjectUrl(objects.url + (objects.url.ends_with('/') ? "" : "/") + "x");
    if (objects.url.empty()) {
      Report("drivers.objects", "the url is missing", "for example url: hdfs://namenode:8020/sightline");
    } else if (!url || !*url || (*url)->type != ObjectsType::kHdfs) {
      Report("drivers.objects.url", Quoted(objects.url) + " is not a place in HDFS", "for example hdfs://namenode:8020/sightline");
    }
  }
  for (const auto& [name, file] :
       {std::pair("tls_ca", objects.tls_ca), std::pair("keytab", objects.keytab), std::pair("hadoop_conf", objects.hadoop_conf)}) {
    if (file.empty()) continue;
    const auto exists = files_.Exists(file);
    if (exists && !*exists) Report("drivers.objects." + std::string(name), "there is no " + file);
  }
  CheckEndpoint();
}

void Semantics::CheckEndpoint() {
  const ObjectsConfig& objects = config_.drivers.objects;
  if (objects.endpoint.empty()) return;
  const bool plain = objects.endpoint.starts_with("http://");
  const std::size_t scheme = objects.endpoint.find("://");
  const std::string rest = scheme == std::string::npos ? "" : objects.endpoint.substr(scheme + 3);
  if ((!plain && !objects.endpoint.starts_with("https://")) || rest.empty() || rest.find('/') < rest.size() - 1) {
    Report("drivers.objects.endpoint", Quoted(objects.endpoint) + " is not the address of a service",
           "for example https://minio.example.com:9000");
    return;
  }
  // Whoever sees one request with a bearer token can do the rest.
  const auto endpoint = ParseEndpoint(rest.ends_with('/') ? rest.substr(0, rest.size() - 1) : rest);
  const bool loopback = endpoint && endpoint->loopback();
  const bool token = objects.type == ObjectsType::kGcs || !objects.session_token.empty();
  if (plain && !loopback && token && objects.credentials != ObjectsCredentials::kAnonymous) {
    Report("drivers.objects.endpoint", "tokens would be sent to " + rest + " for everybody to read", "use https://");
  }
}

void Semantics::CheckTokens() {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < config_.access.tokens.size(); ++i) {
    const TokenConfig& token = config_.access.tokens[i];
    const std::string path = "access.tokens[" + std::to_string(i) + "]";
    if (!token.name.empty() && !names.insert(token.name).second) Report(path + ".name", "two tokens are named " + Quoted(token.name));
    const bool written = config_.places.contains(path + ".token");
    if (written == config_.places.contains(path + ".sha256")) {
      Report(path, written ? "both token and sha256" : "neither token nor sha256",
             "write token: {env: NAME}, token: {file: path} or sha256: DIGEST");
    }
    const bool digest = token.sha256.size() == 64 && std::ranges::all_of(token.sha256, [](char c) {
                          return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
                        });
    if (!token.sha256.empty() && !digest) Report(path + ".sha256", "not 64 hexadecimal digits", "printf %s \"$TOKEN\" | sha256sum");
    constexpr std::size_t kTokenMin = 16;
    if (!token.token.empty() && token.token.reveal().size() < kTokenMin)
      Report(path + ".token", "shorter than 16 characters: it could be guessed", "openssl rand -hex 32");
  }
}

void Semantics::CheckNames() {
  std::set<std::string_view> sources;
  std::map<std::string_view, std::string_view> topics;
  for (DatasetConfig& dataset : config_.datasets) {
    sources.insert(dataset.name);
    if (dataset.topic.empty()) dataset.topic = dataset.name;
    const auto [owner, fresh] = topics.emplace(dataset.topic, dataset.name);
    if (!fresh)
      Report("datasets." + dataset.name + ".topic",
             "the topic " + Quoted(dataset.topic) + " belongs to the dataset " + std::string(owner->second) + " already",
             "give each dataset a topic of its own");
  }
  if (config_.datasets.empty() && config_.places.contains("datasets")) Report("datasets", "no dataset", "add one, with its contract");
  for (const PipelineSpec& pipeline : config_.pipelines) {
    if (sources.contains(pipeline.name))
      Report("pipelines." + pipeline.name, "a dataset has the same name", "`from: " + pipeline.name + "` could mean either; rename one");
  }
}

bool Semantics::LoadContract(const std::string& file, const std::string& path, governance::Contract& into) {
  if (file.empty()) return false;
  const auto text = runtime::ReadFile(files_, file, kContractBytesMax);
  if (!text) {
    Report(path, text.error().kind == ErrorKind::kNotFound ? "there is no file " + file : text.error().message,
           text.error().kind == ErrorKind::kNotFound ? "paths are relative to " + Quoted(config_.file) : "");
    return false;
  }
  auto contract = governance::ParseContract(*text, file);
  if (!contract) {
    // Its lines name their own places, in the contract's file.
    for (const std::string_view line : Split(contract.error().message, '\n')) {
      if (!line.empty()) mistakes_.push_back({{}, std::string(line), ""});
    }
    return false;
  }
  into = std::move(*contract);
  return true;
}

void Semantics::CheckField(const governance::Contract& contract, std::string_view name, const std::string& path) {
  if (name.empty() || contract.schema.Find(name) >= 0) return;
  const std::vector<std::string> fields = FieldNames(contract.schema);
  std::string meant = Meant(name, fields);
  if (meant.empty()) meant = "it has " + List(fields);
  Report(path, "the contract " + Quoted(contract.name) + " has no field " + Quoted(name), std::move(meant));
}

void Semantics::CheckDataset(DatasetConfig& dataset) {
  const std::string path = "datasets." + dataset.name;
  // Kafka has segments of its own.
  if (config_.drivers.bus.type == BusType::kLog && dataset.retain.bytes != 0 &&
      dataset.retain.bytes / static_cast<std::uint64_t>(std::max(dataset.partitions, 1)) < config_.drivers.bus.segment_bytes * 2) {
    Report(path + ".retain.bytes",
           FormatBytes(dataset.retain.bytes) + " over " + std::to_string(dataset.partitions) + " partitions is less than two segments of " +
               FormatBytes(config_.drivers.bus.segment_bytes) + " each",
           "allow more, or make drivers.bus.segment smaller");
  }
  if (!LoadContract(dataset.contract_file, path + ".contract", dataset.contract)) return;
  if (dataset.contract.schema.Find(dataset.partition_by) >= 0) partitioned_.insert(dataset.name);
  const governance::Contract& contract = dataset.contract;
  CheckField(contract, dataset.partition_by, path + ".partition_by");
  CheckGate(dataset);
  if (contract.event_time < 0) {
    Report(path + ".contract", "the contract " + Quoted(contract.name) + " names no event-time field, which a dataset needs");
  } else if (!dataset.watermark.on.empty()) {
    const std::string& event_time = contract.schema.fields[static_cast<std::size_t>(contract.event_time)].name;
    if (dataset.watermark.on != event_time)
      Report(path + ".watermark.on", Quoted(dataset.watermark.on) + " is not the contract's event-time field",
             "did you mean " + Quoted(event_time) + "?");
  }
  for (const auto& [from, to] : dataset.determines) {
    CheckField(contract, from, path + ".determines." + from);
    for (const std::string& name : to) CheckField(contract, name, path + ".determines." + from);
  }
}

// After the contract was loaded.
void Semantics::CheckGate(const DatasetConfig& dataset) {
  if (!dataset.gate) return;
  const GateConfig& gate = *dataset.gate;
  const std::string path = "datasets." + dataset.name + ".gate";
  if (config_.drivers.bus.type != BusType::kKafka) {
    Report(path, "nobody else writes to the embedded log: there events come in by ingest",
           "leave `gate` out and send events to POST /v1/datasets/" + dataset.name +
               "/events or by `sightline send`, or write drivers.bus.type: kafka");
    return;
  }
  CheckGateTopics(dataset);
  const bool framed = gate.format == GateFormat::kConfluent;
  if (framed && !config_.drivers.bus.registry) {
    Report(path + ".format", "`confluent` values name schemas of a registry, and there is none", "add drivers.bus.registry: {url: ...}");
  }
  if (!framed && config_.places.contains(path + ".schema")) {
    Report(path + ".schema", "only `format: confluent` has a registry", "leave it out");
  }
  if (gate.format != GateFormat::kProtobuf && !(framed && gate.schema == SchemaLanguage::kProtobuf)) return;
  for (std::size_t f = 0; f < dataset.contract.rules.size(); ++f) {
    const governance::FieldRule& rule = dataset.contract.rules[f];
    if (!rule.required || rule.protobuf_number != 0) continue;
    Report(path + (framed ? ".schema" : ".format"),
           "the contract gives its required field " + Quoted(dataset.contract.schema.fields[f].name) +
               " no Protobuf number: every record would lack it",
           "add the custom property protobufNumber to the field");
  }
}

void Semantics::CheckGateTopics(const DatasetConfig& dataset) {
  const std::string& from = dataset.gate->from;
  const std::string path = "datasets." + dataset.name + ".gate.from";
  constexpr std::size_t kTopicNameMax = 249;
  const bool sound = !from.empty() && from.size() <= kTopicNameMax && std::ranges::all_of(from, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '*';
  });
  if (!sound) {
    Report(path, Quoted(from) + " is no topic of Kafka", "a topic has letters, digits and . _ - in its name; * stands for any of them");
    return;
  }
  // What the gate itself brings about, it would read again.
  const std::string& prefix = config_.drivers.bus.prefix;
  std::vector<std::string> others{"__consumer_offsets", "__transaction_state"};
  for (const DatasetConfig& one : config_.datasets) {
    others.push_back(prefix + one.topic);
    others.push_back(prefix + DeadLetterTopic(one.name));
  }
  for (const PipelineSpec& pipeline : config_.pipelines) others.push_back(prefix + DeadLetterTopic(pipeline.name));
  for (const std::string& topic : others) {
    if (!MatchesGlob(from, topic)) continue;
    Report(path, Quoted(from) + " takes in " + Quoted(topic) + (topic.starts_with("__") ? ", a topic of Kafka's own" : ", a topic of ours"),
           from == topic ? "the accepted events need a topic of their own: change `topic`, or drivers.bus.prefix"
                         : "write a narrower pattern, or set drivers.bus.prefix");
    return;
  }
}

void Semantics::CheckReference(ReferenceConfig& reference) {
  const std::string path = "references." + reference.name;
  if (LoadContract(reference.contract_file, path + ".contract", reference.contract)) {
    CheckField(reference.contract, reference.key, path + ".key");
  }
  const bool written = config_.places.contains(path + ".from");
  if (written == reference.postgres.has_value()) {
    Report(path, written ? "both from and postgres" : "neither from nor postgres",
           written ? "keep one of the two" : "for example from: references/locations.csv");
  }
  if (reference.postgres) CheckPostgresTls(reference.postgres->tls, path + ".postgres.tls");
  if (reference.from.empty()) return;
  constexpr std::string_view kEndings[] = {".csv", ".json", ".ndjson", ".parquet"};
  if (!std::ranges::any_of(kEndings, [&](std::string_view ending) { return reference.from.ends_with(ending); })) {
    Report(path + ".from", Quoted(reference.from) + " is of no known kind", "it must end in .csv, .json, .ndjson or .parquet");
    return;
  }
  if (const auto url = ParseObjectUrl(reference.from); url && *url) return;  // whether it is there is `doctor`'s question
  const auto exists = files_.Exists(reference.from);
  if (exists && !*exists) Report(path + ".from", "there is no file " + reference.from, "paths are relative to " + Quoted(config_.file));
}

void Semantics::CheckStatistics() {
  const StatisticsConfig& statistics = config_.drivers.statistics;
  const std::string path = "drivers.statistics";
  if (statistics.type == StatisticsType::kPostgres) {
    if (!config_.places.contains(path + ".url")) Report(path, "a Postgres store needs url", "for example url: {env: PG_URL}");
    CheckPostgresTls(statistics.tls, path + ".tls");
    return;
  }
  for (const std::string_view setting : {"url", "tls", "schema", "reader", "connections_max", "connect_timeout", "statement_timeout"}) {
    const std::string at = path + "." + std::string(setting);
    if (config_.places.contains(at)) Report(at, "the embedded store has no such setting", "write type: postgres, or leave it out");
  }
}

void Semantics::CheckFlink() {
  const bool kafka = config_.drivers.bus.type == BusType::kKafka;
  const auto& flink = config_.drivers.flink;
  if (flink) {
    const std::string path = "drivers.flink";
    if (!kafka) Report(path, "Flink reads and writes Kafka's topics, and drivers.bus is the embedded log", "write bus: {type: kafka, …}");
    if (Contains(flink->sinks, "jdbc") && flink->jdbc.empty())
      Report(path + ".sinks", "the sink jdbc needs `jdbc`", "for example jdbc: jdbc:postgresql://host/database");
    if (Contains(flink->sinks, "files") && flink->files.empty())
      Report(path + ".sinks", "the sink files needs `files`", "for example files: s3://bucket/results");
  }
  for (const PipelineSpec& pipeline : config_.pipelines) {
    const std::string path = "pipelines." + pipeline.name + ".engine";
    if (!config_.places.contains(path)) continue;
    if (config_.FindPipeline(pipeline.from) != nullptr) {
      Report(path, "a pipeline that reads another's results runs where that one does", "leave it out, or say it where the dataset is read");
    } else if (pipeline.engine == PipelineEngine::kFlink && !flink) {
      Report(path, "there is no Flink cluster", "add drivers.flink with its gateway");
    }
  }
}

void Semantics::CheckPostgresTls(const PostgresTlsConfig& tls, const std::string& path) {
  for (const auto& [name, file] : {std::pair("ca", tls.ca), std::pair("certificate", tls.certificate), std::pair("key", tls.key)}) {
    if (file.empty()) continue;
    const auto exists = files_.Exists(file);
    if (exists && !*exists) Report(path + "." + name, "there is no file " + file);
  }
  if (tls.certificate.empty() != tls.key.empty()) Report(path, "certificate and key go together", "add the other, or leave both out");
}

std::vector<std::string> Semantics::SourceNames() const {
  std::vector<std::string> names;
  for (const DatasetConfig& dataset : config_.datasets) names.push_back(dataset.name);
  for (const PipelineSpec& pipeline : config_.pipelines) names.push_back(pipeline.name);
  return names;
}

void Semantics::CheckSource(const PipelineSpec& pipeline) {
  if (pipeline.from.empty() || config_.FindDataset(pipeline.from) != nullptr || config_.FindPipeline(pipeline.from) != nullptr) return;
  const std::vector<std::string> names = SourceNames();
  std::string meant = Meant(pipeline.from, names);
  if (meant.empty() && config_.FindReference(pipeline.from) != nullptr) meant = "it is a reference, for an enrich step";
  if (meant.empty()) meant = "there are " + List(names);
  Report("pipelines." + pipeline.name + ".from", "no dataset and no pipeline is named " + Quoted(pipeline.from), std::move(meant));
}

void Semantics::CheckCycles() {
  for (const PipelineSpec& start : config_.pipelines) {
    std::vector<std::string> way{start.name};
    for (const PipelineSpec* at = config_.FindPipeline(start.from); at != nullptr; at = config_.FindPipeline(at->from)) {
      if (Contains(way, at->name)) {
        in_a_cycle_.insert(start.name);
        // Reported once, at the first pipeline of the cycle in the file; pipelines that only lead into it keep silent.
        const bool first = at->name == start.name && std::ranges::none_of(way, [&](const std::string& name) {
                             return name != start.name && in_a_cycle_.contains(name);
                           });
        if (first) {
          std::string shown;
          for (const std::string& name : way) shown += name + " reads from ";
          Report("pipelines." + start.name + ".from", shown + start.name + ": a circle", "begin from a dataset");
        }
        break;
      }
      way.push_back(at->name);
    }
  }
}

void Semantics::CheckGroup(const PipelineSpec& pipeline, const std::string& path, const std::vector<std::string>& columns,
                           std::string_view what) {
  if (in_a_cycle_.contains(pipeline.name) || columns.empty()) return;
  const DatasetConfig* dataset = config_.RootOf(pipeline);
  if (dataset == nullptr || !partitioned_.contains(dataset->name)) return;
  if (pipeline.engine == PipelineEngine::kFlink) return;  // shuffles are what it is for
  if (Contains(dataset->Determined(columns), dataset->partition_by)) return;
  std::string meant = "add " + dataset->partition_by + ", or say in datasets." + dataset->name + " what they determine: `determines: {" +
                      columns[0] + ": [" + dataset->partition_by + "]}`";
  if (config_.FindDataset(pipeline.from) != nullptr && what == "the group")
    meant += "; groups over all partitions belong in a second pipeline `from: " + pipeline.name + "`, or run it on Flink (`engine: flink`)";
  Report(path,
         std::string(what) + " [" + List(columns) + "] does not determine " + Quoted(dataset->partition_by) + ", by which " +
             dataset->name + " is partitioned: equal ones could lie in two partitions",
         std::move(meant));
}

void Semantics::CheckEnrich(const EnrichStep& step, const std::string& path) {
  if (step.with.empty() || config_.FindReference(step.with) != nullptr) return;
  std::vector<std::string> names;
  for (const ReferenceConfig& reference : config_.references) names.push_back(reference.name);
  std::string meant = Meant(step.with, names);
  if (meant.empty()) meant = names.empty() ? "add it below `references`" : "there are " + List(names);
  Report(path + ".with", "no reference is named " + Quoted(step.with), std::move(meant));
}

void Semantics::CheckSteps(const PipelineSpec& pipeline) {
  // Results of a pipeline may be grouped over all partitions; events may not.
  const bool from_dataset = config_.FindDataset(pipeline.from) != nullptr;
  const DedupeStep* dedupe = nullptr;
  std::string dedupe_path;
  for (std::size_t i = 0; i < pipeline.steps.size(); ++i) {
    const std::string path = "pipelines." + pipeline.name + ".steps[" + std::to_string(i) + "]";
    const auto& step = pipeline.steps[i].step;
    if (const auto* s = std::get_if<DedupeStep>(&step)) {
      dedupe = s;
      dedupe_path = path + ".dedupe";
      CheckGroup(pipeline, dedupe_path + ".by", s->by, "the key");
    } else if (const auto* enrich = std::get_if<EnrichStep>(&step)) {
      CheckEnrich(*enrich, path + ".enrich");
    } else if (const auto* aggregate = std::get_if<AggregateStep>(&step); aggregate != nullptr && from_dataset) {
      CheckGroup(pipeline, path + ".aggregate.by", aggregate->by, "the group");
    } else if (const auto* rank = std::get_if<RankStep>(&step); rank != nullptr && from_dataset) {
      CheckGroup(pipeline, path + ".rank.within", rank->within, "the group");
    } else if (const auto* window = std::get_if<WindowStep>(&step); window != nullptr && dedupe != nullptr && dedupe->within.count() > 0) {
      const auto needed = window->size + window->allowed_lateness;
      if (dedupe->within < needed) {
        Report(dedupe_path + ".within",
               FormatDuration(dedupe->within) + " is shorter than window plus allowed lateness, " + FormatDuration(needed) +
                   ": a duplicate could be counted",
               "write at least " + FormatDuration(needed));
      }
    }
  }
}

}  // namespace

void CheckSemantics(runtime::FileSystem& files, Config& config, std::vector<Mistake>& mistakes) {
  Semantics(files, config, mistakes).Check();
}

}  // namespace sightline::config
