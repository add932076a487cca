#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/governance/contract.h"

namespace sightline::gate {

// The languages of schemas in a registry.
enum class SchemaFormat : std::uint8_t { kJson, kProtobuf, kAvro };

// What the producer of a record wrote it by.
struct WriterSchema {
  SchemaFormat format = SchemaFormat::kJson;
  std::string text;
  // Protobuf: which messages of the file hold the contract's fields, by their indexes ({0} is the first); empty: all are taken.
  std::vector<std::vector<std::int32_t>> messages;
  // Not empty: why no record can be read that was written by it; they are malformed.
  std::string unreadable;
};

// Where schemas come from. Used by one decoder at a time.
class SchemaSource {
 public:
  virtual ~SchemaSource() = default;
  // kNotFound: there is no such id, and the record can never be read; any other error: not now, ask again.
  virtual Result<WriterSchema> Find(std::uint32_t id) = 0;
};

// A field on which a schema and a contract disagree.
struct SchemaConflict {
  std::string field;
  std::string contract;  // "int64, required"
  std::string schema;    // "string", "missing"
};

// Where an Avro schema contradicts the contract. kInvalidArgument when it is no schema, or not one of a record.
Result<std::vector<SchemaConflict>> CompareAvro(const governance::Contract& contract, std::string_view schema);
// "int64, required"
std::string DescribeField(const governance::Contract& contract, int field);

}  // namespace sightline::gate
