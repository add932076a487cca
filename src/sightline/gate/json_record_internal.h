#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/gate/decoder.h"
#include "sightline/gate/fault_internal.h"
#include "sightline/gate/plan_internal.h"

namespace sightline::gate {

// A JSON string as it was read.
struct JsonString {
  const char* begin = nullptr;  // behind its opening quote
  const char* end = nullptr;    // its closing quote
  bool escapes = false;
  bool multi_byte = false;
  bool nul = false;             // an escape stands for U+0000
  std::string_view unescaped{}; // where it has escapes: the text that it stands for, in room of the batch that nobody has kept yet
};

// Reads a JSON string from string.begin on, whose bytes before `p` are plain ASCII; `batch` has the room. Gives the byte behind the
// closing quote, or nothing and the reason and place in `what` and `where`.
const char* ReadJsonString(const char* p, const char* end, JsonString& string, ColumnBatch& batch, const char*& what, const char*& where);

// A text value with escapes, bytes above ASCII or rules beyond its length; see TakeText.
ViolationKind TakeOddText(const FieldPlan& plan, const JsonString& string, const char* base, const char* origin, ColumnBatch& batch,
                          std::string_view& text);
// What a text value is to a field: its characters as they will be stored, and the rule that it breaks, or kNone.
// `base` and `origin`: where the record was parsed and where it lives.
inline ViolationKind TakeText(const FieldPlan& plan, const JsonString& string, const char* base, const char* origin, ColumnBatch& batch,
                              std::string_view& text) {
  if (string.escapes | string.multi_byte | plan.ruled) [[unlikely]]
    return TakeOddText(plan, string, base, origin, batch, text);
  const auto size = static_cast<std::size_t>(string.end - string.begin);
  text = std::string_view(origin + (string.begin - base), size);
  return plan.LengthInBounds(size) ? ViolationKind::kNone : ViolationKind::kLength;
}
// The rule of its field that an integer breaks, or kNone.
inline ViolationKind CheckInt64(const FieldPlan& plan, std::int64_t value) {
  if (!plan.IntegerInBounds(value)) [[unlikely]]
    return plan.event_time ? ViolationKind::kEventTime : ViolationKind::kOutOfBounds;
  if (plan.listed && !plan.one_of_int64.contains(value)) [[unlikely]]
    return ViolationKind::kNotListed;
  return ViolationKind::kNone;
}
// The double nearest to a number that ScanNumber found; kOutOfDouble when it would be infinite.
ViolationKind TakeDouble(const FieldPlan& plan, const char* begin, const char* end, double& value);

// A value of the record's top level, for learning its layout.
struct JsonTrace {
  int field = -1;  // -1: not in the contract
  const char* begin = nullptr;
  const char* end = nullptr;
};

// Parses one JSON record by RFC 8259, whatever its field order and spacing, against a contract. The whole record is parsed before
// it is called invalid. Not thread-safe; reused from record to record.
class JsonRecordParser {
 public:
  JsonRecordParser(const ContractPlan& plan, Decoder::Limits limits);

  // `text` is the record, with kScanPadding readable bytes behind it; `origin` is where string views shall point. Fills the
  // target's row; nulls are set only when the record is accepted. `tracing` keeps the top-level values in trace().
  enum class Tracing : std::uint8_t { kOff, kOn };
  Outcome Parse(std::string_view text, const char* origin, RowTarget& target, Tracing tracing);

  const Malformation& malformation() const { return malformation_; }
  const Violation& violation() const { return violation_; }
  // Of the record parsed last.
  std::uint32_t extra_fields() const { return extra_fields_; }
  const std::vector<JsonTrace>& trace() const { return trace_; }
  const std::vector<int>& nulls() const { return nulls_; }

 private:
  void Begin(std::string_view text, const char* origin, RowTarget& target, Tracing tracing);
  Outcome Finish();
  const char* ParseMembers(const char* p);
  const char* ReadKnownMember(const char* p);
  const char* ParseMember(const char* p);
  // A field's name, its hash and, in the record's own object, which of the contract's it is.
  struct Key {
    std::string_view text;
    std::uint64_t hash = 0;
    int field = -1;
  };
  const char* ReadKey(const char* p, Key& key);
  const char* ReadOddKey(const char* p, Key& key);
  bool TooManyFields(const char* at);
  const char* ToValue(const char* p);
  const char* ReadField(const char* p, int field);
  const char* ReadInt64(const char* p, int field);
  const char* ReadDouble(const char* p, int field);
  const char* ReadBool(const char* p, int field);
  const char* ReadText(const char* p, int field);
  const char* ReadOtherType(const char* p, int field);
  const char* SkipValue(const char* p, std::uint32_t depth);
  const char* SkipObject(const char* p, std::uint32_t depth);
  const char* SkipArray(const char* p, std::uint32_t depth);
  const char* SkipWord(const char* p, std::string_view word);
  const char* SkipSpace(const char* p) const;
  bool AddKey(const Key& key, std::size_t scope, const char* at);
  const char* Malformed(const char* at, const char* what);
  void Violated(ViolationKind kind, int field, const char* begin, const char* end);

  const ContractPlan& plan_;
  const Decoder::Limits limits_;
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  const char* origin_ = nullptr;
  RowTarget* target_ = nullptr;
  bool tracing_ = false;
  std::uint32_t stamp_ = 0;           // of the record; seen_[f] == stamp_ says that field f was there
  std::vector<std::uint32_t> seen_;
  std::uint32_t fields_seen_ = 0;     // of the contract's
  std::uint32_t members_ = 0;         // of all objects, without fields_seen_
  std::uint32_t extra_fields_ = 0;
  std::vector<int> nulls_;            // fields given as null, or left out
  std::vector<Key> keys_;             // names not in the contract, of the objects now open
  std::vector<JsonTrace> trace_;
  Malformation malformation_;
  Violation violation_;
};

}  // namespace sightline::gate
