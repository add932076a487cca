#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sightline/serve/api/api.h"

namespace sightline::serve::internal {

// Shared by the handlers, which outlive the call that adds them.
using Context = std::shared_ptr<const ApiContext>;

void AddSessionRoutes(RouteTable& table, const Context& context);
void AddIngestRoutes(RouteTable& table, const Context& context);
void AddResultRoutes(RouteTable& table, const Context& context);
void AddLiveRoutes(RouteTable& table, const Context& context);
void AddReferenceRoutes(RouteTable& table, const Context& context);
void AddStatusRoutes(RouteTable& table, const Context& context);
void AddSqlRoutes(RouteTable& table, const Context& context);
void AddTopicRoutes(RouteTable& table, const Context& context);
void AddDeadLetterRoutes(RouteTable& table, const Context& context);

// A handler that computes its answer on the spot; an error becomes an error response.
template <typename Answer>
Handler Answering(Answer answer) {
  return [answer = std::move(answer)](std::shared_ptr<const Request> request, Responder respond) {
    Result<Response> response = answer(*request);
    respond(response ? std::move(*response) : ErrorResponse(response.error(), request->id));
  };
}

// Query parameters. kInvalidArgument names the parameter.
Result<std::optional<std::int64_t>> IntegerParameter(const Request& request, std::string_view name);
Result<std::int64_t> IntegerParameter(const Request& request, std::string_view name, std::int64_t otherwise, std::int64_t least,
                                      std::int64_t most);

Result<const PipelineInfo*> FindPipeline(const ApiContext& context, std::string_view name);

enum class RowFormat : std::uint8_t { kJson, kCsv, kArrow };
// From `format`, else from Accept.
Result<RowFormat> FormatOf(const Request& request);

// Appends a log record's bytes as "value" when it is text, else as "value_base64".
void AppendBytesField(std::string_view name, std::string_view bytes, std::string& out);

inline constexpr std::string_view kEpochMs = R"({"type":"integer","format":"int64","description":"epoch ms"})";
inline const std::vector<std::string> kJsonOnly = {"application/json"};
inline const std::vector<std::string> kRowTypes = {"application/json", "text/csv", "application/vnd.apache.arrow.stream"};

}  // namespace sightline::serve::internal
