#include "sightline/serve/api/status.h"

#include "sightline/serve/json_writer.h"

namespace sightline::serve {
namespace {

void WriteDataset(JsonWriter& json, const ServerStatus::Dataset& dataset) {
  json.BeginObject().Field("name", dataset.name).Field("topic", dataset.topic).Name("partitions").BeginArray();
  for (const auto& p : dataset.partitions) {
    json.BeginObject().Field("partition", p.partition).Field("start", p.start).Field("end", p.end);
    json.Field("durable", p.durable).Field("bytes", p.bytes).EndObject();
  }
  json.EndArray().EndObject();
}

void WritePipeline(JsonWriter& json, const ServerStatus::Pipeline& pipeline) {
  json.BeginObject().Field("name", pipeline.name).Field("state", pipeline.failed ? "failed" : "running").Field("error", pipeline.error);
  json.Field("in", pipeline.in).Name("verdicts").BeginObject();
  for (std::size_t i = 0; i < kVerdicts; ++i) json.Field(kVerdictNames[i], pipeline.verdicts[i]);
  json.EndObject().Field("unknown_location", pipeline.unknown_location).Field("partially_late", pipeline.partially_late);
  json.Field("extra_fields", pipeline.extra_fields);
  json.Field("results", pipeline.results).Name("rate_per_s").Rate(pipeline.rate_per_s);
  json.Field("lag_records", pipeline.lag_records).Field("lag_ms", pipeline.lag_ms).Field("watermark", pipeline.watermark);
  json.Field("open_windows", pipeline.open_windows).Field("state_bytes", pipeline.state_bytes).Field("commits", pipeline.commits);
  if (pipeline.job) {
    json.Name("job").BeginObject().Field("engine", pipeline.job->engine).Field("id", pipeline.job->id).Field("state", pipeline.job->state);
    json.Field("restarts", pipeline.job->restarts).Field("checkpoints", pipeline.job->checkpoints);
    json.Field("checkpoints_failed", pipeline.job->checkpoints_failed).Field("checkpoint_at", pipeline.job->checkpoint_at);
    json.Field("failure", pipeline.job->failure).EndObject();
  }
  json.Name("partitions").BeginArray();
  for (const auto& p : pipeline.partitions) {
    json.BeginObject().Field("partition", p.partition).Field("offset", p.offset).Field("end", p.end);
    json.Name("rate_per_s").Rate(p.rate_per_s).Field("watermark", p.watermark).Field("hot", p.hot);
    json.Field("restore_ms", p.restore_ms).EndObject();
  }
  json.EndArray().EndObject();
}

void WriteGate(JsonWriter& json, const ServerStatus::Gate& gate) {
  json.BeginObject().Field("dataset", gate.dataset).Field("from", gate.from).Field("in", gate.in).Field("accepted", gate.accepted);
  json.Field("malformed", gate.malformed).Field("invalid", gate.invalid).Field("lost", gate.lost).Field("partitions", gate.partitions);
  json.Field("lag_records", gate.lag_records).Field("registry_answers", gate.registry_answers).Field("error", gate.error).EndObject();
}

}  // namespace

std::string ToJson(const ServerStatus& status) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Field("version", status.version).Field("uptime_ms", status.uptime_ms).Field("now", status.now.value);
  json.Name("datasets").BeginArray();
  for (const auto& dataset : status.datasets) WriteDataset(json, dataset);
  json.EndArray().Name("pipelines").BeginArray();
  for (const auto& pipeline : status.pipelines) WritePipeline(json, pipeline);
  json.EndArray().Name("sinks").BeginArray();
  for (const auto& sink : status.sinks) {
    json.BeginObject().Field("name", sink.name).Field("offset", sink.offset).Field("end", sink.end).Field("error", sink.error).EndObject();
  }
  json.EndArray().Name("gates").BeginArray();
  for (const auto& gate : status.gates) WriteGate(json, gate);
  json.EndArray().Name("live").BeginObject().Field("clients", status.live_clients);
  json.Name("messages_per_s").Rate(status.live_messages_per_s).EndObject().EndObject();
  return out;
}

}  // namespace sightline::serve
