#include "sightline/config/reader.h"

#include <algorithm>

#include "sightline/base/text.h"
#include "sightline/config/table.h"

namespace sightline::config {
namespace {

std::string Join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(out, text.substr(0, 60));
  return out;
}

std::string In(const std::string& path) { return path.empty() ? "" : " in " + path; }

}  // namespace

std::string Meant(std::string_view word, std::span<const std::string_view> candidates) {
  constexpr std::size_t kWordMax = 100;  // nobody means a longer one, and the comparison takes quadratic time
  if (word.size() > kWordMax) return "";
  const std::string_view near = DidYouMean(word, candidates);
  return near.empty() ? "" : "did you mean " + Quoted(near) + "?";
}

std::string Meant(std::string_view word, const std::vector<std::string>& candidates) {
  const std::vector<std::string_view> views(candidates.begin(), candidates.end());
  return Meant(word, std::span(views));
}

void Reader::Report(const SourcePlace& place, std::string what, std::string meant) {
  mistakes_.push_back({place, std::move(what), std::move(meant)});
}

void Reader::ReadSection(const Section& section, const YamlNode& node, void* object, const std::string& path) {
  if (node.kind != YamlNode::Kind::kMap && node.kind != YamlNode::Kind::kNull) {
    Report(node.place, (path.empty() ? "the file" : path) + " must be a map of settings, not " + node.Describe());
    return;
  }
  std::set<std::string_view> seen;
  YamlNode rest;
  rest.kind = YamlNode::Kind::kMap;
  rest.place = node.place;
  for (const YamlEntry& entry : node.entries) {
    if (entry.key.kind != YamlNode::Kind::kScalar) {
      Report(entry.key.place, "a setting's name must be a word, not " + entry.key.Describe());
      continue;
    }
    if (!seen.insert(entry.key.text).second) {
      Report(entry.key.place, Quoted(entry.key.text) + " stands twice" + In(path), "keep one of the two");
      continue;
    }
    if (const Property* property = section.Find(entry.key.text)) {
      if (!property->unavailable.empty()) {
        Report(entry.key.place, Join(path, property->name) + ": " + std::string(property->unavailable));
        continue;
      }
      places_[Join(path, property->name)] = entry.value.place;
      ReadProperty(*property, entry.value, object, Join(path, property->name));
    } else if (section.rest != nullptr) {
      rest.entries.push_back(entry);
    } else {
      ReportUnknownKey(section, entry, path);
    }
  }
  if (section.rest != nullptr && !rest.entries.empty()) ReadProperty(*section.rest, rest, object, path);
  for (const Property& property : section.properties) {
    if (!seen.contains(property.name)) ApplyDefault(property, object, Join(path, property.name), node.place);
  }
}

void Reader::ReportUnknownKey(const Section& section, const YamlEntry& entry, const std::string& path) {
  const std::string& word = entry.key.text;
  std::vector<std::string_view> names;
  for (const Property& property : section.properties) names.push_back(property.name);
  std::string meant = Meant(word, std::span<const std::string_view>(names));
  if (meant.empty()) {
    for (const Property& property : section.properties) {
      if (property.type == ValueType::kSection && property.section->Find(word) != nullptr) {
        meant = "it belongs below " + Quoted(property.name);
      }
    }
  }
  if (meant.empty()) {
    meant = "known are ";
    for (std::size_t i = 0; i < names.size(); ++i) meant.append(i == 0 ? "" : ", ").append(names[i]);
  }
  Report(entry.key.place, "unknown setting " + Quoted(word) + In(path), std::move(meant));
}

void Reader::ApplyDefault(const Property& property, void* object, const std::string& path, const SourcePlace& around) {
  if (!property.unavailable.empty()) return;
  if (property.required) {
    std::string meant = property.example.empty() ? "" : "for example " + std::string(property.name) + ": " + std::string(property.example);
    Report(around, path + " is missing", std::move(meant));
    return;
  }
  if (property.type == ValueType::kSection) {
    // An optional section that is not written stays unset; any other gets its own defaults.
    if (property.access.at(object, 0) == nullptr) return;
    YamlNode nothing;
    nothing.place = around;
    ReadSection(*property.section, nothing, property.access.open(object), path);
    return;
  }
  if (property.default_text.empty()) return;
  const auto parsed = ParseYaml(property.default_text, "");
  if (!parsed) return;
  YamlNode node = *parsed;
  node.place = around;
  if (auto value = ParseValue(property, node, path)) property.access.set(object, std::move(*value));
}

void Reader::ReadProperty(const Property& property, const YamlNode& node, void* object, const std::string& path) {
  if (property.nested()) {
    ReadNested(property, node, object, path);
    return;
  }
  if (auto value = ParseValue(property, node, path)) property.access.set(object, std::move(*value));
}

void Reader::ReadNested(const Property& property, const YamlNode& node, void* object, const std::string& path) {
  switch (property.type) {
    case ValueType::kSection: ReadSection(*property.section, node, property.access.open(object), path); return;
    case ValueType::kNamedSections: ReadNamedSections(property, node, object, path); return;
    case ValueType::kSteps: ReadSteps(node, *static_cast<std::vector<Step>*>(property.access.open(object)), path); return;
    default: break;
  }
  if (node.kind != YamlNode::Kind::kSequence) {
    Report(node.place, path + " must be a list, not " + node.Describe());
    return;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const std::string item_path = path + "[" + std::to_string(i) + "]";
    places_[item_path] = node.items[i].place;
    ReadSection(*property.section, node.items[i], property.access.open(object), item_path);
  }
}

void Reader::ReadNamedSections(const Property& property, const YamlNode& node, void* object, const std::string& path) {
  if (node.kind != YamlNode::Kind::kMap) {
    Report(node.place, path + " must be a map from names to settings, not " + node.Describe());
    return;
  }
  std::set<std::string_view> seen;
  for (const YamlEntry& entry : node.entries) {
    if (!CheckName(entry.key, ValueType::kName, path)) continue;
    if (!seen.insert(entry.key.text).second) {
      Report(entry.key.place, Quoted(entry.key.text) + " stands twice" + In(path), "give one of them another name");
      continue;
    }
    const std::string element_path = Join(path, entry.key.text);
    places_[element_path] = entry.key.place;
    void* element = property.access.open(object);
    property.access.name(element, entry.key.text, entry.key.place);
    YamlNode value = entry.value;
    if (value.kind == YamlNode::Kind::kNull) value.place = entry.key.place;
    ReadSection(*property.section, value, element, element_path);
  }
}

void Reader::ReadSteps(const YamlNode& node, std::vector<Step>& steps, const std::string& path) {
  const Section& kinds = StepSection();
  std::vector<std::string_view> names;
  for (const Property& property : kinds.properties) names.push_back(property.name);
  if (node.kind != YamlNode::Kind::kSequence || node.items.empty()) {
    Report(node.place, path + " must be a list of steps, not " + (node.items.empty() ? "nothing" : node.Describe()),
           "for example steps: [{dedupe: {by: [id], within: 24h}}]");
    return;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    std::string step_path = path + "[" + std::to_string(i) + "]";
    if (item.kind != YamlNode::Kind::kMap || item.entries.size() != 1 || item.entries[0].key.kind != YamlNode::Kind::kScalar) {
      Report(item.place,
             step_path + " must be a map with one step, not " +
                 (item.kind == YamlNode::Kind::kMap ? std::to_string(item.entries.size()) + " of them" : item.Describe()),
             item.entries.size() > 1 ? "begin each step with \"- \"" : "");
      continue;
    }
    const YamlEntry& entry = item.entries[0];
    const Property* kind = kinds.Find(entry.key.text);
    if (kind == nullptr) {
      std::string meant = Meant(entry.key.text, std::span<const std::string_view>(names));
      if (meant.empty()) meant = "known are where, derive, dedupe, enrich, window, aggregate, rank";
      Report(entry.key.place, "unknown step " + Quoted(entry.key.text) + In(path), std::move(meant));
      continue;
    }
    step_path += "." + entry.key.text;
    places_[step_path] = entry.key.place;
    const std::size_t mistakes_before = mistakes_.size();
    StepSettings settings;
    ReadProperty(*kind, entry.value, &settings, step_path);
    Step step = MakeStep(entry.key.text, std::move(settings), entry.key.place);
    const auto* window = std::get_if<WindowStep>(&step.step);
    if (window != nullptr && mistakes_.size() == mistakes_before) CheckWindow(entry.value, *window, step_path);
    steps.push_back(std::move(step));
  }
}

void Reader::CheckWindow(const YamlNode& node, const WindowStep& window, const std::string& path) {
  const bool tumbling = node.Find("tumbling") != nullptr;
  const bool sliding = node.Find("sliding") != nullptr;
  if (tumbling == sliding) {
    Report(node.place, path + (tumbling ? " is both tumbling and sliding" : " has no size"),
           "write {tumbling: 1m} or {sliding: 60s, every: 5s}");
  } else if (tumbling && node.Find("every") != nullptr) {
    Report(node.Find("every")->place, path + ": a tumbling window has no `every`",
           "write {sliding: " + FormatDuration(window.size) + ", every: …} for windows that overlap");
  } else if (window.size.count() == 0) {
    Report(node.Find(tumbling ? "tumbling" : "sliding")->place, path + " must be longer than nothing");
  } else if (window.every.count() == 0) {
    Report(node.place, path + ": a sliding window needs `every`, how often one begins",
           "write {sliding: " + FormatDuration(window.size) + ", every: 5s}");
  } else if (window.size % window.every != std::chrono::milliseconds(0)) {
    Report(node.Find("sliding")->place,
           path + ": " + FormatDuration(window.size) + " is not a multiple of `every`, " + FormatDuration(window.every));
  }
}

std::string Mistake::ToString() const {
  std::string text = place.file;
  if (place.line > 0) text += ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
  if (!text.empty()) text += ": ";
  text += what;
  if (!meant.empty()) text += "; " + meant;
  return text;
}

}  // namespace sightline::config
