#include "sightline/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>

#include "sightline/base/bytes.h"

namespace sightline {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first, so that the first exact one gives the shortest form.
constexpr std::array<Unit, 5> kDurationUnits = {{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
constexpr std::array<Unit, 9> kByteUnits = {{{"TiB", 1ULL << 40},
                                             {"GiB", 1ULL << 30},
                                             {"MiB", 1ULL << 20},
                                             {"KiB", 1ULL << 10},
                                             {"TB", 1'000'000'000'000},
                                             {"GB", 1'000'000'000},
                                             {"MB", 1'000'000},
                                             {"kB", 1000},
                                             {"B", 1}}};

std::string Quoted(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string out;
  AppendJsonString(out, text.substr(0, kShown));
  if (text.size() > kShown) out += "...";
  return out;
}

std::string UnitNames(std::span<const Unit> units) {
  std::string names;
  for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
    if (!names.empty()) names += ", ";
    names += unit->name;
  }
  return names;
}

// "<digits><unit>" as a count of the smallest unit, at most `max`.
Result<std::uint64_t> ParseQuantity(std::string_view text, std::span<const Unit> units, std::uint64_t max, std::string_view kind,
                                    std::string_view example) {
  const auto refuse = [&](std::string_view why) {
    return Fail(ErrorKind::kInvalidArgument, Quoted(text) + " is not a " + std::string(kind) + ": " + std::string(why) +
                                                 "; write a whole number and a unit, such as " + std::string(example));
  };
  std::uint64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, count);
  if (failure == std::errc::result_out_of_range) return refuse("the number is too large");
  if (failure != std::errc()) return refuse("it does not begin with a digit");
  const std::string_view unit_name(rest, static_cast<std::size_t>(end - rest));
  if (unit_name.empty()) return refuse("the unit is missing");
  const auto unit = std::ranges::find(units, unit_name, &Unit::name);
  if (unit == units.end()) {
    return refuse("unknown unit " + Quoted(unit_name) + " (known: " + UnitNames(units) + ")");
  }
  if (count > max / unit->factor) return refuse("it is too large");
  return count * unit->factor;
}

char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// Optimal string alignment distance, ASCII case ignored.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);  // row i - 2
  std::vector<std::size_t> above(b.size() + 1);   // row i - 1
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = LowerAscii(a[i - 1]) == LowerAscii(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && LowerAscii(a[i - 1]) == LowerAscii(b[j - 2]) && LowerAscii(a[i - 2]) == LowerAscii(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

// Length of the code point that starts at `at`, or 0 if the bytes there are not one.
std::size_t CodePointLength(const unsigned char* at, const unsigned char* end) {
  const unsigned lead = at[0];
  const auto left = static_cast<std::size_t>(end - at);
  const auto continues = [&](std::size_t i) { return (at[i] & 0xc0) == 0x80; };
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return left >= 2 && continues(1) ? 2 : 0;
  if (lead < 0xf0) {
    if (left < 3 || !continues(1) || !continues(2)) return 0;
    if (lead == 0xe0 && at[1] < 0xa0) return 0;
    if (lead == 0xed && at[1] >= 0xa0) return 0;
    return 3;
  }
  if (lead < 0xf5) {
    if (left < 4 || !continues(1) || !continues(2) || !continues(3)) return 0;
    if (lead == 0xf0 && at[1] < 0x90) return 0;
    if (lead == 0xf4 && at[1] >= 0x90) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

Result<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  SL_ASSIGN_OR_RETURN(const std::uint64_t ms, ParseQuantity(text, kDurationUnits, kMax, "duration", "250ms, 30s, 5m or 24h"));
  return std::chrono::milliseconds(static_cast<std::int64_t>(ms));
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  const std::int64_t count = duration.count();
  if (count == 0) return "0s";
  for (const Unit& unit : kDurationUnits) {
    const auto factor = static_cast<std::int64_t>(unit.factor);
    if (count % factor == 0) return std::to_string(count / factor) + std::string(unit.name);
  }
  return std::to_string(count) + "ms";
}

Result<std::uint64_t> ParseBytes(std::string_view text) {
  return ParseQuantity(text, kByteUnits, std::numeric_limits<std::uint64_t>::max(), "size", "4096B, 64MiB or 50GiB");
}

std::string FormatBytes(std::uint64_t bytes) {
  if (bytes == 0) return "0B";
  std::string best;
  for (const Unit& unit : kByteUnits) {
    if (bytes % unit.factor != 0) continue;
    std::string form = std::to_string(bytes / unit.factor) + std::string(unit.name);
    if (best.empty() || form.size() < best.size()) best = std::move(form);
  }
  return best;
}

std::string_view DidYouMean(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr std::size_t kLongest = 128;  // keeps a hostile word from costing time
  if (word.empty() || word.size() > kLongest) return {};
  std::string_view best;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const std::string_view candidate : candidates) {
    const std::size_t longer = std::max(word.size(), candidate.size());
    if (longer > kLongest) continue;
    const std::size_t near = std::max<std::size_t>(1, longer / 3);
    const std::size_t distance = EditDistance(word, candidate);
    if (distance <= near && distance < longer && distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

bool IsUtf8(std::string_view bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* const end = at + bytes.size();
  while (at != end) {
    if (end - at >= 8 && (LoadLe<std::uint64_t>(at) & 0x8080808080808080ULL) == 0) {
      at += 8;
      continue;
    }
    const std::size_t length = CodePointLength(at, end);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::size_t CodePoints(std::string_view utf8) {
  std::size_t continuations = 0;
  for (const char c : utf8) continuations += (static_cast<unsigned char>(c) & 0xc0) == 0x80 ? 1 : 0;
  return utf8.size() - continuations;
}

Result<std::int64_t> ParseInt64(std::string_view text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, value);
  if (failure == std::errc::result_out_of_range) {
    return Fail(ErrorKind::kInvalidArgument, Quoted(text) + " is outside the range of 64-bit integers");
  }
  if (failure != std::errc() || rest != end) {
    return Fail(ErrorKind::kInvalidArgument, Quoted(text) + " is not a whole number; write digits alone, such as -12");
  }
  return value;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

void AppendJsonString(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  const auto* plain = at;  // start of what is copied as it is
  const auto copy_plain = [&] { out.append(reinterpret_cast<const char*>(plain), static_cast<std::size_t>(at - plain)); };
  out.push_back('"');
  while (at != end) {
    const unsigned char c = *at;
    const std::size_t length = CodePointLength(at, end);
    if (length > 0 && c >= 0x20 && c != '"' && c != '\\') {
      at += length;
      continue;
    }
    copy_plain();
    plain = ++at;
    if (length == 0) {
      out += "\xef\xbf\xbd";
      continue;
    }
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        out += "\\u00";
        out.push_back(kHex[c >> 4]);
        out.push_back(kHex[c & 0xf]);
    }
  }
  copy_plain();
  out.push_back('"');
}

}  // namespace sightline
