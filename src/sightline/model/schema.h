#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sightline {

// The value types of a field, the same on every engine.
enum class FieldType : std::uint8_t { kInt64, kDouble, kBool, kString };

std::string_view FieldTypeName(FieldType type);  // "int64", "double", "bool", "string"

struct Field {
  std::string name;
  FieldType type = FieldType::kInt64;
  bool nullable = false;
  // Identifiers are strings in every JSON answer (JavaScript loses integers above 2^53).
  bool identifier = false;
  friend bool operator==(const Field&, const Field&) = default;
};

// An ordered list of uniquely named fields.
struct Schema {
  std::vector<Field> fields;
  // Index of the field, or -1.
  int Find(std::string_view name) const;
  friend bool operator==(const Schema&, const Schema&) = default;
};

}  // namespace sightline
