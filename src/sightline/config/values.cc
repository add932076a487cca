// The reader's half that turns one YAML node into one value, with its bounds.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "sightline/base/text.h"
#include "sightline/config/describe.h"
#include "sightline/config/reader.h"

namespace sightline::config {
namespace {

constexpr std::uint64_t kSecretBytesMax = 64U << 10;
constexpr std::size_t kNameMax = 200;

bool IsWord(std::string_view text, std::string_view also) {
  if (text.empty() || text.size() > kNameMax) return false;
  return std::ranges::all_of(text, [also](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || also.find(c) != std::string_view::npos;
  });
}

bool StartsWithDigit(std::string_view text) { return !text.empty() && text[0] >= '0' && text[0] <= '9'; }

}  // namespace

std::string Reader::Resolve(const YamlNode& node) const {
  const std::filesystem::path path(node.text);
  if (path.is_absolute() || node.from_override || directory_.empty()) return path.lexically_normal().string();
  return (std::filesystem::path(directory_) / path).lexically_normal().string();
}

bool Reader::CheckName(const YamlNode& node, ValueType type, const std::string& path) {
  const bool topic = type == ValueType::kTopic;
  if (node.kind == YamlNode::Kind::kScalar && IsWord(node.text, topic ? ".-" : "") && (topic || !StartsWithDigit(node.text)) &&
      node.text != "." && node.text != "..")
    return true;
  Report(node.place, path + ": " + node.Describe() + " is not a name",
         topic ? "letters, digits, '.', '_' and '-'" : "letters, digits and '_', not beginning with a digit");
  return false;
}

std::optional<Value> Reader::ParseValue(const Property& property, const YamlNode& node, const std::string& path) {
  switch (property.type) {
    case ValueType::kNames:
    case ValueType::kEndpoints:
    case ValueType::kChoices: return ParseNames(property, node, path);
    case ValueType::kExpressions: return ParseNamedTexts(node, path);
    case ValueType::kDependencies: return ParseDependencies(property, node, path);
    case ValueType::kSecret: return ParseSecret(node, path);
    default: break;
  }
  if (node.kind != YamlNode::Kind::kScalar) {
    std::string meant = property.example.empty() ? "" : "for example " + std::string(property.name) + ": " + std::string(property.example);
    if (meant.empty() && !property.default_text.empty())
      meant = "for example " + std::string(property.name) + ": " + std::string(property.default_text);
    Report(node.place, path + " must be " + TypeInWords(property.type) + ", not " + node.Describe(), std::move(meant));
    return std::nullopt;
  }
  return ParseScalar(property, node, path);
}

std::optional<Value> Reader::ParseScalar(const Property& property, const YamlNode& node, const std::string& path) {
  switch (property.type) {
    case ValueType::kName:
    case ValueType::kTopic:
      if (!CheckName(node, property.type, path)) return std::nullopt;
      return node.text;
    case ValueType::kPathOrUrl: {
      const auto url = ParseObjectUrl(node.text);
      if (!url) {
        Report(node.place, path + ": " + url.error().message);
        return std::nullopt;
      }
      if (*url) return node.text;
      [[fallthrough]];
    }
    case ValueType::kPath:
      if (node.text.empty()) {
        Report(node.place, path + " is empty");
        return std::nullopt;
      }
      return Resolve(node);
    case ValueType::kEndpoint: {
      auto endpoint = ParseEndpoint(node.text);
      if (!endpoint) {
        Report(node.place, path + ": " + endpoint.error().message);
        return std::nullopt;
      }
      return *endpoint;
    }
    case ValueType::kChoice: return ParseChoice(property, node, path);
    case ValueType::kInteger:
    case ValueType::kDuration:
    case ValueType::kBytes: return ParseBounded(property, node, path);
    default: return node.text;
  }
}

std::optional<Value> Reader::ParseBounded(const Property& property, const YamlNode& node, const std::string& path) {
  std::int64_t number = 0;
  Value value;
  std::string failure;
  const auto plain = ParseInt64(node.text);
  if (property.type == ValueType::kInteger) {
    if (!plain || node.quoted) {
      Report(node.place, path + " must be a whole number, not " + node.Describe() + (node.quoted ? ", a text" : ""),
             plain ? "write it without quotes" : "");
      return std::nullopt;
    }
    number = *plain;
    value = number;
  } else if (property.type == ValueType::kDuration) {
    const auto duration = ParseDuration(node.text);
    if (!duration) {
      // A bare number is the commonest mistake, and seconds the commonest meaning.
      Report(node.place, path + ": " + (plain ? "the unit is missing in " + node.Describe() : duration.error().message),
             plain ? "did you mean \"" + node.text + "s\"? Units are ms, s, m, h, d" : "");
      return std::nullopt;
    }
    number = duration->count();
    value = *duration;
  } else {
    const auto bytes = ParseBytes(node.text);
    if (!bytes) {
      Report(node.place, path + ": " + (plain ? "the unit is missing in " + node.Describe() : bytes.error().message),
             plain ? "write \"" + node.text + "B\" for bytes, \"" + node.text + "MiB\" for mebibytes" : "");
      return std::nullopt;
    }
    number = *bytes > static_cast<std::uint64_t>(INT64_MAX) ? INT64_MAX : static_cast<std::int64_t>(*bytes);
    value = ByteCount{*bytes};
  }
  if (property.max != 0 && (number < property.min || number > property.max)) {
    Report(node.place, path + " must be between " + FormatBound(property, property.min) + " and " + FormatBound(property, property.max) +
                           ", not " + node.text);
    return std::nullopt;
  }
  return value;
}

std::optional<Value> Reader::ParseChoice(const Property& property, const YamlNode& node, const std::string& path) {
  const auto found = std::ranges::find(property.choices, std::string_view(node.text));
  if (found != property.choices.end()) return Choice{static_cast<std::size_t>(found - property.choices.begin())};
  if (std::ranges::find(property.later, std::string_view(node.text)) != property.later.end()) {
    Report(node.place, path + ": this build does not have the driver " + node.Describe(),
           "write \"" + std::string(property.choices[0]) + "\", which is built in");
    return std::nullopt;
  }
  std::string meant = Meant(node.text, property.choices);
  if (meant.empty()) {
    meant = "it can be ";
    for (std::size_t i = 0; i < property.choices.size(); ++i) meant.append(i == 0 ? "" : ", ").append(property.choices[i]);
  }
  Report(node.place, path + " cannot be " + node.Describe(), std::move(meant));
  return std::nullopt;
}

std::optional<Value> Reader::ParseNames(const Property& property, const YamlNode& node, const std::string& path) {
  std::vector<std::string> names;
  const auto add = [&](const YamlNode& item) {
    if (property.type == ValueType::kNames) {
      if (!CheckName(item, ValueType::kName, path)) return false;
    } else if (property.type == ValueType::kEndpoints) {
      const auto endpoint = ParseEndpoint(item.kind == YamlNode::Kind::kScalar ? item.text : std::string());
      if (!endpoint) {
        Report(item.place, path + ": " + endpoint.error().message);
        return false;
      }
    } else if (item.kind != YamlNode::Kind::kScalar) {
      Report(item.place, path + ": " + item.Describe() + " is not a word");
      return false;
    } else if (!ParseChoice(property, item, path)) {
      return false;
    }
    if (std::ranges::find(names, item.text) != names.end()) {
      Report(item.place, path + " names " + item.Describe() + " twice");
      return false;
    }
    names.push_back(item.text);
    return true;
  };
  if (node.kind == YamlNode::Kind::kScalar) {  // one name may stand without brackets
    if (!add(node)) return std::nullopt;
    return names;
  }
  if (node.kind != YamlNode::Kind::kSequence) {
    Report(node.place, path + " must be a list of names, not " + node.Describe(),
           property.example.empty() ? "" : "for example " + std::string(property.name) + ": " + std::string(property.example));
    return std::nullopt;
  }
  bool good = true;
  for (const YamlNode& item : node.items) good = add(item) && good;
  if (!good) return std::nullopt;
  if (names.empty() && property.required) {
    Report(node.place, path + " is empty");
    return std::nullopt;
  }
  return names;
}

std::optional<Value> Reader::ParseNamedTexts(const YamlNode& node, const std::string& path) {
  if (node.kind != YamlNode::Kind::kMap || node.entries.empty()) {
    Report(node.place, path + " must be a map from names to expressions, not " +
                           (node.kind == YamlNode::Kind::kMap ? "an empty one" : node.Describe()));
    return std::nullopt;
  }
  NamedTexts texts;
  bool good = true;
  for (const YamlEntry& entry : node.entries) {
    if (!CheckName(entry.key, ValueType::kName, path)) {
      good = false;
    } else if (entry.value.kind != YamlNode::Kind::kScalar || entry.value.text.empty()) {
      Report(entry.value.place, path + "." + entry.key.text + " must be an expression, not " + entry.value.Describe());
      good = false;
    } else if (std::ranges::find(texts, entry.key.text, &NamedTexts::value_type::first) != texts.end()) {
      Report(entry.key.place, entry.key.Describe() + " stands twice in " + path);
      good = false;
    } else {
      texts.emplace_back(entry.key.text, entry.value.text);
    }
  }
  if (!good) return std::nullopt;
  return texts;
}

std::optional<Value> Reader::ParseDependencies(const Property& property, const YamlNode& node, const std::string& path) {
  if (node.kind != YamlNode::Kind::kMap) {
    Report(node.place, path + " must be a map from a field to the fields it determines, not " + node.Describe(),
           "for example determines: " + std::string(property.example));
    return std::nullopt;
  }
  Dependencies dependencies;
  Property names = property;
  names.type = ValueType::kNames;
  names.required = true;
  for (const YamlEntry& entry : node.entries) {
    if (!CheckName(entry.key, ValueType::kName, path)) continue;
    places_[path + "." + entry.key.text] = entry.key.place;
    if (auto value = ParseNames(names, entry.value, path + "." + entry.key.text)) {
      dependencies.emplace_back(entry.key.text, std::get<std::vector<std::string>>(std::move(*value)));
    }
  }
  return dependencies;
}

std::optional<Value> Reader::ParseSecret(const YamlNode& node, const std::string& path) {
  constexpr std::string_view kHow = "write {env: NAME}, {file: path} or {credential: NAME}";
  const bool one = node.kind == YamlNode::Kind::kMap && node.entries.size() == 1 && node.entries[0].key.kind == YamlNode::Kind::kScalar &&
                   node.entries[0].value.kind == YamlNode::Kind::kScalar;
  const std::string kind = one ? node.entries[0].key.text : "";
  if (kind != "env" && kind != "file" && kind != "credential") {
    // The text is not repeated: it may be the secret itself.
    Report(node.place,
           path + (node.kind == YamlNode::Kind::kScalar ? ": a secret must not stand in the file" : " must say where the secret is"),
           std::string(kHow));
    return std::nullopt;
  }
  const YamlNode& from = node.entries[0].value;
  std::string secret;
  std::string source;
  const auto variable = [this](const std::string& name) -> std::optional<std::string> {
    if (options_.environment) return options_.environment(name);
    const char* set = std::getenv(name.c_str());
    return set != nullptr ? std::optional<std::string>(set) : std::nullopt;
  };
  if (kind == "env") {
    std::optional<std::string> value = variable(from.text);
    source = "env " + from.text;
    if (!value) {
      Report(from.place, path + ": the environment variable " + from.Describe() + " is not set");
      return std::nullopt;
    }
    secret = std::move(*value);
  } else {
    std::string file;
    if (kind == "file") {
      file = Resolve(from);
    } else {
      const std::optional<std::string> directory = variable("CREDENTIALS_DIRECTORY");
      if (!directory || directory->empty()) {
        Report(from.place, path + ": there are no credentials: CREDENTIALS_DIRECTORY is not set",
               "systemd sets it for a service with LoadCredential=" + from.text + ":…; elsewhere write {env: NAME} or {file: path}");
        return std::nullopt;
      }
      if (from.text.empty() || from.text == "." || from.text == ".." || from.text.find('/') != std::string::npos) {
        Report(from.place, path + ": " + from.Describe() + " is not the name of a credential");
        return std::nullopt;
      }
      file = *directory + "/" + from.text;
    }
    auto read = runtime::ReadFile(*files_, file, kSecretBytesMax);
    source = "file " + file;
    if (!read) {
      Report(from.place, path + ": " + read.error().message);
      return std::nullopt;
    }
    secret = std::move(*read);
    while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  }
  if (secret.empty()) {
    Report(from.place, path + ": " + source + " is empty");
    return std::nullopt;
  }
  return Secret(std::move(secret), std::move(source));
}

}  // namespace sightline::config
