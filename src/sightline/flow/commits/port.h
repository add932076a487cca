#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/bytes.h"
#include "sightline/base/result.h"
#include "sightline/model/ids.h"
#include "sightline/model/time.h"

namespace sightline::flow {

// How far a pipeline has come in one partition: what it read, and how much of the topics it owns that made.
struct CommitPoint {
  std::vector<std::int64_t> inputs;   // next offset of each input partition (a byte position in a bounded run)
  std::vector<std::int64_t> outputs;  // records in each owned topic, in the order of the task's topics
  friend bool operator==(const CommitPoint&, const CommitPoint&) = default;
};

// A new version of a reference takes effect before the record at `input`.
struct ReferenceActivation {
  std::string name;
  std::uint64_t version = 0;
  std::int64_t input = 0;
};

// Nothing had come for a while: time goes on by the append time `at`, before the record at `input`. Only where the input's log has no such
// marks of its own.
struct IdleTick {
  AppendTime at;
  std::int64_t input = 0;
  std::size_t after = 0;  // how many of the activations since the snapshot took effect before it
};

// What a snapshot holds besides the dedupe ids.
struct Snapshot {
  CommitPoint point;
  CommitPoint origin;                                  // where this generation of the pipeline began
  std::vector<std::string> topics;                     // the owned topics of `outputs`, in that order
  std::string state;
  std::map<std::string, std::uint64_t> references;  // versions active at the snapshot
};

// Dedupe ids that became known between two snapshots.
struct IdRun {
  std::string bytes;
  std::int64_t forgotten_at = 0;  // watermark from which on none of them is remembered
};

// A run as it must be found where it was put.
struct KeptIdRun {
  std::string path;
  std::uint64_t bytes = 0;
  std::uint32_t crc = 0;  // CRC-32C
  std::int64_t forgotten_at = 0;  // as IdRun's
};

// What was found on opening: the newest snapshot, and what was committed after it.
struct Recovered {
  Snapshot snapshot;
  std::vector<ReferenceActivation> activations;  // after the snapshot, in order
  std::vector<IdleTick> ticks;                   // after the snapshot, in order
  CommitPoint last;                              // the newest commit; input from snapshot.point to here is processed again
  std::vector<KeptIdRun> id_runs;                // oldest first
  bool other_plan = false;
};

// Hands the bytes of a run to `take`; they are gone after the call.
using ReadIdRun = std::function<Status(const KeptIdRun& run, const std::function<Status(std::string_view bytes)>& take)>;

// Where one task commits: what it put out into the topics it owns, and how far it had read for that, become true together or not at all.
// An error leaves open whether that happened: the log must be opened anew, and says it. Not thread-safe.
class CommitLog {
 public:
  virtual ~CommitLog() = default;
  // What was committed before; nothing: it is new. Handed over once: a state is large.
  virtual std::optional<Recovered> TakeRecovered() = 0;
  virtual ReadIdRun id_run_reader() = 0;
  // Records in each owned topic, committed or not.
  virtual std::vector<std::int64_t> ends() const = 0;
  // What lies in the topics beyond `ends` was never committed, and goes; what lies before is seen.
  virtual Status CutBack(std::span<const std::int64_t> ends) = 0;
  // Puts records into an owned topic, of which nobody sees anything before the commit.
  virtual Status Append(std::size_t topic, std::span<const std::string_view> values) = 0;
  // A reference takes effect at the end of what was read. Holds no later than what is committed next.
  virtual Status NoteActivation(const ReferenceActivation& activation) = 0;
  // Whether idle time is noted here, since the input's log does not do it.
  virtual bool keeps_ticks() const { return false; }
  // Holds no later than what is committed next.
  virtual Status NoteTick(const IdleTick& tick);
  virtual Status Commit(const CommitPoint& point) = 0;
  // A commit with the whole state. `watermark` lets runs of ids go that are all forgotten. `run.bytes` may be empty.
  virtual Status TakeSnapshot(const Snapshot& snapshot, const IdRun& run, std::int64_t watermark) = 0;
  virtual std::uint64_t commits() const = 0;
};

// What a commit log is opened for.
struct CommitPlace {
  std::string pipeline;                // the root's name
  Partition partition;
  std::vector<TopicPartition> inputs;
  std::vector<std::string> topics;     // owned: its results, those of the pipelines fused with it, its dead letters
  std::uint64_t fingerprint = 0;       // of the root and all that hang on it
  bool shares_topics = false;          // they may hold what was put out under another name: by another engine, or before it came here
};

// Everything of a snapshot but its state and the runs of ids; the reader's ok() says whether it was whole.
void PutSnapshot(const Snapshot& snapshot, ByteWriter& out);
Snapshot GetSnapshot(ByteReader& in);
void PutPoint(const CommitPoint& point, ByteWriter& out);
CommitPoint GetPoint(ByteReader& in);

// What was committed, as somebody sees it who takes no part. The reader needs the CommitLogs it came from.
struct CommittedState {
  Recovered recovered;
  ReadIdRun read_ids;
};

// Opens commit logs. Thread-safe.
class CommitLogs {
 public:
  virtual ~CommitLogs() = default;
  // Whoever had it open before can commit nothing from here on. kCorruption when what was kept is damaged. What another plan than
  // `fingerprint` left is given all the same, with Recovered::other_plan set: a snapshot taken then takes its place.
  virtual Result<std::unique_ptr<CommitLog>> Open(const CommitPlace& place) = 0;
  // Looks and changes nothing; whoever has it open goes on. Nothing when nothing is committed yet.
  virtual Result<std::optional<CommittedState>> Read(const CommitPlace& place) = 0;
};

}  // namespace sightline::flow
