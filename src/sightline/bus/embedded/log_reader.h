#pragma once

#include <memory>

#include "sightline/bus/embedded/log_partition.h"

namespace sightline::bus {

// Reads a partition from the mapped bytes of its segments, in place where they are not compressed. Holds its segment, so
// that retention does not take it away under the reader. One thread at a time; takes a lock only to go from one segment to
// the next.
class LogReader final : public Reader {
 public:
  LogReader(std::shared_ptr<LogPartition> partition, Offset at) : partition_(std::move(partition)), next_(at) {}

  Result<std::optional<Batch>> Next() override;
  Offset position() const override { return next_; }
  Status Seek(Offset offset, std::optional<Epoch> epoch) override;

 private:
  Status FindPlace();
  Result<bool> JumpDamage();
  Batch Present(const BatchHeader& header, Offset visible);

  std::shared_ptr<LogPartition> partition_;
  Offset next_;
  SegmentPtr segment_;  // null: not looked for yet
  std::string_view view_;
  std::uint64_t position_ = 0;  // in the segment, of the batch that holds next_
  BatchDecoder decoder_;
};

}  // namespace sightline::bus
