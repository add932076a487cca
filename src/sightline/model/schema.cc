#include "sightline/model/schema.h"

namespace sightline {

std::string_view FieldTypeName(FieldType type) {
  switch (type) {
    case FieldType::kInt64: return "int64";
    case FieldType::kDouble: return "double";
    case FieldType::kBool: return "bool";
    case FieldType::kString: return "string";
  }
  return "unknown";
}

int Schema::Find(std::string_view name) const {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace sightline
