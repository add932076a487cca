#pragma once

#include <memory>
#include <string>

#include "sightline/bus/port.h"
#include "sightline/flow/commits/port.h"
#include "sightline/runtime/runtime.h"

namespace sightline::flow {

// Commits on one machine: a journal in a directory and owned topics of the embedded log. The only place where the order of a commit stands:
// owned topics durable, journal entry durable, then readers see it.
class JournalCommitLogs final : public CommitLogs {
 public:
  // Journals lie in DIRECTORY/PIPELINE/PARTITION. All must outlive the object and what it opens.
  JournalCommitLogs(runtime::Runtime runtime, bus::Bus& bus, std::string directory)
      : runtime_(runtime), bus_(bus), directory_(std::move(directory)) {}
  Result<std::unique_ptr<CommitLog>> Open(const CommitPlace& place) override;
  // Without `topics` being looked at: those of another plan are named by what is found.
  Result<std::optional<CommittedState>> Read(const CommitPlace& place) override;

 private:
  runtime::Runtime runtime_;
  bus::Bus& bus_;
  std::string directory_;
};

// Where the task of a pipeline's partition keeps its journal, below `directory`.
std::string JournalDirectory(const std::string& directory, const std::string& pipeline, Partition partition);

// Reads runs of ids that are files.
ReadIdRun IdRunFiles(runtime::FileSystem& files);

}  // namespace sightline::flow
