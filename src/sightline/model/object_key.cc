#include "sightline/model/object_key.h"

#include <algorithm>
#include <string>
#include <vector>

#include "sightline/base/text.h"

namespace sightline {
namespace {

constexpr std::size_t kKeyBytesMax = 1024;
constexpr std::size_t kSegmentBytesMax = 255;  // a file's name
constexpr std::string_view kReserved = ".sightline";

std::unexpected<Error> Wrong(std::string_view key, const std::string& what) {
  std::string quoted;
  AppendJsonString(quoted, key.substr(0, 200));
  return Fail(ErrorKind::kInvalidArgument, "the key " + quoted + (key.size() > 200 ? "…" : "") + " " + what);
}

Status CheckText(std::string_view key) {
  if (key.size() > kKeyBytesMax) return Wrong(key, "has " + std::to_string(key.size()) + " bytes; at most 1024 are allowed");
  if (!IsUtf8(key)) return Wrong(key, "is not UTF-8");
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(key, control)) return Wrong(key, "holds a control character");
  if (key.find('\\') != std::string_view::npos) return Wrong(key, "holds a '\\'; parts are separated by '/'");
  return {};
}

Status CheckSegment(std::string_view key, std::string_view segment) {
  if (segment.empty()) return Wrong(key, "has an empty part: '/' stands between two names");
  if (segment == "." || segment == "..") return Wrong(key, "has the part \"" + std::string(segment) + "\", which means a directory");
  if (segment.size() > kSegmentBytesMax) return Wrong(key, "has a part of more than 255 bytes, the most a file's name may have");
  if (segment.starts_with(kReserved)) return Wrong(key, "has a part that begins with .sightline, which is ours");
  return {};
}

}  // namespace

Status ValidateObjectKey(std::string_view key) {
  if (key.empty()) return Fail(ErrorKind::kInvalidArgument, "an object's key is empty");
  SL_TRY(CheckText(key));
  for (const std::string_view segment : Split(key, '/')) SL_TRY(CheckSegment(key, segment));
  return {};
}

Status ValidateObjectKeyPrefix(std::string_view prefix) {
  if (prefix.empty()) return {};
  SL_TRY(CheckText(prefix));
  std::vector<std::string_view> segments = Split(prefix, '/');
  const std::string_view last = segments.back();
  segments.pop_back();
  for (const std::string_view segment : segments) SL_TRY(CheckSegment(prefix, segment));
  if (last.starts_with(kReserved)) return CheckSegment(prefix, last);
  return {};
}

}  // namespace sightline
