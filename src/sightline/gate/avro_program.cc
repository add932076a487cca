#include "sightline/gate/avro_program_internal.h"

#include <avro.h>

#include <algorithm>
#include <map>

namespace sightline::gate {
namespace {

constexpr std::size_t kNodesMax = 10'000;
constexpr int kDepthMax = 64;

struct Release {
  void operator()(avro_schema_t schema) const { avro_schema_decref(schema); }
};
using SchemaPtr = std::unique_ptr<std::remove_pointer_t<avro_schema_t>, Release>;

// libavro keeps its last error in a thread's own buffer.
std::unexpected<Error> NoSchema(std::string_view why) {
  return Fail(ErrorKind::kInvalidArgument, "not an Avro schema of a record: " + std::string(why));
}

class Compiler {
 public:
  explicit Compiler(AvroProgram& program) : program_(program) {}

  // A named type that is met again is the same node: that is how recursive schemas end.
  Result<std::uint32_t> Add(avro_schema_t schema, int depth) {
    while (avro_typeof(schema) == AVRO_LINK) schema = avro_schema_link_target(schema);
    if (const auto known = known_.find(schema); known != known_.end()) return known->second;
    if (depth > kDepthMax || program_.nodes.size() >= kNodesMax) return NoSchema("it is deeper or larger than any schema of events");
    const auto number = static_cast<std::uint32_t>(program_.nodes.size());
    known_[schema] = number;
    program_.nodes.emplace_back();
    AvroProgram::Node node;
    const auto child = [&](avro_schema_t inner) -> Status {
      SL_ASSIGN_OR_RETURN(const std::uint32_t at, Add(inner, depth + 1));
      node.children.push_back(at);
      return {};
    };
    switch (avro_typeof(schema)) {
      case AVRO_NULL: node.kind = AvroKind::kNull; break;
      case AVRO_BOOLEAN: node.kind = AvroKind::kBoolean; break;
      case AVRO_INT32: node.kind = AvroKind::kInt; break;
      case AVRO_INT64: node.kind = AvroKind::kLong; break;
      case AVRO_FLOAT: node.kind = AvroKind::kFloat; break;
      case AVRO_DOUBLE: node.kind = AvroKind::kDouble; break;
      case AVRO_BYTES: node.kind = AvroKind::kBytes; break;
      case AVRO_STRING: node.kind = AvroKind::kString; break;
      case AVRO_FIXED:
        node.kind = AvroKind::kFixed;
        node.size = static_cast<std::uint64_t>(std::max<std::int64_t>(0, avro_schema_fixed_size(schema)));
        break;
      case AVRO_ENUM:
        node.kind = AvroKind::kEnum;
        for (int i = 0; i < avro_schema_enum_number_of_symbols(schema); ++i) node.symbols.emplace_back(avro_schema_enum_get(schema, i));
        break;
      case AVRO_ARRAY:
        node.kind = AvroKind::kArray;
        SL_TRY(child(avro_schema_array_items(schema)));
        break;
      case AVRO_MAP:
        node.kind = AvroKind::kMap;
        SL_TRY(child(avro_schema_map_values(schema)));
        break;
      case AVRO_UNION:
        node.kind = AvroKind::kUnion;
        for (std::size_t i = 0; i < avro_schema_union_size(schema); ++i)
          SL_TRY(child(avro_schema_union_branch(schema, static_cast<int>(i))));
        break;
      case AVRO_RECORD:
        node.kind = AvroKind::kRecord;
        for (std::size_t i = 0; i < avro_schema_record_size(schema); ++i) {
          SL_TRY(child(avro_schema_record_field_get_by_index(schema, static_cast<int>(i))));
        }
        break;
      default: return NoSchema("a type that is not known");
    }
    program_.nodes[number] = std::move(node);
    return number;
  }

 private:
  AvroProgram& program_;
  std::map<avro_schema_t, std::uint32_t> known_;
};

// The kinds that a value of the node may have, in words: "long", "null or string".
std::string Describe(const AvroProgram& program, const AvroProgram::Node& node) {
  if (node.kind != AvroKind::kUnion) return std::string(AvroKindName(node.kind));
  std::string words;
  for (const std::uint32_t branch : node.children)
    words.append(words.empty() ? "" : " or ").append(AvroKindName(program.nodes[branch].kind));
  return words;
}

}  // namespace

std::string_view AvroKindName(AvroKind kind) {
  constexpr std::string_view kNames[] = {"null",   "boolean", "int",   "long",  "float", "double", "bytes",
                                         "string", "enum",    "fixed", "array", "map",   "union",  "record"};
  return kNames[static_cast<std::size_t>(kind)];
}

bool AvroFits(AvroKind kind, FieldType type) {
  const bool whole = kind == AvroKind::kInt || kind == AvroKind::kLong;
  switch (type) {
    case FieldType::kInt64: return whole;
    case FieldType::kDouble: return whole || kind == AvroKind::kFloat || kind == AvroKind::kDouble;
    case FieldType::kBool: return kind == AvroKind::kBoolean;
    case FieldType::kString: return kind == AvroKind::kString || kind == AvroKind::kEnum;
  }
  return false;
}

Result<std::shared_ptr<const AvroProgram>> AvroProgram::Compile(std::string_view schema, const Schema& contract) {
  avro_schema_t parsed = nullptr;
  if (avro_schema_from_json_length(schema.data(), schema.size(), &parsed) != 0 || parsed == nullptr) return NoSchema(avro_strerror());
  const SchemaPtr owned(parsed);
  if (avro_typeof(parsed) != AVRO_RECORD) return NoSchema("its top is a " + std::string(avro_schema_type_name(parsed)));
  auto program = std::make_shared<AvroProgram>();
  SL_ASSIGN_OR_RETURN(program->top, Compiler(*program).Add(parsed, 0));
  for (std::size_t i = 0; i < avro_schema_record_size(parsed); ++i) {
    program->names.emplace_back(avro_schema_record_field_name(parsed, static_cast<int>(i)));
    program->fields.push_back(contract.Find(program->names.back()));
  }
  return program;
}

std::string DescribeField(const governance::Contract& contract, int field) {
  const auto f = static_cast<std::size_t>(field);
  return std::string(FieldTypeName(contract.schema.fields[f].type)) + (contract.rules[f].required ? ", required" : "");
}

Result<std::vector<SchemaConflict>> CompareAvro(const governance::Contract& contract, std::string_view schema) {
  SL_ASSIGN_OR_RETURN(const auto program, AvroProgram::Compile(schema, contract.schema));
  const AvroProgram::Node& top = program->nodes[program->top];
  std::vector<SchemaConflict> conflicts;
  for (std::size_t f = 0; f < contract.schema.fields.size(); ++f) {
    const Field& field = contract.schema.fields[f];
    const auto at = std::find(program->fields.begin(), program->fields.end(), static_cast<std::int32_t>(f));
    if (at == program->fields.end()) {
      if (contract.rules[f].required) conflicts.push_back({field.name, DescribeField(contract, static_cast<int>(f)), "missing"});
      continue;
    }
    const AvroProgram::Node& node = program->nodes[top.children[static_cast<std::size_t>(at - program->fields.begin())]];
    const bool fits =
        node.kind == AvroKind::kUnion
            ? std::ranges::any_of(node.children, [&](std::uint32_t branch) { return AvroFits(program->nodes[branch].kind, field.type); })
            : AvroFits(node.kind, field.type);
    if (!fits) conflicts.push_back({field.name, DescribeField(contract, static_cast<int>(f)), Describe(*program, node)});
  }
  return conflicts;
}

}  // namespace sightline::gate
