#include <nlohmann/json.hpp>

#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/api/rows.h"
#include "sightline/serve/json_writer.h"
#include "sightline/tabular/json.h"

namespace sightline::serve::internal {
namespace {

constexpr std::uint64_t kStatementMax = 256 << 10;

Response AsJson(const SqlRunner::Answer& answer) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Name("columns").BeginArray();
  for (const auto& field : answer.schema.fields) {
    json.BeginObject().Field("name", field.name).Field("type", FieldTypeName(field.type)).EndObject();
  }
  json.EndArray().Name("rows").BeginArray();
  for (std::size_t row = 0; row < answer.rows.rows; ++row) tabular::AppendJsonArray(answer.schema, answer.rows, row, json.BeginRaw());
  json.EndArray().Field("truncated", answer.truncated).EndObject();
  return JsonResponse(200, std::move(out));
}

Result<Response> Run(const ApiContext& context, const Request& request) {
  const auto body = nlohmann::json::parse(request.body.view(), nullptr, false);
  if (!body.is_object() || !body.contains("sql") || !body["sql"].is_string()) {
    return Fail(ErrorKind::kInvalidArgument, R"(send {"sql":"select ..."})");
  }
  SL_ASSIGN_OR_RETURN(const RowFormat format, FormatOf(request));
  SL_ASSIGN_OR_RETURN(const SqlRunner::Answer answer, context.sql->Run(body["sql"].get<std::string>(), request.principal));
  if (format == RowFormat::kJson) return AsJson(answer);
  SL_ASSIGN_OR_RETURN(RowsResponse rows, RowsResponse::Make(format, answer.schema));
  SL_TRY(rows.Add(answer.rows));
  SL_ASSIGN_OR_RETURN(Response response, std::move(rows).Finish(""));
  response.Set("X-Truncated", answer.truncated ? "true" : "false");
  return response;
}

class StatisticsSql final : public SqlRunner {
 public:
  explicit StatisticsSql(stores::SqlService& service) : service_(service) {}
  Result<Answer> Run(const std::string& sql, const security::Principal& principal) override {
    stores::SqlRequest request;
    request.principal = principal.name;
    request.sql = sql;
    if (principal.grants) {
      request.grants = [&principal](const stores::StatisticsTable& table) { return GrantsOf(principal, table); };
    }
    SL_ASSIGN_OR_RETURN(stores::SqlAnswer answer, service_.Run(request));
    return Answer{std::move(answer.schema), std::move(answer.rows), answer.truncated};
  }

 private:
  static std::vector<stores::ColumnFilter> GrantsOf(const security::Principal& principal, const stores::StatisticsTable& table) {
    std::vector<stores::ColumnFilter> filters;
    // What can't be filtered is not seen at all: no value fits.
    if (!AddGrants(principal, stores::RowSchema(table.shape), filters)) return {{"window_start", {}}};
    return filters;
  }
  stores::SqlService& service_;
};

}  // namespace

void AddSqlRoutes(RouteTable& table, const Context& context) {
  Route route;
  route.method = Method::kPost;
  route.pattern = "/v1/sql";
  route.guard = Guard::Needs(security::Permission::kSqlRun);
  route.tag = "results";
  route.summary = "Runs a read-only SQL statement over the stored results, within limits of time, memory and rows";
  route.parameters = {
      {RouteParameter::In::kQuery, "format", "Instead of Accept", R"({"type":"string","enum":["json","csv","arrow"]})", false}};
  route.request_types = kJsonOnly;
  route.request_schema = R"({"type":"object","required":["sql"],"properties":{"sql":{"type":"string"}}})";
  route.answers = {{200, "Columns and rows; truncated when there were more than the limit", kRowTypes,
                    R"({"type":"object","required":["columns","rows","truncated"],"properties":{
      "columns":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"type":{"type":"string"}}}},
      "rows":{"type":"array","items":{"type":"array"}},"truncated":{"type":"boolean"}}})"},
                   {504, "It took longer than allowed", kJsonOnly, R"({"$ref":"#/components/schemas/Error"})"}};
  route.body_bytes_max = kStatementMax;
  route.on_worker = true;
  route.handler = Answering([context](const Request& request) { return Run(*context, request); });
  table.Add(std::move(route));
}

}  // namespace sightline::serve::internal

namespace sightline::serve {

std::unique_ptr<SqlRunner> MakeSqlRunner(stores::SqlService& service) { return std::make_unique<internal::StatisticsSql>(service); }

}  // namespace sightline::serve
