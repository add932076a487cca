#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/pipeline_spec.h"

namespace sightline::config {

struct YamlEntry;

// A YAML document as a plain tree in which every node knows its place. Aliases are copied in; merge keys are not special.
struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  bool quoted = false;         // a scalar in quotes: text, whatever it looks like
  bool from_override = false;  // not from the file: paths in it are relative to the working directory
  SourcePlace place;
  std::string text;                // of a scalar
  std::vector<YamlNode> items;     // of a sequence
  std::vector<YamlEntry> entries;  // of a map, in order, double keys included

  const YamlNode* Find(std::string_view key) const;
  // "a map", "a list", "the text …", "nothing": for messages.
  std::string Describe() const;
};
struct YamlEntry {
  YamlNode key;
  YamlNode value;
};

struct YamlMistake {
  SourcePlace place;
  std::string what;
};

// The largest document accepted, in nodes after aliases are copied in, and in bytes.
inline constexpr std::size_t kYamlNodesMax = 200'000;
inline constexpr std::size_t kYamlBytesMax = 8U << 20;

// Parses exactly one document. An empty one is a null node.
std::expected<YamlNode, YamlMistake> ParseYaml(std::string_view text, const std::string& file);

}  // namespace sightline::config
