#pragma once

// Byte-level scanning of JSON text for the decoder. Every function may read up to kScanPadding bytes past the end it is
// given and never decides anything by them; callers see to it that those bytes are readable.

#include <immintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "sightline/base/bytes.h"

namespace sightline::gate {

inline constexpr std::size_t kScanPadding = 64;

// First byte at or after `p` that a JSON string does not hold as plain ASCII: a quote, a backslash, a control character or a
// byte of 0x80 and above. Up to 31 bytes past `end` may be returned when there is none before it.
inline const char* FindSpecial(const char* p, const char* end) {
  const __m256i quote = _mm256_set1_epi8('"');
  const __m256i backslash = _mm256_set1_epi8('\\');
  const __m256i space = _mm256_set1_epi8(' ');
  for (;;) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    // Signed: 0x80 and above count as below space.
    const __m256i special = _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(bytes, quote), _mm256_cmpeq_epi8(bytes, backslash)),
                                            _mm256_cmpgt_epi8(space, bytes));
    const auto mask = static_cast<std::uint32_t>(_mm256_movemask_epi8(special));
    if (mask != 0) [[likely]]
      return p + std::countr_zero(mask);
    p += 32;
    if (p >= end) return p;
  }
}

// First newline at or after `p`, or nothing when there is none before `end`. Lines are short: a call of memchr costs more than the search.
inline const char* FindNewline(const char* p, const char* end) {
  for (; end - p >= 32; p += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const auto mask = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\n'))));
    if (mask != 0) return p + std::countr_zero(mask);
  }
  return p == end ? nullptr : static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
}

// Number of decimal digits at `p`, 16 meaning "16 or more".
inline unsigned CountDigits16(__m128i bytes) {
  const __m128i digits = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
  const __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
  const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(is_digit));
  return static_cast<unsigned>(std::countr_one(mask));
}

// Shuffle controls: loaded at [n], they move the first n bytes of a vector to its end and clear the rest.
alignas(64) inline constexpr std::uint8_t kAlignRight[32] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                                             0x80, 0x80, 0x80, 0x80, 0x80, 0,    1,    2,    3,    4,    5,
                                                             6,    7,    8,    9,    10,   11,   12,   13,   14,   15};

// Value of the first `count` (0 to 16) bytes, which are digits. The same instructions for every count.
inline std::uint64_t DigitsValue16(__m128i bytes, unsigned count) {
  const __m128i control = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kAlignRight + count));
  const __m128i aligned = _mm_shuffle_epi8(_mm_sub_epi8(bytes, _mm_set1_epi8('0')), control);
  const __m128i by_ten = _mm_set_epi8(1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10, 1, 10);
  const __m128i pairs = _mm_maddubs_epi16(aligned, by_ten);
  const __m128i by_hundred = _mm_set_epi16(1, 100, 1, 100, 1, 100, 1, 100);
  const __m128i fours = _mm_madd_epi16(pairs, by_hundred);
  const __m128i packed = _mm_packus_epi32(fours, fours);
  const __m128i by_ten_thousand = _mm_set_epi16(1, 10000, 1, 10000, 1, 10000, 1, 10000);
  const auto eights = static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_madd_epi16(packed, by_ten_thousand)));
  return (eights & 0xffffffff) * 100'000'000 + (eights >> 32);
}

inline bool IsDigit(char c) { return static_cast<unsigned char>(c - '0') <= 9; }

// The rest of an integer of more than 16 digits, of which the first 16 are `magnitude`; at most 19 can be an int64.
inline const char* ScanLongInt64(const char* digits, bool negative, std::uint64_t magnitude, std::int64_t& value) {
  const char* p = digits + 16;
  for (; IsDigit(*p); ++p) {
    if (p == digits + 19) return nullptr;
    magnitude = magnitude * 10 + static_cast<std::uint64_t>(*p - '0');  // at most 19 digits: below 2^64
  }
  if (*digits == '0' || magnitude > (std::uint64_t{1} << 63) - (negative ? 0 : 1)) return nullptr;
  value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
  return p;
}

// An integer as JSON writes it: a minus sign or none, no leading zero, within int64. Gives the end, or nothing when the text
// at `p` is not such; what follows the digits is not looked at. The same instructions, without a branch, for 1 to 16 digits.
inline const char* ScanInt64(const char* p, std::int64_t& value) {
  const bool negative = *p == '-';
  if (negative) [[unlikely]]
    ++p;
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const unsigned count = CountDigits16(bytes);
  const std::uint64_t magnitude = DigitsValue16(bytes, count);
  const bool none = count == 0;
  const bool leading_zero = (*p == '0') & (count > 1);
  const bool more = (count == 16) & IsDigit(p[16]);
  if (static_cast<int>(none) | static_cast<int>(leading_zero) | static_cast<int>(more)) [[unlikely]] {
    return more ? ScanLongInt64(p, negative, magnitude, value) : nullptr;
  }
  value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
  return p + count;
}

// End of the digits at `p`, at most `end`.
inline const char* ScanDigits(const char* p, const char* end) {
  for (;;) {
    const unsigned count = CountDigits16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    p += count;
    if (p >= end) return end;
    if (count != 16) [[likely]]
      return p;
  }
}

// End of the number at `p`, before `end`, by the grammar of RFC 8259, or nothing when there is none.
inline const char* ScanNumber(const char* p, const char* end) {
  if (*p == '-') ++p;
  if (p >= end || !IsDigit(*p)) return nullptr;
  p = *p == '0' ? p + 1 : ScanDigits(p, end);
  if (p < end && *p == '.') {
    const char* const fraction = ++p;
    if (p >= end) return nullptr;
    p = ScanDigits(p, end);
    if (p == fraction) return nullptr;
  }
  if (p < end && (*p | 0x20) == 'e') {
    ++p;
    if (p < end && (*p == '+' || *p == '-')) ++p;
    if (p >= end) return nullptr;
    const char* const exponent = p;
    p = ScanDigits(p, end);
    if (p == exponent) return nullptr;
  }
  return p;
}

inline bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Length of the code point at `p`, whose first byte is 0x80 or above, or 0 when it is not valid UTF-8 before `end`.
inline std::size_t MultiByteLength(const char* p, const char* end) {
  const auto* at = reinterpret_cast<const unsigned char*>(p);
  const auto left = static_cast<std::size_t>(end - p);
  const auto continues = [&](std::size_t i) { return (at[i] & 0xc0) == 0x80; };
  if (at[0] < 0xc2) return 0;
  if (at[0] < 0xe0) return left >= 2 && continues(1) ? 2 : 0;
  if (at[0] < 0xf0) {
    if (left < 3 || !continues(1) || !continues(2)) return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0)) return 0;
    return 3;
  }
  if (at[0] >= 0xf5 || left < 4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  if ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] >= 0x90)) return 0;
  return 4;
}

}  // namespace sightline::gate
