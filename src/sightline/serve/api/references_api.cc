#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/api/rows.h"
#include "sightline/serve/json_writer.h"
#include "sightline/tabular/json.h"

namespace sightline::serve::internal {
namespace {

void WriteInfo(JsonWriter& json, const References::Info& info) {
  json.Field("name", info.name).Field("rows", info.rows).Field("version", info.version).Field("loaded_at", info.loaded_at.value);
}

Result<Response> List(const ApiContext& context) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Name("references").BeginArray();
  for (const auto& info : context.references->List()) {
    json.BeginObject();
    WriteInfo(json, info);
    json.EndObject();
  }
  json.EndArray().EndObject();
  return JsonResponse(200, std::move(out));
}

Result<Response> Rows(const ApiContext& context, const Request& request) {
  SL_ASSIGN_OR_RETURN(const References::Table table, context.references->Rows(std::string(request.PathValue("reference"))));
  std::vector<stores::ColumnFilter> filters;
  SL_TRY(AddGrants(request.principal, table.schema, filters));
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Field("name", table.info.name).Field("version", table.info.version).Name("rows").BeginArray();
  for (std::size_t row = 0; row < table.rows->rows; ++row) {
    if (Passes(filters, table.schema, *table.rows, row)) tabular::AppendJsonObject(table.schema, *table.rows, row, json.BeginRaw());
  }
  json.EndArray().EndObject();
  return JsonResponse(200, std::move(out));
}

Result<Response> Reload(const ApiContext& context, const Request& request) {
  SL_ASSIGN_OR_RETURN(const References::Info info, context.references->Reload(std::string(request.PathValue("reference"))));
  std::string out;
  JsonWriter json(out);
  json.BeginObject();
  WriteInfo(json, info);
  json.EndObject();
  return JsonResponse(200, std::move(out));
}

}  // namespace

void AddReferenceRoutes(RouteTable& table, const Context& context) {
  table.AddSchema("Reference", R"({"type":"object","properties":{"name":{"type":"string"},"rows":{"type":"integer"},
    "version":{"type":"integer"},"loaded_at":{"type":"integer","format":"int64"}}})");
  const std::string info = R"({"$ref":"#/components/schemas/Reference"})";
  Route list;
  list.pattern = "/v1/references";
  list.guard = Guard::Needs(security::Permission::kResultsRead);
  list.tag = "references";
  list.summary = "The reference tables";
  list.answers = {{200, "The tables", kJsonOnly, R"({"type":"object","properties":{"references":{"type":"array","items":)" + info + "}}}"}};
  list.handler = Answering([context](const Request&) { return List(*context); });
  table.Add(std::move(list));

  Route rows;
  rows.pattern = "/v1/references/{reference}";
  rows.guard = Guard::Needs(security::Permission::kResultsRead);
  rows.tag = "references";
  rows.summary = "All rows of a reference table";
  rows.answers = {{200, "The rows", kJsonOnly, R"({"type":"object","properties":{"name":{"type":"string"},"version":{"type":"integer"},
    "rows":{"type":"array","items":{"type":"object","additionalProperties":true}}}})"}};
  rows.on_worker = true;
  rows.handler = Answering([context](const Request& request) { return Rows(*context, request); });
  table.Add(std::move(rows));

  Route reload;
  reload.method = Method::kPost;
  reload.pattern = "/v1/references/{reference}/reload";
  reload.guard = Guard::Needs(security::Permission::kAdmin);
  reload.tag = "references";
  reload.summary = "Reads a reference table's source again: results from then on carry the new version";
  reload.answers = {{200, "The new version", kJsonOnly, info}};
  reload.on_worker = true;
  reload.handler = Answering([context](const Request& request) { return Reload(*context, request); });
  table.Add(std::move(reload));
}

}  // namespace sightline::serve::internal
