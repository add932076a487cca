#include "sightline/governance/contract.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <span>
#include <sstream>
#include <utility>

#include "sightline/base/text.h"
#include "sightline/governance/pattern.h"

namespace sightline::governance {
namespace {

using Names = std::span<const std::string_view>;

// Keys of the standard (v3.2.0). Those that are only read by people are accepted and left alone.
constexpr std::string_view kTopKeys[] = {"apiVersion",
                                         "kind",
                                         "id",
                                         "version",
                                         "name",
                                         "status",
                                         "schema",
                                         "tenant",
                                         "tags",
                                         "servers",
                                         "dataProduct",
                                         "description",
                                         "domain",
                                         "context",
                                         "support",
                                         "price",
                                         "team",
                                         "roles",
                                         "slaDefaultElement",
                                         "slaProperties",
                                         "authoritativeDefinitions",
                                         "customProperties",
                                         "contractCreatedTs"};
constexpr std::string_view kObjectKeys[] = {"id",
                                            "name",
                                            "physicalType",
                                            "description",
                                            "businessName",
                                            "deprecated",
                                            "synonyms",
                                            "authoritativeDefinitions",
                                            "tags",
                                            "customProperties",
                                            "logicalType",
                                            "physicalName",
                                            "dataGranularityDescription",
                                            "properties",
                                            "relationships",
                                            "quality",
                                            "context"};
constexpr std::string_view kPropertyKeys[] = {"id",
                                              "name",
                                              "physicalType",
                                              "description",
                                              "businessName",
                                              "deprecated",
                                              "synonyms",
                                              "authoritativeDefinitions",
                                              "tags",
                                              "customProperties",
                                              "primaryKey",
                                              "primaryKeyPosition",
                                              "logicalType",
                                              "logicalTypeOptions",
                                              "physicalName",
                                              "required",
                                              "unique",
                                              "semanticType",
                                              "partitioned",
                                              "partitionKeyPosition",
                                              "classification",
                                              "encryptedName",
                                              "transformSourceObjects",
                                              "transformLogic",
                                              "transformDescription",
                                              "examples",
                                              "enum",
                                              "criticalDataElement",
                                              "relationships",
                                              "quality"};
constexpr std::string_view kEnumKeys[] = {"value", "label", "id", "description", "customProperties", "authoritativeDefinitions", "tags"};
constexpr std::string_view kCustomKeys[] = {"id", "property", "value", "description", "vendor"};
constexpr std::string_view kApiVersions[] = {"v3.2.0", "v3.1.0", "v3.0.2", "v3.0.1", "v3.0.0"};
constexpr std::string_view kLogicalTypes[] = {"integer", "number", "boolean", "string", "timestamp"};
constexpr std::string_view kObjectCustom[] = {"closed"};
constexpr std::string_view kPropertyCustom[] = {"eventTime", "identifier", "protobufNumber"};
constexpr std::string_view kNumberOptions[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"};
constexpr std::string_view kStringOptions[] = {"minLength", "maxLength", "pattern"};
constexpr std::string_view kTimestampOptions[] = {"format"};
constexpr std::string_view kVendor = "sightline";
constexpr std::string_view kEpochMillis = "epoch_ms";
constexpr std::size_t kFieldsMax = 1024;
constexpr std::uint32_t kProtobufNumberMax = (1U << 29) - 1;

struct IntegerFormat {
  std::string_view name;
  std::int64_t min;
  std::int64_t max;
};
constexpr IntegerFormat kIntegerFormats[] = {{"i8", -128, 127},
                                             {"i16", -32768, 32767},
                                             {"i32", std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()},
                                             {"i64", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()},
                                             {"u8", 0, 255},
                                             {"u16", 0, 65535},
                                             {"u32", 0, std::numeric_limits<std::uint32_t>::max()}};

bool IsPlain(const YAML::Node& node) { return node.Tag() == "?" || node.Tag().empty(); }

// What a plain scalar means under YAML 1.2's core schema, as far as it is not a string.
bool IsPlainNonString(const YAML::Node& node) {
  if (!IsPlain(node)) return false;
  const std::string& text = node.Scalar();
  static const std::set<std::string_view> kWords = {"", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"};
  if (kWords.contains(text)) return true;
  double number = 0;
  const char* begin = text.data() + (text[0] == '+' || text[0] == '-' ? 1 : 0);
  const auto [rest, failure] = std::from_chars(begin, text.data() + text.size(), number);
  return failure != std::errc::invalid_argument && rest == text.data() + text.size();
}

// What JSON would have to write with an escape.
bool IsOddInName(char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; }

std::string Listed(Names names) {
  std::string out;
  for (const std::string_view name : names) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

// Collects the mistakes of one file; each getter reports what it cannot read and gives nothing then.
class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  void Mistake(const YAML::Mark& mark, const std::string& what) {
    mistakes_ += (mistakes_.empty() ? "" : "\n") + file_;
    if (!mark.is_null()) mistakes_ += ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
    mistakes_ += ": " + what;
  }
  void Mistake(const YAML::Node& at, const std::string& what) { Mistake(at.Mark(), what); }
  const std::string& mistakes() const { return mistakes_; }

  // The members of a mapping, each key once and among `known`; nothing when it is no mapping.
  bool CheckMap(const YAML::Node& node, Names known, const std::string& where) {
    if (!node.IsMap()) {
      Mistake(node, where + " must be a mapping");
      return false;
    }
    std::set<std::string> seen;
    for (const auto& member : node) {
      if (!member.first.IsScalar()) {
        Mistake(member.first, "a key of " + where + " must be a plain word");
        continue;
      }
      const std::string& key = member.first.Scalar();
      if (!seen.insert(key).second) Mistake(member.first, "key `" + key + "` appears twice in " + where);
      if (std::ranges::find(known, key) == known.end()) Mistake(member.first, "unknown key `" + key + "` in " + where + Meant(key, known));
    }
    return true;
  }

  std::optional<std::string> String(const YAML::Node& node, const std::string& what) {
    if (!node.IsScalar() || IsPlainNonString(node)) {
      Mistake(node, what + " must be a string" + (node.IsScalar() ? "; put it in quotes" : ""));
      return std::nullopt;
    }
    return node.Scalar();
  }
  std::optional<bool> Bool(const YAML::Node& node, const std::string& what) {
    if (node.IsScalar() && IsPlain(node)) {
      if (node.Scalar() == "true") return true;
      if (node.Scalar() == "false") return false;
    }
    Mistake(node, what + " must be true or false");
    return std::nullopt;
  }
  std::optional<std::int64_t> Int(const YAML::Node& node, const std::string& what, std::int64_t min, std::int64_t max) {
    if (node.IsScalar() && IsPlain(node)) {
      const auto value = ParseInt64(node.Scalar());
      if (value && *value >= min && *value <= max) return *value;
      if (value) {
        Mistake(node, what + " must be from " + std::to_string(min) + " to " + std::to_string(max));
        return std::nullopt;
      }
    }
    Mistake(node, what + " must be a whole number");
    return std::nullopt;
  }
  std::optional<double> Double(const YAML::Node& node, const std::string& what) {
    if (node.IsScalar() && IsPlain(node)) {
      const std::string& text = node.Scalar();
      double value = 0;
      const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (failure == std::errc() && rest == text.data() + text.size() && std::isfinite(value)) return value;
    }
    Mistake(node, what + " must be a number");
    return std::nullopt;
  }

  static std::string Meant(std::string_view word, Names known) {
    const std::string_view near = DidYouMean(word, known);
    return near.empty() ? "; known: " + Listed(known) : "; did you mean `" + std::string(near) + "`?";
  }

 private:
  const std::string& file_;
  std::string mistakes_;
};

// Reads one property into a field and its rule.
class PropertyReader {
 public:
  PropertyReader(Reader& reader, const YAML::Node& node) : reader_(reader), node_(node) {}

  // False when there is no usable name; other mistakes are reported and the rest is read on.
  bool Read() {
    if (!reader_.CheckMap(node_, kPropertyKeys, "a property")) return false;
    const YAML::Node name = node_["name"];
    if (!name) {
      reader_.Mistake(node_, "a property needs a `name`");
      return false;
    }
    const auto text = reader_.String(name, "`name`");
    if (!text) return false;
    field.name = *text;
    if (field.name.empty() || !IsUtf8(field.name) || std::ranges::any_of(field.name, IsOddInName)) {
      reader_.Mistake(name, "a property's name must not be empty nor hold quotes, backslashes or control characters");
    }
    ReadFlags();
    if (ReadType()) {
      ReadOptions();
      ReadEnum();
    }
    ReadCustom();
    ReadUnenforced();
    CheckTogether();
    return true;
  }

  Field field;
  FieldRule rule;
  bool event_time = false;
  bool primary_key = false;
  std::int64_t key_position = -1;

 private:
  std::string Of(std::string_view what) const { return "`" + std::string(what) + "` of " + field.name; }

  bool Flag(const char* key) {
    const YAML::Node value = node_[key];
    return value && reader_.Bool(value, Of(key)).value_or(false);
  }

  void ReadFlags() {
    rule.required = Flag("required");
    primary_key = Flag("primaryKey");
    if (const YAML::Node position = node_["primaryKeyPosition"]) {
      key_position = reader_.Int(position, Of("primaryKeyPosition"), -1, kFieldsMax).value_or(-1);
    }
  }

  bool ReadType() {
    const YAML::Node type = node_["logicalType"];
    if (!type) {
      reader_.Mistake(node_, field.name + " needs a `logicalType`: " + Listed(kLogicalTypes));
      return false;
    }
    logical_type_ = reader_.String(type, Of("logicalType")).value_or("");
    if (logical_type_ == "integer" || logical_type_ == "timestamp") {
      field.type = FieldType::kInt64;
    } else if (logical_type_ == "number") {
      field.type = FieldType::kDouble;
    } else if (logical_type_ == "boolean") {
      field.type = FieldType::kBool;
    } else if (logical_type_ == "string") {
      field.type = FieldType::kString;
    } else {
      if (!logical_type_.empty()) {
        reader_.Mistake(type, "logicalType `" + logical_type_ + "` of " + field.name + " cannot be read from a record" +
                                  Reader::Meant(logical_type_, kLogicalTypes));
      }
      return false;
    }
    return true;
  }

  void ReadOptions() {
    const YAML::Node options = node_["logicalTypeOptions"];
    if (logical_type_ == "timestamp") {
      ReadTimestampOptions(options);
      return;
    }
    if (!options) return;
    const std::string where = "`logicalTypeOptions` of " + field.name;
    switch (field.type) {
      case FieldType::kInt64:
        if (reader_.CheckMap(options, kNumberOptions, where)) ReadIntegerOptions(options);
        break;
      case FieldType::kDouble:
        if (reader_.CheckMap(options, kNumberOptions, where)) ReadNumberOptions(options);
        break;
      case FieldType::kString:
        if (reader_.CheckMap(options, kStringOptions, where)) ReadStringOptions(options);
        break;
      case FieldType::kBool: reader_.CheckMap(options, {}, where); break;
    }
  }

  void ReadTimestampOptions(const YAML::Node& options) {
    const std::string wanted = "times in records are epoch milliseconds: write `logicalTypeOptions: {format: " + std::string(kEpochMillis) +
                               "}`, or `logicalType: integer`";
    if (!options) {
      reader_.Mistake(node_, Of("logicalType") + " is timestamp; " + wanted);
      return;
    }
    if (!reader_.CheckMap(options, kTimestampOptions, "`logicalTypeOptions` of " + field.name)) return;
    const YAML::Node format = options["format"];
    if (!format || !format.IsScalar() || format.Scalar() != kEpochMillis) reader_.Mistake(options, Of("format") + ": " + wanted);
  }

  void ReadIntegerOptions(const YAML::Node& options) {
    constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    const auto at_least = [&](std::int64_t bound) { rule.min_int64 = std::max(rule.min_int64.value_or(kMin), bound); };
    const auto at_most = [&](std::int64_t bound) { rule.max_int64 = std::min(rule.max_int64.value_or(kMax), bound); };
    if (const YAML::Node format = options["format"]) {
      const auto* const known = std::ranges::find(kIntegerFormats, format.IsScalar() ? format.Scalar() : "", &IntegerFormat::name);
      if (known == std::end(kIntegerFormats)) {
        reader_.Mistake(format, Of("format") + " must be i8, i16, i32, i64, u8, u16 or u32: integers have 64 bits and a sign");
      } else if (known->name != "i64") {
        at_least(known->min);
        at_most(known->max);
      }
    }
    const auto bound = [&](const char* key, std::int64_t min, std::int64_t max) -> std::optional<std::int64_t> {
      const YAML::Node value = options[key];
      return value ? reader_.Int(value, Of(key), min, max) : std::nullopt;
    };
    if (const auto value = bound("minimum", kMin, kMax)) at_least(*value);
    if (const auto value = bound("maximum", kMin, kMax)) at_most(*value);
    if (const auto value = bound("exclusiveMinimum", kMin, kMax - 1)) at_least(*value + 1);
    if (const auto value = bound("exclusiveMaximum", kMin + 1, kMax)) at_most(*value - 1);
    if (rule.min_int64.value_or(kMin) > rule.max_int64.value_or(kMax))
      reader_.Mistake(options, "no value can be within the bounds of " + field.name);
  }

  void ReadNumberOptions(const YAML::Node& options) {
    constexpr double kLowest = std::numeric_limits<double>::lowest();
    constexpr double kHighest = std::numeric_limits<double>::max();
    const auto at_least = [&](double bound) { rule.min_double = std::max(rule.min_double.value_or(kLowest), bound); };
    const auto at_most = [&](double bound) { rule.max_double = std::min(rule.max_double.value_or(kHighest), bound); };
    if (const YAML::Node format = options["format"]) {
      const std::string text = format.IsScalar() ? format.Scalar() : "";
      if (text == "f32") {
        at_least(std::numeric_limits<float>::lowest());
        at_most(std::numeric_limits<float>::max());
      } else if (text != "f64") {
        reader_.Mistake(format, Of("format") + " must be f64 or f32");
      }
    }
    const auto bound = [&](const char* key) -> std::optional<double> {
      const YAML::Node value = options[key];
      return value ? reader_.Double(value, Of(key)) : std::nullopt;
    };
    if (const auto value = bound("minimum")) at_least(*value);
    if (const auto value = bound("maximum")) at_most(*value);
    if (const auto value = bound("exclusiveMinimum")) at_least(std::nextafter(*value, std::numeric_limits<double>::infinity()));
    if (const auto value = bound("exclusiveMaximum")) at_most(std::nextafter(*value, -std::numeric_limits<double>::infinity()));
    if (rule.min_double.value_or(kLowest) > rule.max_double.value_or(kHighest)) {
      reader_.Mistake(options, "no value can be within the bounds of " + field.name);
    }
  }

  void ReadStringOptions(const YAML::Node& options) {
    constexpr std::int64_t kLengthMax = std::numeric_limits<std::uint32_t>::max() - 1;
    const auto length = [&](const char* key) -> std::optional<std::uint32_t> {
      const YAML::Node value = options[key];
      if (!value) return std::nullopt;
      const auto number = reader_.Int(value, Of(key), 0, kLengthMax);
      return number ? std::optional(static_cast<std::uint32_t>(*number)) : std::nullopt;
    };
    rule.min_length = length("minLength");
    rule.max_length = length("maxLength");
    if (rule.min_length && rule.max_length && *rule.min_length > *rule.max_length) {
      reader_.Mistake(options, "`minLength` of " + field.name + " is above its `maxLength`");
    }
    if (const YAML::Node pattern = options["pattern"]) {
      rule.pattern = reader_.String(pattern, Of("pattern")).value_or("");
      if (const auto compiled = Pattern::Compile(rule.pattern); !compiled) {
        reader_.Mistake(pattern, Of("pattern") + " is not a pattern: " + compiled.error().message);
      }
    }
  }

  void ReadEnum() {
    const YAML::Node values = node_["enum"];
    if (!values) return;
    if (field.type != FieldType::kString && field.type != FieldType::kInt64) {
      reader_.Mistake(values, Of("enum") + " can list strings and integers only");
      return;
    }
    if (!values.IsSequence() || values.size() == 0) {
      reader_.Mistake(values, Of("enum") + " must be a list of entries such as `- value: person`");
      return;
    }
    for (const auto& entry : values) {
      if (!reader_.CheckMap(entry, kEnumKeys, "an entry of " + Of("enum"))) continue;
      const YAML::Node value = entry["value"];
      if (!value) {
        reader_.Mistake(entry, "an entry of " + Of("enum") + " needs a `value`");
      } else if (field.type == FieldType::kString) {
        if (auto text = reader_.String(value, "`value`")) rule.one_of.push_back(std::move(*text));
      } else if (const auto number =
                     reader_.Int(value, "`value`", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max())) {
        rule.one_of_int64.push_back(*number);
      }
    }
  }

  void ReadCustom();
  void ReadUnenforced();
  void CheckTogether();

  Reader& reader_;
  const YAML::Node node_;
  std::string logical_type_;
};

// Calls `use(property, value node)` for each custom property that is meant for this program. Others are left alone, unless
// one looks like a misspelt one of ours.
template <typename Use>
void ForEachCustom(Reader& reader, const YAML::Node& list, Names ours, const std::string& where, const Use& use) {
  if (!list) return;
  if (!list.IsSequence()) {
    reader.Mistake(list, "`customProperties` of " + where + " must be a list");
    return;
  }
  std::set<std::string> seen;
  for (const auto& entry : list) {
    if (!reader.CheckMap(entry, kCustomKeys, "a custom property of " + where)) continue;
    const YAML::Node property = entry["property"];
    const YAML::Node value = entry["value"];
    if (!property || !property.IsScalar() || !value) {
      reader.Mistake(entry, "a custom property of " + where + " needs `property` and `value`");
      continue;
    }
    const YAML::Node vendor = entry["vendor"];
    const std::string of_vendor = vendor && vendor.IsScalar() ? vendor.Scalar() : "";
    if (!of_vendor.empty() && of_vendor != kVendor) continue;
    const std::string& name = property.Scalar();
    if (std::ranges::find(ours, name) != ours.end()) {
      if (!seen.insert(name).second) reader.Mistake(property, "custom property `" + name + "` of " + where + " appears twice");
      use(name, value);
    } else if (!of_vendor.empty() || !DidYouMean(name, ours).empty()) {
      reader.Mistake(property, "unknown custom property `" + name + "` of " + where + Reader::Meant(name, ours));
    }
  }
}

void PropertyReader::ReadCustom() {
  ForEachCustom(reader_, node_["customProperties"], kPropertyCustom, field.name, [&](const std::string& name, const YAML::Node& value) {
    if (name == "eventTime") {
      event_time = reader_.Bool(value, Of(name)).value_or(false);
    } else if (name == "identifier") {
      field.identifier = reader_.Bool(value, Of(name)).value_or(false);
    } else if (const auto number = reader_.Int(value, Of(name), 1, kProtobufNumberMax)) {
      if (*number >= 19000 && *number <= 19999) reader_.Mistake(value, "Protobuf reserves the field numbers 19000 to 19999");
      rule.protobuf_number = static_cast<std::uint32_t>(*number);
    }
  });
}

// Rules of the standard that nothing here would enforce are refused: a contract must not promise what is not checked.
void CheckQuality(Reader& reader, const YAML::Node& quality, const std::string& where) {
  if (!quality) return;
  if (!quality.IsSequence()) {
    reader.Mistake(quality, "`quality` of " + where + " must be a list");
    return;
  }
  for (const auto& check : quality) {
    const YAML::Node type = check.IsMap() ? check["type"] : YAML::Node();
    if (!check.IsMap() || !type || !type.IsScalar() || type.Scalar() != "text") {
      reader.Mistake(check, "a quality rule of " + where + " is not enforced on records; use logicalTypeOptions or enum, or `type: text`");
    }
  }
}

void PropertyReader::ReadUnenforced() {
  CheckQuality(reader_, node_["quality"], field.name);
  if (const YAML::Node unique = node_["unique"]; unique && reader_.Bool(unique, Of("unique")).value_or(false) && !primary_key) {
    reader_.Mistake(unique, Of("unique") + " is not enforced on records; use a dedupe step, or `primaryKey` for a reference table");
  }
  if (const YAML::Node physical = node_["physicalName"]; physical && (!physical.IsScalar() || physical.Scalar() != field.name)) {
    reader_.Mistake(physical, Of("physicalName") + " differs from its name; records are read by `name`");
  }
  if (const YAML::Node semantic = node_["semanticType"]; semantic && semantic.IsScalar() && semantic.Scalar() == "measure") {
    reader_.Mistake(semantic, Of("semanticType") + " is measure: an aggregate is no field of a record; aggregate in a pipeline step");
  }
}

void PropertyReader::CheckTogether() {
  field.nullable = !rule.required;
  if (event_time && field.type != FieldType::kInt64) {
    reader_.Mistake(node_, field.name + " is the event time and must be an integer or a timestamp in epoch milliseconds");
  }
  if (event_time && !rule.required) reader_.Mistake(node_, field.name + " is the event time and must be `required: true`");
  if (primary_key && !rule.required) reader_.Mistake(node_, field.name + " is a primary key and must be `required: true`");
  if (field.identifier && field.type != FieldType::kInt64 && field.type != FieldType::kString) {
    reader_.Mistake(node_, field.name + " is an identifier and must be an integer or a string");
  }
}

// Reads the file's one schema object into a contract.
class ContractReader {
 public:
  ContractReader(Reader& reader, const YAML::Node& root) : reader_(reader), root_(root) {}

  Contract Read() {
    if (!reader_.CheckMap(root_, kTopKeys, "the contract")) return {};
    ReadTop();
    const YAML::Node schema = root_["schema"];
    if (!schema || !schema.IsSequence() || schema.size() != 1) {
      reader_.Mistake(schema ? schema : root_, "`schema` must be a list with one object: the records of this dataset");
      return {};
    }
    const YAML::Node object = schema[0];
    if (reader_.CheckMap(object, kObjectKeys, "the schema object")) ReadObject(object);
    return std::move(contract_);
  }

 private:
  void ReadTop() {
    const auto text = [&](const char* key) -> std::string {
      const YAML::Node value = root_[key];
      if (!value) {
        reader_.Mistake(root_, "the contract needs `" + std::string(key) + "`");
        return "";
      }
      return reader_.String(value, "`" + std::string(key) + "`").value_or("");
    };
    text("id");
    contract_.version = text("version");
    if (const std::string kind = text("kind"); !kind.empty() && kind != "DataContract") {
      reader_.Mistake(root_["kind"], "`kind` must be DataContract");
    }
    if (const std::string api = text("apiVersion"); !api.empty() && std::ranges::find(kApiVersions, api) == std::end(kApiVersions)) {
      reader_.Mistake(root_["apiVersion"], "`apiVersion` " + api + " is not read; write one of: " + Listed(kApiVersions));
    }
  }

  void ReadObject(const YAML::Node& object) {
    if (const YAML::Node name = object["name"]) {
      contract_.name = reader_.String(name, "`name`").value_or("");
    } else {
      reader_.Mistake(object, "the schema object needs a `name`");
    }
    if (const YAML::Node type = object["logicalType"]; type && (!type.IsScalar() || type.Scalar() != "object")) {
      reader_.Mistake(type, "`logicalType` of the schema object must be object");
    }
    CheckQuality(reader_, object["quality"], "the schema object");
    ForEachCustom(reader_, object["customProperties"], kObjectCustom, "the schema object",
                  [&](const std::string& name, const YAML::Node& value) {
                    contract_.closed = reader_.Bool(value, "`" + name + "`").value_or(false);
                  });
    const YAML::Node properties = object["properties"];
    if (!properties || !properties.IsSequence() || properties.size() == 0 || properties.size() > kFieldsMax) {
      reader_.Mistake(properties ? properties : object,
                      "the schema object needs a list of 1 to " + std::to_string(kFieldsMax) + " `properties`");
      return;
    }
    for (const auto& property : properties) ReadProperty(property);
    std::ranges::sort(key_);
    for (const auto& [position, index] : key_) contract_.key.push_back(index);
  }

  void ReadProperty(const YAML::Node& node) {
    PropertyReader property(reader_, node);
    if (!property.Read()) return;
    const int index = static_cast<int>(contract_.schema.fields.size());
    if (contract_.schema.Find(property.field.name) >= 0) reader_.Mistake(node, "two properties are named " + property.field.name);
    if (property.event_time) {
      if (contract_.event_time >= 0) {
        reader_.Mistake(
            node, "two properties are the event time: " + contract_.schema.fields[static_cast<std::size_t>(contract_.event_time)].name +
                      " and " + property.field.name);
      }
      contract_.event_time = index;
    }
    if (const std::uint32_t number = property.rule.protobuf_number; number != 0 && !numbers_.insert(number).second) {
      reader_.Mistake(node, "two properties have the Protobuf field number " + std::to_string(number));
    }
    if (property.primary_key) key_.emplace_back(property.key_position, index);
    contract_.schema.fields.push_back(std::move(property.field));
    contract_.rules.push_back(std::move(property.rule));
  }

  Reader& reader_;
  const YAML::Node& root_;
  Contract contract_;
  std::vector<std::pair<std::int64_t, int>> key_;  // position, field
  std::set<std::uint32_t> numbers_;
};

}  // namespace

namespace {

constexpr std::size_t kBytesMax = 1 << 20;

class NoEvents final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// 0, 1, or 2 for several. YAML::LoadAll would find the same, but takes memory without end on some broken texts.
int CountDocuments(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  NoEvents events;
  int count = 0;
  while (count < 2 && parser.HandleNextDocument(events)) ++count;
  return count;
}

}  // namespace

Result<Contract> ParseContract(std::string_view yaml, const std::string& file) {
  Reader reader(file);
  Contract contract;
  if (!IsUtf8(yaml)) return Fail(ErrorKind::kInvalidArgument, file + ": the contract is not valid UTF-8");
  if (yaml.size() > kBytesMax) return Fail(ErrorKind::kInvalidArgument, file + ": the contract is larger than 1 MiB");
  if (const std::size_t nul = yaml.find('\0'); nul != std::string_view::npos) {
    return Fail(ErrorKind::kInvalidArgument, file + ": a NUL byte at position " + std::to_string(nul));
  }
  try {
    const std::string text(yaml);
    if (const int documents = CountDocuments(text); documents != 1) {
      reader.Mistake(YAML::Mark::null_mark(),
                     "a contract file holds one YAML document, this one " + std::string(documents == 0 ? "none" : "several"));
    } else {
      const YAML::Node root = YAML::Load(text);
      contract = ContractReader(reader, root).Read();
    }
  } catch (const YAML::Exception& e) {
    reader.Mistake(e.mark, "this is not YAML: " + e.msg);
  }
  if (!reader.mistakes().empty()) return Fail(ErrorKind::kInvalidArgument, reader.mistakes());
  return contract;
}

}  // namespace sightline::governance
