#include "sightline/flow/processor.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace sightline::flow {

std::uint64_t Counters::in() const {
  return std::accumulate(verdicts.begin(), verdicts.end(), std::uint64_t{0}) -
         std::accumulate(replayed.begin(), replayed.end(), std::uint64_t{0});
}

Input Input::Of(const bus::Batch& batch, std::size_t begin, std::size_t end, gate::Decoded& decoded, const TopicPartition& from) {
  const std::size_t count = end - begin;
  return {.decoded = &decoded,
          .topic = from.topic,
          .partition = from.partition,
          .base = batch.offset(begin),
          .append_time = batch.time(begin),
          .encoding = static_cast<RecordEncoding>(batch.encoding),
          .offsets = batch.offsets.empty() ? batch.offsets : batch.offsets.subspan(begin, count),
          .append_times = batch.append_times.empty() ? batch.append_times : batch.append_times.subspan(begin, count)};
}

WallTime Input::received(std::uint32_t record) const {
  if (!append_times.empty()) return WallTime(append_times[record].value);
  return WallTime(append_time ? append_time->value : 0);
}

Processor::Processor(const Plan& plan, int root, Options options)
    : plan_(plan),
      root_(plan.pipelines[static_cast<std::size_t>(root)]),
      dataset_(*plan.FindDataset(root_.from)),
      options_(std::move(options)),
      watermark_(kWatermarkNone.value),
      out_of_orderness_(dataset_.watermark.out_of_orderness.count()),
      ahead_max_(dataset_.watermark.ahead_max.count()),
      event_time_column_(static_cast<std::size_t>(dataset_.contract->event_time)),
      windows_(root_, options_.memory != nullptr ? options_.memory : std::pmr::get_default_resource()) {
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    if (plan.pipelines[i].root != root) continue;
    const auto parent = std::find(members_.begin(), members_.end(), plan.pipelines[i].parent);
    parents_.push_back(parent == members_.end() ? -1 : static_cast<int>(parent - members_.begin()));
    members_.push_back(static_cast<int>(i));
    shapes_.push_back(std::make_shared<const ResultShape>(plan.pipelines[i].shape));
  }
  outputs_.resize(members_.size());
  wanted_.assign(members_.size(), options_.only.empty() ? 1 : 0);
  for (std::size_t m = members_.size(); m-- > 0;) {
    const PipelinePlan& member = plan.pipelines[static_cast<std::size_t>(members_[m])];
    if (member.name == options_.only) wanted_[m] = 1;
    if (wanted_[m] != 0 && parents_[m] >= 0) wanted_[static_cast<std::size_t>(parents_[m])] = 1;
  }
  FindEmptying();
  for (const RowOp& op : root_.row_ops) {
    const auto* dedupe = std::get_if<DedupeOp>(&op);
    if (dedupe == nullptr) continue;
    if (dedupe->plain) {
      ids64_ = std::make_unique<DedupeTable<std::uint64_t>>(dedupe->within, out_of_orderness_, options_.seed, options_.memory);
    } else {
      ids128_ = std::make_unique<DedupeTable<Hash128>>(dedupe->within, out_of_orderness_, options_.seed, options_.memory);
    }
  }
  for (std::size_t i = 0; i < root_.close_ops.size(); ++i) {
    if (std::holds_alternative<RegroupOp>(root_.close_ops[i])) break;
    const auto* enrich = std::get_if<EnrichOp>(&root_.close_ops[i]);
    if (enrich == nullptr) continue;
    const std::string& on = root_.close_schemas[i].fields[static_cast<std::size_t>(enrich->on)].name;
    for (std::size_t k = 0; k < root_.group_by.size(); ++k) {
      if (root_.rows.fields[static_cast<std::size_t>(root_.group_by[k])].name == on) key_joins_.emplace_back(*enrich, k);
    }
  }
  windows_.TrackTouched(options_.live != nullptr);
}

void Processor::FindEmptying() {
  emptying_.assign(members_.size(), 0);
  for (std::size_t m = members_.size(); m-- > 0;) {
    if (plan_.pipelines[static_cast<std::size_t>(members_[m])].may_empty) emptying_[m] = 1;
    if (emptying_[m] != 0 && parents_[m] >= 0) emptying_[static_cast<std::size_t>(parents_[m])] = 1;
  }
}

void Processor::Process(const Input& input) {
  Judge(input, piece_, false);
  CountWindows(piece_);
  EndPiece(piece_);
}

bool Processor::Judge(const Input& input, Judged& piece, bool ahead) {
  if (ahead && !SurelyFits(input.decoded->rows.rows)) return false;
  BeginPiece(input, piece, nullptr);
  JudgeRows(piece, nullptr, ahead);
  return true;
}

void Processor::JudgeRows(Judged& piece, const std::vector<std::uint8_t>* taken, bool ahead) {
  const std::int64_t before = watermark_;
  ScanTimes(piece, taken);
  if (!ahead) KeepToLimits(piece, before);  // else it surely fits, and the windows may be in other hands
  RunRowOps(piece, true);
}

void Processor::Count(Judged& piece) {
  CountWindows(piece);
  EndPiece(piece);
  if (options_.memory == nullptr) return;
  // For whoever judges ahead.
  growth_records_ = std::max(growth_records_.load(std::memory_order_relaxed), piece.input.decoded->rows.rows);
  window_growth_ = windows_.GrowthFor((kAheadMax + 2) * growth_records_);
}

// `taken`: a flag a record; the others are passed over.
void Processor::BeginPiece(const Input& input, Judged& piece, const std::vector<std::uint8_t>* taken) {
  piece.input = input;
  const gate::Decoded& decoded = *input.decoded;
  piece.notes.clear();
  piece.verdicts.fill(0);
  for (std::size_t i = 0; i < decoded.rejects.size(); ++i) {
    const gate::Reject& reject = decoded.rejects[i];
    if (taken != nullptr && (*taken)[reject.record] == 0) continue;
    piece.notes.push_back({.record = reject.record, .verdict = reject.verdict, .reject = static_cast<std::int32_t>(i)});
    ++piece.verdicts[static_cast<std::size_t>(reject.verdict)];
  }
  piece.selected.clear();
  piece.row_unknown.assign(decoded.rows.rows, 0);
  // Joins put columns before it later on; its values stay where they are.
  piece.event_times = decoded.rows.rows == 0 ? nullptr : decoded.rows.columns[event_time_column_].int64s.data();
  piece.watermark = watermark_;
  piece.newest = newest_;
}

void Processor::EndPiece(Judged& piece) {
  const Input& input = piece.input;
  for (std::size_t v = 0; v < kVerdicts; ++v) counters_.verdicts[v] += piece.verdicts[v];
  counters_.extra_fields += input.decoded->extra_fields;
  if (recount_ == nullptr) WriteDeadLetters(piece);
  if (input.append_time) last_append_ = std::max(last_append_, input.append_time->value);
  for (const AppendTime time : input.append_times) last_append_ = std::max(last_append_, time.value);
  position_ = input.end().value;
  MaybeMark(piece);
}

// Marks make it cheap to count a window anew: reading need not begin at the log's start. Which are kept changes no result.
void Processor::MaybeMark(const Judged& piece) {
  const std::int64_t last = marks_.empty() ? 0 : marks_.back().position;
  if (position_ - last < kMarkEvery || recount_ != nullptr) return;
  marks_.push_back({.position = position_, .watermark = piece.watermark, .last_append = last_append_, .newest = piece.newest});
  if (marks_.size() <= kMarksMax) return;
  std::size_t kept = 0;
  for (std::size_t i = 1; i < marks_.size(); i += 2) marks_[kept++] = marks_[i];
  marks_.resize(kept);
}

void Processor::ScanTimes(Judged& piece, const std::vector<std::uint8_t>* taken) {
  const Input& input = piece.input;
  const gate::Decoded& decoded = *input.decoded;
  const std::size_t n = decoded.rows.rows;
  piece.before.resize(n);
  piece.after.resize(n);
  const std::int64_t* times = piece.event_times;
  const bool bounded = input.append_time && ahead_max_ > 0;
  const bool own_times = bounded && !input.append_times.empty();
  std::int64_t bound = bounded ? input.append_time->value + ahead_max_ : std::numeric_limits<std::int64_t>::max();
  std::int64_t watermark = watermark_;
  std::int64_t newest = newest_;
  for (std::uint32_t row = 0; row < n; ++row) {
    piece.before[row] = watermark;
    if (own_times) bound = input.append_times[decoded.record_of[row]].value + ahead_max_;
    if (taken != nullptr && (*taken)[decoded.record_of[row]] == 0) {
      // Somebody else's, or taken before.
    } else if (times[row] > bound) [[unlikely]] {
      Refuse(piece, row, Verdict::kFuture);
    } else {
      watermark = std::max(watermark, times[row] - out_of_orderness_);
      newest = std::max(newest, times[row]);
      piece.selected.push_back(row);
    }
    piece.after[row] = watermark;
  }
  watermark_ = piece.watermark = watermark;
  newest_ = piece.newest = newest;
}

void Processor::Refuse(Judged& piece, std::uint32_t row, Verdict verdict) {
  ++piece.verdicts[static_cast<std::size_t>(verdict)];
  piece.notes.push_back({.record = piece.input.decoded->record_of[row], .verdict = verdict, .reject = -1});
}

// What there is no room for is refused before anything is remembered of it. Time goes on all the same, so that windows close.
void Processor::KeepToLimits(Judged& piece, std::int64_t watermark) {
  const Input& input = piece.input;
  const TopicPartition place{dataset_.topic, input.partition};
  if (recount_ != nullptr) {
    if (refused_.size() == 0) return;
    std::erase_if(piece.selected, [&](std::uint32_t row) { return refused_.Contains(place, input.offset(input.decoded->record_of[row])); });
    return;
  }
  if (options_.memory == nullptr || recovering_) return;
  const std::size_t taken = RoomFor(piece.selected.size(), watermark);
  if (taken == piece.selected.size()) [[likely]]
    return;
  for (std::size_t i = taken; i < piece.selected.size(); ++i) Refuse(piece, piece.selected[i], Verdict::kStateLimit);
  // Those between them were refused for something else: one range is enough.
  for (std::uint32_t record = input.decoded->record_of[piece.selected[taken]]; record < input.decoded->seen; ++record) {
    refused_.Insert(place, input.offset(record));
  }
  piece.selected.resize(taken);
}

// Whether there is room for so many records, whatever is being counted meanwhile.
bool Processor::SurelyFits(std::size_t records) const {
  if (options_.memory == nullptr) return true;
  if (records > growth_records_.load(std::memory_order_relaxed)) return false;
  return options_.memory->HasRoom(window_growth_.load(std::memory_order_relaxed) + (ids64_ ? ids64_->GrowthFor(records) : 0) +
                                  (ids128_ ? ids128_->GrowthFor(records) : 0));
}

// How many of so many records may be taken in, each of which may have to be remembered on its own.
std::size_t Processor::RoomFor(std::size_t records, std::int64_t watermark) {
  const auto fits = [&](std::size_t n) {
    return n == 0 ||
           options_.memory->HasRoom(windows_.GrowthFor(n) + (ids64_ ? ids64_->GrowthFor(n) : 0) + (ids128_ ? ids128_->GrowthFor(n) : 0));
  };
  if (fits(records)) [[likely]]
    return records;
  windows_.Compact();
  if (ids64_) ids64_->Compact(watermark);
  if (ids128_) ids128_->Compact(watermark);
  while (!fits(records)) records /= 2;
  return records;
}

template <typename VerdictOf>
void Processor::Sift(Judged& piece, VerdictOf verdict_of) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < piece.selected.size(); ++i) {
    const std::uint32_t row = piece.selected[i];
    if (const std::optional<Verdict> verdict = verdict_of(i, row)) {
      if (*verdict == Verdict::kLate) {
        Refuse(piece, row, *verdict);
      } else {
        ++piece.verdicts[static_cast<std::size_t>(*verdict)];
      }
    } else {
      piece.selected[kept++] = row;
    }
  }
  piece.selected.resize(kept);
}

void Processor::RunRowOps(Judged& piece, bool dedupe) {
  ColumnBatch& rows = piece.input.decoded->rows;
  for (const RowOp& op : root_.row_ops) {
    if (const auto* where = std::get_if<WhereOp>(&op)) ApplyWhere(*where, piece);
    if (const auto* by_key = std::get_if<DedupeOp>(&op); by_key != nullptr && dedupe) ApplyDedupe(*by_key, piece);
    if (const auto* enrich = std::get_if<EnrichOp>(&op)) ApplyRowEnrich(*enrich, piece);
    if (const auto* derive = std::get_if<DeriveOp>(&op)) {
      for (const Expression& expression : derive->columns) {
        Column column;
        expression.Evaluate(rows, column);
        rows.columns.push_back(std::move(column));
      }
    }
  }
}

void Processor::ApplyWhere(const WhereOp& op, Judged& piece) {
  Column verdict;
  op.predicate.Evaluate(piece.input.decoded->rows, verdict);
  Sift(piece, [&](std::size_t, std::uint32_t row) -> std::optional<Verdict> {
    if (!verdict.IsNull(row) && verdict.int64s[row] != 0) return std::nullopt;
    return Verdict::kFiltered;
  });
}

void Processor::ApplyRowEnrich(const EnrichOp& op, Judged& piece) {
  std::vector<std::uint8_t> missing;
  ApplyEnrich(op, references_, piece.input.decoded->rows, missing);
  if (op.drop_missing) {
    Sift(piece, [&](std::size_t, std::uint32_t row) -> std::optional<Verdict> {
      return missing[row] != 0 ? std::optional(Verdict::kFiltered) : std::nullopt;
    });
    return;
  }
  for (std::size_t row = 0; row < missing.size(); ++row) piece.row_unknown[row] |= missing[row];
}

void Processor::ApplyDedupe(const DedupeOp& op, Judged& piece) {
  const ColumnBatch& rows = piece.input.decoded->rows;
  const std::int64_t* times = piece.event_times;
  // Older than the horizon: its id may be forgotten already, so that it can't be told from a duplicate.
  Sift(piece, [&](std::size_t, std::uint32_t row) -> std::optional<Verdict> {
    const bool old = piece.before[row] != kWatermarkNone.value && times[row] <= piece.before[row] - op.within;
    return old ? std::optional(Verdict::kLate) : std::nullopt;
  });
  const std::size_t n = piece.selected.size();
  times_.resize(n);
  watermarks_.resize(n);
  seen_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    times_[i] = times[piece.selected[i]];
    watermarks_[i] = piece.before[piece.selected[i]];
  }
  if (ids64_) {
    keys64_.resize(n);
    const std::int64_t* ids = rows.rows == 0 ? nullptr : rows.columns[static_cast<std::size_t>(op.by[0])].int64s.data();
    for (std::size_t i = 0; i < n; ++i) keys64_[i] = static_cast<std::uint64_t>(ids[piece.selected[i]]);
    ids64_->Probe(keys64_, times_, watermarks_, seen_);
  } else {
    keys128_.resize(n);
    std::string key;
    for (std::size_t i = 0; i < n; ++i) {
      key.clear();
      ByteWriter writer(key);
      for (int c : op.by) {
        const Column& column = rows.columns[static_cast<std::size_t>(c)];
        const std::uint32_t row = piece.selected[i];
        writer.Put<std::uint8_t>(column.IsNull(row) ? 1 : 0);
        if (column.IsNull(row)) continue;
        switch (column.type) {
          case FieldType::kInt64:
          case FieldType::kBool: writer.Put(column.int64s[row]); break;
          case FieldType::kDouble: writer.Put(column.doubles[row] == 0 ? 0.0 : column.doubles[row]); break;
          case FieldType::kString: writer.PutString(column.strings[row]); break;
        }
      }
      keys128_[i] = HashBytes128(key, options_.seed);
    }
    ids128_->Probe(keys128_, times_, watermarks_, seen_);
  }
  Sift(piece, [&](std::size_t i, std::uint32_t) -> std::optional<Verdict> {
    return seen_[i] != 0 ? std::optional(Verdict::kDuplicate) : std::nullopt;
  });
}

void Processor::CountWindows(Judged& piece) {
  const std::vector<std::int64_t>& after = piece.after;
  std::size_t next = 0;  // in piece.selected
  for (std::size_t begin = 0; begin < after.size();) {
    const auto crossing = std::lower_bound(after.begin() + static_cast<std::ptrdiff_t>(begin), after.end(), windows_.Boundary());
    const auto end = static_cast<std::size_t>(crossing - after.begin());  // the row that crosses belongs to this run
    const std::size_t first = next;
    while (next < piece.selected.size() && piece.selected[next] <= end) ++next;
    AddRun(piece, first, next);
    if (crossing == after.end()) break;
    if (*crossing != kWatermarkNone.value) CloseUpTo(*crossing);
    begin = end + 1;
  }
}

void Processor::AddRun(Judged& piece, std::size_t begin, std::size_t end) {
  if (begin == end) return;
  const ColumnBatch& rows = piece.input.decoded->rows;
  const std::int64_t* event_times = piece.event_times;
  const std::int64_t kept = windows_.first_kept();
  const bool started = kept != std::numeric_limits<std::int64_t>::min();
  const std::int64_t whole = started ? kept - root_.window.every.count() + root_.window.size.count() : kept;
  run_times_.clear();
  std::size_t to = begin;
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint32_t row = piece.selected[i];
    const std::int64_t time = event_times[row];
    if (time < kept) [[unlikely]] {
      Refuse(piece, row, Verdict::kLate);
      continue;
    }
    counters_.partially_late += started && time < whole ? 1 : 0;
    counters_.unknown_reference += piece.row_unknown[row];
    piece.selected[to++] = row;
    run_times_.push_back(time);
  }
  counters_.verdicts[static_cast<std::size_t>(Verdict::kCounted)] += to - begin;
  const std::span<const std::uint32_t> counted(piece.selected.data() + begin, to - begin);
  if (recount_ != nullptr) AddToRecount(piece, counted, kept);
  const std::span<const std::uint32_t> groups = windows_.Add(rows, counted, run_times_);
  if (!key_joins_.empty()) CountUnknown(groups);
}

void Processor::CountUnknown(std::span<const std::uint32_t> groups) {
  GroupIndex& index = windows_.groups();
  if (group_numbering_ != windows_.numbering()) {
    group_numbering_ = windows_.numbering();
    group_unknown_.clear();
  }
  for (auto group = static_cast<std::uint32_t>(group_unknown_.size()); group < index.size(); ++group) {
    std::uint8_t unknown = 0;
    for (const auto& [op, k] : key_joins_) {
      const auto active = references_.find(op.reference);
      const ReferenceTable* table = active == references_.end() ? nullptr : active->second.get();
      if (table == nullptr || index.IsNull(k, group)) {
        unknown = 1;
      } else {
        const bool text = table->rows().columns[static_cast<std::size_t>(table->key())].type == FieldType::kString;
        const std::int64_t found = text ? table->FindString(index.StringAt(k, group)) : table->FindInt64(index.Int64At(k, group));
        unknown |= found < 0 ? 1 : 0;
      }
    }
    group_unknown_.push_back(unknown);
  }
  for (std::uint32_t group : groups) counters_.unknown_reference += group_unknown_[group];
}

void Processor::Activate(ReferenceHandle table) {
  references_[table->name()] = std::move(table);
  group_unknown_.clear();
}

std::uint64_t Processor::ReferenceVersion() const {
  std::uint64_t newest = 0;
  for (const auto& [name, table] : references_) newest = std::max(newest, table->version());
  return newest;
}

void Processor::Tick(AppendTime at) {
  if (watermark_ != kWatermarkNone.value && last_append_ != INT64_MIN && at.value > last_append_) {
    watermark_ += at.value - last_append_;
    if (watermark_ >= windows_.Boundary()) CloseUpTo(watermark_);
  } else if (watermark_ == kWatermarkNone.value && !idle_said_ && recount_ == nullptr) {
    // Nothing ever came here: those who wait for all partitions need not wait for this one.
    idle_said_ = true;
    EmitClosed(kWatermarkNone, kWatermarkNone);
  }
  last_append_ = std::max(last_append_, at.value);
}

void Processor::Finish() {
  watermark_ = kWatermarkEnd.value;
  CloseUpTo(watermark_);
  if (ids64_) ids64_->DropDelta();
  if (ids128_) ids128_->DropDelta();
}

void Processor::CloseUpTo(std::int64_t watermark) {
  EmitCorrections();
  for (std::int64_t start = windows_.NextToEmit(watermark); start != WindowStore::kNone; start = windows_.NextToEmit(watermark)) {
    if (recount_ == nullptr) windows_.Emit(start, window_rows_);
    windows_.MarkEmitted(start);
    if (recount_ == nullptr) EmitMember(0, start, window_rows_, nullptr, ResultState::kFinal);
  }
  const std::int64_t kept = windows_.first_kept();
  windows_.Advance(watermark);
  if (recount_ != nullptr) return;
  if (windows_.first_kept() != kept) revisions_.erase(revisions_.begin(), revisions_.lower_bound(windows_.first_kept()));
  EmitProgress(watermark);
}

void Processor::EmitProgress(std::int64_t watermark) {
  const std::int64_t final_to = windows_.first_open() - root_.window.every.count() + root_.window.size.count();
  EmitClosed(EventTime(windows_.first_kept()), watermark == kWatermarkEnd.value ? kWatermarkEnd : EventTime(final_to));
}

ColumnBatch Processor::FamilyRows(std::int64_t start, const FamilySet& families, GroupIndex::Order order) {
  ColumnBatch rows;
  windows_.EmitFamilies(start, families, order, rows);
  return rows;
}

void Processor::EmitCorrections() {
  for (const auto& [start, families] : windows_.TakeCorrected()) {
    if (recount_ != nullptr && !recount_->Has(start)) continue;
    ColumnBatch rows = FamilyRows(start, families, GroupIndex::Order::kCanonical);
    EmitMember(0, start, rows, nullptr, ResultState::kCorrected);
  }
}

// A correction of a group that has no rows now is put out, too, or those of its last revision would stay. Which revision had rows is not
// remembered: every group that the corrected rows may ever have been in counts as one that had. So revisions and records are a function
// of which records came when, and not of what a reference of then let pass.
void Processor::EmitMember(std::size_t member, std::int64_t start, ColumnBatch& rows, const ColumnBatch* every, ResultState state) {
  if (wanted_[member] == 0) return;
  const PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(members_[member])];
  MemberOutput& output = outputs_[member];
  const bool emptying = emptying_[member] != 0 && (state == ResultState::kCorrected || options_.live != nullptr);
  ColumnBatch all;
  if (emptying) {
    all = Borrow(every != nullptr ? *every : rows);
    ApplyCloseSteps(plan, references_, all, Keep::kAll);
  }
  output.rows_in += rows.rows;
  output.rows_filtered += ApplyCloseSteps(plan, references_, rows);
  if (options_.only.empty() || options_.only == plan.name) {
    PutOut(member,
           {.generation = plan.fingerprint,
            .revision = 0,
            .state = state,
            .window_start = EventTime(start),
            .window_end = EventTime(start + root_.window.size.count()),
            .reference_version = ReferenceVersion()},
           rows, all);
  }
  for (std::size_t child = member + 1; child < members_.size(); ++child) {
    if (parents_[child] != static_cast<int>(member)) continue;
    ColumnBatch copy = Borrow(rows);
    EmitMember(child, start, copy, emptying ? &all : nullptr, state);
  }
}

// `every` is empty where no group can be emptied.
void Processor::PutOut(std::size_t member, ResultHeader header, const ColumnBatch& rows, const ColumnBatch& every) {
  const PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(members_[member])];
  MemberOutput& output = outputs_[member];
  const bool corrected = header.state == ResultState::kCorrected;
  const auto revise = [&](const ColumnBatch& of, std::size_t row) {
    const std::string key = std::string(1, static_cast<char>(member)) + GroupKey(plan.shape, of, row);
    header.revision = ++revisions_[header.window_start.value][key];
  };
  ForEachGroup(plan.shape, rows, [&](std::size_t begin, std::size_t end) {
    if (corrected) revise(rows, begin);
    if (recount_ != nullptr) return;
    EncodeResult(header, plan.shape.schema, rows, begin, end, output.results.bytes);
    output.results.EndRecord();
    output.rows_out += end - begin;
  });
  if (!plan.may_empty) return;
  if (!corrected) return PublishEmptied(member, header, rows, every);
  ForEachEmptied(plan.shape, rows, every, [&](std::size_t row) {
    revise(every, row);
    if (recount_ != nullptr) return;
    EncodeEmptied(header, plan.shape, every, row, output.results.bytes);
    output.results.EndRecord();
  });
}

// Says to readers of all partitions that this one is done with windows that end at or before `final_to`, and takes no
// corrections for windows that start before `kept_from`.
void Processor::EmitClosed(EventTime kept_from, EventTime final_to) {
  if (!options_.only.empty()) return;
  for (std::size_t m = 0; m < members_.size(); ++m) {
    const PipelinePlan& plan = plan_.pipelines[static_cast<std::size_t>(members_[m])];
    const ResultHeader header{.generation = plan.fingerprint,
                              .revision = 0,
                              .state = ResultState::kFinal,
                              .window_start = kept_from,
                              .window_end = final_to,
                              .reference_version = 0};
    EncodeClosed(header, outputs_[m].results.bytes);
    outputs_[m].results.EndRecord();
  }
}

void Processor::WriteDeadLetters(Judged& piece) {
  if (piece.notes.empty()) return;
  const Input& input = piece.input;
  const gate::Decoded& decoded = *input.decoded;
  // In order of the records, so that the topic's contents do not depend on batch sizes.
  std::sort(piece.notes.begin(), piece.notes.end(), [](const Note& a, const Note& b) { return a.record < b.record; });
  for (const Note& note : piece.notes) {
    DeadLetter letter{.reason = note.verdict,
                      .origin = DeadLetterOrigin::kTopic,
                      .encoding = input.encoding,
                      .received = input.received(note.record),
                      .topic = input.topic,
                      .partition = input.partition,
                      .offset = input.offset(note.record),
                      .field = {},
                      .cause = {},
                      .request_id = {},
                      .original_size = 0,
                      .original = {}};
    std::string cause;
    if (note.reject >= 0) {
      const gate::Reject& reject = decoded.rejects[static_cast<std::size_t>(note.reject)];
      letter.field = reject.field;
      letter.cause = reject.cause;
      letter.original = reject.bytes;
    } else {
      const auto at = std::lower_bound(decoded.record_of.begin(), decoded.record_of.end(), note.record);
      const auto row = static_cast<std::size_t>(at - decoded.record_of.begin());
      letter.original = decoded.records[row];
      letter.field = dataset_.watermark.on;
      if (note.verdict == Verdict::kStateLimit) {
        letter.field = {};
        cause = options_.memory->WhyFull();
      } else if (note.unreachable) {
        cause = "offered again, but the log no longer reaches back far enough to count its windows anew";
      } else if (note.verdict == Verdict::kLate) {
        cause = "its windows were closed: the watermark stood at " + std::to_string(piece.before[row]);
      } else {
        cause = "its event time lies more than ahead_max after its arrival";
      }
      letter.cause = cause;
    }
    letter.original_size = letter.original.size();
    letter.original = letter.original.substr(0, kDeadLetterOriginalMax);
    EncodeDeadLetter(letter, dead_letters_.bytes);
    dead_letters_.EndRecord();
  }
}

std::size_t Processor::dedupe_ids() const { return ids64_ ? ids64_->size() : (ids128_ ? ids128_->size() : 0); }

std::size_t Processor::state_bytes() const { return windows_.bytes() + (ids64_ ? ids64_->bytes() : 0) + (ids128_ ? ids128_->bytes() : 0); }

void Processor::SaveState(std::string& out) const {
  ByteWriter writer(out);
  writer.Put(watermark_);
  writer.Put(last_append_);
  writer.Put<std::uint8_t>(idle_said_ ? 1 : 0);
  for (std::uint64_t count : counters_.verdicts) writer.PutVarint(count);
  for (std::uint64_t count : counters_.replayed) writer.PutVarint(count);
  writer.PutVarint(counters_.unknown_reference);
  writer.PutVarint(counters_.partially_late);
  writer.PutVarint(counters_.extra_fields);
  writer.PutVarint(outputs_.size());
  for (const MemberOutput& output : outputs_) {
    writer.PutVarint(output.rows_in);
    writer.PutVarint(output.rows_filtered);
    writer.PutVarint(output.rows_out);
  }
  writer.PutVarint(revisions_.size());
  for (const auto& [window, groups] : revisions_) {
    writer.Put(window);
    writer.PutVarint(groups.size());
    for (const auto& [key, revision] : groups) {
      writer.PutString(key);
      writer.PutVarint(revision);
    }
  }
  windows_.Save(writer);
  writer.Put(newest_);
  writer.Put(position_);
  writer.PutVarint(marks_.size());
  for (const Mark& mark : marks_) {
    writer.Put(mark.position);
    writer.Put(mark.watermark);
    writer.Put(mark.last_append);
    writer.Put(mark.newest);
  }
  taken_.Save(writer);
  refused_.Save(writer);
}

Status Processor::LoadState(std::string_view bytes) {
  ByteReader reader(bytes);
  watermark_ = reader.Get<std::int64_t>();
  last_append_ = reader.Get<std::int64_t>();
  idle_said_ = reader.Get<std::uint8_t>() != 0;
  for (std::uint64_t& count : counters_.verdicts) count = reader.GetVarint();
  for (std::uint64_t& count : counters_.replayed) count = reader.GetVarint();
  counters_.unknown_reference = reader.GetVarint();
  counters_.partially_late = reader.GetVarint();
  counters_.extra_fields = reader.GetVarint();
  if (reader.GetVarint() != outputs_.size()) {
    return Fail(ErrorKind::kFailedPrecondition, "the snapshot of pipeline " + root_.name + " was made with other pipelines hanging on it");
  }
  for (MemberOutput& output : outputs_) {
    output.rows_in = reader.GetVarint();
    output.rows_filtered = reader.GetVarint();
    output.rows_out = reader.GetVarint();
  }
  const std::uint64_t windows = reader.GetVarint();
  for (std::uint64_t w = 0; w < windows && reader.ok(); ++w) {
    auto& groups = revisions_[reader.Get<std::int64_t>()];
    const std::uint64_t count = reader.GetVarint();
    for (std::uint64_t g = 0; g < count && reader.ok(); ++g) {
      const std::string key(reader.GetString());
      groups[key] = static_cast<std::uint32_t>(reader.GetVarint());
    }
  }
  SL_TRY(windows_.Load(reader));
  newest_ = reader.Get<std::int64_t>();
  position_ = reader.Get<std::int64_t>();
  const std::uint64_t marks = reader.GetVarint();
  for (std::uint64_t m = 0; m < marks && reader.ok(); ++m) {
    Mark mark;
    mark.position = reader.Get<std::int64_t>();
    mark.watermark = reader.Get<std::int64_t>();
    mark.last_append = reader.Get<std::int64_t>();
    mark.newest = reader.Get<std::int64_t>();
    marks_.push_back(mark);
  }
  const bool taken = taken_.Load(reader);
  const bool refused = refused_.Load(reader);
  if (!taken || !refused || !reader.done())
    return Fail(ErrorKind::kCorruption, "the snapshot of pipeline " + root_.name + " has bytes left over or is cut off");
  return {};
}

IdRun Processor::TakeDedupeDelta() {
  IdRun run;
  if (ids64_) run.forgotten_at = ids64_->TakeDelta(run.bytes);
  if (ids128_) run.forgotten_at = ids128_->TakeDelta(run.bytes);
  return run;
}

void Processor::ExpectDedupe(std::uint64_t bytes) {
  if (ids64_) ids64_->Reserve(bytes / DedupeTable<std::uint64_t>::kRunEntryBytes);
  if (ids128_) ids128_->Reserve(bytes / DedupeTable<Hash128>::kRunEntryBytes);
}

Status Processor::LoadDedupe(std::string_view run) {
  if (ids64_) return ids64_->Load(run, EventTime(watermark_));
  if (ids128_) return ids128_->Load(run, EventTime(watermark_));
  return {};
}

}  // namespace sightline::flow
