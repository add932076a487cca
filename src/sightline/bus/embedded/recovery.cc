#include "sightline/bus/embedded/recovery.h"

#include <algorithm>
#include <map>
#include <optional>

#include "sightline/base/bytes.h"

namespace sightline::bus {
namespace {

constexpr std::uint64_t kSidecarBytesMax = 1ULL << 30;

// One run over a partition's directory.
class Recovery {
 public:
  explicit Recovery(const RecoveryInput& input) : input_(input), files_(input.runtime.files), directory_(input.directory) {}

  Result<RecoveredLog> Run() {
    SL_ASSIGN_OR_RETURN(log_.state, PartitionState::Load(files_, directory_));
    SL_TRY(ReadDirectory());
    SL_TRY(OpenSegments());
    SL_TRY(TrustSidecars());
    SL_TRY(Scan());
    SL_TRY(Finish());
    return std::move(log_);
  }

 private:
  struct Place {
    std::size_t segment = 0;
    std::uint64_t position = 0;
  };
  struct Found {
    Place at;
    BatchHeader header;
  };

  Status ReadDirectory();
  Status OpenSegments();
  Status RemoveTwins();
  Status TrustSidecars();
  Status Scan();
  Status ScanBroken();
  Status Finish();
  Status Cut();
  Status MakeDurable();
  void Take(const BatchHeader& batch);
  void AddDamage(Offset to, std::optional<Place> target);
  Result<std::optional<Found>> NextValid(Place from);
  Result<bool> WasDurable(Place from);
  Result<std::string_view> Bytes(std::size_t segment) {
    SL_ASSIGN_OR_RETURN(const std::string_view view, log_.segments[segment]->View());
    return view.substr(0, log_.segments[segment]->file_size());
  }
  const Sidecar* SidecarOf(const Segment& segment) const {
    const auto found = sidecars_.find(segment.name().Stem());
    return found == sidecars_.end() ? nullptr : &found->second;
  }

  const RecoveryInput& input_;
  runtime::FileSystem& files_;
  const std::string& directory_;
  RecoveredLog log_;
  std::vector<SegmentName> names_;
  std::map<std::string, Sidecar> sidecars_;  // by stem, so by offset
  std::vector<SegmentName> damaged_;         // whose sidecars are
  Offset floor_;                             // sidecars say that everything before it was durable
  Offset durable_;                           // batches say so
  Place scan_from_;
  Place at_;
  Offset next_;
  Epoch epoch_;
  bool torn_ = false;
};

Status Recovery::ReadDirectory() {
  SL_ASSIGN_OR_RETURN(const auto entries, files_.List(directory_));
  for (const runtime::FileInfo& entry : entries) {
    const std::string path = directory_ + "/" + entry.name;
    if (entry.name.ends_with(".tmp")) {
      SL_TRY(files_.Remove(path));
    } else if (const auto segment = SegmentName::Parse(entry.name, ".log")) {
      names_.push_back(*segment);
    } else if (const auto described = SegmentName::Parse(entry.name, ".meta")) {
      SL_ASSIGN_OR_RETURN(const std::string file, runtime::ReadFile(files_, path, kSidecarBytesMax));
      auto sidecar = Sidecar::Decode(file);
      if (sidecar && sidecar->segment == *described) {
        sidecars_.emplace(described->Stem(), std::move(*sidecar));
      } else {
        damaged_.push_back(*described);
      }
    }
  }
  std::ranges::sort(names_, {}, [](const SegmentName& name) { return std::pair(name.base, name.id); });
  return {};
}

Status Recovery::OpenSegments() {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const std::string path = directory_ + "/" + names_[i].LogFile();
    const bool last = i + 1 == names_.size();
    const auto sidecar = sidecars_.find(names_[i].Stem());
    const bool passed =
        last ? sidecar != sidecars_.end() && sidecar->second.end <= log_.state.start : names_[i + 1].base <= log_.state.start;
    if (passed && log_.state.start > names_[i].base) {
      SL_TRY(files_.Remove(path));  // retention had decided, and did not come to it
      continue;
    }
    SL_ASSIGN_OR_RETURN(auto segment, Segment::Open(files_, directory_, names_[i], last ? input_.segment_bytes : 0));
    log_.segments.push_back(std::move(segment));
  }
  SL_TRY(RemoveTwins());
  // A damaged sidecar is not missed where its segment is: that says the same, it only takes longer to read.
  for (const SegmentName& name : damaged_) {
    const bool there = std::ranges::any_of(log_.segments, [&](const SegmentPtr& segment) { return segment->name() == name; });
    if (!there) log_.report.damaged_sidecars.push_back(directory_ + "/" + name.SidecarFile());
  }
  return {};
}

// A segment that was too small for its first batch is replaced by a larger one with the same base; a crash can bring the
// empty one back.
Status Recovery::RemoveTwins() {
  for (std::size_t i = 0; i + 1 < log_.segments.size();) {
    if (log_.segments[i]->base() != log_.segments[i + 1]->base()) {
      ++i;
      continue;
    }
    SL_ASSIGN_OR_RETURN(const std::string_view bytes, Bytes(i));
    const bool filled = BatchAt(bytes, log_.segments[i]->name().id, kSegmentHeaderSize).has_value();
    const auto empty = log_.segments.begin() + static_cast<std::ptrdiff_t>(filled ? i + 1 : i);
    SL_TRY(files_.Remove((*empty)->path()));
    log_.segments.erase(empty);
  }
  return {};
}

// Loads what sidecars know and finds the place where the reading has to begin.
Status Recovery::TrustSidecars() {
  log_.end = log_.published = next_ = log_.state.start;
  const std::int64_t kept_since = input_.runtime.clock.Now().value - std::chrono::milliseconds(RetryTable::kTagsKept).count();
  for (const auto& [stem, sidecar] : sidecars_) {
    floor_ = std::max(floor_, sidecar.end);
    log_.published = std::max(log_.published, sidecar.published);
    const bool orphan = std::ranges::none_of(log_.segments, [&](const SegmentPtr& s) { return s->name() == sidecar.segment; });
    const AppendTime newest = sidecar.tags.empty() ? AppendTime(0) : sidecar.tags.back().at;
    if (orphan) log_.orphans.push_back({.path = directory_ + "/" + stem + ".meta", .newest = newest});
  }
  std::size_t first = 0;  // segment that has to be read
  for (; first < log_.segments.size(); ++first) {
    Segment& segment = *log_.segments[first];
    const Sidecar* sidecar = SidecarOf(segment);
    if (sidecar == nullptr || segment.file_size() < sidecar->used) break;
    segment.index = sidecar->index;
    segment.last_append = sidecar->last_append;
    segment.last_epoch = sidecar->epoch;
    segment.described = true;
    segment.AssumeUsed(sidecar->used);
    at_ = {.segment = first, .position = sidecar->used};
    next_ = sidecar->end;
    epoch_ = std::max(epoch_, sidecar->epoch);
    // One that went on behind a sidecar of a clean close is not over there, even if a segment that was given up begins there.
    const bool over = segment.file_size() == sidecar->used;
    const bool seam = over && first + 1 < log_.segments.size() && log_.segments[first + 1]->base() == sidecar->end;
    if (first + 1 < log_.segments.size() && !seam) break;
    if (seam) segment.Seal(sidecar->end);
  }
  if (first < log_.segments.size() && !log_.segments[first]->described) {
    const Segment& segment = *log_.segments[first];
    if (first == 0) next_ = std::max(segment.base(), Offset(0));
    at_ = {.segment = first, .position = kSegmentHeaderSize};
  }
  scan_from_ = at_;
  for (const auto& [stem, sidecar] : sidecars_) {
    if (sidecar.end > next_) break;
    for (const RetryTable::Tag& tag : sidecar.tags) {
      if (tag.at.value > kept_since) log_.retries.RememberTag(tag);
    }
    ByteReader producers(sidecar.producers);
    SL_TRY(log_.retries.LoadProducers(producers));
    log_.last_append = std::max(log_.last_append, sidecar.last_append);
  }
  durable_ = next_;
  return {};
}

void Recovery::Take(const BatchHeader& batch) {
  log_.segments[at_.segment]->Advance(batch);
  log_.segments[at_.segment]->described = false;  // a sidecar of a clean close may be there, and says less
  log_.retries.Remember(batch);
  log_.last_append = batch.append_time;
  log_.published = std::max(log_.published, batch.published_upto);
  log_.report.scanned_bytes += batch.size;
  durable_ = std::max({durable_, batch.durable_upto, batch.published_upto});
  epoch_ = batch.epoch;
  at_.position += batch.size;
  next_ = batch.end();
}

Status Recovery::Scan() {
  while (at_.segment < log_.segments.size()) {
    Segment& segment = *log_.segments[at_.segment];
    SL_ASSIGN_OR_RETURN(const std::string_view bytes, Bytes(at_.segment));
    const auto batch = BatchAt(bytes, segment.name().id, at_.position);
    if (batch && batch->base == next_ && batch->epoch >= epoch_) {
      Take(*batch);
      continue;
    }
    const bool last = at_.segment + 1 == log_.segments.size();
    if (!last && log_.segments[at_.segment + 1]->base() == next_) {
      segment.Seal(next_);
      at_ = {.segment = at_.segment + 1, .position = kSegmentHeaderSize};
      continue;
    }
    const Place before = at_;
    SL_TRY(ScanBroken());
    if (torn_ || (before.segment == at_.segment && before.position == at_.position)) return {};
  }
  return {};
}

// The bytes at `at_` do not go on with `next_`. Moves on past damage; stays where it is at the end of the log.
Status Recovery::ScanBroken() {
  SL_ASSIGN_OR_RETURN(const auto onward, NextValid(at_));
  SL_ASSIGN_OR_RETURN(const bool durable, WasDurable(at_));
  if (!durable) {
    SL_ASSIGN_OR_RETURN(const std::string_view bytes, Bytes(at_.segment));
    const std::string_view rest = bytes.substr(std::min<std::size_t>(at_.position, bytes.size()));
    const bool zeros = rest.find_first_not_of('\0') == std::string_view::npos;
    torn_ = onward.has_value() || !zeros;
    if (torn_) log_.report.cut_bytes = rest.size();
    return {};
  }
  if (onward) {
    AddDamage(onward->header.base, onward->at);
    for (std::size_t i = at_.segment; i < onward->at.segment; ++i) {
      log_.segments[i]->AssumeUsed(std::max(log_.segments[i]->used(), log_.segments[i]->file_size()));
      log_.segments[i]->Seal(i == at_.segment ? next_ : log_.segments[i]->base());
    }
    at_ = onward->at;
    next_ = onward->header.base;
    return {};
  }
  // Nothing valid follows, and yet a sidecar promises more: the log goes on after it in a segment of its own.
  AddDamage(floor_, std::nullopt);
  Segment& segment = *log_.segments[at_.segment];
  segment.AssumeUsed(std::max(segment.used(), segment.file_size()));
  segment.Seal(next_);
  next_ = floor_;
  return {};
}

void Recovery::AddDamage(Offset to, std::optional<Place> target) {
  const auto known = std::ranges::find_if(log_.state.skips, [&](const Skip& skip) { return skip.from == next_; });
  if (known != log_.state.skips.end()) return;  // repaired, and accounted for, before
  const Segment& segment = *log_.segments[at_.segment];
  Skip around{.from = next_, .to = to, .segment = to, .position = kSegmentHeaderSize};
  if (target) {
    around.segment = log_.segments[target->segment]->base();
    around.position = target->position;
  }
  log_.report.damages.push_back({.from = next_, .to = to, .file = segment.path(), .position = at_.position, .around = around});
}

// The first valid batch at or after a place that continues the log, perhaps after a gap.
Result<std::optional<Recovery::Found>> Recovery::NextValid(Place from) {
  for (; from.segment < log_.segments.size(); from = {.segment = from.segment + 1, .position = kSegmentHeaderSize}) {
    SL_ASSIGN_OR_RETURN(const std::string_view bytes, Bytes(from.segment));
    const std::uint64_t id = log_.segments[from.segment]->name().id;
    for (auto batch = FindBatch(bytes, id, from.position); batch; batch = FindBatch(bytes, id, from.position)) {
      from.position = batch->position + 1;
      if (batch->base >= next_ && batch->epoch >= epoch_) {
        return Found{.at = {.segment = from.segment, .position = batch->position}, .header = *batch};
      }
    }
  }
  return std::nullopt;
}

// Whether anything from `from` on says that offset `next_` was durable once.
Result<bool> Recovery::WasDurable(Place from) {
  if (floor_ > next_) return true;
  while (true) {
    SL_ASSIGN_OR_RETURN(const auto found, NextValid(from));
    if (!found) return false;
    if (found->header.durable_upto > next_ || found->header.published_upto > next_) return true;
    from = {.segment = found->at.segment, .position = found->at.position + found->header.size};
  }
}

Status Recovery::Finish() {
  log_.end = std::max(next_, log_.state.start);
  log_.published = std::min(log_.published, log_.end);
  if (log_.segments.empty()) {
    // Retention took the last one, or the partition is new. Offsets go on where any sidecar says that they were.
    log_.end = std::max(log_.end, floor_);
    log_.published = std::min(std::max(log_.published, log_.state.start), log_.end);
    return {};
  }
  const Segment& last = *log_.segments.back();
  const Sidecar* described = SidecarOf(last);
  log_.report.clean =
      !torn_ && log_.report.damages.empty() && described != nullptr && described->end == log_.end && described->used == last.file_size();
  if (log_.state.epoch() < epoch_) {
    // The state file is gone, or older than the log: never write an epoch again that stands in a batch.
    log_.state.epochs.push_back({epoch_ + 1, log_.end});
    SL_TRY(log_.state.Save(files_, directory_));
  }
  if (log_.report.clean) return {};
  if (torn_ || input_.raise_when_unclean) {
    // First the epoch: whatever was behind the cut must never be taken for what is written there next.
    log_.state.RaiseEpoch(log_.end);
    SL_TRY(log_.state.Save(files_, directory_));
  }
  SL_TRY(Cut());
  return MakeDurable();
}

// Removes what lies behind the place where the scan ended.
Status Recovery::Cut() {
  while (log_.segments.size() > at_.segment + 1) {
    SL_TRY(files_.Remove(directory_ + "/" + log_.segments.back()->name().SidecarFile()));
    SL_TRY(files_.Remove(log_.segments.back()->path()));
    log_.segments.pop_back();
    SL_TRY(files_.SyncDirectory(directory_));
  }
  Segment& last = *log_.segments.back();
  if (last.sealed()) return {};  // damaged up to its end: kept as evidence
  if (last.used() == kSegmentHeaderSize) {
    // Empty: its header may never have reached the disk. A new one is made when there is something to write.
    SL_TRY(files_.Remove(last.path()));
    log_.segments.pop_back();
    return files_.SyncDirectory(directory_);
  }
  if (last.file_size() == last.used()) return {};
  return last.Cut(last.used());
}

// What was read may be in memory alone, even after a sync that failed: the part that nothing proves to be durable is
// written once more, and synced.
Status Recovery::MakeDurable() {
  for (std::size_t i = scan_from_.segment; i < log_.segments.size(); ++i) {
    Segment& segment = *log_.segments[i];
    std::uint64_t from = i == scan_from_.segment ? scan_from_.position : kSegmentHeaderSize;
    for (const Segment::IndexEntry& entry : segment.index) {
      if (entry.base <= durable_) from = std::max(from, entry.position);
    }
    if (from < segment.used()) SL_TRY(segment.Rewrite(from, std::min(segment.used(), segment.file_size())));
    SL_TRY(segment.Sync());
    segment.dirty = false;
  }
  return files_.SyncDirectory(directory_);
}

}  // namespace

Result<RecoveredLog> Recover(const RecoveryInput& input) { return Recovery(input).Run(); }

}  // namespace sightline::bus
