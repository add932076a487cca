#include "sightline/gate/testing/protobuf_oracle.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/stubs/logging.h>

#include <cstring>
#include <map>
#include <memory>

#include "sightline/base/text.h"

namespace sightline::gate {
namespace {

namespace pb = google::protobuf;

// A message type with a field for each of the contract's that has a number.
class MessageType {
 public:
  explicit MessageType(const governance::Contract& contract) : factory_(&pool_) {
    pb::FileDescriptorProto file;
    file.set_name("record.proto");
    file.set_syntax("proto3");
    pb::DescriptorProto* const message = file.add_message_type();
    message->set_name("Record");
    for (std::size_t f = 0; f < contract.rules.size(); ++f) {
      if (contract.rules[f].protobuf_number == 0) continue;
      pb::FieldDescriptorProto* const field = message->add_field();
      field->set_name(contract.schema.fields[f].name);
      field->set_number(static_cast<int>(contract.rules[f].protobuf_number));
      field->set_label(pb::FieldDescriptorProto::LABEL_OPTIONAL);
      field->set_type(Type(contract.schema.fields[f].type));
      field->set_proto3_optional(true);
      field->set_oneof_index(message->oneof_decl_size());
      message->add_oneof_decl()->set_name("_" + contract.schema.fields[f].name);
    }
    descriptor_ = pool_.BuildFile(file)->message_type(0);
  }
  std::unique_ptr<pb::Message> New() { return std::unique_ptr<pb::Message>(factory_.GetPrototype(descriptor_)->New()); }
  const pb::FieldDescriptor* Field(const std::string& name) const { return descriptor_->FindFieldByName(name); }

 private:
  static pb::FieldDescriptorProto::Type Type(FieldType type) {
    switch (type) {
      case FieldType::kInt64: return pb::FieldDescriptorProto::TYPE_INT64;
      case FieldType::kDouble: return pb::FieldDescriptorProto::TYPE_DOUBLE;
      case FieldType::kBool: return pb::FieldDescriptorProto::TYPE_BOOL;
      case FieldType::kString: return pb::FieldDescriptorProto::TYPE_STRING;
    }
    return pb::FieldDescriptorProto::TYPE_BYTES;
  }
  pb::DescriptorPool pool_;
  pb::DynamicMessageFactory factory_;
  const pb::Descriptor* descriptor_ = nullptr;
};

MessageType& TypeOf(const governance::Contract& contract) {
  static std::map<std::string, std::unique_ptr<MessageType>> types;
  auto& type = types[contract.name];
  if (!type) type = std::make_unique<MessageType>(contract);
  return *type;
}

bool SameValue(const pb::Message& message, const pb::FieldDescriptor* field, const Column& column) {
  const pb::Reflection& reflection = *message.GetReflection();
  switch (column.type) {
    case FieldType::kInt64: return column.int64s[0] == reflection.GetInt64(message, field);
    case FieldType::kBool: return column.int64s[0] == (reflection.GetBool(message, field) ? 1 : 0);
    case FieldType::kString: return column.strings[0] == reflection.GetString(message, field);
    case FieldType::kDouble: {
      const double value = reflection.GetDouble(message, field);
      return std::memcmp(&value, column.doubles.data(), sizeof(value)) == 0;
    }
  }
  return false;
}

bool IsStricter(const std::string& cause) {
  return cause.contains("another wire type") || cause.contains("a group") || cause.contains("more than 64 bits") ||
         cause.contains("field number is outside") || cause.contains("more fields") || cause.contains("longer than the limit");
}

}  // namespace

std::string DisagreementWithProtobuf(const governance::Contract& contract, std::string_view record) {
  Decoder decoder(contract, {});
  Decoded decoded;
  const std::string exact(record);
  const std::string_view records[] = {exact};
  decoder.DecodeRecords(bus::Encoding::kProtobuf, records, decoded);
  if (decoded.seen != 1 || decoded.rows.rows + decoded.rejects.size() != 1) return "the record was not judged once";
  const std::string cause = decoded.rejects.empty() ? "" : decoded.rejects[0].cause;
  if (!IsUtf8(cause)) return "the cause is not UTF-8";

  MessageType& type = TypeOf(contract);
  const std::unique_ptr<pb::Message> message = type.New();
  const pb::LogSilencer silencer;  // it reports each text that is not UTF-8
  const bool parsed = message->ParseFromString(exact);
  if (!decoded.rejects.empty() && decoded.rejects[0].verdict == Verdict::kMalformed) {
    return parsed && !IsStricter(cause) ? "the library parses what was called malformed: " + cause : "";
  }
  if (!parsed) return "the library cannot parse it";
  for (std::size_t f = 0; f < contract.rules.size(); ++f) {
    const std::string& name = contract.schema.fields[f].name;
    const bool there = message->GetReflection()->HasField(*message, type.Field(name));
    if (!decoded.rejects.empty()) {
      if (contract.rules[f].required && !there) return "";
      continue;
    }
    if (there == decoded.rows.columns[f].IsNull(0)) return name + " is there in one of them";
    if (there && !SameValue(*message, type.Field(name), decoded.rows.columns[f])) return name + " has another value";
  }
  return "";
}

}  // namespace sightline::gate
