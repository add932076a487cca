#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/bus/port.h"
#include "sightline/gate/decoder.h"
#include "sightline/governance/contract.h"
#include "sightline/model/partitioner.h"

namespace sightline::gate {

// How a topic that others write holds its values.
enum class ValueFormat : std::uint8_t {
  kJson,
  kProtobuf,
  kConfluent,  // behind a zero byte and the id of a schema in a registry: JSON, Avro or Protobuf
};

// What the topic of accepted events gets for a record.
struct AcceptedRecord {
  std::uint32_t record = 0;  // index within what was judged
  Partition partition;
  bus::Encoding encoding = bus::Encoding::kJson;  // JSON or Protobuf
  std::string_view value;
};

// Where a record of others lies.
struct RecordOrigin {
  std::string_view topic;
  Partition partition;
  Offset offset;
  AppendTime appended;
};

// Judges records of topics that others write, and gives each its place: accepted, with partition and bytes, or refused. Verdict and
// partition are what ingest would give (Decoder, Partitioner). Frames of a registry are taken off and Avro is written as JSON, so that
// every engine reads what was accepted. Knows no engine: whoever moves the records calls it. Not thread-safe; contract and schemas must
// outlive it.
class RecordJudge {
 public:
  struct Settings {
    const governance::Contract* contract = nullptr;
    ValueFormat format = ValueFormat::kJson;
    Decoder::Limits limits;
    std::string partition_by;
    std::int32_t partitions = 1;
    SchemaSource* schemas = nullptr;  // of kConfluent
  };
  // kInvalidArgument when the contract lacks the field that gives the partition.
  static Result<RecordJudge> Make(const Settings& settings);

  // A view without data is a record without a value, and malformed. An error, and then nothing is judged, when a schema cannot be had for
  // now: call again with the same values. What it gives holds until the next call, and as long as the values' bytes do.
  Status Judge(std::span<const std::string_view> values);
  std::span<const AcceptedRecord> accepted() const { return accepted_; }  // ascending by record
  std::span<const Reject> rejects() const { return decoded_.rejects; }  // the same
  std::uint64_t extra_fields() const { return decoded_.extra_fields; }

  // Appends the dead letter of a refused record. Of the original `original_max` bytes are kept at most.
  void EncodeLetter(const Reject& reject, std::string_view value, const RecordOrigin& origin, std::size_t original_max,
                    std::string& out) const;

 private:
  RecordJudge(const Settings& settings, std::size_t partition_column);
  void RenderJson(std::size_t row);
  void TakeRows();
  void NameMissingValues(std::span<const std::string_view> values);

  Settings settings_;
  std::size_t partition_column_;
  Partitioner partitioner_;
  Decoder decoder_;
  Decoded decoded_;
  std::vector<std::string> names_;  // of the contract's fields, as they begin in JSON
  std::vector<std::string_view> values_;
  std::vector<AcceptedRecord> accepted_;
  std::string rendered_;  // rows that came as Avro
};

}  // namespace sightline::gate
