#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "sightline/runtime/clock.h"

namespace sightline::ops {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };
std::string_view LogLevelName(LogLevel level);  // "debug", "info", "warning", "error"

// A named value of a log line. Secrets are never passed.
class LogField {
 public:
  LogField(std::string_view name, std::string_view value);
  LogField(std::string_view name, const char* value) : LogField(name, std::string_view(value)) {}
  template <std::integral T>
  LogField(std::string_view name, T value) : name_(name), json_(std::to_string(value)) {}
  LogField(std::string_view name, bool value) : name_(name), json_(value ? "true" : "false") {}
  std::string_view name() const { return name_; }
  std::string_view json() const { return json_; }

 private:
  std::string_view name_;
  std::string json_;
};

// Writes one JSON object a line: time (RFC 3339, UTC, milliseconds), level, component, message, then the fields, such as
// request_id. Each line is one write, so that lines of several threads never mix. Thread-safe; cheap to copy.
class Log {
 public:
  // Takes a whole line, newline included; called from any thread.
  using Sink = std::function<void(std::string_view line)>;

  // To standard error, which is the default of the program.
  static Sink ToStandardError();

  Log(const runtime::Clock& clock, LogLevel least, Sink sink, std::string component = "main");
  // The same log under another component's name.
  Log For(std::string component) const;

  void Debug(std::string_view message, std::initializer_list<LogField> fields = {}) const { Write(LogLevel::kDebug, message, fields); }
  void Info(std::string_view message, std::initializer_list<LogField> fields = {}) const { Write(LogLevel::kInfo, message, fields); }
  void Warning(std::string_view message, std::initializer_list<LogField> fields = {}) const { Write(LogLevel::kWarning, message, fields); }
  void Error(std::string_view message, std::initializer_list<LogField> fields = {}) const { Write(LogLevel::kError, message, fields); }
  void Write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) const;

 private:
  const runtime::Clock* clock_;
  LogLevel least_;
  Sink sink_;
  std::string component_;
};

}  // namespace sightline::ops
