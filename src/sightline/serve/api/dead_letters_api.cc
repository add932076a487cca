#include <nlohmann/json.hpp>

#include <algorithm>

#include "sightline/base/bytes.h"
#include "sightline/base/text.h"
#include "sightline/model/dead_letter.h"
#include "sightline/security/secret.h"
#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/json_writer.h"

namespace sightline::serve::internal {
namespace {

constexpr std::int64_t kLettersDefault = 100;
constexpr std::int64_t kLettersMax = 1'000;
// With a reason that is rare a page may need many records; then it comes back shorter, with a cursor to go on.
constexpr std::int64_t kScannedMax = 200'000;
constexpr std::size_t kAnswerBytesMax = 16 << 20;
constexpr std::uint64_t kReplayBodyMax = 1 << 20;
constexpr std::size_t kReplayLettersMax = 10'000;

// Where the next page begins: the topic's place in the pipeline's list, the partition, the offset.
struct Place {
  std::uint64_t topic = 0;
  std::uint64_t partition = 0;
  std::int64_t offset = -1;  // -1: the partition's start
};

std::string CursorOf(const Place& place) {
  std::string raw;
  ByteWriter to(raw);
  to.PutVarint(place.topic);
  to.PutVarint(place.partition);
  to.PutVarint(ZigZag(place.offset));
  return security::Base64Url(raw);
}

Result<Place> ParseCursor(std::string_view text) {
  Place place;
  if (text.empty()) return place;
  const auto raw = security::ParseBase64Url(text);
  ByteReader from(raw ? std::string_view(*raw) : std::string_view());
  place.topic = from.GetVarint();
  place.partition = from.GetVarint();
  place.offset = UnZigZag(from.GetVarint());
  if (!raw || !from.done()) return Fail(ErrorKind::kInvalidArgument, "cursor must be the next_cursor of an answer");
  return place;
}

Result<std::optional<Verdict>> ParseReason(std::string_view text) {
  if (text.empty()) return std::optional<Verdict>();
  for (std::size_t i = static_cast<std::size_t>(Verdict::kLate); i < kVerdicts; ++i) {
    if (kVerdictNames[i] == text) return std::optional<Verdict>(static_cast<Verdict>(i));
  }
  return Fail(ErrorKind::kInvalidArgument,
              "reason must be late, future, malformed, invalid or state_limit, not '" + std::string(text) + "'");
}

std::string_view EncodingName(RecordEncoding encoding) {
  return encoding == RecordEncoding::kJson ? "json" : encoding == RecordEncoding::kProtobuf ? "protobuf" : "binary";
}

void WriteLetter(JsonWriter& json, const std::string& topic, std::uint64_t partition, Offset offset, const DeadLetter& letter) {
  json.BeginObject().Field("topic", topic).Field("partition", partition).Field("offset", offset.value);
  json.Field("reason", VerdictName(letter.reason)).Field("field", letter.field).Field("cause", letter.cause);
  json.Name("origin").BeginObject();
  if (letter.origin == DeadLetterOrigin::kIngest) {
    json.Field("kind", "ingest").Field("dataset", letter.topic).Field("record", letter.offset.value).Field("request_id", letter.request_id);
  } else {
    json.Field("kind", "topic")
        .Field("topic", letter.topic)
        .Field("partition", letter.partition.value)
        .Field("offset", letter.offset.value);
  }
  json.EndObject().Field("received", letter.received.value).Field("encoding", EncodingName(letter.encoding));
  json.Field("original_size", letter.original_size).Field("shortened", letter.shortened());
  AppendBytesField("original", letter.original, json.BeginRaw());
  json.EndObject();
}

// Fills one page by going through topics and partitions from a place on.
class Page {
 public:
  Page(bus::Bus& bus, std::optional<Verdict> reason, std::int64_t limit, JsonWriter& json, std::string& out)
      : bus_(bus), reason_(reason), left_(limit), json_(json), out_(out) {}

  // False when the page is full; `place` then says where to go on.
  Result<bool> Read(const std::string& topic, Place& place) {
    SL_ASSIGN_OR_RETURN(const auto info, bus_.Describe(topic));
    for (; place.partition < info.partitions.size(); ++place.partition, place.offset = -1) {
      const auto& bounds = info.partitions[place.partition];
      // What retention has taken since the last page is gone.
      const Offset at = std::max(bounds.start, Offset(place.offset));
      SL_ASSIGN_OR_RETURN(const auto reader, bus_.OpenReader({topic, Partition(static_cast<std::int32_t>(place.partition))}, at));
      while (true) {
        SL_ASSIGN_OR_RETURN(const auto batch, reader->Next());
        if (!batch) break;
        SL_ASSIGN_OR_RETURN(const bool more, ReadBatch(topic, *batch, place));
        if (!more) return false;
      }
    }
    place.partition = 0;
    return true;
  }

 private:
  Result<bool> ReadBatch(const std::string& topic, const bus::Batch& batch, Place& place) {
    for (std::size_t i = 0; i < batch.values.size(); ++i) {
      const Offset offset = batch.base + static_cast<std::int64_t>(i);
      if (left_ == 0 || scanned_ == kScannedMax || out_.size() > kAnswerBytesMax) {
        place.offset = offset.value;
        return false;
      }
      ++scanned_;
      if (batch.type == bus::BatchType::kTick) continue;
      SL_ASSIGN_OR_RETURN(const DeadLetter letter, DecodeDeadLetter(batch.values[i]));
      if (reason_ && letter.reason != *reason_) continue;
      WriteLetter(json_, topic, place.partition, offset, letter);
      --left_;
    }
    return true;
  }

  bus::Bus& bus_;
  const std::optional<Verdict> reason_;
  std::int64_t left_;
  std::int64_t scanned_ = 0;
  JsonWriter& json_;
  std::string& out_;
};

Result<Response> List(const ApiContext& context, const Request& request) {
  if (request.principal.grants) {
    return Fail(ErrorKind::kPermissionDenied,
                "'" + request.principal.name + "' may see some rows only, and dead letters can't be shown in part");
  }
  SL_ASSIGN_OR_RETURN(const PipelineInfo* pipeline, FindPipeline(context, request.PathValue("pipeline")));
  SL_ASSIGN_OR_RETURN(const auto reason, ParseReason(request.Query("reason").value_or("")));
  SL_ASSIGN_OR_RETURN(const std::int64_t limit, IntegerParameter(request, "limit", kLettersDefault, 1, kLettersMax));
  SL_ASSIGN_OR_RETURN(Place place, ParseCursor(request.Query("cursor").value_or("")));
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Name("dead_letters").BeginArray();
  Page page(*context.bus, reason, limit, json, out);
  bool full = false;
  while (!full && place.topic < pipeline->dead_letter_topics.size()) {
    SL_ASSIGN_OR_RETURN(const bool more, page.Read(pipeline->dead_letter_topics[place.topic], place));
    full = !more;
    if (!full) ++place.topic;
  }
  json.EndArray().Field("next_cursor", full ? std::optional<std::string>(CursorOf(place)) : std::nullopt).EndObject();
  return JsonResponse(200, std::move(out));
}

Result<ReplayRequest::Letter> ParseLetter(const nlohmann::json& letter) {
  const auto is_integer = [&](const char* name) { return letter.contains(name) && letter[name].is_number_integer(); };
  if (!letter.is_object() || !letter.contains("topic") || !letter["topic"].is_string() || !is_integer("partition") ||
      !is_integer("offset")) {
    return Fail(ErrorKind::kInvalidArgument, R"(a letter is named by {"topic":"...","partition":0,"offset":0})");
  }
  return ReplayRequest::Letter{{letter["topic"].get<std::string>(), Partition(letter["partition"].get<std::int32_t>())},
                               Offset(letter["offset"].get<std::int64_t>())};
}

Result<ReplayRequest> ParseReplay(const ApiContext& context, const Request& request) {
  const auto body = nlohmann::json::parse(request.body.view(), nullptr, false);
  if (!body.is_object() || !body.contains("pipeline") || !body["pipeline"].is_string()) {
    return Fail(ErrorKind::kInvalidArgument, R"(send {"pipeline":"...","reasons":["late"]}, or single letters as "letters":[...])");
  }
  ReplayRequest replay;
  replay.pipeline = body["pipeline"].get<std::string>();
  replay.principal = request.principal.name;
  SL_TRY(FindPipeline(context, replay.pipeline));
  if (body.contains("reasons")) {
    if (!body["reasons"].is_array()) return Fail(ErrorKind::kInvalidArgument, "reasons must be a list");
    for (const auto& reason : body["reasons"]) {
      SL_ASSIGN_OR_RETURN(const auto parsed, ParseReason(reason.is_string() ? reason.get<std::string>() : std::string("?")));
      if (parsed) replay.reasons.push_back(*parsed);
    }
  }
  if (body.contains("letters")) {
    if (!body["letters"].is_array() || body["letters"].size() > kReplayLettersMax) {
      return Fail(ErrorKind::kInvalidArgument, "letters must be a list of at most 10000");
    }
    for (const auto& letter : body["letters"]) {
      SL_ASSIGN_OR_RETURN(auto parsed, ParseLetter(letter));
      replay.letters.push_back(std::move(parsed));
    }
  }
  return replay;
}

Result<Response> Replay(const ApiContext& context, const Request& request) {
  SL_ASSIGN_OR_RETURN(const ReplayRequest replay, ParseReplay(context, request));
  SL_ASSIGN_OR_RETURN(const ReplayAnswer answer, context.replay(replay));
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Field("replayed", answer.replayed).Field("already", answer.already).Field("refused", answer.refused);
  json.Name("refusals").BeginArray();
  for (const auto& refusal : answer.refusals) json.Value(refusal);
  json.EndArray().EndObject();
  return JsonResponse(200, std::move(out));
}

}  // namespace

void AddDeadLetterRoutes(RouteTable& table, const Context& context) {
  using In = RouteParameter::In;
  table.AddSchema("DeadLetter",
                  R"({"type":"object","properties":{"topic":{"type":"string"},"partition":{"type":"integer"},"offset":{"type":"integer"},
    "reason":{"type":"string","enum":["late","future","malformed","invalid","state_limit"]},"field":{"type":"string"},"cause":{"type":"string"},
    "origin":{"type":"object","properties":{"kind":{"type":"string","enum":["ingest","topic"]}},"additionalProperties":true},
    "received":{"type":"integer","format":"int64"},"encoding":{"type":"string"},"original_size":{"type":"integer"},
    "shortened":{"type":"boolean"},"original":{"type":"string"},"original_base64url":{"type":"string"}}})");
  Route list;
  list.pattern = "/v1/pipelines/{pipeline}/dead-letters";
  list.guard = Guard::Needs(security::Permission::kTopicsRead);
  list.tag = "dead letters";
  list.summary = "Records that a pipeline and its dataset did not count, with the reason and the original";
  list.parameters = {
      {In::kQuery, "reason", "Only these", R"({"type":"string","enum":["late","future","malformed","invalid","state_limit"]})", false},
      {In::kQuery, "limit", "How many at most; a page may be shorter although there are more",
       R"({"type":"integer","minimum":1,"maximum":1000,"default":100})", false},
      {In::kQuery, "cursor", "next_cursor of the page before", R"({"type":"string"})", false}};
  list.answers = {
      {200, "Oldest first within a partition", kJsonOnly, R"({"type":"object","properties":{"next_cursor":{"type":["string","null"]},
    "dead_letters":{"type":"array","items":{"$ref":"#/components/schemas/DeadLetter"}}}})"}};
  list.on_worker = true;
  list.handler = Answering([context](const Request& request) { return List(*context, request); });
  table.Add(std::move(list));
  if (!context->replay) return;

  Route replay;
  replay.method = Method::kPost;
  replay.pattern = "/v1/dead-letters/replay";
  replay.guard = Guard::Needs(security::Permission::kTopicsWrite);
  replay.tag = "dead letters";
  replay.summary = "Offers dead letters again, each original once; late ones enter as corrections";
  replay.request_types = kJsonOnly;
  replay.request_schema = R"({"type":"object","required":["pipeline"],"properties":{"pipeline":{"type":"string"},
    "reasons":{"type":"array","items":{"type":"string"}},
    "letters":{"type":"array","maxItems":10000,"items":{"type":"object","required":["topic","partition","offset"],"properties":{
      "topic":{"type":"string"},"partition":{"type":"integer"},"offset":{"type":"integer"}}}}}})";
  replay.answers = {
      {200, "What became of them", kJsonOnly, R"({"type":"object","properties":{"replayed":{"type":"integer"},"already":{"type":"integer"},
    "refused":{"type":"integer"},"refusals":{"type":"array","items":{"type":"string"}}}})"}};
  replay.body_bytes_max = kReplayBodyMax;
  replay.on_worker = true;
  replay.handler = Answering([context](const Request& request) { return Replay(*context, request); });
  table.Add(std::move(replay));
}

}  // namespace sightline::serve::internal
