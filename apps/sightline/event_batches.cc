#include "apps/sightline/event_batches.h"

#include <algorithm>

#include "sightline/base/bytes.h"
#include "sightline/base/text.h"

namespace sightline::app {
namespace {
constexpr std::size_t kRead = 1U << 20;

bool Blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }
}  // namespace

EventForm EventFormOf(std::string_view file) {
  for (const std::string_view packed : {".gz", ".zst", ".zstd"}) {
    if (file.ends_with(packed)) file.remove_suffix(packed.size());
  }
  if (file.ends_with(".json")) return EventForm::kJson;
  if (file.ends_with(".pb") || file.ends_with(".protobuf") || file.ends_with(".binpb")) return EventForm::kProtobuf;
  return EventForm::kLines;
}

std::string_view MediaTypeOf(EventForm form) {
  switch (form) {
    case EventForm::kJson: return "application/json";
    case EventForm::kProtobuf: return "application/x-protobuf";
    case EventForm::kLines: break;
  }
  return "application/x-ndjson";
}

EventBatches::EventBatches(std::unique_ptr<ByteSource> source, EventForm form, BatchLimits limits)
    : source_(std::move(source)), form_(form), limits_(limits) {}

Result<std::optional<EventBatch>> EventBatches::Next() {
  switch (form_) {
    case EventForm::kJson: return NextDocument();
    case EventForm::kProtobuf: return NextMessages();
    case EventForm::kLines: break;
  }
  return NextLines();
}

Result<bool> EventBatches::Fill() {
  if (ended_) return false;
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kRead);
  auto got = source_->Read(buffer_.data() + before, kRead);
  buffer_.resize(before + (got ? *got : 0));
  if (!got) return std::unexpected(std::move(got).error());
  ended_ = *got == 0;
  return !ended_;
}

// Leaves out the rest of a line that is longer than any server would take.
Status EventBatches::SkipLine() {
  ++too_long_;
  if (first_too_long_ == 0) first_too_long_ = next_record_;
  for (;;) {
    if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
      buffer_.erase(0, end + 1);
      break;
    }
    buffer_.clear();
    SL_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) break;
  }
  ++next_record_;
  return {};
}

Result<std::optional<EventBatch>> EventBatches::NextLines() {
  EventBatch batch{.body = "", .form = form_, .packing = Packing::kNone, .first = next_record_, .records = 0};
  std::size_t at = 0;  // what lies before it goes into the batch
  std::uint64_t lines = 0;
  while (at < limits_.bytes && batch.records < limits_.records) {
    const std::size_t end = buffer_.find('\n', at);
    if (end == std::string::npos) {
      if (buffer_.size() - at > limits_.record_bytes_max) {
        if (at > 0) break;  // what came before it goes first
        SL_TRY(SkipLine());
        batch.first = next_record_;
        continue;
      }
      SL_ASSIGN_OR_RETURN(const bool more, Fill());
      if (more) continue;
      if (at < buffer_.size()) {
        if (!Blank(std::string_view(buffer_).substr(at))) ++batch.records;
        ++lines;
        at = buffer_.size();
      }
      break;
    }
    if (!Blank(std::string_view(buffer_).substr(at, end - at))) ++batch.records;
    ++lines;
    at = end + 1;
  }
  next_record_ += lines;
  if (batch.records == 0) {
    buffer_.erase(0, at);
    if (ended_ && buffer_.empty()) return std::nullopt;
    return NextLines();
  }
  batch.body = buffer_.substr(0, at);
  buffer_.erase(0, at);
  return batch;
}

Result<std::optional<EventBatch>> EventBatches::NextMessages() {
  EventBatch batch{.body = "", .form = form_, .packing = Packing::kNone, .first = next_record_, .records = 0};
  std::size_t at = 0;
  while (at < limits_.bytes && batch.records < limits_.records) {
    ByteReader reader(std::string_view(buffer_).substr(at));
    const std::uint64_t size = reader.GetVarint();
    const std::uint64_t prefix = buffer_.size() - at - reader.remaining();
    if (reader.ok() && size > limits_.record_bytes_max) {
      return Fail(ErrorKind::kCorruption, "at byte " + std::to_string(message_bytes_ + at) + " a message claims " + std::to_string(size) +
                                              " bytes: are these length-delimited messages?");
    }
    if (reader.ok() && size <= reader.remaining()) {
      at += prefix + size;
      ++batch.records;
      continue;
    }
    SL_ASSIGN_OR_RETURN(const bool more, Fill());
    if (more) continue;
    if (at < buffer_.size())
      return Fail(ErrorKind::kCorruption, "the input ends within the message at byte " + std::to_string(message_bytes_ + at));
    break;
  }
  if (batch.records == 0) return std::nullopt;
  next_record_ += batch.records;
  message_bytes_ += at;
  batch.body = buffer_.substr(0, at);
  buffer_.erase(0, at);
  return batch;
}

Result<std::optional<EventBatch>> EventBatches::NextDocument() {
  for (bool more = true; more;) {
    SL_ASSIGN_OR_RETURN(more, Fill());
    if (buffer_.size() > limits_.whole_bytes_max) {
      return Fail(ErrorKind::kResourceExhausted, "the JSON document is larger than " + FormatBytes(limits_.whole_bytes_max) +
                                                     "; send lines instead: jq -c '.[]' FILE | sightline send -");
    }
  }
  if (buffer_.empty()) return std::nullopt;
  EventBatch batch{.body = std::move(buffer_), .form = form_, .packing = Packing::kNone, .first = 1, .records = 0};
  buffer_.clear();
  return batch;
}

}  // namespace sightline::app
