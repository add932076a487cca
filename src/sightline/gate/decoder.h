#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/governance/contract.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/verdict.h"

namespace sightline::gate {

class SchemaSource;

// Why a record was refused. `cause` is a sentence fit for a user; `field` is the dotted name or empty.
struct Reject {
  std::uint32_t record = 0;          // index within the decoded input
  Verdict verdict = Verdict::kMalformed;
  std::string field;
  std::string cause;
  std::string_view bytes;            // the record, a view into the input
};

// A record without the frame that a registry's clients put around it.
struct Unframed {
  bus::Encoding encoding = bus::Encoding::kJson;  // kBinary: Avro, which no topic of accepted events holds
  std::string_view bytes;
};

// What a decode gives. Reused from call to call; views point into the input or into `rows`' arena.
struct Decoded {
  ColumnBatch rows;                       // valid records only, columns of the contract's schema
  std::vector<std::string_view> records;  // bytes of each row
  std::vector<std::uint32_t> record_of;   // index of each row within the decoded input, ascending
  std::vector<Reject> rejects;            // ascending by record
  std::vector<Unframed> unframed;         // of each row; by DecodeWire alone
  std::uint32_t seen = 0;                 // records in the input (for lines: non-empty ones)
  std::uint64_t extra_fields = 0;         // of accepted records: fields that the contract does not name
};

// Judges records against a contract and decodes the valid ones into columns. One verdict for every engine: malformed
// (not parseable) or invalid (breaks the contract) or accepted; docs/formats/verdicts.md lists the rules. No virtual call,
// no allocation and no status object a row on the way of a valid record. Speculates on the field order and spacing of
// the record before, and checks everything all the same. Not thread-safe: one a worker; the contract must outlive it.
class Decoder {
 public:
  struct Limits {
    std::uint32_t record_bytes_max = 1U << 20;
    std::uint32_t depth_max = 64;
    std::uint32_t fields_max = 1024;
  };
  Decoder(const governance::Contract& contract, Limits limits);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  // Records that are framed already, such as a batch of the log. kBinary is not decodable.
  void DecodeRecords(bus::Encoding encoding, std::span<const std::string_view> records, Decoded& into);
  // Values in Confluent's wire format: a zero byte, the id of a schema in a registry, and a record in that schema's language, JSON, Avro or
  // Protobuf (there behind the indexes of its message). The contract judges as everywhere; Avro's fields are the contract's by name,
  // Protobuf's by number. Rows and rejects show the whole value, `unframed` what is in it. Another beginning and an unknown id are
  // malformed. An error, and then nothing is judged, when a schema cannot be had for now: call again with the same values.
  Status DecodeWire(std::span<const std::string_view> values, SchemaSource& schemas, Decoded& into);
  // NDJSON: lines end with \n (a \r before it is white space); empty lines are skipped. Consumes whole lines of `text`, the
  // rest of it too when `last`; at most `rows_max` records. Returns the bytes consumed. Keep the others and call again with more behind
  // them. A line beyond record_bytes_max is refused as soon as that is plain, and its rest is left out as it comes, so that more than
  // record_bytes_max bytes never need to be kept; `last` ends that.
  std::size_t DecodeLines(std::string_view text, bool last, std::size_t rows_max, Decoded& into);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sightline::gate
