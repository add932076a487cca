#include "sightline/serve/url.h"

#include <algorithm>

#include "sightline/base/text.h"

namespace sightline::serve {
namespace {

constexpr std::size_t kParametersMax = 200;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class Plus { kLiteral, kBlank };

Result<std::string> Decode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 1 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return Fail(ErrorKind::kInvalidArgument, "the address has a % that two hexadecimal digits do not follow");
      c = static_cast<char>(high * 16 + low);
      i += 2;
      if (c == '/' && plus == Plus::kLiteral) return Fail(ErrorKind::kInvalidArgument, "an encoded / in the path is not allowed");
    } else if (c == '+' && plus == Plus::kBlank) {
      c = ' ';
    } else if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') {
      return Fail(ErrorKind::kInvalidArgument, "the address has a control character or blank");
    }
    const auto byte = static_cast<unsigned char>(c);
    // Blanks, tabs and line breaks make sense in values, not in paths; NUL nowhere.
    if (byte == 0 || (plus == Plus::kLiteral && (byte < ' ' || byte == 0x7f))) {
      return Fail(ErrorKind::kInvalidArgument, "the address has an encoded control character");
    }
    out += c;
  }
  if (!IsUtf8(out)) return Fail(ErrorKind::kInvalidArgument, "the address is not UTF-8");
  return out;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<Target> ParseTarget(std::string_view target) {
  if (target.empty() || target.front() != '/') {
    return Fail(ErrorKind::kInvalidArgument, "the request target must be a path that begins with /");
  }
  if (target.find('#') != std::string_view::npos) return Fail(ErrorKind::kInvalidArgument, "the request target has a fragment");
  const auto question = std::min(target.find('?'), target.size());
  Target parsed;
  SL_ASSIGN_OR_RETURN(parsed.path, Decode(target.substr(0, question), Plus::kLiteral));
  for (const std::string_view segment : Split(parsed.path, '/')) {
    if (segment == "." || segment == "..") return Fail(ErrorKind::kInvalidArgument, "the path has a dot segment");
  }
  if (question >= target.size()) return parsed;
  for (const std::string_view pair : Split(target.substr(question + 1), '&')) {
    if (pair.empty()) continue;
    if (parsed.query.size() == kParametersMax) return Fail(ErrorKind::kInvalidArgument, "more than 200 query parameters");
    const auto equals = std::min(pair.find('='), pair.size());
    SL_ASSIGN_OR_RETURN(std::string name, Decode(pair.substr(0, equals), Plus::kBlank));
    SL_ASSIGN_OR_RETURN(std::string value, Decode(equals < pair.size() ? pair.substr(equals + 1) : std::string_view(), Plus::kBlank));
    parsed.query.emplace_back(std::move(name), std::move(value));
  }
  return parsed;
}

std::string MediaType(std::string_view content_type) {
  std::string type(Trim(content_type.substr(0, std::min(content_type.find(';'), content_type.size()))));
  for (char& c : type) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return type;
}

bool AcceptNames(std::string_view accept, std::string_view media_type) {
  for (const std::string_view item : Split(accept, ',')) {
    if (MediaType(item) == media_type) return true;
  }
  return false;
}

}  // namespace sightline::serve
