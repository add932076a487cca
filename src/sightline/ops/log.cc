#include "sightline/ops/log.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>

#include "sightline/base/text.h"

namespace sightline::ops {
namespace {

void AppendTime(std::string& out, WallTime time) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds(time.value)};
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss<milliseconds> clock(at - day);
  char text[40];
  const int size = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                                 static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  out.append(text, static_cast<std::size_t>(size));
}

}  // namespace

std::string_view LogLevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarning: return "warning";
    case LogLevel::kError: return "error";
  }
  return "error";
}

LogField::LogField(std::string_view name, std::string_view value) : name_(name) { AppendJsonString(json_, value); }

Log::Sink Log::ToStandardError() {
  return [](std::string_view line) {
    while (!line.empty()) {
      const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        return;  // nowhere left to complain to
      }
      line.remove_prefix(static_cast<std::size_t>(written));
    }
  };
}

Log::Log(const runtime::Clock& clock, LogLevel least, Sink sink, std::string component)
    : clock_(&clock), least_(least), sink_(std::move(sink)), component_(std::move(component)) {}

Log Log::For(std::string component) const { return Log(*clock_, least_, sink_, std::move(component)); }

void Log::Write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) const {
  if (level < least_) return;
  std::string line = "{\"time\":\"";
  AppendTime(line, clock_->Now());
  line += "\",\"level\":\"";
  line += LogLevelName(level);
  line += "\",\"component\":";
  AppendJsonString(line, component_);
  line += ",\"message\":";
  AppendJsonString(line, message);
  for (const auto& field : fields) {
    line += ',';
    AppendJsonString(line, field.name());
    line += ':';
    line += field.json();
  }
  line += "}\n";
  sink_(line);
}

}  // namespace sightline::ops
