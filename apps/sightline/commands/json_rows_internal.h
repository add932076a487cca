#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/sightline/data_access.h"
#include "apps/sightline/output.h"

// How commands ask the API and print its JSON.
namespace sightline::app::internal {

using Json = nlohmann::ordered_json;

inline constexpr CellKind kNumber = CellKind::kNumber;

Result<Json> AskJson(DataAccess& data, const HttpRequest& request);
// GET of one target, by whoever has the data directory.
Result<Json> GetJson(const Context& context, OfflineData::Needs needs, const std::string& target);
// For a segment of a path or a value of a query.
std::string Escaped(std::string_view text);

// Bytes that the API shows as text or, where they are none, as <name>_base64url.
Json BytesOf(const Json& object, const std::string& name);

std::optional<std::string> Cell(const Json& value);
// A list of objects as rows with the columns named.
void PrintObjects(const Context& context, const Json& list, const std::vector<OutputColumn>& columns);

}  // namespace sightline::app::internal
