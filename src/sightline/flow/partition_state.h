#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/flow/close_steps.h"
#include "sightline/flow/commits/port.h"
#include "sightline/flow/offset_map.h"
#include "sightline/model/time.h"

namespace sightline::flow {

// Records encoded one behind the other, on their way into a topic.
struct EncodedRecords {
  std::string bytes;
  std::vector<std::size_t> ends;
  void EndRecord() { ends.push_back(bytes.size()); }
  std::size_t size() const { return ends.size(); }
  std::string_view at(std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(bytes).substr(begin, ends[i] - begin);
  }
  void Clear() {
    bytes.clear();
    ends.clear();
  }
};

// What one pipeline put out since the outputs were taken last, and its counts since the beginning.
struct MemberOutput {
  EncodedRecords results;
  std::uint64_t rows_in = 0;
  std::uint64_t rows_filtered = 0;
  std::uint64_t rows_late = 0;
  std::uint64_t rows_out = 0;
};

// What a commit needs to know of a processor: its outputs, and its state as bytes. Not thread-safe.
class PartitionState {
 public:
  virtual ~PartitionState() = default;
  // Indices in Plan::pipelines of those computed here, the root first.
  const std::vector<int>& members() const { return members_; }
  // One a member.
  std::vector<MemberOutput>& outputs() { return outputs_; }
  const std::vector<MemberOutput>& outputs() const { return outputs_; }
  EncodedRecords& dead_letters() { return dead_letters_; }
  const ActiveReferences& references() const { return references_; }

  // Takes up a version of a reference for all results from here on.
  virtual void Activate(ReferenceHandle table) { references_[table->name()] = std::move(table); }
  virtual EventTime watermark() const = 0;
  // Everything but the dedupe ids, and the ids that are new since the last call.
  virtual void SaveState(std::string& out) const = 0;
  virtual Status LoadState(std::string_view bytes) = 0;
  virtual IdRun TakeDedupeDelta() = 0;
  virtual Status LoadDedupe(std::string_view run) = 0;
  // The topics were moved to another log: the offsets in the state are those there from now on. `partition` is the input's. kCorruption
  // when a map is missing.
  virtual Status MoveOffsets(const OffsetMaps& maps, Partition partition) = 0;
  // Runs of so many bytes in all are going to be loaded.
  virtual void ExpectDedupe(std::uint64_t /*bytes*/) {}

 protected:
  std::vector<int> members_;
  std::vector<MemberOutput> outputs_;
  EncodedRecords dead_letters_;
  ActiveReferences references_;
};

}  // namespace sightline::flow
