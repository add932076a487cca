#pragma once

#include <string>
#include <vector>

#include "sightline/bus/embedded/retry_table.h"
#include "sightline/bus/embedded/segment.h"
#include "sightline/runtime/file_system.h"

// The small files beside a partition's segments; docs/formats/log.md gives their bytes.
namespace sightline::bus {

// From `from` on the offsets were written in `epoch`.
struct EpochStart {
  Epoch epoch;
  Offset from;
};

// A place where readers jump over bytes that are damaged and were given up by repair.
struct Skip {
  Offset from;
  Offset to;
  Offset segment;  // base of the segment that holds `to`
  std::uint64_t position = 0;
};

// What a partition must not forget and its batches do not say. Replaced as a whole.
struct PartitionState {
  std::vector<EpochStart> epochs{{Epoch(0), Offset(0)}};  // never empty, rising
  Offset start;                                           // retention went as far
  std::uint64_t dropped = 0;
  std::vector<Skip> skips;

  Epoch epoch() const { return epochs.back().epoch; }
  // A new epoch that begins at `end`, the log having been cut there.
  void RaiseEpoch(Offset end);

  static constexpr const char* kFile = "state";
  // The initial state when there is no file; kCorruption when there is one that is damaged.
  static Result<PartitionState> Load(runtime::FileSystem& files, const std::string& directory);
  Status Save(runtime::FileSystem& files, const std::string& directory) const;
};

// Describes the first `used` bytes of a segment, all of them durable: recovery trusts it instead of reading them.
struct Sidecar {
  SegmentName segment;
  std::uint64_t used = 0;
  Offset end;
  AppendTime last_append;
  Epoch epoch;
  Offset published;
  std::vector<Segment::IndexEntry> index;
  std::vector<RetryTable::Tag> tags;  // of this segment's batches
  std::string producers;              // as RetryTable saves them, of the whole log up to `end`

  std::string Encode() const;
  // kCorruption when the bytes are damaged.
  static Result<Sidecar> Decode(std::string_view bytes);
};

}  // namespace sightline::bus
