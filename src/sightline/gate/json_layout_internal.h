#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sightline/gate/json_record_internal.h"
#include "sightline/gate/plan_internal.h"

namespace sightline::gate {

// The exact shape of an accepted JSON record: the bytes between its values, and what kind of value stands in each gap. Reading a
// record of the same shape takes comparing those bytes and scanning the values; every rule of the contract is checked on the values
// all the same, and those of JSON by construction: the bytes between are a correct object without repeated names.
// Not thread-safe.
class JsonLayout {
 public:
  explicit JsonLayout(const ContractPlan& plan) : plan_(plan) {}

  // Takes the shape of a record that was just accepted, with its top-level values and null fields. A record that holds objects
  // or arrays, or that is too large a shape, leaves the layout empty.
  void Learn(std::string_view record, std::span<const JsonTrace> values, std::span<const int> nulls);
  void Forget() { gaps_.clear(); }
  bool empty() const { return gaps_.empty(); }
  std::uint32_t extra_fields() const { return extra_fields_; }

  // Reads a record of this shape from `p` into the target's row and gives its end; or nothing, when the record has another
  // shape, breaks a rule or comes near `limit`: then only a full parse can tell. kScanPadding bytes behind `limit` must be readable.
  // `base` and `origin` as in TakeText.
  const char* Read(const char* p, const char* limit, const char* base, const char* origin, RowTarget& target) const;

 private:
  enum class ValueKind : std::uint8_t { kInt64, kText, kDouble, kBool, kExtraText, kExtraNumber, kEnd };
  // The bytes before a value, in steps of 32 from chunks_[chunk] on, and what the value is.
  struct Gap {
    std::uint32_t size = 0;
    std::uint16_t chunk = 0;
    std::uint16_t chunks = 0;
    ValueKind kind = ValueKind::kEnd;
    int field = -1;
    const FieldPlan* plan = nullptr;
  };
  struct alignas(32) Chunk {
    char bytes[32];
    char mask[32];
  };

  bool AddGap(const char* begin, const char* end, ValueKind kind, int field);
  static const char* Match(const Chunk* chunk, const Gap& gap, const char* p, const char* limit);
  static const char* ReadText(const char* p, const char* limit, const char* base, const char* origin, const Gap& gap, RowTarget& target);

  const ContractPlan& plan_;
  std::vector<Gap> gaps_;
  std::vector<Chunk> chunks_;
  std::vector<int> nulls_;
  std::uint32_t extra_fields_ = 0;
};

}  // namespace sightline::gate
