#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/flow/commits/port.h"
#include "sightline/runtime/runtime.h"

namespace sightline::flow {

// The one commit point of a pipeline in a partition. An entry is durable after the owned topics are; what lies in the topics
// beyond the newest entry is truncated on recovery.
//
// Most commits are a few bytes, {inputs, outputs}: the state they stand for is the newest snapshot plus the input read since,
// which is processed again on recovery with its outputs suppressed (the processor is a function of its input). A snapshot
// starts a new journal file and writes the dedupe ids that are new since the one before; a run of ids is deleted once the
// watermark has passed all of them. Layout: docs/formats/journal.md. Not thread-safe.
class Journal {
 public:
  // Opens or makes the journal in `directory`. kCorruption when a file is damaged before its end; a torn last entry was never
  // committed and is cut off. What belongs to another plan than `fingerprint` is given all the same, with `other_plan` set: a
  // snapshot taken then takes its place.
  static Result<std::unique_ptr<Journal>> Open(runtime::Runtime runtime, std::string directory, std::uint64_t fingerprint,
                                               std::optional<Recovered>& recovered);
  // What Open would find, without changing anything: for a look at data that nobody works on. Nothing when there is no journal.
  static Result<std::optional<Recovered>> Read(runtime::Runtime runtime, std::string directory, std::uint64_t fingerprint);

  Status Commit(const CommitPoint& point);
  Status NoteActivation(const ReferenceActivation& activation);
  // `watermark` lets runs go whose ids are all forgotten. `run.bytes` may be empty.
  Status TakeSnapshot(const Snapshot& snapshot, const IdRun& run, std::int64_t watermark);

  std::uint64_t commits() const { return commits_; }

 private:
  struct RunFile {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    std::uint32_t crc = 0;
    std::int64_t forgotten_at = 0;
  };
  Journal(runtime::Runtime runtime, std::string directory, std::uint64_t fingerprint)
      : runtime_(runtime), directory_(std::move(directory)), fingerprint_(fingerprint) {}
  Status Append(std::uint8_t type, std::string_view payload);
  Status Recover(std::optional<Recovered>& recovered);
  Result<std::optional<Recovered>> ReadNewest(std::string& bytes);
  Result<bool> ReadJournal(const std::string& path, std::string& bytes, Recovered& into);
  Status CheckTail(std::string_view bytes, const std::string& path) const;
  Status MakeDurable(std::string_view bytes);
  Status ReadEntry(std::uint8_t type, std::string_view payload, const std::string& path, Recovered& into);
  Status RemoveOld(std::uint64_t keep_journal);
  std::string JournalPath(std::uint64_t number) const;
  std::string RunPath(std::uint64_t number) const;

  runtime::Runtime runtime_;
  std::string directory_;
  std::uint64_t fingerprint_;
  std::unique_ptr<runtime::File> file_;
  std::uint64_t number_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t snapshot_bytes_ = 0;  // of the entry that the file began with when it was opened
  std::uint64_t commits_ = 0;
  std::vector<RunFile> runs_;
};

}  // namespace sightline::flow
