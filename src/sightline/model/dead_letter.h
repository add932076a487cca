#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sightline/base/result.h"
#include "sightline/model/ids.h"
#include "sightline/model/time.h"
#include "sightline/model/verdict.h"

namespace sightline {

// Where a dead letter's record came from.
enum class DeadLetterOrigin : std::uint8_t {
  kIngest = 0,  // refused before it reached a topic; `offset` is its index within the request
  kTopic = 1,   // read from (topic, partition, offset)
};

// How the original bytes are encoded; the numbers of bus::Encoding.
enum class RecordEncoding : std::uint8_t { kJson = 0, kProtobuf = 1, kBinary = 2 };

// A record that was not counted, with all that is needed to explain it and to offer it again. Values of the topics
// `dead_letters.<dataset>` (written by ingest and the gate) and of a pipeline's own dead-letter topic.
// Layout: docs/formats/dead_letter.md. The views point into what the caller encodes from or decoded from.
struct DeadLetter {
  Verdict reason = Verdict::kMalformed;
  DeadLetterOrigin origin = DeadLetterOrigin::kIngest;
  RecordEncoding encoding = RecordEncoding::kJson;
  WallTime received;              // when ingest took it in; for kTopic the record's append time
  std::string_view topic;         // kIngest: the dataset's name
  Partition partition;            // kIngest: -1
  Offset offset;                  // kIngest: index of the record within the request
  std::string_view field;         // dotted name of the field at fault, or empty
  std::string_view cause;         // a sentence fit for a user
  std::string_view request_id;    // kIngest: of the request that brought it; else empty
  std::uint64_t original_size = 0;// bytes of the whole original
  std::string_view original;      // the original, or its first bytes when it was too large to keep

  // A shortened original cannot be replayed.
  bool shortened() const { return original.size() < original_size; }
};

// An original longer than this is kept shortened.
inline constexpr std::size_t kDeadLetterOriginalMax = 1U << 20;

// Appends the encoded letter to `out`. Sets nothing by itself: original_size must be at least original.size().
void EncodeDeadLetter(const DeadLetter& letter, std::string& out);
// kCorruption when the bytes are not a dead letter, or of a newer version than this program knows.
Result<DeadLetter> DecodeDeadLetter(std::string_view bytes);

// The topic that ingest and the gate write a dataset's dead letters to.
std::string DeadLetterTopic(std::string_view dataset);

}  // namespace sightline
