#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sightline/base/text.h"

namespace sightline::serve {

// Appends JSON to a string: names, values and brackets in the order of the calls; it sets the commas. Not checked: what is
// opened must be closed.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Name(std::string_view name) {
    Comma();
    AppendJsonString(out_, name);
    out_ += ':';
    comma_ = false;
    return *this;
  }
  JsonWriter& Value(std::string_view text) {
    Comma();
    AppendJsonString(out_, text);
    return *this;
  }
  JsonWriter& Value(const char* text) { return Value(std::string_view(text)); }
  JsonWriter& Value(const std::string& text) { return Value(std::string_view(text)); }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  JsonWriter& Value(T number) {
    return Raw(std::to_string(number));
  }
  JsonWriter& Value(bool value) { return Raw(value ? "true" : "false"); }
  template <typename T>
  JsonWriter& Value(const std::optional<T>& value) {
    return value ? Value(*value) : Raw("null");
  }
  // An identifier: an integer that is written as a string.
  JsonWriter& Identifier(std::int64_t id) { return Value(std::to_string(id)); }
  // With one decimal, for rates.
  JsonWriter& Rate(double value);
  // JSON made elsewhere.
  JsonWriter& Raw(std::string_view json) {
    Comma();
    out_ += json;
    return *this;
  }
  template <typename T>
  JsonWriter& Field(std::string_view name, const T& value) {
    return Name(name).Value(value);
  }
  // For values that other functions append.
  std::string& BeginRaw() {
    Comma();
    return out_;
  }

 private:
  void Comma() {
    if (comma_) out_ += ',';
    comma_ = true;
  }
  JsonWriter& Open(char bracket) {
    Comma();
    out_ += bracket;
    comma_ = false;
    return *this;
  }
  JsonWriter& Close(char bracket) {
    out_ += bracket;
    comma_ = true;
    return *this;
  }
  std::string& out_;
  bool comma_ = false;
};

inline JsonWriter& JsonWriter::Rate(double value) {
  const auto tenths = static_cast<std::int64_t>(value * 10 + 0.5);
  return Raw(std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10));
}

}  // namespace sightline::serve
