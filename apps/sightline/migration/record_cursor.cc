#include "apps/sightline/migration/record_cursor.h"

#include <string>

namespace sightline::app {
namespace {

constexpr std::chrono::milliseconds kWait{5};
constexpr int kWaitsMax = 12'000;  // a minute

}  // namespace

// False at the end.
Result<bool> RecordCursor::Fill() {
  for (int waits = 0; reader_->position() < end_; ++waits) {
    SL_ASSIGN_OR_RETURN(std::optional<bus::Batch> batch, reader_->Next());
    if (batch) {
      batch_ = *batch;
      at_ = 0;
      return true;
    }
    if (reader_->position() >= end_) return false;
    if (waits >= kWaitsMax) {
      return Fail(ErrorKind::kDeadlineExceeded, "nothing comes at offset " + std::to_string(reader_->position().value) +
                                                    ", before the end at " + std::to_string(end_.value));
    }
    sleep_(kWait);
  }
  return false;
}

Result<std::optional<MovingRecord>> RecordCursor::Next() {
  if (at_ >= batch_.values.size()) {
    SL_ASSIGN_OR_RETURN(const bool more, Fill());
    if (!more) return std::optional<MovingRecord>();
  }
  const Offset offset = batch_.offset(at_);
  if (offset >= end_) return std::optional<MovingRecord>();
  MovingRecord record{.type = batch_.type,
                      .encoding = batch_.encoding,
                      .offset = offset,
                      .time = batch_.time(at_),
                      .value = batch_.values[at_],
                      .key = std::nullopt};
  // Where some records of a batch have keys, an empty one is none.
  if (!batch_.keys.empty() && !batch_.keys[at_].empty()) record.key = batch_.keys[at_];
  ++at_;
  return std::optional(record);
}

}  // namespace sightline::app
