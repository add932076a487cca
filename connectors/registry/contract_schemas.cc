#include "connectors/registry/contract_schemas.h"

#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sightline::registry {
namespace {

using gate::SchemaConflict;
using gate::SchemaFormat;
using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using nlohmann::json;
using nlohmann::ordered_json;

// "camera_events" as a type's name: "CameraEvents".
std::string TypeName(const std::string& name) {
  std::string out;
  bool upper = true;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9' && !out.empty());
    if (letter) out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = !letter;
  }
  return out.empty() ? "Record" : out;
}

std::string_view AvroType(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return "long";
    case FieldType::kDouble: return "double";
    case FieldType::kBool: return "boolean";
    case FieldType::kString: return "string";
  }
  return "string";
}

std::string_view JsonType(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return "integer";
    case FieldType::kDouble: return "number";
    case FieldType::kBool: return "boolean";
    case FieldType::kString: return "string";
  }
  return "string";
}

std::string_view ProtobufType(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return "int64";
    case FieldType::kDouble: return "double";
    case FieldType::kBool: return "bool";
    case FieldType::kString: return "string";
  }
  return "string";
}

std::string RenderAvro(const governance::Contract& contract) {
  ordered_json schema = {
      {"type", "record"}, {"name", TypeName(contract.name)}, {"namespace", "sightline"}, {"fields", ordered_json::array()}};
  for (std::size_t f = 0; f < contract.schema.fields.size(); ++f) {
    const Field& field = contract.schema.fields[f];
    ordered_json one = {{"name", field.name}};
    if (contract.rules[f].required) {
      one["type"] = AvroType(field.type);
    } else {
      one["type"] = {"null", AvroType(field.type)};
      one["default"] = nullptr;
    }
    schema["fields"].push_back(std::move(one));
  }
  return schema.dump();
}

std::string RenderJson(const governance::Contract& contract) {
  ordered_json schema = {{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", TypeName(contract.name)}, {"type", "object"}};
  ordered_json required = ordered_json::array();
  for (std::size_t f = 0; f < contract.schema.fields.size(); ++f) {
    const Field& field = contract.schema.fields[f];
    const governance::FieldRule& rule = contract.rules[f];
    ordered_json one = {{"type", JsonType(field.type)}};
    if (!rule.required) one["type"] = {JsonType(field.type), "null"};
    if (rule.min_int64) one["minimum"] = *rule.min_int64;
    if (rule.max_int64) one["maximum"] = *rule.max_int64;
    if (rule.min_double) one["minimum"] = *rule.min_double;
    if (rule.max_double) one["maximum"] = *rule.max_double;
    if (rule.min_length) one["minLength"] = *rule.min_length;
    if (rule.max_length) one["maxLength"] = *rule.max_length;
    if (rule.required) required.push_back(field.name);
    schema["properties"][field.name] = std::move(one);
  }
  schema["required"] = std::move(required);
  schema["additionalProperties"] = !contract.closed;
  return schema.dump();
}

std::string RenderProtobuf(const governance::Contract& contract) {
  std::string text = "syntax = \"proto3\";\npackage sightline;\n\nmessage " + TypeName(contract.name) + " {\n";
  for (std::size_t f = 0; f < contract.schema.fields.size(); ++f) {
    const Field& field = contract.schema.fields[f];
    if (contract.rules[f].protobuf_number == 0) continue;
    text += std::string("  ") + (contract.rules[f].required ? "" : "optional ") + std::string(ProtobufType(field.type)) + " " + field.name +
            " = " + std::to_string(contract.rules[f].protobuf_number) + ";\n";
  }
  return text + "}\n";
}

// The types that a JSON schema names for a property, null left out; empty when it does not say.
std::vector<std::string> TypesOf(const json& property) {
  std::vector<std::string> types;
  const auto add = [&](const json& type) {
    if (type.is_string() && type != "null") types.push_back(type.get<std::string>());
  };
  if (!property.is_object() || !property.contains("type")) return types;
  if (property["type"].is_array()) {
    for (const json& type : property["type"]) add(type);
  } else {
    add(property["type"]);
  }
  return types;
}

Result<SchemaComparison> CompareJson(const governance::Contract& contract, const std::string& text) {
  const json schema = json::parse(text, nullptr, false);
  if (!schema.is_object()) return Fail(ErrorKind::kInvalidArgument, "not a JSON schema");
  SchemaComparison comparison;
  const json properties = schema.value("properties", json::object());
  const bool closed = schema.contains("additionalProperties") && schema["additionalProperties"] == false;
  for (std::size_t f = 0; f < contract.schema.fields.size(); ++f) {
    const Field& field = contract.schema.fields[f];
    const auto ours = gate::DescribeField(contract, static_cast<int>(f));
    if (!properties.is_object() || !properties.contains(field.name)) {
      if (contract.rules[f].required && closed) comparison.conflicts.push_back({field.name, ours, "missing, and no other fields allowed"});
      continue;
    }
    const std::vector<std::string> types = TypesOf(properties[field.name]);
    const std::string_view wanted = JsonType(field.type);
    const bool fits = types.empty() || std::ranges::any_of(types, [&](const std::string& type) {
      // A producer's numbers may all be whole; the gate says so of each that is not.
                        return type == wanted || (wanted == "number" && type == "integer");
                      });
    if (fits) continue;
    std::string theirs;
    for (const std::string& type : types) theirs += (theirs.empty() ? "" : " or ") + type;
    comparison.conflicts.push_back({field.name, ours, theirs});
  }
  return comparison;
}

class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text.empty()) text = "line " + std::to_string(line + 1) + ", column " + std::to_string(column + 1) + ": " + message;
  }
  std::string text;
};

std::string TypeInWords(const FieldDescriptorProto& field) {
  std::string words = field.label() == FieldDescriptorProto::LABEL_REPEATED ? "repeated " : "";
  if (!field.type_name().empty()) return words + field.type_name();
  std::string name = FieldDescriptorProto::Type_Name(field.type()).substr(5);
  for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return words + name;
}

// Types whose wire form our decoder reads as the contract's.
bool ProtobufFits(const FieldDescriptorProto& field, FieldType type) {
  if (field.label() == FieldDescriptorProto::LABEL_REPEATED || !field.type_name().empty()) return false;
  switch (type) {
    case FieldType::kInt64:
      return field.type() == FieldDescriptorProto::TYPE_INT64 || field.type() == FieldDescriptorProto::TYPE_INT32 ||
             field.type() == FieldDescriptorProto::TYPE_UINT32;
    case FieldType::kDouble: return field.type() == FieldDescriptorProto::TYPE_DOUBLE;
    case FieldType::kBool: return field.type() == FieldDescriptorProto::TYPE_BOOL;
    case FieldType::kString: return field.type() == FieldDescriptorProto::TYPE_STRING;
  }
  return false;
}

std::vector<SchemaConflict> CompareMessage(const governance::Contract& contract, const DescriptorProto& message) {
  std::vector<SchemaConflict> conflicts;
  for (std::size_t f = 0; f < contract.schema.fields.size(); ++f) {
    const Field& field = contract.schema.fields[f];
    const governance::FieldRule& rule = contract.rules[f];
    if (rule.protobuf_number == 0) continue;
    const std::string ours = gate::DescribeField(contract, static_cast<int>(f)) + ", number " + std::to_string(rule.protobuf_number);
    const auto there = std::ranges::find(message.field(), static_cast<std::int32_t>(rule.protobuf_number), &FieldDescriptorProto::number);
    if (there == message.field().end()) {
      if (rule.required) conflicts.push_back({field.name, ours, "missing in message " + message.name()});
    } else if (there->name() != field.name) {
      conflicts.push_back({field.name, ours, "number " + std::to_string(rule.protobuf_number) + " is " + there->name()});
    } else if (!ProtobufFits(*there, field.type)) {
      conflicts.push_back({field.name, ours, TypeInWords(*there)});
    }
  }
  return conflicts;
}

void CompareMessages(const governance::Contract& contract, const google::protobuf::RepeatedPtrField<DescriptorProto>& messages,
                     std::vector<std::int32_t>& at, SchemaComparison& best, bool& any) {
  for (int m = 0; m < messages.size(); ++m) {
    at.push_back(m);
    std::vector<SchemaConflict> conflicts = CompareMessage(contract, messages[m]);
    if (conflicts.empty()) best.messages.push_back(at);
    if (!any || conflicts.size() < best.conflicts.size()) best.conflicts = std::move(conflicts);
    any = true;
    CompareMessages(contract, messages[m].nested_type(), at, best, any);
    at.pop_back();
  }
}

Result<SchemaComparison> CompareProtobuf(const governance::Contract& contract, const std::string& text) {
  google::protobuf::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
  const google::protobuf::LogSilencer silence;  // it warns to standard error of files without `syntax`
  FirstError error;
  google::protobuf::io::Tokenizer tokenizer(&input, &error);
  google::protobuf::compiler::Parser parser;
  parser.RecordErrorsTo(&error);
  google::protobuf::FileDescriptorProto file;
  if (!parser.Parse(&tokenizer, &file)) return Fail(ErrorKind::kInvalidArgument, "not a Protobuf schema: " + error.text);
  if (file.message_type().empty()) return Fail(ErrorKind::kInvalidArgument, "a Protobuf schema without a message");
  SchemaComparison best;
  std::vector<std::int32_t> at;
  bool any = false;
  CompareMessages(contract, file.message_type(), at, best, any);
  return best;
}

}  // namespace

std::string RenderSchema(const governance::Contract& contract, SchemaFormat format) {
  switch (format) {
    case SchemaFormat::kJson: return RenderJson(contract);
    case SchemaFormat::kProtobuf: return RenderProtobuf(contract);
    case SchemaFormat::kAvro: return RenderAvro(contract);
  }
  return {};
}

Result<SchemaComparison> CompareSchema(const governance::Contract& contract, SchemaFormat format, const std::string& text) {
  switch (format) {
    case SchemaFormat::kJson: return CompareJson(contract, text);
    case SchemaFormat::kProtobuf: return CompareProtobuf(contract, text);
    case SchemaFormat::kAvro: break;
  }
  SL_ASSIGN_OR_RETURN(std::vector<SchemaConflict> conflicts, gate::CompareAvro(contract, text));
  return SchemaComparison{.conflicts = std::move(conflicts), .messages = {}};
}

Status Agree(RegistryClient& registry, const std::string& subject, const governance::Contract& contract, SchemaFormat format) {
  SL_ASSIGN_OR_RETURN(const std::optional<RegisteredSchema> there, registry.Latest(subject));
  if (!there) {
    SL_TRY(registry.Register(subject, format, RenderSchema(contract, format)));
    return {};
  }
  const std::string which = "schema " + std::to_string(there->id) + " of subject " + subject + " in the registry at " + registry.url();
  const auto compared = CompareSchema(contract, there->format, there->text);
  if (!compared) return Fail(ErrorKind::kFailedPrecondition, which + ": " + compared.error().message);
  if (compared->conflicts.empty()) return {};
  std::string message = which + " contradicts the contract " + contract.name + ":";
  for (const SchemaConflict& conflict : compared->conflicts) {
    message += " `" + conflict.field + "` is " + conflict.contract + " in the contract and " + conflict.schema + " in the schema;";
  }
  return Fail(ErrorKind::kFailedPrecondition, message + " correct the one that is wrong, and register the schema anew");
}

Result<gate::WriterSchema> RegistrySource::Find(std::uint32_t id) {
  SL_ASSIGN_OR_RETURN(RegisteredSchema schema, registry_.ById(id));
  gate::WriterSchema writer{.format = schema.format, .text = std::move(schema.text), .messages = {}, .unreadable = {}};
  if (schema.has_references && schema.format == SchemaFormat::kAvro) {
    writer.unreadable =
        "the registry's schema " + std::to_string(id) + " refers to other schemas, which is not read; register it as a whole";
  } else if (schema.format == SchemaFormat::kProtobuf) {
    auto compared = CompareProtobuf(contract_, writer.text);
    if (!compared) {
      writer.unreadable = "the registry's schema " + std::to_string(id) + " is " + compared.error().message;
    } else if (compared->messages.empty()) {
      const SchemaConflict& first = compared->conflicts.front();
      writer.unreadable = "the registry's schema " + std::to_string(id) + " contradicts the contract: `" + first.field + "` is " +
                          first.contract + " there and " + first.schema + " in the schema";
    } else {
      writer.messages = std::move(compared->messages);
    }
  }
  return writer;
}

}  // namespace sightline::registry
