#include <algorithm>

#include "sightline/gate/wire_internal.h"

namespace sightline::gate {
namespace {

constexpr std::size_t kIndexesMax = 64;

// A zigzag varint of 32 bits.
bool TakeInt(std::string_view& from, std::int32_t& value) {
  std::uint64_t raw = 0;
  for (int shift = 0; shift < 35 && !from.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    raw |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    value = static_cast<std::int32_t>(static_cast<std::int64_t>(raw >> 1) ^ -static_cast<std::int64_t>(raw & 1));
    return raw <= UINT32_MAX;
  }
  return false;
}

}  // namespace

std::optional<std::uint32_t> WireSchemaId(std::string_view value) {
  if (value.size() < kWireHeaderSize || value[0] != 0) return std::nullopt;
  std::uint32_t id = 0;
  for (std::size_t i = 1; i < kWireHeaderSize; ++i) id = id << 8 | static_cast<unsigned char>(value[i]);
  return id;
}

WireSchema MakeWireSchema(Result<WriterSchema> found, std::uint32_t id, const Schema& contract) {
  WireSchema schema;
  if (!found) {
    schema.unknown = true;
    schema.why_not = "the registry has no schema with the id " + std::to_string(id);
    return schema;
  }
  schema.format = found->format;
  schema.messages = std::move(found->messages);
  schema.why_not = std::move(found->unreadable);
  if (!schema.why_not.empty()) return schema;
  if (schema.format != SchemaFormat::kAvro) return schema;
  auto program = AvroProgram::Compile(found->text, contract);
  if (program) {
    schema.avro = std::move(*program);
  } else {
    schema.why_not = "the registry's schema " + std::to_string(id) + " is " + program.error().message;
  }
  return schema;
}

const char* TakeMessageIndexes(const WireSchema& schema, std::string_view& payload) {
  std::int32_t count = 0;
  if (!TakeInt(payload, count) || count < 0 || static_cast<std::size_t>(count) > kIndexesMax)
    return "it has no readable indexes of its message";
  std::vector<std::int32_t> indexes(static_cast<std::size_t>(count));
  for (std::int32_t& index : indexes) {
    if (!TakeInt(payload, index)) return "it ends inside the indexes of its message";
  }
  if (indexes.empty()) indexes.push_back(0);  // the short form of the first message
  if (schema.messages.empty() || std::ranges::find(schema.messages, indexes) != schema.messages.end()) return nullptr;
  return "it is another message of its schema than the contract's";
}

}  // namespace sightline::gate
