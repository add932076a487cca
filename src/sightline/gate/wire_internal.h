#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/gate/avro_program_internal.h"
#include "sightline/gate/wire_schema.h"

namespace sightline::gate {

// Confluent's wire format: a zero byte and a schema id, the highest byte first, before each value.
inline constexpr std::size_t kWireHeaderSize = 5;
inline constexpr const char* kNoWireFormat =
    "cannot be parsed: it is not in the registry's wire format, which begins with a zero byte and a schema id of four";

// A writer's schema made ready, or why records that name it cannot be read.
struct WireSchema {
  SchemaFormat format = SchemaFormat::kJson;
  std::shared_ptr<const AvroProgram> avro;
  std::vector<std::vector<std::int32_t>> messages;
  std::string why_not;
  bool unknown = false;  // the registry has no such id by now
};

std::optional<std::uint32_t> WireSchemaId(std::string_view value);
WireSchema MakeWireSchema(Result<WriterSchema> found, std::uint32_t id, const Schema& contract);
// Takes the indexes of a Protobuf message off the payload; why they are not those of a message that is taken, or null.
const char* TakeMessageIndexes(const WireSchema& schema, std::string_view& payload);

}  // namespace sightline::gate
