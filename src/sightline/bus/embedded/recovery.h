#pragma once

#include <deque>
#include <string>
#include <vector>

#include "sightline/bus/embedded/partition_files.h"
#include "sightline/runtime/runtime.h"

namespace sightline::bus {

// Bytes that were durable and are not what was written: records that are lost.
struct Damage {
  Offset from;
  Offset to;
  std::string file;
  std::uint64_t position = 0;  // in the file, of the first bad byte
  Skip around;                 // where a reader would go on
};

// What opening a partition found.
struct RecoveryReport {
  bool clean = true;               // the last owner closed it
  std::uint64_t scanned_bytes = 0;
  std::uint64_t cut_bytes = 0;     // of a torn tail that nobody was promised
  std::vector<Damage> damages;
  // Damaged sidecars of segments that retention has removed: the idempotency tags in them are lost, no record is.
  std::vector<std::string> damaged_sidecars;
};

// A sidecar file whose segment is gone, kept for its idempotency tags.
struct OrphanSidecar {
  std::string path;
  AppendTime newest;
};

struct RecoveredLog {
  std::deque<SegmentPtr> segments;  // by offset; all but the last one sealed, the last one perhaps
  PartitionState state;
  RetryTable retries;
  std::vector<OrphanSidecar> orphans;
  Offset end;
  Offset published;
  AppendTime last_append;
  RecoveryReport report;
};

struct RecoveryInput {
  const runtime::Runtime& runtime;
  std::string directory;
  bool raise_when_unclean = false;   // readers may have seen what a crash took
  std::uint64_t segment_bytes = 0;
};

// Brings a partition's directory into order after whatever ended its last owner, and makes durable what it finds.
//
// Segments that a sidecar describes are trusted; the rest is read and checked batch by batch. Where that stops making
// sense, the bytes are damage if anything says that they were durable (a later valid batch by its `durable_upto`, a
// sidecar), and stay; else they are a torn tail, and are cut off in a new epoch.
Result<RecoveredLog> Recover(const RecoveryInput& input);

}  // namespace sightline::bus
