#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sightline/gate/decoder.h"
#include "sightline/gate/fault_internal.h"
#include "sightline/gate/plan_internal.h"

namespace sightline::gate {

// Parses one Protobuf message by its wire format against a contract: int64 and bool are varints, double is a 64-bit field, string is
// length-delimited UTF-8. Other fields are skipped and counted; of a field sent twice the last counts, as proto3 has it. A field of
// another wire type than its own and groups are malformed. Not thread-safe.
class ProtobufRecordParser {
 public:
  ProtobufRecordParser(const ContractPlan& plan, Decoder::Limits limits);
  // `text` is the message; string views of the row point into it.
  Outcome Parse(std::string_view text, RowTarget& target);

  const Malformation& malformation() const { return malformation_; }
  const Violation& violation() const { return violation_; }
  std::uint32_t extra_fields() const { return extra_fields_; }

 private:
  // Each gives the byte behind what it read, or nothing after Malformed.
  const char* ReadVarint(const char* p, std::uint64_t& value);
  const char* ReadTag(const char* p, std::uint32_t& number, std::uint32_t& wire_type);
  const char* ReadBytes(const char* p, std::string_view& bytes);
  const char* ReadField(const char* p, int field, std::uint32_t wire_type);
  const char* SkipField(const char* p, std::uint32_t wire_type);
  const char* Malformed(const char* at, const char* what);
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
