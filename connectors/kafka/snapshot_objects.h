#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/flow/commits/port.h"
#include "sightline/stores/objects/port.h"

namespace sightline::kafka {

// Snapshots of one task's state in an object store, each under a name of its own: which of them counts is said by the transaction that
// named it. Not thread-safe.
//
//   PREFIX/NUMBER-RANDOM.snapshot    all but the dedupe ids, and which runs of ids belong to it
//   PREFIX/NUMBER-RANDOM.ids         ids that became known between two snapshots, or several such runs put together
//
// Numbers rise with each snapshot of the task, whoever works on it. An object below the number of the snapshot that counts which that one
// does not name belongs to nobody; one above it may be another process's.
class SnapshotObjects {
 public:
  struct Loaded {
    flow::Snapshot snapshot;
    std::vector<flow::KeptIdRun> id_runs;
    std::uint64_t fingerprint = 0;
    std::int64_t progress_from = 0;  // in the progress topic: what was noted after the snapshot begins there
  };
  SnapshotObjects(stores::ObjectStore& store, std::string prefix) : store_(store), prefix_(std::move(prefix)) {}

  // kCorruption when the object is damaged or of a newer version, kNotFound when it is gone: both say what to do.
  Result<Loaded> Load(const std::string& name);
  flow::ReadIdRun id_run_reader();
  // Puts a run of ids that another place kept, behind those that are here. The next snapshot names it. Before the first Put.
  Status AddRun(std::string_view bytes, std::int64_t forgotten_at);
  // Puts a snapshot and the ids that are new with it; its name. It does not count before Count says so.
  Result<std::string> Put(const flow::Snapshot& snapshot, const flow::IdRun& run, std::int64_t watermark, std::uint64_t fingerprint,
                          std::int64_t progress_from);
  // The snapshot put last counts now: what it does not need goes. What cannot be deleted is left for the next sweep.
  void Count();
  // Deletes what belongs to nobody. Call it once, after Load or before the first Put.
  Status Sweep();

 private:
  struct Run {
    std::string name;
    std::uint64_t bytes = 0;
    std::uint32_t crc = 0;
    std::int64_t forgotten_at = 0;
  };
  std::string KeyOf(const std::string& name) const { return prefix_ + "/" + name; }
  std::string NewName(std::uint64_t number, const char* suffix);
  Status PutObject(const std::string& name, std::string_view bytes);
  Result<std::string> Read(const Run& run);
  Status PutRunsTogether(std::vector<Run>& runs, std::uint64_t number);

  stores::ObjectStore& store_;
  std::string prefix_;
  std::uint64_t number_ = 0;       // of the snapshot that counts
  std::string name_;               // its name; empty: there is none
  std::vector<Run> runs_;          // its runs, oldest first
  std::uint64_t next_number_ = 0;  // of the snapshot put last
  std::string next_name_;
  std::vector<Run> next_runs_;
};

}  // namespace sightline::kafka
