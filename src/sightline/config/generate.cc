// The JSON Schema and the documentation page, from the table.
#include <set>
#include <string>

#include "sightline/base/text.h"
#include "sightline/config/describe.h"
#include "sightline/config/table.h"

namespace sightline::config {
namespace {

std::string Json(std::string_view text) {
  std::string out;
  AppendJsonString(out, text);
  return out;
}

// Writes indented JSON; the caller says what opens and closes.
class SchemaWriter {
 public:
  void Open(std::string_view key) { Begin(key, "{"); }
  void OpenList(std::string_view key) { Begin(key, "["); }
  void Close(std::string_view bracket = "}") {
    --depth_;
    if (!first_) out_ += "\n" + Indent();
    out_ += bracket;
    first_ = false;
  }
  void Put(std::string_view key, const std::string& raw_value) {
    Separate(key);
    out_ += raw_value;
  }
  std::string Take() { return std::move(out_) + "\n"; }

  void PutSection(const Section& section) {
    Put("type", "\"object\"");
    Open("properties");
    for (const Property& property : section.properties) {
      if (!property.unavailable.empty()) continue;
      Open(property.name);
      PutProperty(property);
      Close();
    }
    Close();
    std::string required;
    for (const Property& property : section.properties) {
      if (property.required) required += (required.empty() ? "" : ", ") + Json(property.name);
    }
    if (!required.empty()) Put("required", "[" + required + "]");
    if (section.rest == nullptr) {
      Put("additionalProperties", "false");
    } else {
      Open("additionalProperties");
      Put("type", "\"string\"");
      Put("description", Json(section.rest->help));
      Close();
    }
  }

 private:
  std::string Indent() const { return std::string(static_cast<std::size_t>(depth_) * 2, ' '); }
  void Separate(std::string_view key) {
    if (depth_ > 0) out_ += (first_ ? "\n" : ",\n") + Indent();
    if (!key.empty()) out_ += Json(key) + ": ";
    first_ = false;
  }
  void Begin(std::string_view key, std::string_view bracket) {
    Separate(key);
    out_ += bracket;
    ++depth_;
    first_ = true;
  }
  void PutChoices(const Property& property) {
    std::string choices;
    for (const std::string_view choice : property.choices) choices += (choices.empty() ? "" : ", ") + Json(choice);
    Put("enum", "[" + choices + "]");
  }
  void PutNameList(std::string_view key) {
    if (!key.empty()) Open(key);
    Put("anyOf", R"([{"type": "string"}, {"type": "array", "items": {"type": "string"}, "uniqueItems": true}])");
    if (!key.empty()) Close();
  }
  void PutProperty(const Property& property) {
    if (!property.help.empty()) Put("description", Json(property.help));
    PutType(property);
    if (!property.default_text.empty() && !property.nested()) Put("default", Default(property));
  }
  static std::string Default(const Property& property) {
    if (property.type == ValueType::kInteger) return std::string(property.default_text);
    if (property.type == ValueType::kChoices) return property.default_text == "[]" ? "[]" : R"(["results.read"])";
    return Json(property.default_text);
  }
  void PutType(const Property& property) {
    switch (property.type) {
      case ValueType::kText:
      case ValueType::kExpression:
      case ValueType::kPath:
      case ValueType::kPathOrUrl: Put("type", "\"string\""); return;
      case ValueType::kName: PutPattern("^[A-Za-z_][A-Za-z0-9_]*$"); return;
      case ValueType::kTopic: PutPattern("^[A-Za-z0-9._-]+$"); return;
      case ValueType::kDuration: PutPattern("^[0-9]+(ms|s|m|h|d)$"); return;
      case ValueType::kBytes: PutPattern("^[0-9]+(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"); return;
      case ValueType::kEndpoint: PutPattern("^.+:[0-9]{1,5}$"); return;
      case ValueType::kInteger:
        Put("type", "\"integer\"");
        if (property.max != 0) {
          Put("minimum", std::to_string(property.min));
          Put("maximum", std::to_string(property.max));
        }
        return;
      case ValueType::kChoice: PutChoices(property); return;
      case ValueType::kChoices:
        Put("type", "\"array\"");
        Open("items");
        PutChoices(property);
        Close();
        Put("uniqueItems", "true");
        return;
      case ValueType::kNames: PutNameList(""); return;
      case ValueType::kEndpoints:
        Put("type", "\"array\"");
        Open("items");
        PutPattern("^.+:[0-9]{1,5}$");
        Close();
        Put("uniqueItems", "true");
        return;
      case ValueType::kSecret:
        Put("type", "\"object\"");
        Put("properties", R"({"env": {"type": "string"}, "file": {"type": "string"}, "credential": {"type": "string"}})");
        Put("additionalProperties", "false");
        Put("minProperties", "1");
        Put("maxProperties", "1");
        return;
      case ValueType::kExpressions:
        Put("type", "\"object\"");
        Put("additionalProperties", R"({"type": "string"})");
        return;
      case ValueType::kDependencies:
        Put("type", "\"object\"");
        PutNameList("additionalProperties");
        return;
      case ValueType::kSection: PutSection(*property.section); return;
      case ValueType::kNamedSections:
        Put("type", "\"object\"");
        Open("additionalProperties");
        PutSection(*property.section);
        Close();
        Put("propertyNames", R"({"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})");
        return;
      case ValueType::kSections:
        Put("type", "\"array\"");
        Open("items");
        PutSection(*property.section);
        Close();
        return;
      case ValueType::kSteps:
        Put("type", "\"array\"");
        Put("minItems", "1");
        Open("items");
        Put("minProperties", "1");
        Put("maxProperties", "1");
        PutSection(StepSection());
        Close();
        return;
    }
  }
  void PutPattern(std::string_view pattern) {
    Put("type", "\"string\"");
    Put("pattern", Json(pattern));
  }

  std::string out_;
  int depth_ = 0;
  bool first_ = true;
};

std::string DocType(const Property& property) {
  switch (property.type) {
    case ValueType::kChoice:
    case ValueType::kChoices: {
      std::string choices = property.type == ValueType::kChoices ? "list of " : "";
      for (std::size_t i = 0; i < property.choices.size(); ++i)
        choices.append(i == 0 ? "`" : ", `").append(property.choices[i]).append("`");
      return choices;
    }
    case ValueType::kDuration: return "duration";
    case ValueType::kBytes: return "size";
    case ValueType::kInteger: return "whole number";
    case ValueType::kEndpoint: return "host:port";
    case ValueType::kSecret: return "`{env: NAME}`, `{file: path}` or `{credential: NAME}`";
    case ValueType::kNames: return "list of names";
    case ValueType::kEndpoints: return "list of host:port";
    case ValueType::kDependencies: return "map, name to names";
    case ValueType::kExpressions: return "map, name to expression";
    case ValueType::kExpression: return "expression";
    case ValueType::kPath: return "path";
    case ValueType::kPathOrUrl: return "path or URL";
    case ValueType::kTopic:
    case ValueType::kName: return "name";
    case ValueType::kSection:
    case ValueType::kSections:
    case ValueType::kNamedSections: return "section";
    default: return "text";
  }
}

std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

// One table for a section, then one for each section below it.
void DocumentSection(const Section& section, const std::string& title, const std::string& path, std::string& out) {
  out += "\n## " + title + "\n" + std::string(section.help) + "\n\n";
  std::string rows;
  const auto row = [&rows](const Property& property) {
    std::string bounds = property.max == 0 ? "" : FormatBound(property, property.min) + " to " + FormatBound(property, property.max);
    if (property.max == INT64_MAX) bounds = property.min > 0 ? "at least " + FormatBound(property, property.min) : "";
    std::string preset = property.required               ? "required"
                         : property.default_text.empty() ? "–"
                                                         : "`" + std::string(property.default_text) + "`";
    std::string help(property.help);
    if (!property.example.empty()) help += " Example: `" + std::string(property.example) + "`";
    rows += "| `" + std::string(property.name) + "` | " + Cell(DocType(property)) + " | " + preset + " | " + bounds + " | " + Cell(help) +
            " |\n";
  };
  for (const Property& property : section.properties) {
    if (property.unavailable.empty()) row(property);
  }
  if (section.rest != nullptr) row(*section.rest);
  if (!rows.empty()) out += "| setting | type | default | bounds | meaning |\n| --- | --- | --- | --- | --- |\n" + rows;
  for (const Property& property : section.properties) {
    if (!property.unavailable.empty() || !property.nested()) continue;
    const std::string at = (path.empty() ? "" : path + ".") + std::string(property.name);
    if (property.type == ValueType::kNamedSections) {
      DocumentSection(*property.section, "`" + at + ".NAME`", at + ".NAME", out);
    } else if (property.type == ValueType::kSections) {
      DocumentSection(*property.section, "`" + at + "[]`", at + "[]", out);
    } else if (property.type == ValueType::kSteps) {
      DocumentSection(StepSection(), "`" + at + "[]`", at + "[]", out);
    } else {
      DocumentSection(*property.section, "`" + at + "`", at, out);
    }
  }
}

}  // namespace

std::string JsonSchema() {
  SchemaWriter writer;
  writer.Open("");
  writer.Put("$schema", "\"https://json-schema.org/draft/2020-12/schema\"");
  writer.Put("title", "\"sightline configuration\"");
  writer.Put("description", Json(RootSection().help));
  writer.PutSection(RootSection());
  writer.Close();
  return writer.Take();
}

std::string Documentation() {
  std::string out =
      "# Configuration\n\n"
      "<!-- Generated by `sightline config docs`. Do not edit: change src/sightline/config/table.cc or steps.cc. -->\n\n"
      "One YAML file says everything. `sightline check FILE` reports every mistake in it with file, line, column and what was probably "
      "meant;\n"
      "`sightline config show` prints every setting in effect and where it comes from; `sightline config schema` prints the JSON Schema of "
      "the file,\n"
      "which editors understand (it is also in `schema/sightline.schema.json`).\n\n"
      "- Unknown settings are mistakes, and so is a setting that stands twice.\n"
      "- Durations and sizes need their unit: `250ms`, `30s`, `1m`, `24h`, `7d`; `4096B`, `10MB` (10^6), `64MiB` (2^20).\n"
      "- Paths are relative to the file.\n"
      "- Secrets never stand in the file: `{env: NAME}` takes one from the environment, `{file: path}` from a file, "
      "`{credential: NAME}` one of\n"
      "  those that systemd hands to a service (`LoadCredential=`, below `$CREDENTIALS_DIRECTORY`). They are never printed.\n"
      "- A change of any setting needs a restart; references can be reloaded while the server runs.\n";
  DocumentSection(RootSection(), "The file", "", out);
  return out;
}

}  // namespace sightline::config
