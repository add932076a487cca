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

// What a backslash and each byte stand for; 0 where they stand for nothing, or, at u, for more than that.
constexpr std::array<char, 256> kSimpleEscapes = [] {
  std::array<char, 256> escapes{};
  for (const char c : {'"', '\\', '/'}) escapes[static_cast<std::size_t>(c)] = c;
  escapes['b'] = '\b';
  escapes['f'] = '\f';
  escapes['n'] = '\n';
  escapes['r'] = '\r';
  escapes['t'] = '\t';
  return escapes;
}();

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

// Writes what the escape sequence at `p` stands for; gives the byte behind it, or nothing with the reason.
const char* TakeEscape(const char* p, const char* end, char*& to, const char*& what) {
  what = "the record ends inside a string";
  if (end - p < 2) return nullptr;
  if (const char simple = kSimpleEscapes[static_cast<unsigned char>(p[1])]; simple != 0) {
    *to++ = simple;
    return p + 2;
  }
  if (p[1] != 'u') {
    what = "a backslash in a string is followed by none of \"\\/bfnrtu";
    return nullptr;
  }
  if (end - p < 6) return nullptr;
  const int unit = Hex4(p + 2);
  if (unit < 0) {
    what = "\\u is not followed by four hexadecimal digits";
    return nullptr;
  }
  if (unit < 0xd800 || unit > 0xdfff) {
    to = PutUtf8(to, static_cast<std::uint32_t>(unit));
    return p + 6;
  }
  what = "a surrogate (\\ud800 to \\udfff) stands alone";
  if (unit >= 0xdc00 || end - p < 12 || p[6] != '\\' || p[7] != 'u') return nullptr;
  const int low = Hex4(p + 8);
  if (low < 0xdc00 || low > 0xdfff) return nullptr;
  to = PutUtf8(to, static_cast<std::uint32_t>(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)));
  return p + 12;
}

// The text that an escaped string stands for, as it is written into room of a batch.
class Unescaped {
 public:
  Unescaped(ColumnBatch& batch, const char* begin, const char* end) : batch_(batch), size_(static_cast<std::size_t>(end - begin)) {
    room_ = batch.Room(size_ + 2 * kScanPadding);
    std::memcpy(room_.data(), begin, size_);
  }
  // Where the next bytes go: there is room for kScanPadding of them, and for as many behind them once it is kept.
  char* to() {
    if (room_.size() - size_ < 2 * kScanPadding) [[unlikely]]
      Widen();
    return room_.data() + size_;
  }
  void Wrote(std::size_t bytes) { size_ += bytes; }
  std::string_view text() const { return {room_.data(), size_}; }

 private:
  void Widen() {
    const std::span<char> wider = batch_.Room(2 * room_.size() + 2 * kScanPadding);
    std::memcpy(wider.data(), room_.data(), size_);
    room_ = wider;
  }
  ColumnBatch& batch_;
  std::span<char> room_;
  std::size_t size_;
};

// What is wrong at `p`, which no string can hold as it is: the record's end, a control character or bytes that are no UTF-8.
const char* CannotStand(const char* p, const char* end, const char*& what, const char*& where) {
  where = std::min(p, end);
  what = p >= end                                ? "the record ends inside a string"
         : static_cast<unsigned char>(*p) < 0x20 ? "a control character stands unescaped in a string"
                                                 : "a string is not valid UTF-8";
  return nullptr;
}

// The rest of a string from its first escape on.
const char* ReadEscaped(const char* p, const char* end, JsonString& string, ColumnBatch& batch, const char*& what, const char*& where) {
  string.escapes = true;
  Unescaped unescaped(batch, string.begin, p);
  for (;;) {
    char* const begin = unescaped.to();
    char* to = begin;
    if (*p == '"') {
      string.end = p;
      string.unescaped = unescaped.text();
      return p + 1;
    }
    if (*p == '\\') {
      where = p;
      p = TakeEscape(p, end, to, what);
      if (p == nullptr) return nullptr;
      string.nul |= to[-1] == 0;
    } else if (static_cast<unsigned char>(*p) >= 0x80) {
      const std::size_t length = MultiByteLength(p, end);
      string.multi_byte = true;
      if (length == 0) return CannotStand(p, end, what, where);
      std::memcpy(to, p, 4);
      to += length;
      p += length;
    } else if (static_cast<unsigned char>(*p) < 0x20) {
      return CannotStand(p, end, what, where);
    }
    // Plain bytes are copied 32 at a time; what is copied too much is overwritten next.
    std::memcpy(to, p, 32);
    const char* const special = FindSpecial(p, p + 1);
    unescaped.Wrote(static_cast<std::size_t>(to - begin) + static_cast<std::size_t>(special - p));
    p = special;
    if (p >= end) return CannotStand(p, end, what, where);
  }
}

}  // namespace

const char* ReadJsonString(const char* p, const char* end, JsonString& string, ColumnBatch& batch, const char*& what, const char*& where) {
  string.escapes = string.multi_byte = string.nul = false;
  for (;;) {
    p = FindSpecial(p, end);
    if (p >= end) return CannotStand(p, end, what, where);
    if (*p == '"') {
      string.end = p;
      return p + 1;
    }
    if (*p == '\\') return ReadEscaped(p, end, string, batch, what, where);
    if (static_cast<unsigned char>(*p) < 0x20) return CannotStand(p, end, what, where);
    string.multi_byte = true;
    do {
      const std::size_t length = MultiByteLength(p, end);
      if (length == 0) return CannotStand(p, end, what, where);
      p += length;
    } while (p < end && static_cast<unsigned char>(*p) >= 0x80);
  }
}

ViolationKind TakeOddText(const FieldPlan& plan, const JsonString& string, const char* base, const char* origin, ColumnBatch& batch,
                          std::string_view& text) {
  const auto size = static_cast<std::size_t>(string.end - string.begin);
  if (string.escapes) [[unlikely]] {
    // Only an escape can bring U+0000: the byte itself is an unescaped control character.
    if (string.nul) return ViolationKind::kNul;
    text = string.unescaped;
    batch.Keep(text.size());
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
