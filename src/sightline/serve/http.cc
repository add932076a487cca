#include "sightline/serve/http.h"

#include <algorithm>
#include <array>

#include "sightline/base/text.h"

namespace sightline::serve {
namespace {
constexpr std::array<std::string_view, 7> kMethods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool SameName(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, Lower, Lower); }

std::optional<std::string_view> FindValue(const Parameters& parameters, std::string_view name) {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return std::nullopt;
}
}  // namespace

std::string_view MethodName(Method method) { return kMethods[static_cast<std::size_t>(method)]; }

std::optional<Method> ParseMethod(std::string_view name) {
  for (std::size_t i = 0; i < kMethods.size(); ++i) {
    if (kMethods[i] == name) return static_cast<Method>(i);
  }
  return std::nullopt;
}

std::string_view Headers::Find(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (SameName(key, name)) return value;
  }
  return {};
}

std::size_t Headers::Count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(fields_, [&](const auto& field) { return SameName(field.first, name); }));
}

std::optional<std::string_view> Request::Query(std::string_view name) const { return FindValue(query, name); }

std::string_view Request::PathValue(std::string_view name) const { return FindValue(path_values, name).value_or(std::string_view()); }

Response JsonResponse(int status, std::string json) {
  Response response;
  response.status = status;
  response.Set("Content-Type", "application/json");
  response.body = std::move(json);
  return response;
}

int StatusOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument: return 400;
    case ErrorKind::kNotFound: return 404;
    case ErrorKind::kAlreadyExists: return 409;
    case ErrorKind::kFailedPrecondition: return 409;
    case ErrorKind::kOutOfRange: return 400;
    case ErrorKind::kPermissionDenied: return 403;
    case ErrorKind::kUnauthenticated: return 401;
    case ErrorKind::kResourceExhausted: return 429;
    case ErrorKind::kUnavailable: return 503;
    case ErrorKind::kDeadlineExceeded: return 504;
    case ErrorKind::kCancelled: return 503;
    case ErrorKind::kCorruption:
    case ErrorKind::kIo:
    case ErrorKind::kInternal: return 500;
  }
  return 500;
}

Response ErrorResponse(const Error& error, std::string_view request_id) {
  std::string json = "{\"error\":{\"kind\":";
  AppendJsonString(json, ErrorKindName(error.kind));
  json += ",\"message\":";
  AppendJsonString(json, error.message);
  json += ",\"request_id\":";
  AppendJsonString(json, request_id);
  json += "}}";
  Response response = JsonResponse(StatusOf(error.kind), std::move(json));
  if (response.status == 429 || response.status == 503) response.Set("Retry-After", "1");
  if (response.status == 401) response.Set("WWW-Authenticate", "Bearer realm=\"sightline\"");
  return response;
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "";
  }
}

}  // namespace sightline::serve
