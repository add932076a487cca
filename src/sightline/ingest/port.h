#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/verdict.h"

namespace sightline::ingest {

// How a body holds its records.
enum class Format : std::uint8_t {
  kLines,     // NDJSON: one JSON object a line
  kJson,      // one JSON object, or an array of them
  kProtobuf,  // messages, each after its length as a varint
};
// The media type, lower case and without parameters; "" is the default, NDJSON. kInvalidArgument lists the ones there are.
Result<Format> FormatOfMediaType(std::string_view media_type);

// Records offered to a dataset in one go.
struct Offer {
  std::string dataset;
  Format format = Format::kLines;
  std::string_view body;
  std::shared_ptr<const void> owner;  // keeps the body's bytes until the answer is given
  std::string idempotency_key;        // of the sender; empty: none. The same key and body within 24 h are taken once
  std::string principal;              // keys of different principals are different keys
  std::string request_id;
};

struct RejectNote {
  std::uint64_t line = 0;  // from 1: the line in the body for kLines, else the number of the record
  Verdict verdict = Verdict::kMalformed;
  std::string field;
  std::string cause;
};

struct Receipt {
  std::uint64_t received = 0;
  std::uint64_t accepted = 0;
  std::uint64_t malformed = 0;
  std::uint64_t invalid = 0;
  std::vector<RejectNote> rejects;  // the first ones
  bool repeated = false;            // everything was there already, by its idempotency key
};

// Where records enter the system. Thread-safe.
class Ingest {
 public:
  using Done = std::function<void(Result<Receipt>)>;

  virtual ~Ingest() = default;
  // Judges the records, appends the accepted ones to the dataset's topic and the others to its dead letters, and calls `done`
  // once when all of it is as durable as the topics promise; from a thread of the bus or from within the call.
  // Errors: kNotFound for an unknown dataset; kInvalidArgument for a body that can't be taken apart (nothing was taken);
  // kOutOfRange for too many records; kAlreadyExists when the idempotency key came with another body before;
  // kResourceExhausted when the log or memory can't keep up, and every error of the bus. After an error a part may have been
  // taken: sending it again with the same key is safe.
  virtual void Take(Offer offer, Done done) = 0;
};

// Take for callers that may block.
Result<Receipt> TakeAndWait(Ingest& ingest, Offer offer);

}  // namespace sightline::ingest
