#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

#include "sightline/base/text.h"
#include "sightline/gate/json_record_internal.h"
#include "sightline/gate/scan_internal.h"

namespace sightline::gate {
namespace {

// Value of each hexadecimal digit; -1 for other bytes.
constexpr std::array<std::int8_t, 256> kHexValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 10; ++i) values[static_cast<std::size_t>('0' + i)] = static_cast<std::int8_t>(i);
  for (int i = 0; i < 6; ++i) {
    values[static_cast<std::size_t>('a' + i)] = values[static_cast<std::size_t>('A' + i)] = static_cast<std::int8_t>(10 + i);
  }
  return values;
}();

// Value of four hexadecimal digits, or below 0.
int Hex4(const char* p) {
  const auto digit = [p](int i) { return static_cast<int>(kHexValues[static_cast<unsigned char>(p[i])]); };
  const int any = digit(0) | digit(1) | digit(2) | digit(3);
  return any < 0 ? -1 : digit(0) << 12 | digit(1) << 8 | digit(2) << 4 | digit(3);
}

// The byte behind the escape sequence at `p`, or nothing with the reason.
const char* ScanEscape(const char* p, const char* end, const char*& what) {
  what = "the record ends inside a string";
  if (end - p < 2) return nullptr;
  switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return p + 2;
    case 'u': break;
    default: what = "a backslash in a string is followed by none of \"\\/bfnrtu"; return nullptr;
  }
  if (end - p < 6) return nullptr;
  const int unit = Hex4(p + 2);
  if (unit < 0) {
    what = "\\u is not followed by four hexadecimal digits";
    return nullptr;
  }
  if (unit < 0xd800 || unit > 0xdfff) return p + 6;
  what = "a surrogate (\\ud800 to \\udfff) stands alone";
  if (unit >= 0xdc00 || end - p < 12 || p[6] != '\\' || p[7] != 'u') return nullptr;
  const int low = Hex4(p + 8);
  return low >= 0xdc00 && low <= 0xdfff ? p + 12 : nullptr;
}

char* PutUtf8(char* to, std::uint32_t code_point) {
  const auto put = [&to](std::uint32_t byte) { *to++ = static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3f));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
  return to;
}

char SimpleEscape(char c) {
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return c;
  }
}

}  // namespace

const char* ScanJsonString(const char* p, const char* end, JsonString& string, const char*& what, const char*& where) {
  string.escapes = string.multi_byte = string.nul = false;
  for (;;) {
    p = FindSpecial(p, end);
    if (p >= end) {
      where = end;
      what = "the record ends inside a string";
      return nullptr;
    }
    if (*p == '"') {
      string.end = p;
      return p + 1;
    }
    where = p;
    if (*p == '\\') {
      const char* const escape = p;
      string.escapes = true;
      p = ScanEscape(p, end, what);
      if (p == nullptr) return nullptr;
      string.nul |= p - escape == 6 && std::memcmp(escape, "\\u0000", 6) == 0;
    } else if (static_cast<unsigned char>(*p) < 0x20) {
      what = "a control character stands unescaped in a string";
      return nullptr;
    } else {
      string.multi_byte = true;
      do {
        const std::size_t length = MultiByteLength(p, end);
        if (length == 0) {
          where = p;
          what = "a string is not valid UTF-8";
          return nullptr;
        }
        p += length;
      } while (p < end && static_cast<unsigned char>(*p) >= 0x80);
    }
  }
}

std::size_t UnescapeJson(const JsonString& string, char* to) {
  char* const begin = to;
  const char* p = string.begin;
  for (;;) {
    // Plain bytes are copied 32 at a time; what is copied too much is overwritten next.
    const char* const plain = p;
    p = std::min(FindBackslash(p, string.end), string.end);
    for (const char* at = plain; at < p; at += 32) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (at - plain)), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
    }
    to += p - plain;
    if (p == string.end) return static_cast<std::size_t>(to - begin);
    if (p[1] != 'u') {
      *to++ = SimpleEscape(p[1]);
      p += 2;
      continue;
    }
    auto code_point = static_cast<std::uint32_t>(Hex4(p + 2));
    p += 6;
    if (code_point >= 0xd800 && code_point <= 0xdfff) {
      const auto low = static_cast<std::uint32_t>(Hex4(p + 2));
      code_point = 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00);
      p += 6;
    }
    to = PutUtf8(to, code_point);
  }
}

ViolationKind TakeOddText(const FieldPlan& plan, const JsonString& string, const char* base, const char* origin, ColumnBatch& batch,
                          std::string_view& text) {
  const auto size = static_cast<std::size_t>(string.end - string.begin);
  if (string.escapes) [[unlikely]] {
    // Only an escape can bring U+0000: the byte itself is an unescaped control character.
    if (string.nul) return ViolationKind::kNul;
    char* const to = batch.Allocate(size + kUnescapeSlack);
    text = std::string_view(to, UnescapeJson(string, to));
  } else {
    text = std::string_view(origin + (string.begin - base), size);
  }
  // A code point takes one to four bytes: most texts need no counting.
  if (text.size() - plan.min_length > plan.length_span || (string.multi_byte | string.escapes && text.size() / 4 < plan.min_length))
      [[unlikely]] {
    if (!plan.LengthInBounds(CodePoints(text))) return ViolationKind::kLength;
  }
  if (plan.listed && !plan.one_of.contains(text)) return ViolationKind::kNotListed;
  if (plan.pattern && !plan.pattern->Matches(text)) return ViolationKind::kPattern;
  return ViolationKind::kNone;
}

ViolationKind TakeDouble(const FieldPlan& plan, const char* begin, const char* end, double& value) {
  const auto [rest, failure] = std::from_chars(begin, end, value);
  if (failure != std::errc()) [[unlikely]] {
    // Too large or too small for from_chars to say which: the C library does.
    value = std::strtod(std::string(begin, end).c_str(), nullptr);
    if (std::isinf(value)) return ViolationKind::kOutOfDouble;
  }
  if (!(value >= plan.min_double && value <= plan.max_double)) [[unlikely]]
    return ViolationKind::kOutOfBounds;
  return ViolationKind::kNone;
}

}  // namespace sightline::gate
