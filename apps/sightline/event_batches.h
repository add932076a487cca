#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sightline/base/result.h"

#include "apps/sightline/byte_source.h"

namespace sightline::app {

enum class EventForm : std::uint8_t { kLines, kJson, kProtobuf };

// By a file's name: .json, .pb, .protobuf or .binpb; anything else is lines. A packed file's .gz or .zst is left aside.
EventForm EventFormOf(std::string_view file);
std::string_view MediaTypeOf(EventForm form);

// What one request carries.
struct EventBatch {
  std::string body;
  EventForm form = EventForm::kLines;
  Packing packing = Packing::kNone;  // of the body
  std::uint64_t first = 1;           // line (or, of Protobuf, message) of the input the body begins with
  std::uint64_t records = 0;         // lines that are not empty, or messages; 0: unknown before it is answered
};

struct BatchLimits {
  std::size_t bytes = 1U << 20;
  std::size_t records = 5000;
  std::size_t record_bytes_max = 32U << 20;  // a longer line is left out and counted
  std::size_t whole_bytes_max = 64U << 20;   // of a JSON document
};

// Cuts an input into batches: lines at line ends, Protobuf at its length prefixes, a JSON document never. The same input and
// limits give the same batches, which makes a repeated send with the same run id safe. One thread.
class EventBatches {
 public:
  EventBatches(std::unique_ptr<ByteSource> source, EventForm form, BatchLimits limits);
  // The next batch, or nothing at the end. kCorruption for broken framing or packing, kResourceExhausted for too large a document.
  Result<std::optional<EventBatch>> Next();
  // Lines that were too long to send, and the first of them.
  std::uint64_t too_long() const { return too_long_; }
  std::uint64_t first_too_long() const { return first_too_long_; }

 private:
  Result<std::optional<EventBatch>> NextLines();
  Result<std::optional<EventBatch>> NextMessages();
  Result<std::optional<EventBatch>> NextDocument();
  // Reads more into buffer_; false at the end.
  Result<bool> Fill();
  Status SkipLine();

  std::unique_ptr<ByteSource> source_;
  EventForm form_;
  BatchLimits limits_;
  std::string buffer_;
  bool ended_ = false;
  std::uint64_t next_record_ = 1;
  std::uint64_t message_bytes_ = 0;  // of all batches so far, for messages
  std::uint64_t too_long_ = 0;
  std::uint64_t first_too_long_ = 0;
};

}  // namespace sightline::app
