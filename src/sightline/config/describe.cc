#include "sightline/config/describe.h"

#include <algorithm>
#include <functional>

#include "sightline/base/text.h"
#include "sightline/config/table.h"

namespace sightline::config {
namespace {

bool PlainScalar(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text,
                             [](char c) {
                               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                      std::string_view("_-./()*+<>= ").find(c) != std::string_view::npos;
                             }) &&
         text.front() != ' ' && text.back() != ' ' && text.front() != '-' && text.front() != '*' && text.front() != '>';
}

// A scalar inside a flow collection.
std::string FlowText(std::string_view text) {
  if (PlainScalar(text)) return std::string(text);
  std::string out;
  AppendJsonString(out, text);
  return out;
}

std::string FlowList(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (std::size_t i = 0; i < texts.size(); ++i) out.append(i == 0 ? "" : ", ").append(FlowText(texts[i]));
  return out + "]";
}

class SettingsWalk {
 public:
  explicit SettingsWalk(const Config& config) : config_(config) {}

  void Walk(const Section& section, const void* object, const std::string& path) {
    for (const Property& property : section.properties) {
      if (!property.unavailable.empty()) continue;
      const std::string at = path.empty() ? std::string(property.name) : path + "." + std::string(property.name);
      if (property.type == ValueType::kSteps) {
        WalkSteps(*static_cast<const std::vector<Step>*>(property.access.at(object, 0)), at);
      } else if (property.nested()) {
        for (std::size_t i = 0; const void* inner = property.access.at(object, i); ++i) {
          std::string inner_path = at;
          if (property.type == ValueType::kNamedSections) inner_path += "." + property.access.name_of(inner);
          if (property.type == ValueType::kSections) inner_path += "[" + std::to_string(i) + "]";
          Walk(*property.section, inner, inner_path);
        }
      } else {
        Add(property, property.access.get(object), at);
      }
    }
  }
  std::vector<Setting> Take() { return std::move(settings_); }

 private:
  void Add(const Property& property, const Value& value, const std::string& path) {
    if (std::holds_alternative<std::monostate>(value)) return;
    if (const auto* secret = std::get_if<Secret>(&value); secret != nullptr && secret->empty()) return;
    settings_.push_back({path, FormatValue(property, value), Origin(path), property.restart, property.secret()});
  }
  void WalkSteps(const std::vector<Step>& steps, const std::string& path) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto [kind, settings] = SettingsOf(steps[i]);
      const Property& property = *StepSection().Find(kind);
      const std::string step_path = path + "[" + std::to_string(i) + "]." + std::string(kind);
      std::string value;
      if (property.type == ValueType::kSection) {
        value = FlowSection(*property.section, property.access.at(&settings, 0));
      } else {
        value = FormatValue(property, property.access.get(&settings));
      }
      settings_.push_back({step_path, std::move(value), Origin(step_path), true, false});
    }
  }
  // A step's settings, without those that are "0s" or empty, which stands for "not written".
  static std::string FlowSection(const Section& section, const void* object) {
    std::string out = "{";
    const auto add = [&out](std::string_view name, const std::string& value) {
      out.append(out.size() > 1 ? ", " : "").append(name).append(": ").append(value);
    };
    for (const Property& property : section.properties) {
      if (property.access.get == nullptr) continue;
      const std::string value = FormatValue(property, property.access.get(object));
      if (value != "[]" && (value != "0s" || property.name == "allowed_lateness")) add(property.name, value);
    }
    if (section.rest != nullptr) {
      const Value columns = section.rest->access.get(object);
      for (const auto& [name, expression] : std::get<NamedTexts>(columns)) add(name, FlowText(expression));
    }
    return out + "}";
  }
  std::string Origin(const std::string& path) const {
    const auto found = config_.places.find(path);
    if (found == config_.places.end()) return "default";
    const SourcePlace& place = found->second;
    return place.line > 0 ? place.file + ":" + std::to_string(place.line) : place.file;
  }

  const Config& config_;
  std::vector<Setting> settings_;
};

}  // namespace

std::string TypeInWords(ValueType type) {
  switch (type) {
    case ValueType::kText: return "a text";
    case ValueType::kExpression: return "an expression";
    case ValueType::kName: return "a name";
    case ValueType::kTopic: return "a topic's name";
    case ValueType::kNames: return "a list of names";
    case ValueType::kPath: return "a path";
    case ValueType::kPathOrUrl: return "a path or the URL of an object";
    case ValueType::kInteger: return "a whole number";
    case ValueType::kDuration: return "a duration such as 30s";
    case ValueType::kBytes: return "a size such as 64MiB";
    case ValueType::kEndpoint: return "an address such as 127.0.0.1:8080";
    case ValueType::kEndpoints: return "a list of addresses such as [broker-1:9092]";
    case ValueType::kChoice: return "one word";
    case ValueType::kChoices: return "a list of words";
    case ValueType::kSecret: return "a secret, {env: NAME} or {file: path}";
    case ValueType::kExpressions: return "a map from names to expressions";
    case ValueType::kDependencies: return "a map from a field to the fields it determines";
    case ValueType::kSection: return "a map of settings";
    case ValueType::kNamedSections: return "a map from names to settings";
    case ValueType::kSections: return "a list of settings";
    case ValueType::kSteps: return "a list of steps";
  }
  return "a value";
}

std::string FormatBound(const Property& property, std::int64_t bound) {
  if (property.type == ValueType::kDuration) return FormatDuration(std::chrono::milliseconds(bound));
  if (property.type == ValueType::kBytes) return FormatBytes(static_cast<std::uint64_t>(bound));
  return std::to_string(bound);
}

std::string FormatValue(const Property& property, const Value& value) {
  const auto visitor = [&property]<typename T>(const T& v) -> std::string {
    if constexpr (std::is_same_v<T, std::monostate>) return "";
    if constexpr (std::is_same_v<T, std::string>) return property.type == ValueType::kExpression ? FlowText(v) : v;
    if constexpr (std::is_same_v<T, std::int64_t>) return std::to_string(v);
    if constexpr (std::is_same_v<T, std::chrono::milliseconds>) return FormatDuration(v);
    if constexpr (std::is_same_v<T, ByteCount>) return FormatBytes(v.value);
    if constexpr (std::is_same_v<T, Choice>) return std::string(property.choices[v.index]);
    if constexpr (std::is_same_v<T, Endpoint>) return v.ToString();
    if constexpr (std::is_same_v<T, Secret>) return v.empty() ? "" : "(secret from " + v.source() + ")";
    if constexpr (std::is_same_v<T, std::vector<std::string>>) return FlowList(v);
    if constexpr (std::is_same_v<T, NamedTexts>) {
      std::string out = "{";
      for (const auto& [name, text] : v) out.append(out.size() > 1 ? ", " : "").append(name).append(": ").append(FlowText(text));
      return out + "}";
    }
    if constexpr (std::is_same_v<T, Dependencies>) {
      std::string out = "{";
      for (const auto& [name, names] : v) out.append(out.size() > 1 ? ", " : "").append(name).append(": ").append(FlowList(names));
      return out + "}";
    }
    return "";
  };
  return std::visit(visitor, value);
}

std::vector<Setting> Settings(const Config& config) {
  SettingsWalk walk(config);
  walk.Walk(RootSection(), &config, "");
  return walk.Take();
}

}  // namespace sightline::config
