#include "sightline/gate/record_judge.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "sightline/base/text.h"
#include "sightline/model/dead_letter.h"

namespace sightline::gate {
namespace {

// Stands for a value that is not there: no format takes it.
constexpr std::string_view kNoValue = "\xff";
constexpr const char* kNoValueCause = "cannot be parsed: the record has no value; such a record marks its key as deleted, and is no event";

bus::Encoding EncodingOf(ValueFormat format) {
  switch (format) {
    case ValueFormat::kJson: return bus::Encoding::kJson;
    case ValueFormat::kProtobuf: return bus::Encoding::kProtobuf;
    case ValueFormat::kConfluent: return bus::Encoding::kBinary;
  }
  return bus::Encoding::kBinary;
}

template <typename Number>
void AppendNumber(std::string& out, Number value) {
  std::array<char, 40> digits{};
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

}  // namespace

RecordJudge::RecordJudge(const Settings& settings, std::size_t partition_column)
    : settings_(settings),
      partition_column_(partition_column),
      partitioner_(settings.partitions),
      decoder_(*settings.contract, settings.limits) {
  for (const Field& field : settings.contract->schema.fields) {
    std::string name;
    AppendJsonString(name, field.name);
    names_.push_back(name + ":");
  }
}

Result<RecordJudge> RecordJudge::Make(const Settings& settings) {
  const int column = settings.contract->schema.Find(settings.partition_by);
  if (column < 0) {
    return Fail(ErrorKind::kInvalidArgument,
                "partition_by names '" + settings.partition_by + "', which is no field of the contract " + settings.contract->name);
  }
  if (settings.format == ValueFormat::kConfluent && settings.schemas == nullptr) {
    return Fail(ErrorKind::kInvalidArgument, "values in Confluent's wire format need a schema registry");
  }
  return RecordJudge(settings, static_cast<std::size_t>(column));
}

// What is null is left out: the contract takes both for the same.
void RecordJudge::RenderJson(std::size_t row) {
  const std::vector<Field>& fields = settings_.contract->schema.fields;
  char before = '{';
  for (std::size_t f = 0; f < fields.size(); ++f) {
    const Column& column = decoded_.rows.columns[f];
    if (column.IsNull(row)) continue;
    rendered_ += std::exchange(before, ',');
    rendered_ += names_[f];
    switch (fields[f].type) {
      case FieldType::kInt64: AppendNumber(rendered_, column.int64s[row]); break;
      case FieldType::kDouble: AppendNumber(rendered_, column.doubles[row]); break;  // finite: the contract takes no other
      case FieldType::kBool: rendered_ += column.int64s[row] != 0 ? "true" : "false"; break;
      case FieldType::kString: AppendJsonString(rendered_, column.strings[row]); break;
    }
  }
  rendered_ += before == '{' ? "{}" : "}";
}

// Rows that are not written as they came have their place in `rendered_`, which moves while it grows.
void RecordJudge::TakeRows() {
  std::vector<std::pair<std::size_t, std::size_t>> rendered;  // the accepted record, and where its bytes end
  const Column& by = decoded_.rows.columns[partition_column_];
  const std::size_t judged_rejects = decoded_.rejects.size();
  for (std::size_t row = 0; row < decoded_.rows.rows; ++row) {
    AcceptedRecord one{.record = decoded_.record_of[row],
                       .partition = partitioner_.Of(by, row),
                       .encoding = EncodingOf(settings_.format),
                       .value = decoded_.records[row]};
    if (settings_.format == ValueFormat::kConfluent) {
      one.encoding = decoded_.unframed[row].encoding;
      one.value = decoded_.unframed[row].bytes;
    }
    if (one.encoding == bus::Encoding::kBinary) {
      const std::size_t begin = rendered_.size();
      RenderJson(row);
      if (rendered_.size() - begin > settings_.limits.record_bytes_max) {
        // Whoever reads the accepted topic would find it too long.
        rendered_.resize(begin);
        decoded_.rejects.push_back({.record = one.record,
                                    .verdict = Verdict::kMalformed,
                                    .field = {},
                                    .cause = "cannot be taken over: as JSON the record is longer than the limit of " +
                                             std::to_string(settings_.limits.record_bytes_max) + " bytes",
                                    .bytes = decoded_.records[row]});
        continue;
      }
      one.encoding = bus::Encoding::kJson;
      rendered.emplace_back(accepted_.size(), rendered_.size());
    }
    accepted_.push_back(one);
  }
  std::size_t begin = 0;
  for (const auto& [at, end] : rendered) {
    accepted_[at].value = std::string_view(rendered_).substr(begin, end - begin);
    begin = end;
  }
  if (decoded_.rejects.size() != judged_rejects) std::ranges::sort(decoded_.rejects, {}, &Reject::record);
}

void RecordJudge::NameMissingValues(std::span<const std::string_view> values) {
  for (Reject& reject : decoded_.rejects) {
    if (values[reject.record].data() != nullptr) continue;
    reject.verdict = Verdict::kMalformed;
    reject.field.clear();
    reject.cause = kNoValueCause;
    reject.bytes = {};
  }
}

Status RecordJudge::Judge(std::span<const std::string_view> values) {
  values_.assign(values.begin(), values.end());
  for (std::string_view& value : values_) {
    if (value.data() == nullptr) value = kNoValue;
  }
  if (settings_.format == ValueFormat::kConfluent) {
    SL_TRY(decoder_.DecodeWire(values_, *settings_.schemas, decoded_));
  } else {
    decoder_.DecodeRecords(EncodingOf(settings_.format), values_, decoded_);
  }
  accepted_.clear();
  rendered_.clear();
  TakeRows();
  NameMissingValues(values);
  return {};
}

void RecordJudge::EncodeLetter(const Reject& reject, std::string_view value, const RecordOrigin& origin, std::size_t original_max,
                               std::string& out) const {
  EncodeDeadLetter({.reason = reject.verdict,
                    .origin = DeadLetterOrigin::kTopic,
                    .encoding = static_cast<RecordEncoding>(EncodingOf(settings_.format)),
                    .received = WallTime(origin.appended.value),
                    .topic = origin.topic,
                    .partition = origin.partition,
                    .offset = origin.offset,
                    .field = reject.field,
                    .cause = reject.cause,
                    .request_id = {},
                    .original_size = value.size(),
                    .original = value.substr(0, std::min(original_max, kDeadLetterOriginalMax))},
                   out);
}

}  // namespace sightline::gate
