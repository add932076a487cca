#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sightline/gate/avro_program_internal.h"
#include "sightline/gate/decoder.h"
#include "sightline/gate/fault_internal.h"

namespace sightline::gate {

// Reads one Avro record in its binary form against a contract, in place: text stays where it is, and no length is believed before the bytes
// are there. int and long fit int64, with float and double also a double; string and enum are text; null is a value that is missing.
// Fields that the contract does not name are passed over and counted. Bytes left over are malformed. Not thread-safe.
class AvroRecordParser {
 public:
  AvroRecordParser(const ContractPlan& plan, Decoder::Limits limits);
  Outcome Parse(const AvroProgram& program, std::string_view text, RowTarget& target);

  const Malformation& malformation() const { return malformation_; }
  const Violation& violation() const { return violation_; }
  std::uint32_t extra_fields() const { return extra_fields_; }

 private:
  // Each gives the byte behind what it read, or nothing after Malformed.
  const char* Read(const char* p, const AvroProgram& program, std::uint32_t node, int field, std::uint32_t depth);
  const char* ReadLong(const char* p, std::int64_t& value);
  const char* ReadBytes(const char* p, std::string_view& bytes);
  const char* ReadNumber(const char* p, AvroKind kind, int field);
  const char* ReadText(const char* p, AvroKind kind, int field);
  const char* ReadItems(const char* p, const AvroProgram& program, const AvroProgram::Node& node, std::uint32_t depth);
  const char* Malformed(const char* at, const char* what);
  bool Takes(AvroKind kind, int field);
  void Violated(ViolationKind kind, int field, std::string found);

  const ContractPlan& plan_;
  const Decoder::Limits limits_;
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  RowTarget* target_ = nullptr;
  std::uint32_t stamp_ = 0;
  std::vector<std::uint32_t> seen_;
  std::uint32_t extra_fields_ = 0;
  Malformation malformation_;
  Violation violation_;
};

}  // namespace sightline::gate
