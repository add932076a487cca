#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sightline/flow/partition_state.h"
#include "sightline/flow/plan.h"
#include "sightline/model/ids.h"
#include "sightline/model/result.h"

namespace sightline::flow {

// Adds up another pipeline's results over all its partitions: the one place where a group may leave out the partition's field.
//
// A window becomes final when every partition has said "closed" up to its end; partitions that never had a record don't hold it
// up. What a partition sends for a window that is out already (its first records ever, or a correction) makes a new revision. A window
// is kept for ten minutes of event time behind the newest, plus the allowed lateness; after that it must be reopened with what the
// topic still holds of it, and where that is not all of it, what comes is late: a dead letter. Not thread-safe; no I/O.
class MergeProcessor final : public PartitionState {
 public:
  MergeProcessor(const Plan& plan, int root, std::int32_t partitions);

  // A record of the results topic of the pipeline it reads.
  Status Process(Partition partition, Offset offset, std::string_view record);

  // Adds the record's window (start -> end) to `windows` if it is no longer kept; true if it did.
  Result<bool> FindGone(std::string_view record, std::map<std::int64_t, std::int64_t>& windows) const;
  // Keeps windows (start -> end) again; what all partitions sent for them up to now must then be given to Restore.
  void Reopen(const std::map<std::int64_t, std::int64_t>& windows);

  // Recovery: the groups of kept windows are not part of the state but read again from the topic, [NeededFrom(p), position of
  // the state), in order.
  Status Restore(Partition partition, Offset offset, std::string_view record);
  // The first offset of a partition that a kept window still needs, given the next one to read.
  std::int64_t NeededFrom(Partition partition, std::int64_t position) const;

  EventTime watermark() const override { return EventTime(final_to_); }
  void SaveState(std::string& out) const override;
  Status LoadState(std::string_view bytes) override;
  IdRun TakeDedupeDelta() override { return {}; }
  Status LoadDedupe(std::string_view run) override;
  Status MoveOffsets(const OffsetMaps& maps, Partition partition) override;
  std::size_t open_windows() const { return windows_.size(); }
  std::size_t state_bytes() const { return bytes_; }

 private:
  static constexpr std::int64_t kKeepMs = 600'000;
  static constexpr std::size_t kRevisionsMax = 1 << 16;
  enum class Input : std::uint8_t { kUnknown, kIdle, kActive };
  struct Window {
    std::int64_t end = 0;
    bool emitted = false;
    bool changed = false;  // since it was emitted
    std::uint32_t revision = 0;
    std::map<std::int32_t, std::int64_t> first_offset;  // of its records, in each partition
    // Newest record of each group of each partition.
    std::map<std::pair<std::int32_t, std::string>, std::string> groups;
    // Keys of the groups whose last result had rows, a member; of those alone whose groups may become empty. What other partitions had sent
    // when a window went out can't be read from the topics again, so that these are part of the state.
    std::vector<std::set<std::string>> shown;
    bool shown_known = true;  // false: it was reopened, and what it had put out must be found out first
  };
  bool IsGone(const ResultHeader& header) const;
  void Keep(Window& window, Partition partition, Offset offset, const ResultRecord& record, std::string_view bytes);
  void Close(Partition partition, const ResultHeader& header);
  void EmitReady();
  void Emit(std::int64_t start, Window& window);
  void EmitMember(std::size_t member, const ResultHeader& header, ColumnBatch& rows, Window& window);
  ColumnBatch RowsOf(const Window& window, ResultHeader& header, std::vector<ResultRecord>& records) const;
  bool ChangesNothing(Partition partition, const ResultRecord& record) const;
  void Recall(Window& window) const;
  void SaveShown(const Window& window, ByteWriter& writer) const;
  void LoadShown(Window& window, ByteReader& reader) const;
  void EmitClosed();

  const Plan& plan_;
  const PipelinePlan& root_;
  const PipelinePlan& parent_;
  std::vector<Input> inputs_;
  std::vector<std::int64_t> closed_to_;
  std::int64_t final_to_;
  std::map<std::int64_t, Window> windows_;
  std::map<std::int64_t, std::uint32_t> revisions_;  // of corrected windows that are no longer kept
  std::size_t bytes_ = 0;
  bool may_empty_ = false;  // of a member
};

}  // namespace sightline::flow
