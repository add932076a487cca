#include "sightline/gate/decoder.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "sightline/gate/avro_record_internal.h"
#include "sightline/gate/fault_internal.h"
#include "sightline/gate/json_layout_internal.h"
#include "sightline/gate/json_record_internal.h"
#include "sightline/gate/plan_internal.h"
#include "sightline/gate/protobuf_record_internal.h"
#include "sightline/gate/scan_internal.h"
#include "sightline/gate/wire_internal.h"

namespace sightline::gate {
namespace {

// When the shape keeps changing, learning it again each time costs more than it brings: between fruitless lessons lie more and more
// records, up to this many.
constexpr std::uint32_t kLessonGapMax = 256;
// Records in a row without a hit after which a layout is given up.
constexpr std::uint32_t kMissesMax = 8;
constexpr std::size_t kRoomMin = 256;

bool IsBlank(std::string_view line) { return std::ranges::all_of(line, IsSpace); }

}  // namespace

struct Decoder::Impl {
  Impl(const governance::Contract& contract, Limits given)
      : limits(given), plan(contract), json(plan, given), layout(plan), protobuf(plan, given), avro(plan, given) {}

  void Begin(std::size_t rows_max, std::size_t room, Decoded& into);
  void MakeRoom(Decoded& into);
  void End(Decoded& into);
  void Accept(std::string_view record, std::uint32_t extra, Decoded& into);
  void Reject(std::string_view record, Verdict verdict, std::string field, std::string cause, Decoded& into);
  void RejectJson(Outcome outcome, std::string_view record, Decoded& into);
  void RejectTooLong(std::string_view record, Decoded& into);
  // One record by the full parser; `readable`: kScanPadding bytes behind it may be read.
  void ParseJson(std::string_view record, bool readable, Decoded& into);
  void ParseProtobuf(std::string_view record, Decoded& into);
  void RejectBinary(Outcome outcome, const Malformation& malformation, const Violation& violation, std::string_view record, Decoded& into);
  void ParseAvro(const AvroProgram& program, std::string_view record, Decoded& into);
  Status FetchSchemas(std::span<const std::string_view> values, SchemaSource& schemas);
  void ParseWire(std::string_view value, Decoded& into);
  std::string_view Padded(std::string_view record);
  bool LessonDue();
  void TeachLayout(std::string_view text);
  const char* ReadRun(const char* p, const char* limit, std::size_t rows_max, Decoded& into);
  void ParseLine(std::string_view line, bool readable, Decoded& into);
  std::size_t SkipRest(std::string_view text);

  Limits limits;
  ContractPlan plan;
  JsonRecordParser json;
  JsonLayout layout;
  ProtobufRecordParser protobuf;
  AvroRecordParser avro;
  std::unordered_map<std::uint32_t, WireSchema> wire_schemas;
  RowTarget target;
  std::size_t target_rows_max = 0;
  std::string padded;
  std::uint32_t misses = 0;
  std::uint32_t lesson_gap = 0;   // records between lessons
  std::uint32_t until_lesson = 0;
  bool in_long_line = false;      // the rest of a line that was refused for its length is still to come
};

Decoder::Decoder(const governance::Contract& contract, Limits limits) : impl_(std::make_unique<Impl>(contract, limits)) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

// `rows_max` may be far more than there will be: only `room` rows are there at first.
void Decoder::Impl::Begin(std::size_t rows_max, std::size_t room, Decoded& into) {
  target_rows_max = rows_max;
  room = std::min(room, rows_max);
  into.rows.Reset(plan.contract.schema, room);
  into.rejects.clear();
  into.unframed.clear();
  into.seen = 0;
  into.extra_fields = 0;
  into.records.resize(room);
  into.record_of.resize(room);
  target.Attach(into.rows, room);
}

void Decoder::Impl::MakeRoom(Decoded& into) {
  const std::size_t room = std::min(target_rows_max, target.capacity + target.capacity / 2 + kRoomMin);
  target.Widen(room);
  into.records.resize(room);
  into.record_of.resize(room);
}

void Decoder::Impl::End(Decoded& into) {
  into.rows.rows = target.row;
  into.records.resize(target.row);
  into.record_of.resize(target.row);
}

inline void Decoder::Impl::Accept(std::string_view record, std::uint32_t extra, Decoded& into) {
  into.records[target.row] = record;
  into.record_of[target.row] = into.seen++;
  into.extra_fields += extra;
  if (++target.row == target.capacity) [[unlikely]]
    MakeRoom(into);
}

void Decoder::Impl::Reject(std::string_view record, Verdict verdict, std::string field, std::string cause, Decoded& into) {
  into.rejects.push_back(
      {.record = into.seen++, .verdict = verdict, .field = std::move(field), .cause = std::move(cause), .bytes = record});
}

void Decoder::Impl::RejectJson(Outcome outcome, std::string_view record, Decoded& into) {
  if (outcome == Outcome::kMalformed) {
    Reject(record, Verdict::kMalformed, json.malformation().key, Cause(json.malformation()), into);
    return;
  }
  const Violation& violation = json.violation();
  std::string field = violation.field >= 0 ? plan.contract.schema.fields[static_cast<std::size_t>(violation.field)].name : "";
  if (violation.kind == ViolationKind::kExtraField) field = violation.found;
  Reject(record, Verdict::kInvalid, std::move(field), Cause(plan, violation), into);
}

// A copy with room for wide loads behind it.
std::string_view Decoder::Impl::Padded(std::string_view record) {
  if (padded.size() < record.size() + kScanPadding) padded.resize(std::max<std::size_t>(record.size() + kScanPadding, 4096));
  std::memcpy(padded.data(), record.data(), record.size());
  std::memset(padded.data() + record.size(), 0, kScanPadding);
  return {padded.data(), record.size()};
}

// One odd record among others is no reason to forget their shape; two in a row are.
bool Decoder::Impl::LessonDue() {
  if (misses < 2 && !layout.empty()) return false;
  if (until_lesson == 0) return true;
  --until_lesson;
  return false;
}

void Decoder::Impl::TeachLayout(std::string_view text) {
  layout.Learn(text, json.trace(), json.nulls());
  misses = 0;
  until_lesson = lesson_gap;
  lesson_gap = std::min(lesson_gap * 2 + 1, kLessonGapMax);
}

void Decoder::Impl::RejectTooLong(std::string_view record, Decoded& into) {
  Reject(record.substr(0, limits.record_bytes_max), Verdict::kMalformed, "",
         "cannot be parsed: the record is longer than the limit of " + std::to_string(limits.record_bytes_max) +
             " bytes; what is kept of it is cut there",
         into);
}

void Decoder::Impl::ParseJson(std::string_view record, bool readable, Decoded& into) {
  if (record.size() > limits.record_bytes_max) return RejectTooLong(record, into);
  const std::string_view text = readable ? record : Padded(record);
  if (++misses > kMissesMax) layout.Forget();
  const bool lesson = LessonDue();
  const Outcome outcome =
      json.Parse(text, record.data(), target, lesson ? JsonRecordParser::Tracing::kOn : JsonRecordParser::Tracing::kOff);
  if (outcome != Outcome::kAccepted) [[unlikely]]
    return RejectJson(outcome, record, into);
  if (lesson) TeachLayout(text);
  Accept(record, json.extra_fields(), into);
}

void Decoder::Impl::ParseProtobuf(std::string_view record, Decoded& into) {
  if (record.size() > limits.record_bytes_max) return RejectTooLong(record, into);
  const Outcome outcome = protobuf.Parse(record, target);
  if (outcome == Outcome::kAccepted) [[likely]]
    return Accept(record, protobuf.extra_fields(), into);
  RejectBinary(outcome, protobuf.malformation(), protobuf.violation(), record, into);
}

void Decoder::Impl::RejectBinary(Outcome outcome, const Malformation& malformation, const Violation& violation, std::string_view record,
                                 Decoded& into) {
  if (outcome == Outcome::kMalformed) return Reject(record, Verdict::kMalformed, "", Cause(malformation), into);
  std::string field = violation.field >= 0 ? plan.contract.schema.fields[static_cast<std::size_t>(violation.field)].name : "";
  Reject(record, Verdict::kInvalid, std::move(field), Cause(plan, violation), into);
}

void Decoder::Impl::ParseAvro(const AvroProgram& program, std::string_view record, Decoded& into) {
  if (record.size() > limits.record_bytes_max) return RejectTooLong(record, into);
  const Outcome outcome = avro.Parse(program, record, target);
  if (outcome == Outcome::kAccepted) [[likely]]
    return Accept(record, avro.extra_fields(), into);
  RejectBinary(outcome, avro.malformation(), avro.violation(), record, into);
}

// Makes every schema of the values ready. What has no schema is asked for again the next time: it may be registered by then.
Status Decoder::Impl::FetchSchemas(std::span<const std::string_view> values, SchemaSource& schemas) {
  std::erase_if(wire_schemas, [](const auto& entry) { return entry.second.unknown; });
  for (const std::string_view value : values) {
    const std::optional<std::uint32_t> id = WireSchemaId(value);
    if (!id || wire_schemas.contains(*id)) continue;
    Result<WriterSchema> found = schemas.Find(*id);
    if (!found && found.error().kind != ErrorKind::kNotFound) return std::unexpected(std::move(found).error());
    wire_schemas[*id] = MakeWireSchema(std::move(found), *id, plan.contract.schema);
  }
  return {};
}

void Decoder::Impl::ParseWire(std::string_view value, Decoded& into) {
  const std::optional<std::uint32_t> id = WireSchemaId(value);
  if (!id) return Reject(value, Verdict::kMalformed, "", kNoWireFormat, into);
  const WireSchema& schema = wire_schemas.find(*id)->second;
  if (!schema.why_not.empty()) return Reject(value, Verdict::kMalformed, "", "cannot be parsed: " + schema.why_not, into);
  std::string_view payload = value.substr(kWireHeaderSize);
  const std::size_t rows = target.row;
  const std::size_t rejects = into.rejects.size();
  bus::Encoding encoding = bus::Encoding::kJson;
  switch (schema.format) {
    case SchemaFormat::kJson: ParseJson(payload, false, into); break;
    case SchemaFormat::kAvro:
      encoding = bus::Encoding::kBinary;
      ParseAvro(*schema.avro, payload, into);
      break;
    case SchemaFormat::kProtobuf: {
      encoding = bus::Encoding::kProtobuf;
      const char* const why = TakeMessageIndexes(schema, payload);
      if (why != nullptr) return Reject(value, Verdict::kMalformed, "", std::string("cannot be parsed: ") + why, into);
      ParseProtobuf(payload, into);
      break;
    }
  }
  // What is kept and shown is the whole value.
  if (target.row != rows) {
    into.records[target.row - 1] = value;
    into.unframed.push_back({.encoding = encoding, .bytes = payload});
  }
  if (into.rejects.size() != rejects) into.rejects.back().bytes = value;
}

Status Decoder::DecodeWire(std::span<const std::string_view> values, SchemaSource& schemas, Decoded& into) {
  Impl& impl = *impl_;
  SL_TRY(impl.FetchSchemas(values, schemas));
  impl.Begin(values.size(), values.size(), into);
  for (const std::string_view value : values) impl.ParseWire(value, into);
  impl.End(into);
  return {};
}

void Decoder::DecodeRecords(bus::Encoding encoding, std::span<const std::string_view> records, Decoded& into) {
  Impl& impl = *impl_;
  impl.Begin(records.size(), records.size(), into);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string_view record = records[i];
    if (encoding == bus::Encoding::kProtobuf) {
      impl.ParseProtobuf(record, into);
      continue;
    }
    if (encoding != bus::Encoding::kJson) {
      impl.Reject(record, Verdict::kMalformed, "", "cannot be parsed: the record is neither JSON nor Protobuf", into);
      continue;
    }
    // Records of one batch lie one behind the other, a few bytes apart; the next one is then the padding of this one.
    const bool readable = i + 1 < records.size() && records[i + 1].size() >= kScanPadding &&
                          static_cast<std::size_t>(records[i + 1].data() - (record.data() + record.size())) < 8;
    if (record.size() <= impl.limits.record_bytes_max && !impl.layout.empty()) {
      const std::string_view text = readable ? record : impl.Padded(record);
      const char* const end = text.data() + text.size();
      if (impl.layout.Read(text.data(), end, text.data(), record.data(), impl.target) == end) {
        impl.misses = impl.lesson_gap = 0;
        impl.Accept(record, impl.layout.extra_fields(), into);
        continue;
      }
    }
    impl.ParseJson(record, readable, into);
  }
  impl.End(into);
}

// Reads lines of the known shape as long as they last; gives the start of the first that is not.
const char* Decoder::Impl::ReadRun(const char* p, const char* limit, std::size_t rows_max, Decoded& into) {
  const char* const start = p;
  while (into.seen < rows_max) {
    const char* const end = layout.Read(p, limit, p, p, target);
    if (end == nullptr || *end != '\n' || static_cast<std::size_t>(end - p) > limits.record_bytes_max) [[unlikely]]
      break;
    Accept(std::string_view(p, static_cast<std::size_t>(end - p)), layout.extra_fields(), into);
    p = end + 1;
  }
  if (p != start) misses = lesson_gap = until_lesson = 0;
  return p;
}

inline void Decoder::Impl::ParseLine(std::string_view line, bool readable, Decoded& into) {
  if (line.empty()) return;
  if (static_cast<unsigned char>(line.front()) <= ' ' && line.size() <= limits.record_bytes_max && IsBlank(line)) return;
  ParseJson(line, readable, into);
}

// Bytes of the refused line that are still to be left out.
std::size_t Decoder::Impl::SkipRest(std::string_view text) {
  const std::size_t newline = text.find('\n');
  if (newline == std::string_view::npos) return text.size();
  in_long_line = false;
  return newline + 1;
}

std::size_t Decoder::DecodeLines(std::string_view text, bool last, std::size_t rows_max, Decoded& into) {
  Impl& impl = *impl_;
  // A record takes two bytes at least, with its newline.
  rows_max = std::min(rows_max, text.size() / 2 + 1);
  // About as many as the last time: making room for more means clearing it.
  impl.Begin(rows_max, into.records.size() + into.records.size() / 8 + kRoomMin, into);
  const char* p = text.data();
  const char* const end = p + text.size();
  const char* const limit = text.size() > kScanPadding ? end - kScanPadding : p;
  if (impl.in_long_line) p += impl.SkipRest(text);
  while (p != end && into.seen < rows_max) {
    if (!impl.layout.empty() && p < limit) {
      p = impl.ReadRun(p, limit, rows_max, into);
      if (p == end || into.seen == rows_max) break;
    }
    const auto left = static_cast<std::size_t>(end - p);
    const char* line_end = FindNewline(p, end);
    if (line_end == nullptr && !last) {
      if (left <= impl.limits.record_bytes_max) break;
      // More would only make it longer: refused now, and the rest of the line is left out when it comes.
      impl.RejectTooLong(std::string_view(p, left), into);
      impl.in_long_line = true;
      p = end;
      break;
    }
    if (line_end == nullptr) line_end = end;
    impl.ParseLine(std::string_view(p, static_cast<std::size_t>(line_end - p)), line_end <= limit, into);
    p = line_end == end ? end : line_end + 1;
  }
  if (last && p == end) impl.in_long_line = false;
  impl.End(into);
  return static_cast<std::size_t>(p - text.data());
}

}  // namespace sightline::gate
