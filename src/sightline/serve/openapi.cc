#include <nlohmann/json.hpp>

#include <set>

#include "sightline/base/text.h"
#include "sightline/serve/route_table.h"

namespace sightline::serve {
namespace {

using Json = nlohmann::ordered_json;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// "POST /v1/datasets/{dataset}/events" is "post_v1_datasets_dataset_events".
std::string OperationId(const Route& route) {
  std::string id = Lower(MethodName(route.method));
  for (const std::string_view segment : Split(route.pattern, '/')) {
    if (segment.empty()) continue;
    id += '_';
    for (const char c : segment) {
      if (c == '-' || c == '.') id += '_';
      if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_') id += c;
    }
  }
  return id;
}

Json Content(const std::vector<std::string>& media_types, const std::string& schema) {
  Json content = Json::object();
  for (const auto& type : media_types) {
    const bool json = type == "application/json" || type == "application/x-ndjson" || type == "text/event-stream";
    if (json && !schema.empty()) {
      content[type]["schema"] = Json::parse(schema);
    } else {
      content[type] = Json::object();
    }
  }
  return content;
}

Json ErrorAnswer(std::string description) {
  return Json{{"description", std::move(description)},
              {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
}

Json ParametersOf(const Route& route) {
  Json parameters = Json::array();
  for (const std::string_view segment : Split(route.pattern, '/')) {
    if (!segment.starts_with('{')) continue;
    parameters.push_back(
        {{"name", segment.substr(1, segment.size() - 2)}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
  }
  for (const auto& parameter : route.parameters) {
    Json json{{"name", parameter.name},
              {"in", parameter.in == RouteParameter::In::kQuery ? "query" : "header"},
              {"description", parameter.description},
              {"required", parameter.required},
              {"schema", Json::parse(parameter.schema)}};
    // "*" stands for a parameter for each column of the pipeline.
    if (parameter.name == "*") {
      json["name"] = "columns";
      json["style"] = "form";
      json["explode"] = true;
    }
    parameters.push_back(std::move(json));
  }
  return parameters;
}

Json AnswersOf(const Route& route) {
  Json answers = Json::object();
  for (const auto& answer : route.answers) {
    Json json{{"description", answer.description}};
    if (!answer.media_types.empty()) json["content"] = Content(answer.media_types, answer.schema);
    answers[std::to_string(answer.status)] = std::move(json);
  }
  const auto error = [&](const char* status, const char* description) {
    if (!answers.contains(status)) answers[status] = ErrorAnswer(description);
  };
  error("400", "The request is wrong; the message says where.");
  if (route.guard.kind != Guard::Kind::kOpen) error("401", "Nobody is signed in and no token was sent.");
  if (route.guard.kind == Guard::Kind::kPermission) error("403", "A permission is missing, or the request comes from another site's page.");
  if (route.pattern.find('{') != std::string::npos) error("404", "There is no such thing.");
  error("429", "A limit is reached; try again after Retry-After seconds.");
  error("500", "The server failed; its log says more under the request's id.");
  return answers;
}

Json Operation(const Route& route) {
  Json operation{{"operationId", OperationId(route)}, {"summary", route.summary}, {"tags", Json::array({route.tag})}};
  if (Json parameters = ParametersOf(route); !parameters.empty()) operation["parameters"] = std::move(parameters);
  if (!route.request_types.empty()) {
    operation["requestBody"] = {{"required", true}, {"content", Content(route.request_types, route.request_schema)}};
  }
  operation["responses"] = AnswersOf(route);
  if (route.guard.kind == Guard::Kind::kOpen) {
    operation["security"] = Json::array();
  } else {
    operation["security"] = Json::array({{{"token", Json::array()}}, {{"session", Json::array()}}});
  }
  if (route.guard.kind == Guard::Kind::kPermission) {
    operation["x-permission"] = std::string(security::PermissionName(route.guard.permission));
  }
  return operation;
}

}  // namespace

std::string RouteTable::OpenApi(const std::string& version) const {
  Json document{{"openapi", "3.1.0"},
                {"info",
                 {{"title", "sightline"},
                  {"version", version},
                  {"summary", "Counts what cameras see: ingest, live and stored results, topics and SQL."},
                  {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
                {"servers", Json::array({{{"url", "/"}}})},
                {"tags", Json::array()},
                {"paths", Json::object()},
                {"components",
                 {{"securitySchemes",
                   {{"token", {{"type", "http"}, {"scheme", "bearer"}, {"description", "The admin token, or one from the configuration."}}},
                    {"session", {{"type", "apiKey"}, {"in", "cookie"}, {"name", std::string(kSessionCookie)}}}}},
                  {"schemas", Json::object()}}}};
  std::set<std::string> tags;
  for (const auto& route : routes_) {
    if (route.hidden) continue;
    document["paths"][route.pattern][Lower(MethodName(route.method))] = Operation(route);
    if (tags.insert(route.tag).second) document["tags"].push_back({{"name", route.tag}});
  }
  Json& schemas = document["components"]["schemas"];
  schemas["Error"] = Json::parse(R"({"type":"object","required":["error"],"properties":{"error":{"type":"object",
    "required":["kind","message","request_id"],"properties":{"kind":{"type":"string"},"message":{"type":"string"},
    "request_id":{"type":"string"}}}}})");
  for (const auto& [name, schema] : schemas_) schemas[name] = Json::parse(schema);
  return document.dump(2) + "\n";
}

}  // namespace sightline::serve
