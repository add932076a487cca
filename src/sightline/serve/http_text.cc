#include "sightline/serve/http_text.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace sightline::serve {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool Same(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, Lower, Lower); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

void AppendHttpDate(std::string& out, WallTime time) {
  using namespace std::chrono;
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_time<milliseconds> at{milliseconds(time.value)};
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss<seconds> clock(floor<seconds>(at - day));
  char text[48];
  const int size = std::snprintf(text, sizeof text, "%s, %02u %s %04d %02d:%02d:%02d GMT", kDays[weekday(day).c_encoding()],
                                 static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                                 static_cast<int>(date.year()), static_cast<int>(clock.hours().count()),
                                 static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
  out.append(text, static_cast<std::size_t>(size));
}

void AppendHeaderValue(std::string& out, std::string_view value) {
  for (const char c : value) out += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
}

std::string_view OriginForm(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!Same(target.substr(0, scheme.size()), scheme)) continue;
    const auto path = target.find('/', scheme.size());
    return path == std::string_view::npos ? std::string_view("/") : target.substr(path);
  }
  return target;
}

bool IsChunked(std::string_view transfer_encoding) { return Same(transfer_encoding, "chunked"); }

bool IsContinue(std::string_view expect) { return Same(expect, "100-continue"); }

bool IsHost(std::string_view text) {
  return text.size() <= 255 && std::ranges::all_of(text, [](char c) {
           return IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'z') || std::string_view(".-_~:[]%").find(c) != std::string_view::npos;
         });
}

bool IsDecimal(std::string_view text) { return !text.empty() && text.size() <= 19 && std::ranges::all_of(text, IsDigit); }

bool IsRequestId(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'z') || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace sightline::serve
