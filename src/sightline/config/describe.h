#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sightline/config/config.h"
#include "sightline/config/property.h"

namespace sightline::config {

// What the table says, for people and for programs.

// "a duration such as 30s", for "X must be …".
std::string TypeInWords(ValueType type);
// A bound as it would be written: "1m", "64KiB", "8".
std::string FormatBound(const Property& property, std::int64_t bound);
// A value as it would be written in the file; a secret as its source.
std::string FormatValue(const Property& property, const Value& value);

// One setting as it is in effect.
struct Setting {
  std::string path;
  std::string value;
  std::string origin;  // "sightline.yaml:12", "--data", "default"
  bool restart = true;
  bool secret = false;
};
// Every setting of a configuration, in the order of the table.
std::vector<Setting> Settings(const Config& config);

// The JSON Schema (draft 2020-12) of the file.
std::string JsonSchema();
// The documentation page, Markdown.
std::string Documentation();

}  // namespace sightline::config
