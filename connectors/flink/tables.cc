#include "connectors/flink/tables_internal.h"

#include <algorithm>

#include "connectors/flink/select_internal.h"
#include "connectors/flink/sql_words.h"

namespace sightline::flink {
namespace {

using std::chrono::milliseconds;

// Brokers end a transaction that is open for longer; they allow fifteen minutes unless told otherwise.
constexpr const char* kTransactionTimeoutMs = "600000";

constexpr const char* kValidFrom = "  valid_from AS TO_TIMESTAMP_LTZ(-62135596800000, 3)";  // before every event

std::string Joined(const std::vector<std::string>& items, const std::string& between) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : between) + item;
  return out;
}

std::string Column(const Field& field, bool not_null = true) {
  return "  " + Name(field.name) + " " + std::string(TypeWord(field.type)) + (!field.nullable && not_null ? " NOT NULL" : "");
}

std::string Create(const std::string& name, const std::vector<std::string>& columns, const Options& options,
                   const std::string& partitioned = "") {
  return "CREATE TEMPORARY TABLE " + Name(name) + " (\n" + Joined(columns, ",\n") + "\n)" + partitioned + " " + With(options);
}

Options KafkaOptions(const JobSettings& settings, const std::string& connector, const std::string& topic) {
  Options options = {{"connector", connector}, {"topic", topic}, {"properties.bootstrap.servers", Joined(settings.kafka.brokers, ",")}};
  for (const auto& [name, value] : settings.kafka.properties) options.emplace_back("properties." + name, value);
  return options;
}

void AddExactlyOnce(const JobSettings& settings, const std::string& topic, Options& options) {
  options.emplace_back("sink.delivery-guarantee", "exactly-once");
  options.emplace_back("sink.transactional-id-prefix", settings.kafka.prefix + topic);
  options.emplace_back("properties.transaction.timeout.ms", kTransactionTimeoutMs);
}

// The columns of a row as a table has them: the window, then the pipeline's.
std::vector<std::string> FlatColumns(const flow::PipelinePlan& pipeline, const std::vector<std::string>& keys) {
  std::vector<std::string> columns = {"  window_start TIMESTAMP(3) NOT NULL", "  window_end TIMESTAMP(3) NOT NULL"};
  for (Field field : pipeline.shape.schema.fields) {
    // A key cannot be null in a table, whatever it may be here.
    field.nullable = std::ranges::find(keys, field.name) == keys.end();
    columns.push_back(Column(field));
  }
  return columns;
}

std::string PrimaryKey(const std::vector<std::string>& keys) {
  std::vector<std::string> names = {"window_start"};
  for (const std::string& key : keys) names.push_back(Name(key));
  return "  PRIMARY KEY (" + Joined(names, ", ") + ") NOT ENFORCED";
}

Statement Insert(const std::string& sink, std::string sql, std::string comment = "") {
  return {Statement::Kind::kInsert, sink, std::move(comment), "INSERT INTO " + Name(sink) + "\n" + std::move(sql)};
}

Statement FlatInsert(const flow::PipelinePlan& pipeline, const std::string& sink, const std::string& further = "") {
  Select select;
  select.columns = {"window_start", "window_end"};
  for (const Field& field : pipeline.shape.schema.fields) select.Add(Name(field.name));
  if (!further.empty()) select.Add(further);
  select.from = Name(pipeline.name);
  return Insert(sink, select.ToString());
}

}  // namespace

bool JudgesAhead(const flow::DatasetPlan& dataset) { return dataset.watermark.ahead_max.count() > 0; }

Statement SourceTable(const flow::DatasetPlan& dataset, const std::string& root, const JobSettings& settings) {
  std::vector<std::string> columns;
  for (const Field& field : dataset.contract->schema.fields) columns.push_back(Column(field));
  const std::string on = Name(dataset.watermark.on);
  columns.push_back("  event_time AS TO_TIMESTAMP_LTZ(" + on + ", 3)");
  columns.emplace_back("  arrival AS PROCTIME()");
  columns.emplace_back("  kafka_partition INT NOT NULL METADATA FROM 'partition' VIRTUAL");
  columns.emplace_back("  kafka_offset BIGINT NOT NULL METADATA FROM 'offset' VIRTUAL");
  // A window ends here a millisecond before its end, hence the millisecond.
  const std::string delayed = "event_time - " + Interval(dataset.watermark.out_of_orderness + milliseconds(1));
  if (JudgesAhead(dataset)) {
    columns.emplace_back("  kafka_time TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL");
    columns.emplace_back("  kafka_headers MAP<STRING NOT NULL, BYTES> METADATA FROM 'headers' VIRTUAL");
    columns.push_back("  is_ahead AS TO_TIMESTAMP_LTZ(" + on +
                      ", 3)\n    > COALESCE(TO_TIMESTAMP_LTZ(CAST(CAST(kafka_headers['sl-at'] AS STRING) AS BIGINT), 3), kafka_time) + " +
                      Interval(dataset.watermark.ahead_max));
    columns.push_back("  WATERMARK FOR event_time AS CASE WHEN NOT is_ahead THEN " + delayed + " END");
  } else {
    columns.push_back("  WATERMARK FOR event_time AS " + delayed);
  }
  Options options = KafkaOptions(settings, "kafka", settings.kafka.prefix + dataset.topic);
  options.emplace_back("properties.group.id", settings.kafka.prefix + "flink." + root);
  options.emplace_back("properties.isolation.level", "read_committed");
  options.emplace_back("scan.startup.mode", settings.startup);
  if (settings.bounded) options.emplace_back("scan.bounded.mode", "latest-offset");
  options.emplace_back("scan.topic-partition-discovery.interval", "0");
  options.emplace_back("scan.watermark.emit.strategy", "on-event");
  options.emplace_back("scan.parallelism", std::to_string(dataset.partitions));
  options.emplace_back("format", "json");
  options.emplace_back("json.ignore-parse-errors", "false");
  return {Statement::Kind::kTable, dataset.name, "Accepted events: what is malformed or breaks the contract never gets here.",
          Create(dataset.name, columns, options)};
}

Statement ReferenceTable(const flow::ReferencePlan& reference, const ReferenceSource& source, const JobSettings& settings) {
  std::vector<std::string> columns;
  for (std::size_t i = 0; i < reference.schema.fields.size(); ++i) {
    Field field = reference.schema.fields[i];
    field.nullable = static_cast<int>(i) != reference.key;
    columns.push_back(Column(field));
  }
  const std::string key =
      "  PRIMARY KEY (" + Name(reference.schema.fields[static_cast<std::size_t>(reference.key)].name) + ") NOT ENFORCED";
  Statement table{Statement::Kind::kTable, reference.name, "", ""};
  Options options;
  switch (source.kind) {
    case ReferenceSource::Kind::kFile:
      columns.emplace_back(kValidFrom);
      columns.emplace_back("  WATERMARK FOR valid_from AS valid_from");
      columns.push_back(key);
      options = {{"connector", "filesystem"}, {"path", source.location}, {"format", "json"}};
      table.comment = "Read once, when the job starts; rows wait until it is. A change of the table needs `sightline jobs upgrade`.";
      break;
    case ReferenceSource::Kind::kTopic:
      columns.emplace_back(kValidFrom);
      columns.emplace_back("  WATERMARK FOR valid_from AS valid_from");
      columns.push_back(key);
      options = KafkaOptions(settings, "upsert-kafka", source.location);
      options.emplace_back("properties.isolation.level", "read_committed");
      options.emplace_back("scan.bounded.mode", "latest-offset");
      options.emplace_back("key.format", "json");
      options.emplace_back("value.format", "json");
      table.comment =
          "As it was when the job was submitted; rows wait until it is read. A change of the table needs `sightline jobs upgrade`.";
      break;
    case ReferenceSource::Kind::kJdbc:
      columns.push_back(key);
      options = {{"connector", "jdbc"}, {"url", source.location}, {"table-name", source.table}};
      if (!source.user.empty()) options.emplace_back("username", source.user);
      if (!source.password.empty()) options.emplace_back("password", source.password);
      options.emplace_back("lookup.cache", "PARTIAL");
      options.emplace_back("lookup.partial-cache.max-rows", "100000");
      options.emplace_back("lookup.partial-cache.expire-after-write", "10s");
      table.comment = "Looked up in the database, and remembered for ten seconds.";
      break;
  }
  table.sql = Create(reference.name, columns, options);
  return table;
}

Sink LateSink(const std::string& root, const std::vector<DeadLetters>& letters, const JobSettings& settings) {
  const std::string name = root + "_dead_letters";
  Options options = KafkaOptions(settings, "kafka", settings.kafka.prefix + LateTopic(root));
  options.emplace_back("key.format", "json");
  options.emplace_back("key.fields", "kafka_partition");
  options.emplace_back("value.format", "json");
  AddExactlyOnce(settings, LateTopic(root), options);
  Sink sink;
  sink.table = {Statement::Kind::kTable, name, "Dead letters: where the record lies, and why it is not counted.",
                Create(name, {"  kafka_partition INT NOT NULL", "  kafka_offset BIGINT NOT NULL", "  reason STRING NOT NULL"}, options)};
  std::string all;
  for (const DeadLetters& some : letters) {
    all += (all.empty() ? "SELECT kafka_partition, kafka_offset, " : "\nUNION ALL SELECT kafka_partition, kafka_offset, ") +
           Text(some.reason) + " FROM " + Name(some.from) + " WHERE " + some.condition;
  }
  sink.insert = Insert(name, std::move(all));
  return sink;
}

Sink ResultsSink(const flow::PipelinePlan& pipeline, const JobSettings& settings) {
  const std::string name = pipeline.name + "_results";
  std::vector<std::string> group;
  std::vector<std::string> columns = {"  window_start TIMESTAMP(3) NOT NULL", "  window_end TIMESTAMP(3) NOT NULL"};
  std::vector<std::string> key = {"window_start"};
  for (const int column : pipeline.shape.group) {
    Field field = pipeline.shape.schema.fields[static_cast<std::size_t>(column)];
    field.nullable = true;
    columns.push_back(Column(field));
    group.push_back(Name(field.name));
  }
  // Results of one group lie in one partition, in order; over all groups there is one partition.
  if (!pipeline.shape.group.empty()) {
    key.clear();
    for (const int column : pipeline.shape.group) key.push_back(pipeline.shape.schema.fields[static_cast<std::size_t>(column)].name);
  }
  std::vector<std::string> fields;
  std::vector<std::string> values;
  for (const Field& field : pipeline.shape.schema.fields) {
    fields.push_back(Name(field.name) + " " + std::string(TypeWord(field.type)));
    values.push_back(Name(field.name));
  }
  columns.push_back("  result_rows ARRAY<ROW<\n" + Listed(fields, 4) + ">>");
  columns.emplace_back("  run INT NOT NULL");
  Options options = KafkaOptions(settings, "kafka", settings.kafka.prefix + RowsTopic(pipeline.name));
  options.emplace_back("key.format", "json");
  options.emplace_back("key.fields", Joined(key, ";"));
  options.emplace_back("value.format", "json");
  options.emplace_back("value.json.timestamp-format.standard", "ISO-8601");
  AddExactlyOnce(settings, RowsTopic(pipeline.name), options);
  Select select;
  select.columns = {"window_start", "window_end"};
  select.columns.insert(select.columns.end(), group.begin(), group.end());
  select.Add("ARRAY_AGG(ROW(\n" + Listed(values, 4) + "))");
  select.Add(std::to_string(settings.run));
  select.from = Name(pipeline.name);
  select.group_by = {"window_start", "window_end"};
  select.group_by.insert(select.group_by.end(), group.begin(), group.end());
  Sink sink;
  sink.table = {Statement::Kind::kTable, name, "Results, a message a window and group with all its rows: sightline brings them home.",
                Create(name, columns, options)};
  sink.insert = Insert(name, select.ToString());
  return sink;
}

Sink UpsertSink(const flow::PipelinePlan& pipeline, const JobSettings& settings) {
  const std::string name = pipeline.name + "_rows";
  const std::vector<std::string> keys = RowKey(pipeline);
  std::vector<std::string> columns = FlatColumns(pipeline, keys);
  columns.push_back(PrimaryKey(keys));
  Options options = KafkaOptions(settings, "upsert-kafka", settings.kafka.prefix + UpsertTopic(pipeline.name));
  options.emplace_back("key.format", "json");
  options.emplace_back("value.format", "json");
  AddExactlyOnce(settings, UpsertTopic(pipeline.name), options);
  return {{Statement::Kind::kTable, name, "Rows by their key, in a topic that may be compacted.", Create(name, columns, options)},
          FlatInsert(pipeline, name)};
}

Sink FilesSink(const flow::PipelinePlan& pipeline, const JobSettings& settings) {
  const std::string name = pipeline.name + "_files";
  std::vector<std::string> columns = FlatColumns(pipeline, {});
  columns.emplace_back("  window_day STRING");
  std::vector<std::string> by = {"window_day"};
  if (pipeline.shape.group.size() == 1) {
    by.insert(by.begin(), Name(pipeline.shape.schema.fields[static_cast<std::size_t>(pipeline.shape.group[0])].name));
  }
  Options options = {{"connector", "filesystem"},
                     {"path", settings.sinks.files + "/" + pipeline.name},
                     {"format", "parquet"},
                     {"sink.rolling-policy.rollover-interval", "10 min"}};
  return {{Statement::Kind::kTable, name, "Parquet files, by group and day.",
           Create(name, columns, options, " PARTITIONED BY (" + Joined(by, ", ") + ")")},
          FlatInsert(pipeline, name, "DATE_FORMAT(window_start, 'yyyy-MM-dd')")};
}

Sink JdbcSink(const flow::PipelinePlan& pipeline, const JobSettings& settings) {
  const std::string name = pipeline.name + "_table";
  const std::vector<std::string> keys = RowKey(pipeline);
  std::vector<std::string> columns = FlatColumns(pipeline, keys);
  columns.push_back(PrimaryKey(keys));
  Options options = {{"connector", "jdbc"}, {"url", settings.sinks.jdbc}, {"table-name", pipeline.name}};
  if (!settings.sinks.jdbc_user.empty()) options.emplace_back("username", settings.sinks.jdbc_user);
  if (!settings.sinks.jdbc_password.empty()) options.emplace_back("password", settings.sinks.jdbc_password);
  return {{Statement::Kind::kTable, name, "Rows by their key, in a database.", Create(name, columns, options)}, FlatInsert(pipeline, name)};
}

std::vector<std::string> RowKey(const flow::PipelinePlan& pipeline) {
  std::vector<std::string> keys;
  const auto add = [&](const std::string& name) {
    if (pipeline.shape.schema.Find(name) >= 0 && std::ranges::find(keys, name) == keys.end()) keys.push_back(name);
  };
  for (const int column : pipeline.shape.group) add(pipeline.shape.schema.fields[static_cast<std::size_t>(column)].name);
  if (pipeline.ranked) {
    add("rank");
    return keys;
  }
  for (const std::string& key : pipeline.keys) add(key);
  // A regrouping's own columns tell its rows apart.
  for (std::size_t i = pipeline.close_ops.size(); i-- > 0;) {
    const auto* regroup = std::get_if<flow::RegroupOp>(&pipeline.close_ops[i]);
    if (regroup == nullptr) continue;
    for (const int column : regroup->by) add(pipeline.close_schemas[i].fields[static_cast<std::size_t>(column)].name);
    break;
  }
  return keys;
}

}  // namespace sightline::flink
