#include <algorithm>
#include <map>

#include "sightline/base/text.h"
#include "sightline/serve/api/api_internal.h"
#include "sightline/serve/api/rows.h"
#include "sightline/serve/json_writer.h"

namespace sightline::serve::internal {
namespace {

constexpr std::int64_t kRowsDefault = 1'000;
constexpr std::int64_t kRowsMax = 100'000;

std::string PipelinesJson(const ApiContext& context) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Name("pipelines").BeginArray();
  for (const auto& pipeline : context.pipelines) {
    json.BeginObject().Field("name", pipeline.name).Field("from", pipeline.from).Name("columns").BeginArray();
    for (const auto& field : pipeline.shape->schema.fields) {
      json.BeginObject()
          .Field("name", field.name)
          .Field("type", FieldTypeName(field.type))
          .Field("identifier", field.identifier)
          .EndObject();
    }
    json.EndArray().Name("group").BeginArray();
    for (const int column : pipeline.shape->group) json.Value(pipeline.shape->schema.fields[static_cast<std::size_t>(column)].name);
    json.EndArray().Name("window").BeginObject().Field("size_ms", pipeline.window_size.count());
    json.Field("every_ms", pipeline.window_every.count()).EndObject();
    json.Field("ranked", pipeline.ranked).Field("live", pipeline.live).Field("statistics", pipeline.statistics).EndObject();
  }
  json.EndArray().EndObject();
  return out;
}

Result<stores::TimeRange> RangeOf(const Request& request) {
  stores::TimeRange range;
  SL_ASSIGN_OR_RETURN(const std::optional<std::int64_t> from, IntegerParameter(request, "from"));
  SL_ASSIGN_OR_RETURN(const std::optional<std::int64_t> to, IntegerParameter(request, "to"));
  if (from) range.from = EventTime(*from);
  if (to) range.to = EventTime(*to);
  if (range.from > range.to) return Fail(ErrorKind::kInvalidArgument, "from must not be after to");
  return range;
}

// A row query with what the API adds to it.
struct ResultsQuery {
  stores::RowQuery rows;
  Schema schema;
  RowFormat format = RowFormat::kJson;
  bool open = false;
};

Result<bool> FlagOf(const Request& request, std::string_view name) {
  const auto text = request.Query(name).value_or("false");
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return Fail(ErrorKind::kInvalidArgument, std::string(name) + " must be true or false, not '" + std::string(text) + "'");
}

Result<ResultsQuery> ParseResultsQuery(const PipelineInfo& pipeline, const Request& request) {
  static constexpr std::string_view kOwn[] = {"from", "to", "limit", "cursor", "format", "order", "open"};
  ResultsQuery query;
  query.schema = stores::RowSchema(*pipeline.shape);
  query.rows.pipeline = pipeline.name;
  SL_ASSIGN_OR_RETURN(query.rows.range, RangeOf(request));
  SL_ASSIGN_OR_RETURN(query.format, FormatOf(request));
  SL_ASSIGN_OR_RETURN(const std::int64_t limit, IntegerParameter(request, "limit", kRowsDefault, 1, kRowsMax));
  query.rows.limit = static_cast<std::uint64_t>(limit);
  query.rows.cursor = request.Query("cursor").value_or("");
  SL_ASSIGN_OR_RETURN(query.open, FlagOf(request, "open"));
  const auto order = request.Query("order").value_or("asc");
  if (order != "asc" && order != "desc") return Fail(ErrorKind::kInvalidArgument, "order must be asc or desc");
  query.rows.order = order == "asc" ? stores::RowQuery::Order::kAscending : stores::RowQuery::Order::kDescending;
  std::map<std::string, std::vector<std::string>> chosen;
  for (const auto& [name, value] : request.query) {
    if (std::ranges::find(kOwn, name) == std::end(kOwn)) chosen[name].push_back(value);
  }
  for (const auto& [column, values] : chosen) {
    SL_ASSIGN_OR_RETURN(auto filter, stores::ParseFilter(query.schema, column, values));
    query.rows.filters.push_back(std::move(filter));
  }
  SL_TRY(AddGrants(request.principal, query.schema, query.rows.filters));
  return query;
}

// Rows of the live board's open windows that the query asks for, in its order.
Status AddOpenWindows(const ApiContext& context, const PipelineInfo& pipeline, const ResultsQuery& query, RowsResponse& response) {
  auto entries = context.board->OpenWindows(pipeline.name);
  std::erase_if(entries, [&](const auto& entry) {
    const EventTime start = entry->header().window_start;
    return start < query.rows.range.from || start >= query.rows.range.to;
  });
  const bool descending = query.rows.order == stores::RowQuery::Order::kDescending;
  std::ranges::sort(entries, [&](const auto& a, const auto& b) {
    const EventTime left = a->header().window_start;
    const EventTime right = b->header().window_start;
    if (left != right) return descending ? left > right : left < right;
    return a->key().values < b->key().values;
  });
  for (const auto& entry : entries) {
    ColumnBatch rows;
    rows.Reset(query.schema, 1);
    AppendLiveRows(*entry, *pipeline.shape, rows);
    // All rows of a group pass or, where a filter names a column of the rows, some: those are added one by one.
    ColumnBatch passing;
    passing.Reset(query.schema, 1);
    for (std::size_t row = 0; row < rows.rows; ++row) {
      if (!Passes(query.rows.filters, query.schema, rows, row)) continue;
      ColumnBatch one;
      one.Reset(query.schema, 1);
      one.rows = 1;
      for (std::size_t i = 0; i < rows.columns.size(); ++i) {
        Column& to = one.columns[i];
        const Column& from = rows.columns[i];
        if (from.IsNull(row)) {
          to.nulls.assign(1, 1);
          continue;
        }
        if (!from.int64s.empty()) to.int64s[0] = from.int64s[row];
        if (!from.doubles.empty()) to.doubles[0] = from.doubles[row];
        if (!from.strings.empty()) to.strings[0] = from.strings[row];
      }
      SL_TRY(response.Add(one));
    }
  }
  return {};
}

Result<Response> Results(const ApiContext& context, const Request& request) {
  SL_ASSIGN_OR_RETURN(const PipelineInfo* pipeline, FindPipeline(context, request.PathValue("pipeline")));
  SL_ASSIGN_OR_RETURN(const ResultsQuery query, ParseResultsQuery(*pipeline, request));
  if (!pipeline->statistics) {
    return Fail(ErrorKind::kFailedPrecondition, "the pipeline '" + pipeline->name + "' keeps no results: add statistics to its `to`");
  }
  SL_ASSIGN_OR_RETURN(const auto stream, context.statistics->Select(query.rows));
  SL_ASSIGN_OR_RETURN(RowsResponse response, RowsResponse::Make(query.format, stream->schema()));
  const bool open = query.open && pipeline->live && context.board != nullptr;
  const bool descending = query.rows.order == stores::RowQuery::Order::kDescending;
  // Open windows are the newest: at the head of the first page, or at the end of the last.
  if (open && descending && query.rows.cursor.empty()) SL_TRY(AddOpenWindows(context, *pipeline, query, response));
  ColumnBatch rows;
  while (true) {
    SL_ASSIGN_OR_RETURN(const bool more, stream->Next(rows));
    if (!more) break;
    SL_TRY(response.Add(rows));
  }
  const std::string cursor = stream->next_cursor();
  if (open && !descending && cursor.empty()) SL_TRY(AddOpenWindows(context, *pipeline, query, response));
  return std::move(response).Finish(cursor);
}

// The newest name that the results have for the location.
Result<std::optional<std::string>> LocationName(const ApiContext& context, const stores::TopQuery& query) {
  stores::RowQuery rows;
  rows.pipeline = query.pipeline;
  rows.columns = {context.top_items.location_name};
  rows.filters = query.filters;
  rows.order = stores::RowQuery::Order::kDescending;
  rows.limit = 1;
  SL_ASSIGN_OR_RETURN(const auto stream, context.statistics->Select(rows));
  ColumnBatch batch;
  SL_ASSIGN_OR_RETURN(const bool any, stream->Next(batch));
  if (!any || batch.columns[0].IsNull(0)) return std::optional<std::string>();
  return std::optional<std::string>(batch.columns[0].strings[0]);
}

// Windows that overlap can't be added up: an event stands in several of them.
Status CheckTumbling(const PipelineInfo& pipeline) {
  if (pipeline.window_every == pipeline.window_size) return {};
  return Fail(ErrorKind::kFailedPrecondition, "the windows of " + pipeline.name + " overlap (" + FormatDuration(pipeline.window_size) +
                                                  " every " + FormatDuration(pipeline.window_every) +
                                                  "), so that sums over a range would count an event several times: ask for its "
                                                  "windows at /v1/pipelines/" +
                                                  pipeline.name + "/results, or let " + pipeline.name +
                                                  " have a tumbling window and slide in another pipeline");
}

Result<Response> TopItems(const ApiContext& context, const Request& request) {
  const TopItemsSource& source = context.top_items;
  SL_ASSIGN_OR_RETURN(const PipelineInfo* pipeline, FindPipeline(context, source.pipeline));
  SL_TRY(CheckTumbling(*pipeline));
  const Schema schema = stores::RowSchema(*pipeline->shape);
  stores::TopQuery query;
  query.pipeline = source.pipeline;
  query.by = source.name;
  query.sum = source.count;
  SL_ASSIGN_OR_RETURN(query.range, RangeOf(request));
  SL_ASSIGN_OR_RETURN(query.top, IntegerParameter(request, "top", 10, 1, 10'000));
  const auto location = request.Query("location");
  if (location && !location->empty()) {
    const std::vector<std::string> values = {std::string(*location)};
    SL_ASSIGN_OR_RETURN(auto filter, stores::ParseFilter(schema, source.location, values));
    query.filters.push_back(std::move(filter));
  }
  const bool one = !query.filters.empty();
  SL_TRY(AddGrants(request.principal, schema, query.filters));
  SL_ASSIGN_OR_RETURN(const auto items, context.statistics->Top(query));
  std::optional<std::string> name;
  if (one && schema.Find(source.location_name) >= 0) {
    SL_ASSIGN_OR_RETURN(name, LocationName(context, query));
  }
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Field("location", one ? std::optional<std::string>(*location) : std::nullopt).Field("location_name", name);
  SL_ASSIGN_OR_RETURN(const std::optional<std::int64_t> from, IntegerParameter(request, "from"));
  SL_ASSIGN_OR_RETURN(const std::optional<std::int64_t> to, IntegerParameter(request, "to"));
  json.Field("from", from).Field("to", to).Name("items").BeginArray();
  for (const auto& item : items) {
    json.BeginObject().Field(source.name, item.name).Field(source.count, item.sum).Field("rank", item.rank).EndObject();
  }
  json.EndArray().EndObject();
  return JsonResponse(200, std::move(out));
}

Route ResultsRoute(const Context& context) {
  using In = RouteParameter::In;
  Route route;
  route.pattern = "/v1/pipelines/{pipeline}/results";
  route.guard = Guard::Needs(security::Permission::kResultsRead);
  route.tag = "results";
  route.summary = "Final and corrected results of a pipeline by window and column, page by page";
  route.parameters = {{In::kQuery, "from", "Windows that start at or after this", std::string(kEpochMs), false},
                      {In::kQuery, "to", "Windows that start before this", std::string(kEpochMs), false},
                      {In::kQuery, "limit", "Rows a page", R"({"type":"integer","minimum":1,"maximum":100000,"default":1000})", false},
                      {In::kQuery, "cursor", "next_cursor (or the header X-Next-Cursor) of the page before", R"({"type":"string"})", false},
                      {In::kQuery, "order", "By window", R"({"type":"string","enum":["asc","desc"],"default":"asc"})", false},
                      {In::kQuery, "open", "Also rows of windows that still take events", R"({"type":"boolean","default":false})", false},
                      {In::kQuery, "format", "Instead of Accept", R"({"type":"string","enum":["json","csv","arrow"]})", false},
                      {In::kQuery, "*", "A column and its value; given several times: any of them",
                       R"({"type":"object","additionalProperties":{"type":"array","items":{"type":"string"}}})", false}};
  route.answers = {{200, "Rows; identifiers are strings in JSON", kRowTypes, R"({"$ref":"#/components/schemas/Rows"})"}};
  route.on_worker = true;
  route.handler = Answering([context](const Request& request) { return Results(*context, request); });
  return route;
}

}  // namespace

void AddResultRoutes(RouteTable& table, const Context& context) {
  using In = RouteParameter::In;
  table.AddSchema("Rows", R"({"type":"object","required":["rows","next_cursor"],"properties":{
    "rows":{"type":"array","items":{"type":"object","required":["window_start","window_end","state","revision"],"properties":{
      "window_start":{"type":"integer","format":"int64"},"window_end":{"type":"integer","format":"int64"},
      "state":{"type":"string","enum":["open","final","corrected"]},"revision":{"type":"integer"}},"additionalProperties":true}},
    "next_cursor":{"type":["string","null"]}}})");
  table.AddSchema(
      "Pipelines",
      R"({"type":"object","required":["pipelines"],"properties":{"pipelines":{"type":"array","items":{"type":"object","properties":{
    "name":{"type":"string"},"from":{"type":"string"},
    "columns":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},
      "type":{"type":"string","enum":["int64","double","bool","string"]},"identifier":{"type":"boolean"}}}},
    "group":{"type":"array","items":{"type":"string"}},
    "window":{"type":"object","properties":{"size_ms":{"type":"integer"},"every_ms":{"type":"integer"}}},
    "ranked":{"type":"boolean"},"live":{"type":"boolean"},"statistics":{"type":"boolean"}}}}}})");
  Route pipelines;
  pipelines.pattern = "/v1/pipelines";
  pipelines.guard = Guard::Needs(security::Permission::kResultsRead);
  pipelines.tag = "results";
  pipelines.summary = "The pipelines and the columns of their results";
  pipelines.answers = {{200, "The pipelines", kJsonOnly, R"({"$ref":"#/components/schemas/Pipelines"})"}};
  pipelines.handler = Answering([context](const Request&) -> Result<Response> { return JsonResponse(200, PipelinesJson(*context)); });
  table.Add(std::move(pipelines));
  if (context->statistics == nullptr) return;
  table.Add(ResultsRoute(context));

  table.AddSchema("TopItems",
                  R"({"type":"object","properties":{"location":{"type":["string","null"]},"location_name":{"type":["string","null"]},
    "from":{"type":["integer","null"]},"to":{"type":["integer","null"]},"items":{"type":"array","items":{"type":"object","properties":{
    "item_name":{"type":["string","null"]},"item_count":{"type":["integer","null"]},"rank":{"type":"integer"}}}}}})");
  Route top;
  top.pattern = "/v1/top-items";
  top.guard = Guard::Needs(security::Permission::kResultsRead);
  top.tag = "results";
  top.summary =
      "The items seen most in the final windows of a range of time, at a location or overall: counts are summed first and ranked then";
  top.parameters = {{In::kQuery, "location", "A location; without it overall", R"({"type":"string","format":"int64"})", false},
                    {In::kQuery, "from", "Windows that start at or after this", std::string(kEpochMs), false},
                    {In::kQuery, "to", "Windows that start before this", std::string(kEpochMs), false},
                    {In::kQuery, "top", "How many", R"({"type":"integer","minimum":1,"maximum":10000,"default":10})", false}};
  top.answers = {{200, "Greater count first, then the name in byte order", kJsonOnly, R"({"$ref":"#/components/schemas/TopItems"})"},
                 {409, "The counted windows overlap, and can't be added up", kJsonOnly, R"({"$ref":"#/components/schemas/Error"})"}};
  top.on_worker = true;
  top.handler = Answering([context](const Request& request) { return TopItems(*context, request); });
  table.Add(std::move(top));
}

}  // namespace sightline::serve::internal
