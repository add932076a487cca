#include "sightline/gate/avro_record_internal.h"

#include "sightline/base/bytes.h"
#include "sightline/base/text.h"
#include "sightline/gate/row_judge_internal.h"

namespace sightline::gate {

AvroRecordParser::AvroRecordParser(const ContractPlan& plan, Decoder::Limits limits)
    : plan_(plan), limits_(limits), seen_(plan.fields.size(), 0) {}

const char* AvroRecordParser::Malformed(const char* at, const char* what) {
  malformation_ = {.what = what, .byte = static_cast<std::size_t>(at - begin_), .key = ""};
  return nullptr;
}

void AvroRecordParser::Violated(ViolationKind kind, int field, std::string found) {
  if (violation_.kind == ViolationKind::kNone) violation_ = {.kind = kind, .field = field, .found = std::move(found)};
}

// A zigzag varint of at most ten bytes.
const char* AvroRecordParser::ReadLong(const char* p, std::int64_t& value) {
  const char* const start = p;
  std::uint64_t raw = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (p == end_) return Malformed(start, "it ends inside a number");
    const auto byte = static_cast<unsigned char>(*p++);
    if (shift == 63 && byte > 1) break;
    raw |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      value = static_cast<std::int64_t>((raw >> 1) ^ (0 - (raw & 1)));
      return p;
    }
  }
  return Malformed(start, "a number has more than 64 bits");
}

const char* AvroRecordParser::ReadBytes(const char* p, std::string_view& bytes) {
  std::int64_t size = 0;
  const char* const rest = ReadLong(p, size);
  if (rest == nullptr) return nullptr;
  if (size < 0 || size > end_ - rest) return Malformed(p, "a value is longer than the record");
  bytes = std::string_view(rest, static_cast<std::size_t>(size));
  return rest + size;
}

// Whether the value goes into the contract's field; what cannot is a violation.
bool AvroRecordParser::Takes(AvroKind kind, int field) {
  if (field < 0) return false;
  if (!AvroFits(kind, plan_.fields[static_cast<std::size_t>(field)].type)) {
    Violated(ViolationKind::kWrongType, field, "of Avro's type " + std::string(AvroKindName(kind)));
    return false;
  }
  seen_[static_cast<std::size_t>(field)] = stamp_;
  return true;
}

const char* AvroRecordParser::ReadNumber(const char* p, AvroKind kind, int field) {
  if (kind == AvroKind::kFloat || kind == AvroKind::kDouble) {
    const std::ptrdiff_t size = kind == AvroKind::kFloat ? 4 : 8;
    if (end_ - p < size) return Malformed(p, "it ends inside a number");
    if (Takes(kind, field)) target_->Double(field) = kind == AvroKind::kFloat ? static_cast<double>(LoadLe<float>(p)) : LoadLe<double>(p);
    return p + size;
  }
  std::int64_t value = 0;
  const char* const rest = ReadLong(p, value);
  if (rest == nullptr) return nullptr;
  if (kind == AvroKind::kInt && (value < INT32_MIN || value > INT32_MAX)) return Malformed(p, "an int has more than 32 bits");
  if (!Takes(kind, field)) return rest;
  if (plan_.fields[static_cast<std::size_t>(field)].type == FieldType::kDouble) {
    target_->Double(field) = static_cast<double>(value);
  } else {
    target_->Int64(field) = value;
  }
  return rest;
}

const char* AvroRecordParser::ReadText(const char* p, AvroKind kind, int field) {
  std::string_view text;
  const char* const rest = ReadBytes(p, text);
  if (rest == nullptr) return nullptr;
  if (kind == AvroKind::kString && !IsUtf8(text)) return Malformed(p, "a text is not valid UTF-8");
  if (Takes(kind, field)) target_->Text(field) = text;
  return rest;
}

// Blocks of items or of entries, up to an empty one.
const char* AvroRecordParser::ReadItems(const char* p, const AvroProgram& program, const AvroProgram::Node& node, std::uint32_t depth) {
  for (;;) {
    const char* const start = p;
    std::int64_t count = 0;
    p = ReadLong(p, count);
    if (p == nullptr || count == 0) return p;
    if (count < 0) {
      // The block's size in bytes stands before it.
      std::int64_t size = 0;
      p = ReadLong(p, size);
      if (p == nullptr) return nullptr;
      if (size < 0 || size > end_ - p) return Malformed(start, "a block is longer than the record");
      count = count == INT64_MIN ? INT64_MAX : -count;
    }
    // Items without bytes would make a few bytes take for ever.
    if (count > end_ - p) return Malformed(start, "a list has more items than the record has bytes");
    for (std::int64_t i = 0; i < count; ++i) {
      std::string_view key;
      if (node.kind == AvroKind::kMap) p = ReadBytes(p, key);
      if (p == nullptr) return nullptr;
      p = Read(p, program, node.children[0], -1, depth + 1);
      if (p == nullptr) return nullptr;
    }
  }
}

const char* AvroRecordParser::Read(const char* p, const AvroProgram& program, std::uint32_t number, int field, std::uint32_t depth) {
  if (depth > limits_.depth_max) return Malformed(p, "it is nested deeper than the limit allows");
  const AvroProgram::Node& node = program.nodes[number];
  switch (node.kind) {
    case AvroKind::kNull: return p;
    case AvroKind::kBoolean:
      if (p == end_ || static_cast<unsigned char>(*p) > 1) return Malformed(p, "a boolean is neither 0 nor 1");
      if (Takes(node.kind, field)) target_->Int64(field) = *p;
      return p + 1;
    case AvroKind::kInt:
    case AvroKind::kLong:
    case AvroKind::kFloat:
    case AvroKind::kDouble: return ReadNumber(p, node.kind, field);
    case AvroKind::kBytes:
    case AvroKind::kString: return ReadText(p, node.kind, field);
    case AvroKind::kFixed:
      if (node.size > static_cast<std::uint64_t>(end_ - p)) return Malformed(p, "it ends inside a value of fixed size");
      static_cast<void>(Takes(node.kind, field));
      return p + node.size;
    case AvroKind::kEnum: {
      std::int64_t symbol = 0;
      const char* const rest = ReadLong(p, symbol);
      if (rest == nullptr) return nullptr;
      if (symbol < 0 || symbol >= std::ssize(node.symbols)) return Malformed(p, "an enum has no such symbol");
      if (Takes(node.kind, field)) {
        // The program may be gone before the row is: the batch keeps the text.
        const std::string& text = node.symbols[static_cast<std::size_t>(symbol)];
        char* const kept = target_->batch->Allocate(text.size());
        std::copy(text.begin(), text.end(), kept);
        target_->Text(field) = std::string_view(kept, text.size());
      }
      return rest;
    }
    case AvroKind::kArray:
    case AvroKind::kMap: static_cast<void>(Takes(node.kind, field)); return ReadItems(p, program, node, depth);
    case AvroKind::kUnion: {
      std::int64_t branch = 0;
      const char* const rest = ReadLong(p, branch);
      if (rest == nullptr) return nullptr;
      if (branch < 0 || branch >= std::ssize(node.children)) return Malformed(p, "a union has no such branch");
      return Read(rest, program, node.children[static_cast<std::size_t>(branch)], field, depth + 1);
    }
    case AvroKind::kRecord:
      static_cast<void>(Takes(node.kind, field));
      for (const std::uint32_t child : node.children) {
        p = Read(p, program, child, -1, depth + 1);
        if (p == nullptr) return nullptr;
      }
      return p;
  }
  return nullptr;
}

Outcome AvroRecordParser::Parse(const AvroProgram& program, std::string_view text, RowTarget& target) {
  begin_ = text.data();
  end_ = begin_ + text.size();
  target_ = &target;
  extra_fields_ = 0;
  violation_.kind = ViolationKind::kNone;
  if (++stamp_ == 0) {
    seen_.assign(seen_.size(), 0);
    stamp_ = 1;
  }
  const AvroProgram::Node& top = program.nodes[program.top];
  const char* p = begin_;
  for (std::size_t i = 0; i < top.children.size(); ++i) {
    const int field = program.fields[i];
    p = Read(p, program, top.children[i], field, 1);
    if (p == nullptr) return Outcome::kMalformed;
    if (field >= 0) continue;
    ++extra_fields_;
    if (plan_.closed) Violated(ViolationKind::kExtraField, -1, program.names[i]);
  }
  if (p != end_) {
    Malformed(p, "bytes are left over behind the record");
    return Outcome::kMalformed;
  }
  if (violation_.kind == ViolationKind::kNone) JudgeRow(plan_, seen_, stamp_, target, violation_);
  return violation_.kind == ViolationKind::kNone ? Outcome::kAccepted : Outcome::kInvalid;
}

}  // namespace sightline::gate
