#include <cstring>

#include "sightline/gate/json_record_internal.h"
#include "sightline/gate/scan_internal.h"

namespace sightline::gate {

JsonRecordParser::JsonRecordParser(const ContractPlan& plan, Decoder::Limits limits)
    : plan_(plan), limits_(limits), seen_(plan.fields.size(), 0) {}

const char* JsonRecordParser::Malformed(const char* at, const char* what) {
  malformation_.what = what;
  malformation_.byte = static_cast<std::size_t>((at < end_ ? at : end_) - begin_);
  malformation_.key.clear();
  return nullptr;
}

void JsonRecordParser::Violated(ViolationKind kind, int field, const char* begin, const char* end) {
  if (violation_.kind != ViolationKind::kNone) return;
  violation_.kind = kind;
  violation_.field = field;
  violation_.found = DescribeJson(std::string_view(begin, static_cast<std::size_t>(end - begin)));
}

inline const char* JsonRecordParser::SkipSpace(const char* p) const {
  if (p < end_ && static_cast<unsigned char>(*p) > ' ') [[likely]]
    return p;
  while (p < end_ && IsSpace(*p)) {
    ++p;
    if (static_cast<unsigned char>(*p) > ' ') break;
  }
  return p;
}

void JsonRecordParser::Begin(std::string_view text, const char* origin, RowTarget& target, Tracing tracing) {
  begin_ = text.data();
  end_ = text.data() + text.size();
  origin_ = origin;
  target_ = &target;
  tracing_ = tracing == Tracing::kOn;
  if (++stamp_ == 0) {
    seen_.assign(seen_.size(), 0);
    stamp_ = 1;
  }
  fields_seen_ = members_ = extra_fields_ = 0;
  nulls_.clear();
  keys_.clear();
  trace_.clear();
  violation_.kind = ViolationKind::kNone;
}

Outcome JsonRecordParser::Parse(std::string_view text, const char* origin, RowTarget& target, Tracing tracing) {
  Begin(text, origin, target, tracing);
  const char* p = SkipSpace(begin_);
  if (p >= end_) {
    Malformed(p, "the record is empty");
    return Outcome::kMalformed;
  }
  if (*p == '{') [[likely]] {
    p = ParseMembers(p + 1);
  } else {
    const char* const value = p;
    p = SkipValue(p, 1);
    if (p != nullptr && p <= end_) Violated(ViolationKind::kNotAnObject, -1, value, p);
  }
  if (p == nullptr) return Outcome::kMalformed;
  if (p > end_) {
    Malformed(end_, "the record ends inside a value");
    return Outcome::kMalformed;
  }
  p = SkipSpace(p);
  if (p < end_) {
    Malformed(p, "something follows the record's end");
    return Outcome::kMalformed;
  }
  if (TooManyFields(end_)) return Outcome::kMalformed;
  if (violation_.kind != ViolationKind::kNone) return Outcome::kInvalid;
  return Finish();
}

// All that can be judged only at the record's end: fields that are missing.
Outcome JsonRecordParser::Finish() {
  if (fields_seen_ != plan_.fields.size()) {
    for (std::size_t f = 0; f < seen_.size(); ++f) {
      if (seen_[f] == stamp_) continue;
      const int field = static_cast<int>(f);
      if (plan_.fields[f].required) {
        violation_ = {.kind = ViolationKind::kMissing, .field = field, .found = ""};
        return Outcome::kInvalid;
      }
      nulls_.push_back(field);
    }
  }
  for (const int field : nulls_) target_->SetNull(field);
  return Outcome::kAccepted;
}

// From behind the record's opening brace to behind its closing one.
const char* JsonRecordParser::ParseMembers(const char* p) {
  p = SkipSpace(p);
  if (p < end_ && *p == '}') return p + 1;
  for (;;) {
    const char* const member = p;
    p = ReadKnownMember(member);
    if (p == nullptr) [[unlikely]] {
      p = ParseMember(member);
      if (p == nullptr) return nullptr;
    }
    if (p < end_ && *p == ',') [[likely]] {
      p = SkipSpace(p + 1);
      continue;
    }
    p = SkipSpace(p);
    if (p >= end_) return Malformed(end_, "the record ends inside an object");
    if (*p == ',') {
      p = SkipSpace(p + 1);
      continue;
    }
    if (*p == '}') return p + 1;
    return Malformed(p, "a comma or a closing brace is missing");
  }
}

// A member of the contract written without escapes or odd spacing whose value keeps the rules. Anything else gives nothing and leaves
// no trace: ParseMember then has the word.
inline const char* JsonRecordParser::ReadKnownMember(const char* p) {
  if (p >= end_ || *p != '"') [[unlikely]]
    return nullptr;
  const MemberTable::Entry* const entry = plan_.members.Find(p + 1);
  if (entry == nullptr) [[unlikely]]
    return nullptr;
  std::uint32_t& seen = seen_[static_cast<std::size_t>(entry->field)];
  if (seen == stamp_) [[unlikely]]
    return nullptr;
  const char* value = p + 1 + entry->size;
  if (*value != ':') [[unlikely]] {
    value = SkipSpace(value);
    if (value >= end_ || *value != ':') return nullptr;
  }
  ++value;
  value += *value == ' ' ? 1 : 0;
  if (value >= end_) [[unlikely]]
    return nullptr;
  const FieldPlan& plan = *entry->plan;
  const char* rest = nullptr;
  if (plan.type == FieldType::kInt64) [[likely]] {
    std::int64_t number = 0;
    rest = ScanInt64(value, number);
    if (rest == nullptr || *rest == '.' || (*rest | 0x20) == 'e' || CheckInt64(plan, number) != ViolationKind::kNone) [[unlikely]]
      return nullptr;
    target_->Int64(entry->field) = number;
  } else {
    rest = plan.type == FieldType::kString ? ReadText(value, entry->field) : ReadField(value, entry->field);
    if (rest == nullptr) [[unlikely]]
      return nullptr;
  }
  seen = stamp_;
  ++fields_seen_;
  if (tracing_) [[unlikely]]
    trace_.push_back({entry->field, value, rest});
  return rest;
}

const char* JsonRecordParser::ParseMember(const char* p) {
  Key key;
  const char* const at = p;
  p = ReadKey(p, key);
  if (p == nullptr) return nullptr;
  key.field = plan_.keys.Find(key.text.data(), key.text.size(), key.hash);
  p = ToValue(p);
  if (p == nullptr) return nullptr;
  const char* const value = p;
  if (key.field >= 0) [[likely]] {
    std::uint32_t& seen = seen_[static_cast<std::size_t>(key.field)];
    if (seen == stamp_) [[unlikely]] {
      Malformed(at, "the object has two fields named");
      malformation_.key = key.text;
      return nullptr;
    }
    seen = stamp_;
    ++fields_seen_;
    p = ReadField(p, key.field);
  } else {
    if (!AddKey(key, 0, at)) return nullptr;
    ++extra_fields_;
    if (plan_.closed && violation_.kind == ViolationKind::kNone) {
      violation_ = {.kind = ViolationKind::kExtraField, .field = -1, .found = std::string(key.text)};
    }
    p = SkipValue(p, 2);
  }
  if (tracing_) trace_.push_back({key.field, value, p});
  return p;
}

// A name from its opening quote on.
inline const char* JsonRecordParser::ReadKey(const char* p, Key& key) {
  if (p >= end_) return Malformed(end_, "the record ends inside an object");
  if (*p != '"') return Malformed(p, "a field's name in quotes is missing");
  const char* const quote = FindSpecial(p + 1, end_);
  if (quote >= end_ || *quote != '"') [[unlikely]]
    return ReadOddKey(p, key);
  key.text = std::string_view(p + 1, static_cast<std::size_t>(quote - p - 1));
  key.hash = KeyTable::Hash(key.text.data(), key.text.size());
  return quote + 1;
}

// A name written with escapes or bytes above ASCII, or a broken one.
const char* JsonRecordParser::ReadOddKey(const char* p, Key& key) {
  JsonString string{.begin = p + 1};
  const char* what = nullptr;
  const char* where = nullptr;
  p = ReadJsonString(p + 1, end_, string, *target_->batch, what, where);
  if (p == nullptr) return Malformed(where, what);
  key.text = std::string_view(string.begin, static_cast<std::size_t>(string.end - string.begin));
  if (string.escapes) {
    key.text = string.unescaped;
    target_->batch->Keep(key.text.size() + kScanPadding);
  }
  key.hash = KeyTable::Hash(key.text.data(), key.text.size());
  return p;
}

inline const char* JsonRecordParser::ToValue(const char* p) {
  p = SkipSpace(p);
  if (p >= end_) return Malformed(end_, "the record ends inside an object");
  if (*p != ':') return Malformed(p, "a colon after a field's name is missing");
  return SkipSpace(p + 1);
}

// Fields of the contract are counted in fields_seen_, all others in members_.
bool JsonRecordParser::TooManyFields(const char* at) {
  if (members_ + fields_seen_ <= limits_.fields_max) [[likely]]
    return false;
  Malformed(at, "it has more fields than the limit allows");
  return true;
}

// Counts and remembers a name of the object whose names begin at `scope` in keys_.
bool JsonRecordParser::AddKey(const Key& key, std::size_t scope, const char* at) {
  ++members_;
  if (TooManyFields(at)) return false;
  for (std::size_t i = scope; i < keys_.size(); ++i) {
    if (keys_[i].hash == key.hash && keys_[i].text == key.text) {
      Malformed(at, "the object has two fields named");
      malformation_.key = key.text;
      return false;
    }
  }
  keys_.push_back(key);
  return true;
}

inline const char* JsonRecordParser::ReadField(const char* p, int field) {
  switch (plan_.fields[static_cast<std::size_t>(field)].type) {
    case FieldType::kInt64: return ReadInt64(p, field);
    case FieldType::kString: return ReadText(p, field);
    case FieldType::kDouble: return ReadDouble(p, field);
    case FieldType::kBool: return ReadBool(p, field);
  }
  return nullptr;
}

inline const char* JsonRecordParser::ReadInt64(const char* p, int field) {
  const FieldPlan& plan = plan_.fields[static_cast<std::size_t>(field)];
  std::int64_t value = 0;
  const char* const rest = ScanInt64(p, value);
  if (rest == nullptr || *rest == '.' || (*rest | 0x20) == 'e') [[unlikely]]
    return ReadOtherType(p, field);
  target_->Int64(field) = value;
  if (const ViolationKind kind = CheckInt64(plan, value); kind != ViolationKind::kNone) [[unlikely]] {
    Violated(kind, field, p, rest < end_ ? rest : end_);
  }
  return rest;
}

const char* JsonRecordParser::ReadDouble(const char* p, int field) {
  const char* const rest = ScanNumber(p, end_);
  if (rest == nullptr) return ReadOtherType(p, field);
  const ViolationKind kind = TakeDouble(plan_.fields[static_cast<std::size_t>(field)], p, rest, target_->Double(field));
  if (kind != ViolationKind::kNone) Violated(kind, field, p, rest);
  return rest;
}

const char* JsonRecordParser::ReadBool(const char* p, int field) {
  if (std::memcmp(p, "true", 4) == 0) {
    target_->Int64(field) = 1;
    return p + 4;
  }
  if (std::memcmp(p, "false", 5) == 0) {
    target_->Int64(field) = 0;
    return p + 5;
  }
  return ReadOtherType(p, field);
}

inline const char* JsonRecordParser::ReadText(const char* p, int field) {
  if (p >= end_ || *p != '"') [[unlikely]]
    return ReadOtherType(p, field);
  JsonString string{.begin = p + 1, .end = FindSpecial(p + 1, end_)};
  const char* rest = string.end + 1;
  if (string.end >= end_ || *string.end != '"') [[unlikely]] {
    const char* what = nullptr;
    const char* where = nullptr;
    rest = ReadJsonString(string.end, end_, string, *target_->batch, what, where);
    if (rest == nullptr) return Malformed(where, what);
  }
  const FieldPlan& plan = plan_.fields[static_cast<std::size_t>(field)];
  const ViolationKind kind = TakeText(plan, string, begin_, origin_, *target_->batch, target_->Text(field));
  if (kind != ViolationKind::kNone) [[unlikely]]
    Violated(kind, field, p, rest);
  return rest;
}

// A value that is not of its field's type: null, which may be allowed, or a violation once its syntax was checked.
const char* JsonRecordParser::ReadOtherType(const char* p, int field) {
  const char* const rest = SkipValue(p, 2);
  if (rest == nullptr || rest > end_) return rest;
  const FieldPlan& plan = plan_.fields[static_cast<std::size_t>(field)];
  if (*p == 'n' && !plan.required) {
    nulls_.push_back(field);
    return rest;
  }
  const std::string_view text(p, static_cast<std::size_t>(rest - p));
  const bool whole = text.find_first_not_of("-0123456789") == std::string_view::npos;
  Violated(plan.type == FieldType::kInt64 && whole ? ViolationKind::kOutOfInt64 : ViolationKind::kWrongType, field, p, rest);
  return rest;
}

const char* JsonRecordParser::SkipValue(const char* p, std::uint32_t depth) {
  if (p >= end_) return Malformed(end_, "the record ends where a value is expected");
  switch (*p) {
    case '"': {
      const char* const quote = FindSpecial(p + 1, end_);
      if (quote < end_ && *quote == '"') return quote + 1;
      JsonString string{.begin = p + 1};
      const char* what = nullptr;
      const char* where = nullptr;
      const char* const rest = ReadJsonString(quote, end_, string, *target_->batch, what, where);
      return rest == nullptr ? Malformed(where, what) : rest;
    }
    case '{': return SkipObject(p, depth);
    case '[': return SkipArray(p, depth);
    case 't': return SkipWord(p, "true");
    case 'f': return SkipWord(p, "false");
    case 'n': return SkipWord(p, "null");
    default: {
      const char* const rest = ScanNumber(p, end_);
      return rest == nullptr ? Malformed(p, "there is no value where one is expected") : rest;
    }
  }
}

const char* JsonRecordParser::SkipWord(const char* p, std::string_view word) {
  if (std::memcmp(p, word.data(), word.size()) != 0) return Malformed(p, "there is no value where one is expected");
  return p + word.size();
}

const char* JsonRecordParser::SkipObject(const char* p, std::uint32_t depth) {
  if (depth > limits_.depth_max) return Malformed(p, "it is nested deeper than the limit allows");
  p = SkipSpace(p + 1);
  if (p < end_ && *p == '}') return p + 1;
  const std::size_t scope = keys_.size();
  for (;;) {
    Key key;
    const char* const at = p;
    p = ReadKey(p, key);
    if (p == nullptr || !AddKey(key, scope, at)) return nullptr;
    p = ToValue(p);
    if (p == nullptr) return nullptr;
    p = SkipValue(p, depth + 1);
    if (p == nullptr) return nullptr;
    p = SkipSpace(p);
    if (p >= end_) return Malformed(end_, "the record ends inside an object");
    if (*p == '}') {
      keys_.resize(scope);
      return p + 1;
    }
    if (*p != ',') return Malformed(p, "a comma or a closing brace is missing");
    p = SkipSpace(p + 1);
  }
}

const char* JsonRecordParser::SkipArray(const char* p, std::uint32_t depth) {
  if (depth > limits_.depth_max) return Malformed(p, "it is nested deeper than the limit allows");
  p = SkipSpace(p + 1);
  if (p < end_ && *p == ']') return p + 1;
  for (;;) {
    p = SkipValue(p, depth + 1);
    if (p == nullptr) return nullptr;
    p = SkipSpace(p);
    if (p >= end_) return Malformed(end_, "the record ends inside an array");
    if (*p == ']') return p + 1;
    if (*p != ',') return Malformed(p, "a comma or a closing bracket is missing");
    p = SkipSpace(p + 1);
  }
}

}  // namespace sightline::gate
