#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"

namespace sightline {

// "30s", "1m", "24h", "7d", "250ms". A number needs a unit: ms, s, m, h, d. No sign, no fraction.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);
// The shortest exact form: 90000 ms is "90s".
std::string FormatDuration(std::chrono::milliseconds duration);

// "64MiB", "50GiB", "4096B", "10MB". A number needs a unit: B, kB, MB, GB, TB (10^3) or KiB, MiB, GiB, TiB (2^10).
Result<std::uint64_t> ParseBytes(std::string_view text);
std::string FormatBytes(std::uint64_t bytes);

// The candidate nearest to `word` by Damerau-Levenshtein distance, if near enough to be what was meant; else "".
std::string_view DidYouMean(std::string_view word, std::span<const std::string_view> candidates);

// Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view bytes);
// Code points in valid UTF-8.
std::size_t CodePoints(std::string_view utf8);

// Decimal int64 with nothing around it, as in "-12"; no plus sign, no blanks.
Result<std::int64_t> ParseInt64(std::string_view text);

std::vector<std::string_view> Split(std::string_view text, char separator);

// Appends `text` as a JSON string with its quotes; control characters escaped, everything else as it is. Bytes that
// are not UTF-8 become U+FFFD, so that the output is always valid JSON.
void AppendJsonString(std::string& out, std::string_view text);

}  // namespace sightline
