#include <nlohmann/json.hpp>

#include <algorithm>

#include "sightline/base/text.h"
#include "sightline/model/dead_letter.h"
#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/api/dead_letter_pages.h"
#include "sightline/serve/json_writer.h"

namespace sightline::serve::internal {
namespace {

constexpr std::int64_t kLettersDefault = 100;
constexpr std::int64_t kLettersMax = 1'000;
constexpr std::size_t kAnswerBytesMax = 16 << 20;
constexpr std::uint64_t kReplayBodyMax = 1 << 20;
constexpr std::size_t kReplayLettersMax = 10'000;

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

void WriteLetter(JsonWriter& json, const DeadLetterPages::Place& place, const DeadLetter& letter) {
  json.BeginObject().Field("topic", place.partition.topic).Field("partition", place.partition.partition.value);
  json.Field("offset", place.offset.value);
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

Result<Response> List(const ApiContext& context, const Request& request) {
  if (request.principal.grants) {
    return Fail(ErrorKind::kPermissionDenied,
                "'" + request.principal.name + "' may see some rows only, and dead letters can't be shown in part");
  }
  SL_ASSIGN_OR_RETURN(const PipelineInfo* pipeline, FindPipeline(context, request.PathValue("pipeline")));
  SL_ASSIGN_OR_RETURN(const auto reason, ParseReason(request.Query("reason").value_or("")));
  SL_ASSIGN_OR_RETURN(const std::int64_t limit, IntegerParameter(request, "limit", kLettersDefault, 1, kLettersMax));
  SL_ASSIGN_OR_RETURN(DeadLetterPages pages,
                      DeadLetterPages::Open(*context.bus, pipeline->dead_letter_topics, request.Query("cursor").value_or("")));
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Name("dead_letters").BeginArray();
  const Status read = pages.Read(
      reason, limit, [&out] { return out.size() > kAnswerBytesMax; },
      [&json](const DeadLetterPages::Place& place, const DeadLetter& letter) { WriteLetter(json, place, letter); });
  SL_TRY(read);
  json.EndArray().Field("next_cursor", pages.cursor()).EndObject();
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
  list.answers = {{200, "Newest first; letters that come later do not change the pages that follow", kJsonOnly,
                   R"({"type":"object","properties":{"next_cursor":{"type":["string","null"]},
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
