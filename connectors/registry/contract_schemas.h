#pragma once

#include <string>
#include <vector>

#include "connectors/registry/client.h"
#include "sightline/gate/wire_schema.h"
#include "sightline/governance/contract.h"

namespace sightline::registry {

// The contract as a schema in a registry's language. Rules that the language has no words for are left out.
std::string RenderSchema(const governance::Contract& contract, gate::SchemaFormat format);

// What a schema has to do with a contract.
struct SchemaComparison {
  std::vector<gate::SchemaConflict> conflicts;
  // Protobuf: the messages of the file that hold the contract's fields, by their indexes.
  std::vector<std::vector<std::int32_t>> messages;
};
// kInvalidArgument when the text is no schema in that language.
Result<SchemaComparison> CompareSchema(const governance::Contract& contract, gate::SchemaFormat format, const std::string& text);

// Makes registry and contract agree on a subject, of which the contract is the authority: registers its schema where there is none.
// kFailedPrecondition when the registered one contradicts the contract: names each field with both types.
Status Agree(RegistryClient& registry, const std::string& subject, const governance::Contract& contract, gate::SchemaFormat format);

// Gives the gate's decoder what its records were written by.
class RegistrySource final : public gate::SchemaSource {
 public:
  // Both must outlive it.
  RegistrySource(RegistryClient& registry, const governance::Contract& contract) : registry_(registry), contract_(contract) {}
  Result<gate::WriterSchema> Find(std::uint32_t id) override;

 private:
  RegistryClient& registry_;
  const governance::Contract& contract_;
};

// A topic's values, as producers of Confluent name their subject.
inline std::string ValueSubject(const std::string& topic) { return topic + "-value"; }

}  // namespace sightline::registry
