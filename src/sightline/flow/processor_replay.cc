// Dead letters that are offered again: docs/formats/replay.md.

#include <algorithm>

#include "sightline/flow/processor.h"

namespace sightline::flow {
namespace {

std::int64_t HorizonOf(const PipelinePlan& plan) {
  std::int64_t within = 0;
  for (const RowOp& op : plan.row_ops) {
    if (const auto* dedupe = std::get_if<DedupeOp>(&op)) within = std::max(within, dedupe->within);
  }
  return within;
}

}  // namespace

Processor::Processor(const Processor& from, const Mark& mark, const std::set<std::int64_t>& windows)
    : Processor(from.plan_, from.members_.front(),
                Options{.seed = from.options_.seed, .live = nullptr, .only = {}, .memory = from.options_.memory}) {
  recount_ = std::make_unique<RecountWindows>(from.root_, windows, from.options_.memory);
  refused_ = from.refused_;
  references_ = from.references_;
  watermark_ = mark.watermark;
  last_append_ = mark.last_append;
  newest_ = mark.newest;
  position_ = mark.position;
  if (mark.watermark != kWatermarkNone.value) windows_.Advance(mark.watermark);
  const std::int64_t horizon = HorizonOf(root_);
  if (mark.newest != INT64_MIN && horizon > 0) forgotten_before_ = mark.newest + horizon;
}

Status Processor::Replay(const Input& input, std::span<const ReplayKey> keys, std::int64_t log_start, const Recount& recount) {
  gate::Decoded& decoded = *input.decoded;
  std::vector<std::uint8_t> taken(keys.size(), 0);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const ReplayKey& key = keys[i];
    if (key.pipeline != root_.name || !taken_.Insert({std::string(key.topic), key.partition}, key.offset)) continue;
    taken[i] = 1;
    ++counters_.replayed[static_cast<std::size_t>(key.reason)];
  }
  BeginPiece(input, piece_, &taken);
  if (keys.front().reason != Verdict::kLate) {
    JudgeRows(piece_, &taken, false);
    CountWindows(piece_);
  } else {
    piece_.before.assign(decoded.rows.rows, watermark_);
    piece_.after.assign(decoded.rows.rows, watermark_);
    for (std::uint32_t row = 0; row < decoded.rows.rows; ++row) {
      if (taken[decoded.record_of[row]] != 0) piece_.selected.push_back(row);
    }
    RunRowOps(piece_, false);
    SL_TRY(CountLate(piece_, log_start, recount));
  }
  EndPiece(piece_);
  return {};
}

// Those selected were late for all their windows: each window that they belong to is counted anew and put out as a correction.
Status Processor::CountLate(Judged& piece, std::int64_t log_start, const Recount& recount) {
  const ColumnBatch& rows = piece.input.decoded->rows;
  std::vector<std::int64_t> times;
  std::set<std::int64_t> windows;
  for (const std::uint32_t row : piece.selected) {
    const std::int64_t time = piece.event_times[row];
    times.push_back(time);
    for (std::int64_t start = windows_.FirstWindowOf(time); start <= windows_.LastWindowOf(time); start += root_.window.every.count()) {
      windows.insert(start);
    }
  }
  if (piece.selected.empty()) return {};
  if (recount_ != nullptr) {
    EmitRecounted(*recount_, recount_->Add(rows, piece.selected, times, INT64_MIN));
    return {};
  }
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<Processor> shadow, CountAnew(windows, log_start, recount));
  if (shadow == nullptr) {
    for (const std::uint32_t row : piece.selected) {
      Refuse(piece, row, Verdict::kLate);
      piece.notes.back().unreachable = true;
    }
    return {};
  }
  counters_.verdicts[static_cast<std::size_t>(Verdict::kCounted)] += piece.selected.size();
  CountUnknownRows(piece);
  for (const std::int64_t start : windows) revisions_[start] = shadow->revisions_[start];
  EmitRecounted(*shadow->recount_, shadow->recount_->Add(rows, piece.selected, times, INT64_MIN));
  revisions_.erase(revisions_.begin(), revisions_.lower_bound(windows_.first_kept()));
  // Whoever adds up all partitions puts corrections out when a partition says how far it is.
  EmitProgress(watermark_);
  return {};
}

void Processor::EmitRecounted(RecountWindows& windows, const RecountWindows::Families& families) {
  for (const auto& [start, touched] : families) {
    ColumnBatch rows;
    windows.Emit(start, touched, rows);
    EmitMember(0, start, rows, nullptr, ResultState::kCorrected);
  }
}

void Processor::AddToRecount(const Judged& piece, std::span<const std::uint32_t> counted, std::int64_t kept_from) {
  if (recount_->Add(piece.input.decoded->rows, counted, run_times_, kept_from).empty() || forgotten_before_ == INT64_MIN) return;
  // Whether it was a duplicate may have hung on an id that came before the place where reading began.
  for (const std::uint32_t row : counted) uncertain_ = uncertain_ || piece.before[row] < forgotten_before_;
}

Result<std::unique_ptr<Processor>> Processor::CountAnew(const std::set<std::int64_t>& windows, std::int64_t log_start,
                                                        const Recount& recount) const {
  // No record of the windows lies before a mark that is older than all of them. The newest from which on no id is in doubt is the
  // cheapest; the oldest is the surest.
  const std::int64_t first = *windows.begin();
  const std::int64_t clear = first - HorizonOf(root_) - out_of_orderness_;
  std::vector<Mark> places;
  if (log_start == 0) places.push_back({});
  for (const Mark& mark : marks_) {
    if (mark.position >= log_start && mark.newest < first) places.push_back(mark);
  }
  if (places.empty()) return nullptr;
  auto cheapest = places.end() - 1;
  while (cheapest != places.begin() && cheapest->newest >= clear) --cheapest;
  for (auto place = cheapest;; place = places.begin()) {
    std::unique_ptr<Processor> shadow(new Processor(*this, *place, windows));
    SL_TRY(recount(*shadow, place->position));
    if (!shadow->uncertain_) return shadow;
    if (place == places.begin()) return nullptr;
  }
}

Status Processor::MoveOffsets(const OffsetMaps& maps, Partition partition) {
  const auto input = maps.find({dataset_.topic, partition});
  if (input == maps.end()) {
    return Fail(ErrorKind::kCorruption,
                root_.name + " reads " + dataset_.topic + "/" + std::to_string(partition.value) + ", which was not moved");
  }
  const OffsetMap& map = input->second;
  position_ = map.PositionAt(Offset(position_)).value;
  // From a place that was gone before, nothing can be counted anew.
  std::erase_if(marks_, [&](const Mark& mark) { return Offset(mark.position) < map.start(); });
  for (Mark& mark : marks_) mark.position = map.PositionAt(Offset(mark.position)).value;
  taken_ = taken_.Moved(maps);
  refused_ = refused_.Moved(maps);
  return {};
}

// As CountUnknown, for rows that enter no window of windows_.
void Processor::CountUnknownRows(const Judged& piece) {
  const ColumnBatch& rows = piece.input.decoded->rows;
  for (const std::uint32_t row : piece.selected) {
    bool unknown = piece.row_unknown[row] != 0;
    for (const auto& [op, k] : key_joins_) {
      const auto active = references_.find(op.reference);
      const Column& key = rows.columns[static_cast<std::size_t>(root_.group_by[k])];
      unknown = unknown || active == references_.end() || key.IsNull(row) || active->second->Find(key, row) < 0;
    }
    counters_.unknown_reference += unknown ? 1 : 0;
  }
}

}  // namespace sightline::flow
