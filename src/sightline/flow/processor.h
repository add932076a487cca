#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/bus/port.h"
#include "sightline/flow/close_steps.h"
#include "sightline/flow/dedupe_table.h"
#include "sightline/flow/offset_set.h"
#include "sightline/flow/partition_state.h"
#include "sightline/flow/plan.h"
#include "sightline/flow/recount_windows.h"
#include "sightline/flow/reference.h"
#include "sightline/flow/window_store.h"
#include "sightline/gate/decoder.h"
#include "sightline/model/dead_letter.h"
#include "sightline/model/live.h"
#include "sightline/model/replay.h"
#include "sightline/model/verdict.h"

namespace sightline::flow {

// What a partition has counted since the beginning of its input.
struct Counters {
  std::array<std::uint64_t, kVerdicts> verdicts{};  // those of records offered again included
  // Originals that were offered again, by the verdict they had: their count has moved to the new one.
  std::array<std::uint64_t, kVerdicts> replayed{};
  std::uint64_t unknown_reference = 0;  // counted records whose key a joined reference does not have
  std::uint64_t partially_late = 0;
  std::uint64_t extra_fields = 0;
  // Records, each once however often it was offered. Those that ingest refused and that were offered again since are not among them.
  std::uint64_t in() const;
  std::uint64_t of(Verdict v) const { return verdicts[static_cast<std::size_t>(v)]; }
};

// A decoded piece of one partition's input, with where it came from.
struct Input {
  gate::Decoded* decoded = nullptr;        // derive steps add columns to its rows
  std::string_view topic;                  // for dead letters; the dataset's name in a bounded run
  Partition partition;
  Offset base;                             // of decoded record 0
  std::optional<AppendTime> append_time;   // none in a bounded run: no record is from the future then
  RecordEncoding encoding = RecordEncoding::kJson;
  // As in bus::Batch: empty, or one a record. `append_time` is there whenever these are.
  std::span<const Offset> offsets = {};
  std::span<const AppendTime> append_times = {};

  // Records [begin, end) of a batch, which `decoded` was decoded from.
  static Input Of(const bus::Batch& batch, std::size_t begin, std::size_t end, gate::Decoded& decoded, const TopicPartition& from);
  Offset offset(std::uint32_t record) const { return offsets.empty() ? base + record : offsets[record]; }
  WallTime received(std::uint32_t record) const;
  // One past the last record.
  Offset end() const { return offsets.empty() ? base + decoded->seen : offsets.back() + 1; }
};

// What is decided of one record of a piece.
struct Note {
  std::uint32_t record;
  Verdict verdict;
  std::int32_t reject;       // index of the decoder's reject, or -1: refused here
  bool unreachable = false;  // late again: the log no longer holds its windows' records
};

// A piece of input between the two halves of Processor::Process. Its memory is used again for the next one.
struct Judged {
  Input input;
  const std::int64_t* event_times = nullptr;     // a row
  std::vector<std::uint32_t> selected;           // rows that are still in
  std::vector<std::int64_t> before, after;       // the watermark before and after each row
  std::vector<std::uint8_t> row_unknown;         // a row: does a table joined before the window lack its key?
  std::vector<Note> notes;
  std::array<std::uint64_t, kVerdicts> verdicts{};
  std::int64_t watermark = 0, newest = 0;        // after the last record
};

// The stream engine's core: one root pipeline, and the pipelines fused with it, over one partition. A function of the records
// and ticks given to it, in their order: batch sizes, threads, restarts and the clock change nothing in what it puts out.
// Not thread-safe; no I/O.
class Processor final : public PartitionState {
 public:
  struct Options {
    std::uint64_t seed = 0;                // of hashed dedupe keys; kept with the state
    LiveSink* live = nullptr;              // open windows go there; null: nobody watches
    std::string only;                      // put out the results of this pipeline alone; empty: of all
    StateMemory* memory = nullptr;         // where its state lives, which must outlive it; null: memory without a limit
  };
  // `plan` must outlive the processor; `root` is the index of a root pipeline.
  Processor(const Plan& plan, int root, Options options);

  void Process(const Input& input);

  // Process in two halves, for two threads at a time: Judge says what is late, filtered, a duplicate, and joins; Count counts what is left,
  // closes windows and puts out. Each takes all pieces in their order. Everything else here may be called only when each piece judged was
  // counted, too.
  // `ahead`: pieces before this one, kAheadMax at most, may not be counted yet. False, and nothing was done: whether there is room for this
  // one can't be told so; call it again when they are.
  bool Judge(const Input& input, Judged& piece, bool ahead);
  void Count(Judged& piece);
  static constexpr std::size_t kAheadMax = 4;

  // Feeds `shadow` with the input from position `from` up to the record before the replay batch in hand.
  using Recount = std::function<Status(Processor& shadow, std::int64_t from)>;
  // Dead letters that are offered again, one key a record, all with the reason `late` or none. Each is taken once. A late one enters as a
  // correction: its windows are counted anew from the log, which still holds its records from `log_start` on; where that is too late it
  // stays late.
  Status Replay(const Input& input, std::span<const ReplayKey> keys, std::int64_t log_start, const Recount& recount);
  // While input is processed again whose outputs were committed, nothing is refused for lack of room: it was not the first time. Records
  // that are refused so depend on more than the input, so that what is put out until the next snapshot must be committed with that one.
  void SetRecovering(bool on) { recovering_ = on; }
  // Letters that were taken by Replay.
  const OffsetSet& taken() const { return taken_; }

  // The partition was idle: moves the watermark by the append time that has passed since the last record or tick.
  void Tick(AppendTime at);
  // The input is at its end: every window closes.
  void Finish();
  void Activate(ReferenceHandle table) override;
  // Hands the open windows that changed since the last call to the live sink.
  void PublishLive();

  const Counters& counters() const { return counters_; }
  EventTime watermark() const override { return EventTime(watermark_); }
  std::size_t open_panes() const { return windows_.open_panes(); }
  std::size_t state_bytes() const;
  std::size_t dedupe_ids() const;

  void SaveState(std::string& out) const override;
  Status LoadState(std::string_view bytes) override;
  IdRun TakeDedupeDelta() override;
  Status LoadDedupe(std::string_view run) override;
  Status MoveOffsets(const OffsetMaps& maps, Partition partition) override;
  void ExpectDedupe(std::uint64_t bytes) override;

 private:
  static constexpr std::int64_t kMarkEvery = 1 << 18;
  static constexpr std::size_t kMarksMax = 512;
  // A place in the input from which windows can be counted anew, and what was known there.
  struct Mark {
    std::int64_t position = 0;
    std::int64_t watermark = kWatermarkNone.value;
    std::int64_t last_append = INT64_MIN;
    std::int64_t newest = INT64_MIN;  // greatest event time before it
  };
  // A processor that counts windows anew: it judges as the first time, puts nothing out, and keeps these windows.
  Processor(const Processor& from, const Mark& mark, const std::set<std::int64_t>& windows);
  void BeginPiece(const Input& input, Judged& piece, const std::vector<std::uint8_t>* taken);
  void EndPiece(Judged& piece);
  void JudgeRows(Judged& piece, const std::vector<std::uint8_t>* taken, bool ahead);
  void MaybeMark(const Judged& piece);
  void ScanTimes(Judged& piece, const std::vector<std::uint8_t>* taken);
  void KeepToLimits(Judged& piece, std::int64_t watermark);
  bool SurelyFits(std::size_t records) const;
  std::size_t RoomFor(std::size_t records, std::int64_t watermark);
  void RunRowOps(Judged& piece, bool dedupe);
  Status CountLate(Judged& piece, std::int64_t log_start, const Recount& recount);
  // Counts `windows` anew; null where the log no longer reaches back.
  Result<std::unique_ptr<Processor>> CountAnew(const std::set<std::int64_t>& windows, std::int64_t log_start, const Recount& recount) const;
  void EmitRecounted(RecountWindows& windows, const RecountWindows::Families& families);
  void ApplyWhere(const WhereOp& op, Judged& piece);
  void ApplyRowEnrich(const EnrichOp& op, Judged& piece);
  void ApplyDedupe(const DedupeOp& op, Judged& piece);
  void CountWindows(Judged& piece);
  void AddRun(Judged& piece, std::size_t begin, std::size_t end);
  void AddToRecount(const Judged& piece, std::span<const std::uint32_t> counted, std::int64_t kept_from);
  void CountUnknown(std::span<const std::uint32_t> groups);
  void CountUnknownRows(const Judged& piece);
  void CloseUpTo(std::int64_t watermark);
  void EmitCorrections();
  ColumnBatch FamilyRows(std::int64_t start, const FamilySet& families, GroupIndex::Order order);
  void FindEmptying();
  // `every`: of the member it reads from, the rows without what close steps take out; null: its rows are all there are.
  void EmitMember(std::size_t member, std::int64_t start, ColumnBatch& rows, const ColumnBatch* every, ResultState state);
  void PutOut(std::size_t member, ResultHeader header, const ColumnBatch& rows, const ColumnBatch& every);
  void PublishEmptied(std::size_t member, ResultHeader header, const ColumnBatch& rows, const ColumnBatch& every) const;
  void EmitProgress(std::int64_t watermark);
  void EmitClosed(EventTime kept_from, EventTime final_to);
  // Takes the rows out of those selected for which `verdict_of` gives a verdict.
  template <typename VerdictOf>
  static void Sift(Judged& piece, VerdictOf verdict_of);
  static void Refuse(Judged& piece, std::uint32_t row, Verdict verdict);
  void WriteDeadLetters(Judged& piece);
  std::uint64_t ReferenceVersion() const;

  const Plan& plan_;
  const PipelinePlan& root_;
  const DatasetPlan& dataset_;
  Options options_;
  std::vector<int> parents_;  // a member: the one that it reads from, -1 for the root
  std::vector<std::uint8_t> wanted_;  // a member: is it, or one that reads from it, put out?
  std::vector<std::uint8_t> emptying_;  // a member: may its groups, or those of one that reads from it, become empty?
  std::vector<std::shared_ptr<const ResultShape>> shapes_;
  Counters counters_;
  std::int64_t watermark_;
  std::int64_t last_append_ = INT64_MIN;
  std::int64_t newest_ = INT64_MIN;  // greatest event time
  std::int64_t position_ = 0;  // next input position
  std::vector<Mark> marks_;  // ascending
  OffsetSet taken_;
  OffsetSet refused_;  // input that there was no room for: it is not in the windows that the log says it is in
  bool recovering_ = false;
  std::unique_ptr<RecountWindows> recount_;  // in a processor that counts windows anew
  std::int64_t forgotten_before_ = INT64_MIN;  // there: up to this watermark an id seen before its start may still be remembered
  bool uncertain_ = false;  // there: such a record was in a window
  std::int64_t out_of_orderness_, ahead_max_;
  std::size_t event_time_column_;
  std::unique_ptr<DedupeTable<std::uint64_t>> ids64_;
  std::unique_ptr<DedupeTable<Hash128>> ids128_;
  WindowStore windows_;
  // How often a group was corrected, whether it had rows or not: window -> member and group's key -> revision.
  std::map<std::int64_t, std::map<std::string, std::uint32_t>> revisions_;
  std::vector<std::uint8_t> group_unknown_;  // a group number: does a joined reference lack its key?
  std::vector<std::pair<EnrichOp, std::size_t>> key_joins_;  // close-step joins on a group key: (op, key position)
  bool idle_said_ = false;  // readers know that nothing came here yet
  std::uint64_t group_numbering_ = 0;  // of group_unknown_
  // What the windows may grow by while kAheadMax + 2 pieces of `growth_records_` are counted, as of the last one that was.
  std::atomic<std::uint64_t> window_growth_{0};
  std::atomic<std::size_t> growth_records_{0};

  // Scratch of one call. Judge and Count share none of it.
  Judged piece_;
  std::vector<std::uint64_t> keys64_;
  std::vector<Hash128> keys128_;
  std::vector<std::int64_t> times_, watermarks_;
  std::vector<std::uint8_t> seen_;
  std::vector<std::int64_t> run_times_;
  ColumnBatch window_rows_, live_rows_;
};

}  // namespace sightline::flow
