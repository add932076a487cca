#include <algorithm>

#include "sightline/base/text.h"
#include "sightline/ingest/framing.h"
#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/json_writer.h"
#include "sightline/serve/url.h"

namespace sightline::serve::internal {
namespace {

constexpr std::int64_t kRecordsDefault = 100;
constexpr std::int64_t kRecordsMax = 10'000;
constexpr std::size_t kAnswerBytesMax = 32 << 20;
constexpr std::uint64_t kAppendBodyMax = 16 << 20;
constexpr std::size_t kAppendRecordsMax = 100'000;

std::string_view EncodingName(bus::Encoding encoding) {
  switch (encoding) {
    case bus::Encoding::kJson: return "json";
    case bus::Encoding::kProtobuf: return "protobuf";
    case bus::Encoding::kBinary: return "binary";
  }
  return "binary";
}

std::string_view DurabilityName(bus::Durability durability) {
  switch (durability) {
    case bus::Durability::kFsync: return "fsync";
    case bus::Durability::kInterval: return "interval";
    case bus::Durability::kOs: return "os";
  }
  return "fsync";
}

void WriteTopic(JsonWriter& json, const bus::TopicInfo& info) {
  json.BeginObject()
      .Field("name", info.spec.name)
      .Field("owned", info.spec.owned)
      .Field("durability", DurabilityName(info.spec.durability));
  json.Field("retain_time_ms", info.spec.retain_time.count()).Field("retain_bytes", info.spec.retain_bytes);
  json.Name("partitions").BeginArray();
  std::int32_t number = 0;
  for (const auto& p : info.partitions) {
    json.BeginObject().Field("partition", number++).Field("start", p.start.value).Field("end", p.end.value);
    json.Field("visible", p.visible.value).Field("durable", p.durable.value).Field("epoch", p.epoch.value);
    json.Field("bytes", p.bytes).Field("segments", p.segments).Field("dropped", p.dropped).EndObject();
  }
  json.EndArray().EndObject();
}

// Raw records carry everything: who may see some locations only may not see them at all.
Status RefuseGrants(const Request& request) {
  if (!request.principal.grants) return {};
  return Fail(ErrorKind::kPermissionDenied, "'" + request.principal.name + "' may see some rows only, and records can't be shown in part");
}

Result<Response> List(const ApiContext& context) {
  SL_ASSIGN_OR_RETURN(const auto names, context.bus->Topics());
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Name("topics").BeginArray();
  for (const auto& name : names) {
    SL_ASSIGN_OR_RETURN(const auto info, context.bus->Describe(name));
    WriteTopic(json, info);
  }
  json.EndArray().EndObject();
  return JsonResponse(200, std::move(out));
}

Result<Response> Describe(const ApiContext& context, const Request& request) {
  SL_ASSIGN_OR_RETURN(const auto info, context.bus->Describe(std::string(request.PathValue("topic"))));
  std::string out;
  JsonWriter json(out);
  WriteTopic(json, info);
  return JsonResponse(200, std::move(out));
}

void WriteRecord(JsonWriter& json, const bus::Batch& batch, std::size_t i) {
  json.BeginObject().Field("offset", batch.offset(i).value).Field("append_time", batch.time(i).value);
  if (batch.type == bus::BatchType::kTick) {
    json.Field("tick", true).EndObject();
    return;
  }
  json.Field("encoding", EncodingName(batch.encoding));
  if (!batch.keys.empty()) AppendBytesField("key", batch.keys[i], json.BeginRaw());
  AppendBytesField("value", batch.values[i], json.BeginRaw());
  json.EndObject();
}

Result<Response> Records(const ApiContext& context, const Request& request) {
  SL_TRY(RefuseGrants(request));
  const std::string topic(request.PathValue("topic"));
  SL_ASSIGN_OR_RETURN(const auto info, context.bus->Describe(topic));
  const auto partitions = static_cast<std::int64_t>(info.partitions.size());
  SL_ASSIGN_OR_RETURN(const std::int64_t partition, IntegerParameter(request, "partition", 0, 0, partitions - 1));
  SL_ASSIGN_OR_RETURN(const std::int64_t limit, IntegerParameter(request, "limit", kRecordsDefault, 1, kRecordsMax));
  const auto& bounds = info.partitions[static_cast<std::size_t>(partition)];
  SL_ASSIGN_OR_RETURN(const auto asked, IntegerParameter(request, "offset"));
  Offset at = asked ? Offset(*asked) : bounds.start;
  // Negative: that many before the end.
  if (asked && *asked < 0) at = std::max(bounds.start, bounds.visible + *asked);
  SL_ASSIGN_OR_RETURN(const auto reader, context.bus->OpenReader({topic, Partition(static_cast<std::int32_t>(partition))}, at));
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Field("topic", topic).Field("partition", partition).Name("records").BeginArray();
  std::int64_t left = limit;
  Offset next = reader->position();
  while (left > 0 && out.size() < kAnswerBytesMax) {
    SL_ASSIGN_OR_RETURN(const auto batch, reader->Next());
    if (!batch) break;
    for (std::size_t i = 0; i < batch->values.size() && left > 0 && out.size() < kAnswerBytesMax; ++i, --left) {
      WriteRecord(json, *batch, i);
      next = batch->offset(i) + 1;
    }
  }
  json.EndArray().Field("next_offset", next.value).Field("end", bounds.visible.value).EndObject();
  return JsonResponse(200, std::move(out));
}

// What one append looks at until the bus has answered.
struct Produce {
  std::shared_ptr<const Request> request;
  std::vector<std::string_view> values;
  Responder respond;
};

// Names of topics that the program writes itself.
bool IsOurs(std::string_view topic) { return topic.starts_with("results.") || topic.starts_with("dead_letters."); }

Status CheckWritable(const ApiContext& context, const bus::TopicInfo& info) {
  if (IsOurs(info.spec.name)) {
    return Fail(ErrorKind::kFailedPrecondition, "the topic " + info.spec.name + " is written by its pipeline or dataset alone");
  }
  if (info.spec.owned) {
    return Fail(ErrorKind::kFailedPrecondition, "the topic " + info.spec.name + " is written by its pipeline alone");
  }
  if (std::ranges::find(context.accepted_topics, info.spec.name) != context.accepted_topics.end()) {
    return Fail(ErrorKind::kFailedPrecondition,
                "the topic " + info.spec.name + " holds accepted events only; offer them with POST /v1/datasets/{dataset}/events");
  }
  return {};
}

Result<std::int32_t> Split(const ApiContext& context, Produce& produce, bus::Encoding& encoding) {
  const Request& request = *produce.request;
  const std::string topic(request.PathValue("topic"));
  if (request.Query("create").value_or("false") == "true" && !context.bus->Describe(topic)) {
    if (IsOurs(topic)) return Fail(ErrorKind::kInvalidArgument, "a topic of your own can't be named results.… or dead_letters.…");
    bus::TopicSpec spec;
    spec.name = topic;
    SL_TRY(context.bus->EnsureTopic(spec));
  }
  SL_ASSIGN_OR_RETURN(const auto info, context.bus->Describe(topic));
  SL_TRY(CheckWritable(context, info));
  const auto partitions = static_cast<std::int64_t>(info.partitions.size());
  SL_ASSIGN_OR_RETURN(const std::int64_t partition, IntegerParameter(request, "partition", partitions == 1 ? 0 : -1, 0, partitions - 1));
  if (partition < 0) {
    return Fail(ErrorKind::kInvalidArgument, "say which partition: the topic has " + std::to_string(partitions));
  }
  SL_ASSIGN_OR_RETURN(const auto format, ingest::FormatOfMediaType(MediaType(request.headers.Find("Content-Type"))));
  encoding = format == ingest::Format::kProtobuf ? bus::Encoding::kProtobuf : bus::Encoding::kJson;
  switch (format) {
    case ingest::Format::kProtobuf: SL_TRY(ingest::SplitDelimited(request.body.view(), kAppendRecordsMax, produce.values)); break;
    case ingest::Format::kJson: SL_TRY(ingest::SplitJson(request.body.view(), kAppendRecordsMax, produce.values)); break;
    case ingest::Format::kLines:
      for (std::string_view line : sightline::Split(request.body.view(), '\n')) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!line.empty()) produce.values.push_back(line);
      }
      break;
  }
  if (produce.values.empty()) return Fail(ErrorKind::kInvalidArgument, "the body holds no record");
  if (produce.values.size() > kAppendRecordsMax) return Fail(ErrorKind::kInvalidArgument, "more than 100000 records in one request");
  return static_cast<std::int32_t>(partition);
}

void Append(const ApiContext& context, std::shared_ptr<const Request> request, Responder respond) {
  auto produce = std::make_shared<Produce>();
  produce->request = std::move(request);
  produce->respond = std::move(respond);
  bus::AppendBatch batch;
  const auto partition = Split(context, *produce, batch.encoding);
  if (!partition) return produce->respond(ErrorResponse(partition.error(), produce->request->id));
  batch.values = produce->values;
  const std::string topic(produce->request->PathValue("topic"));
  context.bus->Append({topic, Partition(*partition)}, batch, [produce, partition = *partition](Result<bus::Appended> appended) {
    if (!appended) return produce->respond(ErrorResponse(appended.error(), produce->request->id));
    std::string out;
    JsonWriter(out)
        .BeginObject()
        .Field("partition", partition)
        .Field("base", appended->base.value)
        .Field("count", appended->count)
        .EndObject();
    produce->respond(JsonResponse(200, std::move(out)));
  });
}

Route VerifyRoute(const Context& context) {
  Route verify;
  verify.pattern = "/v1/topics/{topic}/verify";
  // It reads all of the topic's bytes: not for everybody.
  verify.guard = Guard::Needs(security::Permission::kAdmin);
  verify.tag = "topics";
  verify.summary = "Reads every stored batch of the topic and checks it";
  verify.answers = {{200, "What was found", kJsonOnly,
                     R"({"type":"object","required":["topic","holds","partitions"],"properties":{"topic":{"type":"string"},
    "holds":{"type":"boolean"},"partitions":{"type":"array","items":{"type":"object","properties":{"partition":{"type":"integer"},
    "batches":{"type":"integer"},"records":{"type":"integer"},"bytes":{"type":"integer"},"repaired":{"type":"integer"},
    "torn_tail_bytes":{"type":"integer"},"remarks":{"type":"array","items":{"type":"string"}},
    "damages":{"type":"array","items":{"type":"object","properties":{"from":{"type":"integer"},"to":{"type":"integer"},
      "file":{"type":"string"},"position":{"type":"integer"}}}}}}}}})"}};
  verify.on_worker = true;
  verify.handler = Answering([context](const Request& request) -> Result<Response> {
    SL_ASSIGN_OR_RETURN(std::string json, context->verify(std::string(request.PathValue("topic"))));
    return JsonResponse(200, std::move(json));
  });
  return verify;
}

}  // namespace

void AddTopicRoutes(RouteTable& table, const Context& context) {
  using In = RouteParameter::In;
  table.AddSchema("Topic",
                  R"({"type":"object","properties":{"name":{"type":"string"},"owned":{"type":"boolean"},"durability":{"type":"string"},
    "partitions":{"type":"array","items":{"type":"object","additionalProperties":{"type":"integer"}}}},"additionalProperties":true})");
  Route list;
  list.pattern = "/v1/topics";
  list.guard = Guard::Needs(security::Permission::kTopicsRead);
  list.tag = "topics";
  list.summary = "The topics and their partitions";
  list.answers = {{200, "The topics", kJsonOnly,
                   R"({"type":"object","properties":{"topics":{"type":"array","items":{"$ref":"#/components/schemas/Topic"}}}})"}};
  list.on_worker = true;
  list.handler = Answering([context](const Request&) { return List(*context); });
  table.Add(std::move(list));

  Route describe;
  describe.pattern = "/v1/topics/{topic}";
  describe.guard = Guard::Needs(security::Permission::kTopicsRead);
  describe.tag = "topics";
  describe.summary = "A topic and its partitions";
  describe.answers = {{200, "The topic", kJsonOnly, R"({"$ref":"#/components/schemas/Topic"})"}};
  describe.on_worker = true;
  describe.handler = Answering([context](const Request& request) { return Describe(*context, request); });
  table.Add(std::move(describe));

  Route records;
  records.pattern = "/v1/topics/{topic}/records";
  records.guard = Guard::Needs(security::Permission::kTopicsRead);
  records.tag = "topics";
  records.summary = "Records of a partition from an offset on; go on from next_offset";
  records.parameters = {
      {In::kQuery, "partition", "", R"({"type":"integer","minimum":0,"default":0})", false},
      {In::kQuery, "offset", "The first one; without it the oldest there is; negative: that many before the end",
       R"({"type":"integer","format":"int64"})", false},
      {In::kQuery, "limit", "How many at most", R"({"type":"integer","minimum":1,"maximum":10000,"default":100})", false}};
  records.answers = {
      {200, "The records; value_base64url where the bytes are not text", kJsonOnly,
       R"({"type":"object","properties":{"topic":{"type":"string"},"partition":{"type":"integer"},"next_offset":{"type":"integer"},
    "end":{"type":"integer"},"records":{"type":"array","items":{"type":"object","properties":{"offset":{"type":"integer"},
    "append_time":{"type":"integer"},"encoding":{"type":"string"},"value":{"type":"string"}},"additionalProperties":true}}}})"}};
  records.on_worker = true;
  records.handler = Answering([context](const Request& request) { return Records(*context, request); });
  table.Add(std::move(records));

  if (context->verify) table.Add(VerifyRoute(context));

  Route append;
  append.method = Method::kPost;
  append.pattern = "/v1/topics/{topic}/records";
  append.guard = Guard::Needs(security::Permission::kTopicsWrite);
  append.tag = "topics";
  append.summary = "Appends records as they are to a topic that others write";
  append.parameters = {
      {In::kQuery, "partition", "Needed where there are several", R"({"type":"integer","minimum":0})", false},
      {In::kQuery, "create", "Makes the topic, with one partition, when it is not there", R"({"type":"boolean","default":false})", false}};
  append.request_types = {"application/x-ndjson", "application/json", "application/x-protobuf"};
  append.answers = {
      {200, "Where they stand", kJsonOnly,
       R"({"type":"object","properties":{"partition":{"type":"integer"},"base":{"type":"integer"},"count":{"type":"integer"}}})"},
      {409, "The topic is not for others to write", kJsonOnly, R"({"$ref":"#/components/schemas/Error"})"}};
  append.body_bytes_max = kAppendBodyMax;
  append.decodes_content = true;
  append.on_worker = true;
  append.handler = [context](std::shared_ptr<const Request> request, Responder respond) {
    Append(*context, std::move(request), std::move(respond));
  };
  table.Add(std::move(append));
}

}  // namespace sightline::serve::internal
