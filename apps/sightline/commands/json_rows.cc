#include "apps/sightline/commands/json_rows_internal.h"

namespace sightline::app::internal {

Result<Json> AskJson(DataAccess& data, const HttpRequest& request) {
  SL_ASSIGN_OR_RETURN(const std::string body, data.Ask(request));
  Json answer = Json::parse(body, nullptr, false);
  if (answer.is_discarded()) return Fail(ErrorKind::kInternal, "the answer to " + request.target + " is no JSON");
  return answer;
}

Result<Json> GetJson(const Context& context, OfflineData::Needs needs, const std::string& target) {
  SL_ASSIGN_OR_RETURN(DataAccess data, DataAccess::Open(context, needs));
  return AskJson(data, {.method = "GET", .target = target, .headers = {}, .body = {}});
}

std::string Escaped(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Json BytesOf(const Json& object, const std::string& name) {
  if (object.contains(name)) return object[name];
  const std::string encoded = name + "_base64url";
  return object.contains(encoded) ? Json("base64url:" + object[encoded].get<std::string>()) : Json();
}

std::optional<std::string> Cell(const Json& value) {
  if (value.is_null()) return std::nullopt;
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void PrintObjects(const Context& context, const Json& list, const std::vector<OutputColumn>& columns) {
  OutputRows rows{.columns = columns, .rows = {}};
  for (const Json& object : list) {
    std::vector<std::optional<std::string>> row;
    for (const OutputColumn& column : columns) row.push_back(object.contains(column.name) ? Cell(object[column.name]) : std::nullopt);
    rows.rows.push_back(std::move(row));
  }
  Print(context, rows);
}

}  // namespace sightline::app::internal
