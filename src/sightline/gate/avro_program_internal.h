#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/gate/plan_internal.h"
#include "sightline/gate/wire_schema.h"

namespace sightline::gate {

enum class AvroKind : std::uint8_t {
  kNull,
  kBoolean,
  kInt,
  kLong,
  kFloat,
  kDouble,
  kBytes,
  kString,
  kEnum,
  kFixed,
  kArray,
  kMap,
  kUnion,
  kRecord
};
std::string_view AvroKindName(AvroKind kind);

// May a value so written be one of a field of this type? Numbers widen, symbols are text.
bool AvroFits(AvroKind kind, FieldType type);

// A writer's schema made ready for reading: nodes in one array, the top record's fields tied to the contract's by name.
struct AvroProgram {
  struct Node {
    AvroKind kind = AvroKind::kNull;
    std::uint64_t size = 0;                // kFixed
    std::vector<std::uint32_t> children;   // fields, branches, or the one kind of item
    std::vector<std::string> symbols;      // kEnum
  };
  std::vector<Node> nodes;
  std::uint32_t top = 0;
  std::vector<std::string> names;    // of the top record's fields
  std::vector<std::int32_t> fields;  // of the contract, one a name; -1: none

  // kInvalidArgument when the text is no Avro schema, or not one of a record.
  static Result<std::shared_ptr<const AvroProgram>> Compile(std::string_view schema, const Schema& contract);
};

}  // namespace sightline::gate
