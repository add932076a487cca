#include "sightline/model/live.h"
#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/live/live_request.h"
#include "sightline/serve/url.h"

namespace sightline::serve::internal {
namespace {

Result<Response> OpenLive(const ApiContext& context, const Request& request) {
  SL_ASSIGN_OR_RETURN(const PipelineInfo* pipeline, FindPipeline(context, request.PathValue("pipeline")));
  const auto shape = context.board->Shape(pipeline->name);
  if (!pipeline->live || shape == nullptr) {
    return Fail(ErrorKind::kFailedPrecondition, "the pipeline '" + pipeline->name + "' is not shown live: add live to its `to`");
  }
  Parameters query = request.query;
  const bool events = AcceptNames(request.headers.Find("Accept"), "text/event-stream");
  // A browser's EventSource says where it was by itself.
  const std::string_view last = request.headers.Find("Last-Event-ID");
  if (events && !last.empty() && !request.Query("resume")) query.emplace_back("resume", last);
  if (!request.Query("rate")) query.emplace_back("rate", std::to_string(context.live_rate));
  SL_ASSIGN_OR_RETURN(const LiveRequest live, ParseLiveRequest(*shape, query, request.principal));
  std::uint64_t clients = 0;
  for (const auto& [loop, hub] : context.hubs) clients += hub->clients();
  if (clients >= context.live_clients_max) {
    return Fail(ErrorKind::kResourceExhausted, "there are " + std::to_string(clients) + " live clients already, which is the limit");
  }
  if (!events && request.headers.Find("Upgrade").empty()) {
    Response response =
        ErrorResponse({ErrorKind::kInvalidArgument, "open a WebSocket here, or send Accept: text/event-stream"}, request.id);
    response.status = 426;
    response.Set("Upgrade", "websocket");
    response.Set("Connection", "Upgrade");
    return response;
  }
  Response response;
  response.status = events ? 200 : 101;
  StreamStart start;
  start.kind = events ? StreamStart::Kind::kServerSentEvents : StreamStart::Kind::kWebSocket;
  start.opened = [hubs = &context.hubs, live](Loop& loop, std::shared_ptr<Stream> stream) {
    if (const auto hub = hubs->find(&loop); hub != hubs->end()) return hub->second->Add(std::move(stream), live);
    stream->Close("nothing is shown live here");
  };
  response.stream = std::move(start);
  return response;
}

}  // namespace

void AddLiveRoutes(RouteTable& table, const Context& context) {
  using In = RouteParameter::In;
  table.AddSchema("LiveMessage", R"({"type":"object","required":["type"],"properties":{
    "type":{"type":"string","enum":["snapshot","resumed","change","ping"]},"pipeline":{"type":"string"},
    "token":{"type":"string","description":"for resume"},
    "groups":{"type":"array","items":{"type":"object","description":"replaces the former group of the same window and key; without rows it removes it; a final or corrected one closes the older windows of its key",
      "properties":{"window_start":{"type":"integer","format":"int64"},"window_end":{"type":"integer","format":"int64"},
      "state":{"type":"string","enum":["open","final","corrected"]},"revision":{"type":"integer"},
      "key":{"type":"object","additionalProperties":true},"rows":{"type":"array","items":{"type":"object","additionalProperties":true}}}}}}})");
  Route route;
  route.pattern = "/v1/pipelines/{pipeline}/live";
  route.guard = Guard::Needs(security::Permission::kResultsRead);
  route.tag = "live";
  route.summary = "Open windows and the newest final ones as they change, as a WebSocket or server-sent events: a snapshot, then changes";
  route.parameters = {
      {In::kQuery, "rate", "Messages a second at most, or all",
       R"({"oneOf":[{"type":"number","minimum":0.01,"maximum":)" + std::to_string(kLiveRateMax) + R"(},{"const":"all"}],"default":5})",
       false},
      {In::kQuery, "resume", "The token of the last message seen (or Last-Event-ID): begins with what changed since",
       R"({"type":"string"})", false},
      {In::kQuery, "*", "A group column and its value; given several times: any of them",
       R"({"type":"object","additionalProperties":{"type":"array","items":{"type":"string"}}})", false}};
  route.answers = {
      {101, "A WebSocket with a message a text frame", {}, ""},
      {200, "Server-sent events with a message each", {"text/event-stream"}, R"({"$ref":"#/components/schemas/LiveMessage"})"},
      {409, "The pipeline is not shown live", kJsonOnly, R"({"$ref":"#/components/schemas/Error"})"},
      {426, "Neither a WebSocket nor server-sent events were asked for", kJsonOnly, R"({"$ref":"#/components/schemas/Error"})"}};
  route.handler = Answering([context](const Request& request) { return OpenLive(*context, request); });
  table.Add(std::move(route));
}

}  // namespace sightline::serve::internal
