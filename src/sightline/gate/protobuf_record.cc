#include "sightline/gate/protobuf_record_internal.h"

#include "sightline/base/bytes.h"
#include "sightline/base/text.h"
#include "sightline/gate/row_judge_internal.h"

namespace sightline::gate {
namespace {

constexpr std::uint32_t kVarint = 0;
constexpr std::uint32_t kFixed64 = 1;
constexpr std::uint32_t kLengthDelimited = 2;
constexpr std::uint32_t kFixed32 = 5;
// Tags and lengths are 32-bit varints.
constexpr std::ptrdiff_t kShortVarintMax = 5;

constexpr std::uint32_t WireType(FieldType type) {
  switch (type) {
    case FieldType::kInt64:
    case FieldType::kBool: return kVarint;
    case FieldType::kDouble: return kFixed64;
    case FieldType::kString: return kLengthDelimited;
  }
  return kVarint;
}

bool IsAscii(std::string_view text) {
  std::uint64_t high = 0;
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) high |= LoadLe<std::uint64_t>(text.data() + at);
  for (; at < text.size(); ++at) high |= static_cast<unsigned char>(text[at]);
  return (high & 0x8080808080808080ULL) == 0;
}

}  // namespace

ProtobufRecordParser::ProtobufRecordParser(const ContractPlan& plan, Decoder::Limits limits)
    : plan_(plan), limits_(limits), seen_(plan.fields.size(), 0) {}

const char* ProtobufRecordParser::Malformed(const char* at, const char* what) {
  malformation_ = {.what = what, .byte = static_cast<std::size_t>(at - begin_), .key = ""};
  return nullptr;
}

void ProtobufRecordParser::Violated(ViolationKind kind, int field, std::string found) {
  if (violation_.kind == ViolationKind::kNone) violation_ = {.kind = kind, .field = field, .found = std::move(found)};
}

inline const char* ProtobufRecordParser::ReadVarint(const char* p, std::uint64_t& value) {
  const char* const start = p;
  if (p != end_ && (*p & 0x80) == 0) [[likely]] {
    value = static_cast<unsigned char>(*p);
    return p + 1;
  }
  value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (p == end_) return Malformed(start, "it ends inside a varint");
    const auto byte = static_cast<unsigned char>(*p++);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return p;
  }
  return Malformed(start, "a varint has more than 64 bits");
}

inline const char* ProtobufRecordParser::ReadTag(const char* p, std::uint32_t& number, std::uint32_t& wire_type) {
  std::uint64_t tag = 0;
  const char* const rest = ReadVarint(p, tag);
  if (rest == nullptr) return nullptr;
  if (tag > 0xffffffffULL || tag < 8 || rest - p > kShortVarintMax) return Malformed(p, "a field number is outside 1 to 536870911");
  number = static_cast<std::uint32_t>(tag >> 3);
  wire_type = static_cast<std::uint32_t>(tag & 7);
  return rest;
}

inline const char* ProtobufRecordParser::ReadBytes(const char* p, std::string_view& bytes) {
  std::uint64_t size = 0;
  const char* const rest = ReadVarint(p, size);
  if (rest == nullptr) return nullptr;
  if (size > static_cast<std::uint64_t>(end_ - rest) || rest - p > kShortVarintMax)
    return Malformed(p, "a field is longer than the message");
  bytes = std::string_view(rest, size);
  return rest + size;
}

Outcome ProtobufRecordParser::Parse(std::string_view text, RowTarget& target) {
  begin_ = text.data();
  end_ = text.data() + text.size();
  target_ = &target;
  extra_fields_ = 0;
  violation_.kind = ViolationKind::kNone;
  if (++stamp_ == 0) {
    seen_.assign(seen_.size(), 0);
    stamp_ = 1;
  }
  std::uint32_t fields = 0;
  const char* p = begin_;
  while (p != end_) {
    std::uint32_t number = 0;
    std::uint32_t wire_type = 0;
    if (++fields > limits_.fields_max) {
      Malformed(p, "it has more fields than the limit allows");
      return Outcome::kMalformed;
    }
    p = ReadTag(p, number, wire_type);
    if (p == nullptr) return Outcome::kMalformed;
    const int field = plan_.FindNumber(number);
    p = field >= 0 ? ReadField(p, field, wire_type) : SkipField(p, wire_type);
    if (p == nullptr) return Outcome::kMalformed;
    if (field < 0) {
      ++extra_fields_;
      if (plan_.closed) Violated(ViolationKind::kExtraField, -1, "field number " + std::to_string(number));
    }
  }
  if (violation_.kind == ViolationKind::kNone) JudgeRow(plan_, seen_, stamp_, target, violation_);
  return violation_.kind == ViolationKind::kNone ? Outcome::kAccepted : Outcome::kInvalid;
}

inline const char* ProtobufRecordParser::ReadField(const char* p, int field, std::uint32_t wire_type) {
  const FieldType type = plan_.fields[static_cast<std::size_t>(field)].type;
  if (wire_type != WireType(type)) return Malformed(p - 1, "a field of the contract has another wire type than its own");
  seen_[static_cast<std::size_t>(field)] = stamp_;
  switch (type) {
    case FieldType::kInt64:
    case FieldType::kBool: {
      std::uint64_t value = 0;
      p = ReadVarint(p, value);
      target_->Int64(field) = type == FieldType::kBool ? (value != 0 ? 1 : 0) : static_cast<std::int64_t>(value);
      return p;
    }
    case FieldType::kDouble:
      if (end_ - p < 8) return Malformed(p, "it ends inside a 64-bit field");
      target_->Double(field) = LoadLe<double>(p);
      return p + 8;
    case FieldType::kString: {
      std::string_view text;
      const char* const rest = ReadBytes(p, text);
      if (rest == nullptr) return nullptr;
      if (!IsAscii(text) && !IsUtf8(text)) return Malformed(p, "a text field is not valid UTF-8");
      target_->Text(field) = text;
      return rest;
    }
  }
  return nullptr;
}

const char* ProtobufRecordParser::SkipField(const char* p, std::uint32_t wire_type) {
  std::uint64_t varint = 0;
  std::string_view bytes;
  switch (wire_type) {
    case kVarint: return ReadVarint(p, varint);
    case kLengthDelimited: return ReadBytes(p, bytes);
    case kFixed64: return end_ - p < 8 ? Malformed(p, "it ends inside a 64-bit field") : p + 8;
    case kFixed32: return end_ - p < 4 ? Malformed(p, "it ends inside a 32-bit field") : p + 4;
    case 3:
    case 4: return Malformed(p, "it holds a group, which is not taken");
    default: return Malformed(p, "a wire type is neither 0, 1, 2 nor 5");
  }
}

}  // namespace sightline::gate
