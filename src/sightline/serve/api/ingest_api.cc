#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/json_writer.h"
#include "sightline/serve/url.h"

namespace sightline::serve::internal {
namespace {

constexpr std::size_t kKeyMax = 256;
// Judging that much takes a fraction of a millisecond, which live clients on the same loop do not feel.
constexpr std::uint64_t kInlineMax = 256 << 10;

std::string ReceiptJson(const ingest::Receipt& receipt) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Field("received", receipt.received).Field("accepted", receipt.accepted);
  json.Name("rejected").BeginObject().Field("malformed", receipt.malformed).Field("invalid", receipt.invalid).EndObject();
  json.Name("rejects").BeginArray();
  for (const auto& note : receipt.rejects) {
    json.BeginObject().Field("line", note.line).Field("verdict", VerdictName(note.verdict));
    json.Field("field", note.field).Field("cause", note.cause).EndObject();
  }
  json.EndArray();
  if (receipt.repeated) json.Field("repeated", true);
  json.EndObject();
  return out;
}

void Take(const ApiContext& context, const std::shared_ptr<const Request>& request, Responder respond) {
  const auto format = ingest::FormatOfMediaType(MediaType(request->headers.Find("Content-Type")));
  if (!format) {
    Response response = ErrorResponse(format.error(), request->id);
    response.status = 415;
    return respond(std::move(response));
  }
  ingest::Offer offer;
  offer.dataset = request->PathValue("dataset");
  offer.format = *format;
  offer.body = request->body.view();
  offer.owner = request;
  offer.idempotency_key = request->headers.Find("Idempotency-Key");
  offer.principal = request->principal.name;
  offer.request_id = request->id;
  if (offer.idempotency_key.size() > kKeyMax) {
    return respond(ErrorResponse({ErrorKind::kInvalidArgument, "an Idempotency-Key has at most 256 characters"}, request->id));
  }
  context.ingest->Take(std::move(offer), [id = request->id, respond = std::move(respond)](Result<ingest::Receipt> receipt) {
    if (receipt) return respond(JsonResponse(receipt->accepted > 0 ? 200 : 422, ReceiptJson(*receipt)));
    Response response = ErrorResponse(receipt.error(), id);
    if (receipt.error().kind == ErrorKind::kOutOfRange) response.status = 413;
    respond(std::move(response));
  });
}

}  // namespace

void AddIngestRoutes(RouteTable& table, const Context& context) {
  table.AddSchema("Receipt", R"({"type":"object","required":["received","accepted","rejected","rejects"],"properties":{
    "received":{"type":"integer"},"accepted":{"type":"integer"},
    "rejected":{"type":"object","properties":{"malformed":{"type":"integer"},"invalid":{"type":"integer"}}},
    "rejects":{"type":"array","description":"the first 20","items":{"type":"object","properties":{
      "line":{"type":"integer","description":"from 1; the number of the record where the body has no lines"},
      "verdict":{"type":"string","enum":["malformed","invalid"]},"field":{"type":"string"},"cause":{"type":"string"}}}},
    "repeated":{"type":"boolean","description":"all of it was taken before, under the same Idempotency-Key"}}})");
  const std::string receipt = R"({"$ref":"#/components/schemas/Receipt"})";
  const std::string error = R"({"$ref":"#/components/schemas/Error"})";
  Route route;
  route.method = Method::kPost;
  route.pattern = "/v1/datasets/{dataset}/events";
  route.guard = Guard::Needs(security::Permission::kIngestWrite);
  route.tag = "ingest";
  route.summary = "Offers records to a dataset; a success means that they are as durable as the dataset's topic promises";
  route.parameters = {{RouteParameter::In::kHeader, "Idempotency-Key", "The same key and body within 24 hours are taken once",
                       R"({"type":"string","maxLength":256})", false},
                      {RouteParameter::In::kHeader, "Content-Encoding", "How the body is compressed",
                       R"({"type":"string","enum":["gzip","zstd","identity"]})", false}};
  route.request_types = {"application/x-ndjson", "application/json", "application/x-protobuf"};
  route.request_schema =
      R"({"description":"The dataset's contract says what a record is: one a line (NDJSON), an object or an array (JSON), or varint-length-delimited messages (Protobuf)."})";
  route.answers = {{200, "At least one record was accepted", kJsonOnly, receipt},
                   {409, "The Idempotency-Key came with another body before", kJsonOnly, error},
                   {413, "The body is too large, or holds too many records", kJsonOnly, error},
                   {415, "The Content-Type or Content-Encoding is not known", kJsonOnly, error},
                   {422, "No record was accepted", kJsonOnly, receipt},
                   {503, "The log can't take records now; try again after Retry-After seconds", kJsonOnly, error}};
  route.body_bytes_max = context->ingest_body_max;
  route.decodes_content = true;
  route.worker_above = kInlineMax;
  route.handler = [context](std::shared_ptr<const Request> request, Responder respond) { Take(*context, request, std::move(respond)); };
  table.Add(std::move(route));
}

}  // namespace sightline::serve::internal
