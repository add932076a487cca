#include "sightline/flow/merge_processor.h"

#include <algorithm>

#include "sightline/model/dead_letter.h"
#include "sightline/model/result.h"

namespace sightline::flow {

MergeProcessor::MergeProcessor(const Plan& plan, int root, std::int32_t partitions)
    : plan_(plan),
      root_(plan.pipelines[static_cast<std::size_t>(root)]),
      parent_(plan.pipelines[static_cast<std::size_t>(root_.parent)]),
      inputs_(static_cast<std::size_t>(partitions), Input::kUnknown),
      closed_to_(static_cast<std::size_t>(partitions), kWatermarkNone.value),
      final_to_(kWatermarkNone.value) {
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    if (plan.pipelines[i].root != root) continue;
    members_.push_back(static_cast<int>(i));
    may_empty_ = may_empty_ || plan.pipelines[i].may_empty;
  }
  outputs_.resize(members_.size());
}

bool MergeProcessor::IsGone(const ResultHeader& header) const {
  const std::int64_t end = header.window_end.value;
  return final_to_ != kWatermarkNone.value && end <= final_to_ && !windows_.contains(header.window_start.value) &&
         end + root_.window.allowed_lateness.count() + kKeepMs <= final_to_;
}

Result<bool> MergeProcessor::FindGone(std::string_view bytes, std::map<std::int64_t, std::int64_t>& windows) const {
  if (GenerationOf(bytes) != parent_.fingerprint) return false;
  SL_ASSIGN_OR_RETURN(const ResultMark mark, DecodeResultMark(bytes));
  if (mark.closed || !IsGone(mark.header)) return false;
  windows[mark.header.window_start.value] = mark.header.window_end.value;
  return true;
}

void MergeProcessor::Reopen(const std::map<std::int64_t, std::int64_t>& windows) {
  for (const auto& [start, end] : windows) {
    Window& window = windows_[start];
    window.end = end;
    window.emitted = true;
    window.shown_known = !may_empty_;
    const auto revision = revisions_.find(start);
    if (revision != revisions_.end()) window.revision = revision->second;
  }
}

Status MergeProcessor::Process(Partition partition, Offset offset, std::string_view bytes) {
  if (GenerationOf(bytes) != parent_.fingerprint) return {};  // of an earlier plan
  ResultRecord record;
  SL_TRY(DecodeResult(bytes, parent_.shape.schema, record));
  if (record.closed) {
    Close(partition, record.header);
    return {};
  }
  const std::int64_t start = record.header.window_start.value;
  const std::int64_t end = record.header.window_end.value;
  outputs_[0].rows_in += record.rows.rows;
  if (IsGone(record.header)) {
    outputs_[0].rows_late += record.rows.rows;
    const std::string topic = Plan::ResultsTopic(parent_.name);
    EncodeDeadLetter({.reason = Verdict::kLate,
                      .origin = DeadLetterOrigin::kTopic,
                      .encoding = RecordEncoding::kBinary,
                      .received = WallTime(0),
                      .topic = topic,
                      .partition = partition,
                      .offset = offset,
                      .field = "window_start",
                      .cause = "its window was out, and no longer kept for corrections",
                      .request_id = {},
                      .original_size = bytes.size(),
                      .original = bytes},
                     dead_letters_.bytes);
    dead_letters_.EndRecord();
    return {};
  }
  if (ChangesNothing(partition, record)) return {};
  Window& window = windows_[start];
  if (!window.shown_known) Recall(window);
  window.end = end;
  window.changed = true;
  // A window that ended without any record of it is out as an empty one: what comes now corrects it.
  window.emitted = window.emitted || (final_to_ != kWatermarkNone.value && end <= final_to_);
  Keep(window, partition, offset, record, bytes);
  return {};
}

// The newest record of a group takes the place of the one before.
void MergeProcessor::Keep(Window& window, Partition partition, Offset offset, const ResultRecord& record, std::string_view bytes) {
  window.first_offset.try_emplace(partition.value, offset.value);
  std::string& slot = window.groups[{partition.value, GroupKey(parent_.shape, record.rows, 0)}];
  bytes_ += bytes.size();
  bytes_ -= slot.size();
  slot = bytes;
}

Status MergeProcessor::Restore(Partition partition, Offset offset, std::string_view bytes) {
  if (GenerationOf(bytes) != parent_.fingerprint) return {};
  ResultRecord record;
  SL_TRY(DecodeResult(bytes, parent_.shape.schema, record));
  const auto window = windows_.find(record.header.window_start.value);
  if (!record.closed && window != windows_.end()) Keep(window->second, partition, offset, record, bytes);
  return {};
}

std::int64_t MergeProcessor::NeededFrom(Partition partition, std::int64_t position) const {
  std::int64_t from = position;
  for (const auto& [start, window] : windows_) {
    const auto first = window.first_offset.find(partition.value);
    if (first != window.first_offset.end()) from = std::min(from, first->second);
  }
  return from;
}

void MergeProcessor::Close(Partition partition, const ResultHeader& header) {
  const auto p = static_cast<std::size_t>(partition.value);
  if (header.window_end == kWatermarkNone) {
    if (inputs_[p] == Input::kUnknown) inputs_[p] = Input::kIdle;
  } else {
    inputs_[p] = Input::kActive;
    closed_to_[p] = std::max(closed_to_[p], header.window_end.value);
  }
  EmitReady();
}

void MergeProcessor::EmitReady() {
  std::int64_t all = kWatermarkEnd.value;
  bool active = false;
  for (std::size_t p = 0; p < inputs_.size(); ++p) {
    if (inputs_[p] == Input::kUnknown) return;
    if (inputs_[p] == Input::kIdle) continue;
    active = true;
    all = std::min(all, closed_to_[p]);
  }
  if (!active) return;
  const bool moved = all > final_to_;
  final_to_ = std::max(final_to_, all);
  for (auto& [start, window] : windows_) {
    if (window.end <= final_to_ && (window.changed || !window.emitted)) Emit(start, window);
  }
  while (!windows_.empty()) {
    const auto first = windows_.begin();
    const bool kept = final_to_ != kWatermarkEnd.value && first->second.end + root_.window.allowed_lateness.count() + kKeepMs > final_to_;
    if (kept || !first->second.emitted) break;
    for (const auto& [key, record] : first->second.groups) bytes_ -= record.size();
    if (first->second.revision > 0) revisions_[first->first] = first->second.revision;
    if (revisions_.size() > kRevisionsMax) revisions_.erase(revisions_.begin());
    windows_.erase(first);
  }
  if (moved) EmitClosed();
}

// The newest rows of all partitions together; their texts are in the window's records. `records` keeps the rows' backing.
ColumnBatch MergeProcessor::RowsOf(const Window& window, ResultHeader& header, std::vector<ResultRecord>& records) const {
  ColumnBatch rows;
  records.resize(window.groups.size());
  std::size_t i = 0;
  for (const auto& [key, bytes] : window.groups) {
    // It was decoded once when it came in.
    if (!DecodeResult(bytes, parent_.shape.schema, records[i])) continue;
    AppendRows(records[i].rows, rows);
    header.reference_version = std::max(header.reference_version, records[i].header.reference_version);
    ++i;
  }
  if (rows.columns.empty()) rows.Reset(parent_.shape.schema, 0);
  return rows;
}

void MergeProcessor::Emit(std::int64_t start, Window& window) {
  std::vector<ResultRecord> records;
  ResultHeader header{.generation = 0,
                      .revision = window.revision,
                      .state = window.emitted ? ResultState::kCorrected : ResultState::kFinal,
                      .window_start = EventTime(start),
                      .window_end = EventTime(window.end),
                      .reference_version = 0};
  if (window.emitted) header.revision = ++window.revision;
  ColumnBatch rows = RowsOf(window, header, records);
  window.emitted = true;
  window.changed = false;
  window.shown.resize(may_empty_ ? members_.size() : 0);
  EmitMember(0, header, rows, window);
}

void MergeProcessor::EmitMember(std::size_t member, const ResultHeader& header, ColumnBatch& rows, Window& window) {
  const PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(members_[member])];
  MemberOutput& output = outputs_[member];
  if (member > 0) output.rows_in += rows.rows;
  output.rows_filtered += ApplyCloseSteps(plan, references_, rows);
  ResultHeader own = header;
  own.generation = plan.fingerprint;
  std::set<std::string> shown;
  ForEachGroup(plan.shape, rows, [&](std::size_t begin, std::size_t end) {
    EncodeResult(own, plan.shape.schema, rows, begin, end, output.results.bytes);
    output.results.EndRecord();
    output.rows_out += end - begin;
    if (plan.may_empty) shown.insert(GroupKey(plan.shape, rows, begin));
  });
  if (plan.may_empty) {
    for (const std::string& key : window.shown[member]) {
      if (shown.contains(key)) continue;
      EncodeEmptied(own, plan.shape, RowOfKey(plan.shape, key), 0, output.results.bytes);
      output.results.EndRecord();
    }
    window.shown[member] = std::move(shown);
  }
  for (std::size_t child = member + 1; child < members_.size(); ++child) {
    if (plan_.pipelines[static_cast<std::size_t>(members_[child])].parent != members_[member]) continue;
    ColumnBatch copy = Borrow(rows);
    EmitMember(child, header, copy, window);
  }
}

// A group that has no rows here becomes empty: partitions say so also where they can't tell.
bool MergeProcessor::ChangesNothing(Partition partition, const ResultRecord& record) const {
  if (!record.emptied) return false;
  const auto window = windows_.find(record.header.window_start.value);
  if (window == windows_.end()) return true;
  const auto group = window->second.groups.find({partition.value, GroupKey(parent_.shape, record.rows, 0)});
  if (group == window->second.groups.end()) return true;
  const Result<ResultMark> before = DecodeResultMark(group->second);
  return before && before->emptied;
}

// What a reopened window had put out: every group that what is in it now may ever have given rows.
void MergeProcessor::Recall(Window& window) const {
  window.shown_known = true;
  window.shown.assign(members_.size(), {});
  std::vector<ResultRecord> records;
  ResultHeader header;
  std::vector<ColumnBatch> rows;
  for (std::size_t m = 0; m < members_.size(); ++m) {
    const PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(members_[m])];
    const auto parent = std::find(members_.begin(), members_.begin() + static_cast<std::ptrdiff_t>(m), plan.parent);
    rows.push_back(m == 0 ? RowsOf(window, header, records) : Borrow(rows[static_cast<std::size_t>(parent - members_.begin())]));
    ApplyCloseSteps(plan, references_, rows[m], Keep::kAll);
    if (!plan.may_empty) continue;
    ForEachGroup(plan.shape, rows[m],
                 [&](std::size_t begin, std::size_t) { window.shown[m].insert(GroupKey(plan.shape, rows[m], begin)); });
  }
}

void MergeProcessor::EmitClosed() {
  for (std::size_t m = 0; m < members_.size(); ++m) {
    const ResultHeader header{.generation = plan_.pipelines[static_cast<std::size_t>(members_[m])].fingerprint,
                              .revision = 0,
                              .state = ResultState::kFinal,
                              .window_start = windows_.empty() ? EventTime(final_to_) : EventTime(windows_.begin()->first),
                              .window_end = EventTime(final_to_),
                              .reference_version = 0};
    EncodeClosed(header, outputs_[m].results.bytes);
    outputs_[m].results.EndRecord();
  }
}

void MergeProcessor::SaveState(std::string& out) const {
  ByteWriter writer(out);
  writer.PutVarint(inputs_.size());
  for (std::size_t p = 0; p < inputs_.size(); ++p) {
    writer.Put(static_cast<std::uint8_t>(inputs_[p]));
    writer.Put(closed_to_[p]);
  }
  writer.Put(final_to_);
  writer.PutVarint(outputs_.size());
  for (const MemberOutput& output : outputs_) {
    writer.PutVarint(output.rows_in);
    writer.PutVarint(output.rows_filtered);
    writer.PutVarint(output.rows_late);
    writer.PutVarint(output.rows_out);
  }
  writer.PutVarint(revisions_.size());
  for (const auto& [start, revision] : revisions_) {
    writer.Put(start);
    writer.Put(revision);
  }
  writer.PutVarint(windows_.size());
  for (const auto& [start, window] : windows_) {
    writer.Put(start);
    writer.Put(window.end);
    writer.Put(static_cast<std::uint8_t>((window.emitted ? 1 : 0) | (window.changed ? 2 : 0) | (window.shown_known ? 0 : 4)));
    writer.Put(window.revision);
    writer.PutVarint(window.first_offset.size());
    for (const auto& [partition, offset] : window.first_offset) {
      writer.Put(partition);
      writer.Put(offset);
    }
    if (may_empty_) SaveShown(window, writer);
  }
}

void MergeProcessor::SaveShown(const Window& window, ByteWriter& writer) const {
  writer.PutVarint(window.shown.size());
  for (const std::set<std::string>& keys : window.shown) {
    writer.PutVarint(keys.size());
    for (const std::string& key : keys) writer.PutString(key);
  }
}

void MergeProcessor::LoadShown(Window& window, ByteReader& reader) const {
  const std::uint64_t members = reader.GetVarint();
  window.shown.resize(members_.size());
  for (std::uint64_t m = 0; m < std::min<std::uint64_t>(members, members_.size()) && reader.ok(); ++m) {
    const std::uint64_t keys = reader.GetVarint();
    for (std::uint64_t k = 0; k < keys && reader.ok(); ++k) window.shown[m].emplace(reader.GetString());
  }
}

Status MergeProcessor::LoadState(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.GetVarint() != inputs_.size()) {
    return Fail(ErrorKind::kFailedPrecondition, "the snapshot of pipeline " + root_.name + " was made over another number of partitions");
  }
  for (std::size_t p = 0; p < inputs_.size(); ++p) {
    inputs_[p] = static_cast<Input>(std::min<std::uint8_t>(reader.Get<std::uint8_t>(), 2));
    closed_to_[p] = reader.Get<std::int64_t>();
  }
  final_to_ = reader.Get<std::int64_t>();
  if (reader.GetVarint() != outputs_.size()) {
    return Fail(ErrorKind::kFailedPrecondition, "the snapshot of pipeline " + root_.name + " was made with other pipelines hanging on it");
  }
  for (MemberOutput& output : outputs_) {
    output.rows_in = reader.GetVarint();
    output.rows_filtered = reader.GetVarint();
    output.rows_late = reader.GetVarint();
    output.rows_out = reader.GetVarint();
  }
  const std::uint64_t revisions = reader.GetVarint();
  for (std::uint64_t r = 0; r < revisions && reader.ok(); ++r) {
    const auto start = reader.Get<std::int64_t>();
    revisions_[start] = reader.Get<std::uint32_t>();
  }
  const std::uint64_t windows = reader.GetVarint();
  for (std::uint64_t w = 0; w < windows && reader.ok(); ++w) {
    Window& window = windows_[reader.Get<std::int64_t>()];
    window.end = reader.Get<std::int64_t>();
    const auto flags = reader.Get<std::uint8_t>();
    window.emitted = (flags & 1) != 0;
    window.changed = (flags & 2) != 0;
    window.shown_known = (flags & 4) == 0;
    window.revision = reader.Get<std::uint32_t>();
    const std::uint64_t offsets = reader.GetVarint();
    for (std::uint64_t o = 0; o < offsets && reader.ok(); ++o) {
      const auto partition = reader.Get<std::int32_t>();
      window.first_offset[partition] = reader.Get<std::int64_t>();
    }
    if (may_empty_) LoadShown(window, reader);
  }
  if (!reader.done()) return Fail(ErrorKind::kCorruption, "the snapshot of pipeline " + root_.name + " has bytes left over or is cut off");
  return {};
}

Status MergeProcessor::MoveOffsets(const OffsetMaps& maps, Partition) {
  for (auto& [start, window] : windows_) {
    for (auto& [partition, offset] : window.first_offset) {
      const TopicPartition input{Plan::ResultsTopic(parent_.name), Partition(partition)};
      const auto map = maps.find(input);
      if (map == maps.end()) return Fail(ErrorKind::kCorruption, root_.name + " reads " + input.topic + ", which was not moved");
      offset = map->second.RecordAt(Offset(offset)).value_or(map->second.PositionAt(Offset(offset))).value;
    }
  }
  return {};
}

Status MergeProcessor::LoadDedupe(std::string_view run) {
  if (run.empty()) return {};
  return Fail(ErrorKind::kCorruption, "pipeline " + root_.name + " keeps no dedupe ids, and its snapshot names some");
}

}  // namespace sightline::flow
