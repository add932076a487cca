#include "apps/sightline/flink.h"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "apps/sightline/references.h"
#include "sightline/base/hash.h"
#include "sightline/base/text.h"
#include "sightline/flow/task.h"
#include "sightline/tabular/json.h"

namespace sightline::app {
namespace {

using nlohmann::json;

constexpr std::size_t kRowsAtOnce = 500;

std::string Hexadecimal(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

// Rows as Flink's JSON format has them: every number is one.
Schema AsNumbers(Schema schema) {
  for (Field& field : schema.fields) field.identifier = false;
  return schema;
}

// What Kafka's Java client is to be told so that it reaches the brokers as we do.
void AddKafkaAccess(const config::BusConfig& bus, flink::KafkaAccess& access, flink::Secrets& secrets) {
  if (bus.tls || bus.sasl) {
    const std::string protocol = bus.sasl ? (bus.tls ? "SASL_SSL" : "SASL_PLAINTEXT") : "SSL";
    access.properties.emplace_back("security.protocol", protocol);
  }
  if (bus.tls && !bus.tls->ca.empty()) {
    access.properties.emplace_back("ssl.truststore.type", "PEM");
    access.properties.emplace_back("ssl.truststore.location", bus.tls->ca);
  }
  if (!bus.sasl) return;
  static constexpr std::string_view kMechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
  const std::string mechanism(kMechanisms[static_cast<std::size_t>(bus.sasl->mechanism)]);
  const std::string module = mechanism == "PLAIN" ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
  access.properties.emplace_back("sasl.mechanism", mechanism);
  access.properties.emplace_back("sasl.jaas.config", "org.apache.flink.kafka.shaded.org.apache.kafka.common.security." + module +
                                                         " required username=\"" + bus.sasl->user + "\" password=\"${KAFKA_PASSWORD}\";");
  secrets["KAFKA_PASSWORD"] = bus.sasl->password.reveal();
}

void AddSinks(const config::FlinkConfig& flink, flink::ExtraSinks& sinks, flink::Secrets& secrets) {
  const auto wanted = [&](const char* sink) { return std::ranges::find(flink.sinks, sink) != flink.sinks.end(); };
  sinks.upsert_kafka = wanted("upsert_kafka");
  if (wanted("files")) sinks.files = flink.files;
  if (!wanted("jdbc")) return;
  sinks.jdbc = flink.jdbc;
  sinks.jdbc_user = flink.jdbc_user;
  if (flink.jdbc_password.empty()) return;
  sinks.jdbc_password = "${JDBC_PASSWORD}";
  secrets["JDBC_PASSWORD"] = flink.jdbc_password.reveal();
}

// The references that the plan's chain joins with.
std::set<std::string> ReferencesOf(const flow::Plan& plan, const std::vector<std::string>& pipelines) {
  std::set<std::string> names;
  for (const std::string& name : pipelines) {
    for (int index = plan.Find(name); index >= 0; index = plan.pipelines[static_cast<std::size_t>(index)].parent) {
      const flow::PipelinePlan& pipeline = plan.pipelines[static_cast<std::size_t>(index)];
      for (const flow::RowOp& op : pipeline.row_ops) {
        if (const auto* enrich = std::get_if<flow::EnrichOp>(&op)) names.insert(enrich->reference);
      }
      for (const flow::CloseOp& op : pipeline.close_ops) {
        if (const auto* enrich = std::get_if<flow::EnrichOp>(&op)) names.insert(enrich->reference);
      }
    }
  }
  return names;
}

Status PublishRows(bus::Bus& bus, const PublishedReference& published) {
  bus::TopicSpec spec;
  spec.name = published.topic;
  SL_TRY(bus.EnsureTopic(spec));
  SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, bus.Describe(published.topic));
  if (info.partitions[0].end.value > 0) return {};  // the same rows, from an earlier job
  const Schema schema = AsNumbers(published.reference->contract.schema);
  const int key = schema.Find(published.reference->key);
  const Schema key_schema{.fields = {schema.fields[static_cast<std::size_t>(key)]}};
  for (std::size_t begin = 0; begin < published.rows.rows; begin += kRowsAtOnce) {
    const std::size_t end = std::min(published.rows.rows, begin + kRowsAtOnce);
    std::vector<std::string> texts((end - begin) * 2);
    std::vector<std::string_view> keys;
    std::vector<std::string_view> values;
    for (std::size_t row = begin; row < end; ++row) {
      std::string& key_text = texts[(row - begin) * 2];
      std::string& value_text = texts[(row - begin) * 2 + 1];
      key_text = "{";
      AppendJsonString(key_text, key_schema.fields[0].name);
      key_text += ":";
      tabular::AppendJsonValue(key_schema.fields[0], published.rows.columns[static_cast<std::size_t>(key)], row, key_text);
      key_text += "}";
      tabular::AppendJsonObject(schema, published.rows, row, value_text);
      keys.push_back(key_text);
      values.push_back(value_text);
    }
    SL_TRY(bus::AppendAndWait(bus, {published.topic, Partition(0)}, {.values = values, .keys = keys}));
  }
  return {};
}

}  // namespace

flink::HttpOptions FlinkHttp(const config::FlinkConfig& flink, const std::string& url) {
  return {.url = url, .token = flink.token.reveal(), .ca = flink.ca, .timeout = flink.timeout};
}

std::vector<std::string> FlinkPipelines(const flow::Plan& plan, const std::string& root) {
  std::vector<std::string> names;
  for (const flow::PipelinePlan& pipeline : plan.pipelines) {
    if (pipeline.engine != PipelineEngine::kFlink || !(pipeline.to_statistics || pipeline.to_live)) continue;
    int at = plan.Find(pipeline.name);
    while (plan.pipelines[static_cast<std::size_t>(at)].parent >= 0) at = plan.pipelines[static_cast<std::size_t>(at)].parent;
    if (plan.pipelines[static_cast<std::size_t>(at)].name == root) names.push_back(pipeline.name);
  }
  return names;
}

Result<FlinkSubmission> PrepareFlinkJob(const config::Config& config, const flow::Plan& plan, const std::vector<std::string>& pipelines,
                                        const runtime::Runtime& runtime, Objects& objects, const FlinkStart& start) {
  FlinkSubmission made;
  std::set<int> wanted;
  for (const std::string& name : pipelines) {
    int index = plan.Find(name);
    if (index < 0) return Fail(ErrorKind::kNotFound, "there is no pipeline " + name);
    wanted.insert(index);
    for (index = plan.pipelines[static_cast<std::size_t>(index)].parent; index >= 0;
         index = plan.pipelines[static_cast<std::size_t>(index)].parent) {
      const flow::PipelinePlan& pipeline = plan.pipelines[static_cast<std::size_t>(index)];
      if (pipeline.to_statistics || pipeline.to_live) wanted.insert(index);
      if (pipeline.parent < 0) made.root = pipeline.name;
    }
    if (made.root.empty()) made.root = name;
  }
  std::vector<std::string> names;
  for (const int index : wanted) names.push_back(plan.pipelines[static_cast<std::size_t>(index)].name);
  const config::BusConfig& bus = config.drivers.bus;
  const config::FlinkConfig flink = config.drivers.flink.value_or(config::FlinkConfig());
  made.settings.kafka.brokers = flink.brokers.empty() ? bus.brokers : flink.brokers;
  if (made.settings.kafka.brokers.empty()) made.settings.kafka.brokers = {"${BROKERS}"};  // on the embedded log the text is for reading
  made.settings.kafka.prefix = bus.prefix;
  AddKafkaAccess(bus, made.settings.kafka, made.secrets);
  AddSinks(flink, made.settings.sinks, made.secrets);
  if (flink.checkpoint_interval.count() > 0) made.settings.checkpoint_interval = flink.checkpoint_interval;
  made.settings.run = start.run;
  made.settings.bounded = start.bounded;
  for (const std::string& name : ReferencesOf(plan, names)) {
    const config::ReferenceConfig* reference = config.FindReference(name);
    if (reference->postgres && !flink.jdbc.empty()) {
      made.settings.references[name] = {flink::ReferenceSource::Kind::kJdbc, flink.jdbc, reference->postgres->table, flink.jdbc_user,
                                        flink.jdbc_password.empty() ? "" : "${JDBC_PASSWORD}"};
      if (!flink.jdbc_password.empty()) made.secrets["JDBC_PASSWORD"] = flink.jdbc_password.reveal();
      continue;
    }
    PublishedReference published{.reference = reference, .topic = "", .rows = {}};
    SL_ASSIGN_OR_RETURN(published.rows, ReadReferenceRows(*reference, runtime, objects));
    std::string bytes;
    tabular::AppendNdjson(AsNumbers(reference->contract.schema), published.rows, bytes);
    published.topic = flink::ReferenceTopic(name) + "." + Hexadecimal(Hash64(bytes));
    made.settings.references[name] = {flink::ReferenceSource::Kind::kTopic, bus.prefix + published.topic, "", "", ""};
    made.references.push_back(std::move(published));
  }
  auto job = flink::CompileJob(plan, names, made.settings);
  if (!job) {
    std::string all = "this cannot run on Flink:";
    for (const std::string& refusal : job.error()) all += "\n" + refusal;
    return Fail(ErrorKind::kFailedPrecondition, std::move(all));
  }
  made.job = std::move(*job);
  return made;
}

Status MakeFlinkTopics(bus::Bus& bus, const config::Config& config, const flow::Plan& plan, const FlinkSubmission& submission) {
  for (const config::DatasetConfig& dataset : config.datasets) SL_TRY(bus.EnsureTopic(config.TopicOf(dataset)));
  for (const std::string& name : submission.job.pipelines) {
    const int index = plan.Find(name);
    bus::TopicSpec spec;
    spec.name = flink::RowsTopic(name);
    spec.partitions = flow::PartitionsOf(plan, index);
    spec.retain_time = plan.pipelines[static_cast<std::size_t>(index)].retain.topics;
    SL_TRY(bus.EnsureTopic(spec));
    if (submission.settings.sinks.upsert_kafka) {
      spec.name = flink::UpsertTopic(name);
      SL_TRY(bus.EnsureTopic(spec));
    }
  }
  bus::TopicSpec late;
  late.name = flink::LateTopic(submission.root);
  late.partitions = flow::PartitionsOf(plan, plan.Find(submission.root));
  SL_TRY(bus.EnsureTopic(late));
  for (const PublishedReference& published : submission.references) SL_TRY(PublishRows(bus, published));
  return {};
}

Status KeepFlinkJob(bus::Bus& bus, const FlinkJobRecord& record) {
  bus::TopicSpec spec;
  spec.name = kFlinkJobsTopic;
  SL_TRY(bus.EnsureTopic(spec));
  const json value = {{"root", record.root},
                      {"pipelines", record.pipelines},
                      {"job", record.job},
                      {"run", record.run},
                      {"sql", record.sql},
                      {"savepoint", record.savepoint},
                      {"submitted_ms", record.submitted_ms},
                      {"stopped_at", record.stopped_at}};
  const std::string bytes = value.dump();
  const std::string_view values[] = {bytes};
  SL_TRY(bus::AppendAndWait(bus, {kFlinkJobsTopic, Partition(0)}, {.values = values}));
  return {};
}

Result<std::map<std::string, FlinkJobRecord>> KeptFlinkJobs(bus::Bus& bus) {
  std::map<std::string, FlinkJobRecord> jobs;
  const Result<bus::TopicInfo> info = bus.Describe(kFlinkJobsTopic);
  if (!info && info.error().kind == ErrorKind::kNotFound) return jobs;
  if (!info) return std::unexpected(info.error());
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader,
                      bus.OpenReader({kFlinkJobsTopic, Partition(0)}, info->partitions[0].start));
  for (;;) {
    SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
    if (!batch) return jobs;
    for (const std::string_view bytes : batch->values) {
      const json value = json::parse(bytes, nullptr, false);
      if (!value.is_object() || !value.contains("root")) continue;
      FlinkJobRecord record;
      try {
        record.root = value.value("root", "");
        record.pipelines = value.value("pipelines", std::vector<std::string>());
        record.job = value.value("job", "");
        record.run = value.value("run", 0U);
        record.sql = value.value("sql", "");
        record.savepoint = value.value("savepoint", "");
        record.submitted_ms = value.value("submitted_ms", std::int64_t{0});
        record.stopped_at = value.value("stopped_at", "");
      } catch (const json::exception&) {
        continue;  // nothing that this program wrote
      }
      jobs[record.root] = std::move(record);
    }
  }
}

namespace {

// Statements that make operators: what is set, and where tables lie, may change without harm to state.
std::set<std::string> Computing(const std::string& sql) {
  std::set<std::string> statements;
  std::string statement;
  for (const std::string_view line : Split(sql, '\n')) {
    if (line.starts_with("--") || line.empty()) continue;
    statement += std::string(line) + "\n";
    if (!line.ends_with(';')) continue;
    // The rows of a reference are state of the join that read them.
    const bool reference =
        statement.find("'upsert-kafka'") != std::string::npos && statement.find("'scan.bounded.mode'") != std::string::npos;
    if (!statement.starts_with("SET ")) statements.insert(reference ? statement : statement.substr(0, statement.find("\n) WITH (")));
    statement.clear();
  }
  return statements;
}

}  // namespace

std::vector<std::string> StateLost(const std::string& before, const std::string& after, const flow::Plan& plan, const std::string& root) {
  std::vector<std::string> lost;
  if (Computing(before) == Computing(after)) return lost;
  const int index = plan.Find(root);
  if (index < 0) return {"all state of " + root + ", which is no pipeline any more"};
  const flow::PipelinePlan& pipeline = plan.pipelines[static_cast<std::size_t>(index)];
  lost.push_back(
      "where the topics were read to: they are read again from their beginning, and results that are out come again as corrections");
  for (const flow::RowOp& op : pipeline.row_ops) {
    if (const auto* dedupe = std::get_if<flow::DedupeOp>(&op)) {
      lost.push_back("the ids of the last " + FormatDuration(std::chrono::milliseconds(dedupe->within)) +
                     ", by which duplicates are known");
    }
  }
  lost.push_back("the counts of the windows that are open (" + FormatDuration(pipeline.window.size) + " each)");
  return lost;
}

}  // namespace sightline::app
