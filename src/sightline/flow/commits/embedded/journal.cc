#include "sightline/flow/commits/embedded/journal.h"

#include <algorithm>
#include <charconv>

#include "sightline/base/bytes.h"
#include "sightline/base/hash.h"

namespace sightline::flow {
namespace {

// docs/formats/journal.md
constexpr std::uint8_t kSnapshotEntry = 1;
constexpr std::uint8_t kCommitEntry = 2;
constexpr std::uint8_t kActivationEntry = 3;
constexpr std::uint32_t kFormatVersion = 2;
constexpr std::size_t kEntryHeaderBytes = 9;  // length, CRC-32C, type
constexpr std::uint64_t kJournalBytesMax = 8ULL << 30;

void PutEntry(std::string& out, std::uint8_t type, std::string_view payload) {
  ByteWriter writer(out);
  writer.Put(static_cast<std::uint32_t>(payload.size()));
  std::string typed(1, static_cast<char>(type));
  writer.Put(Crc32c(payload, Crc32c(typed)));
  writer.Put(type);
  writer.PutBytes(payload);
}

// The entry that begins at the first of `bytes` without its header's length and checksum: type, then payload. None when it is cut off or
// fails its checksum.
std::optional<std::string_view> EntryAt(std::string_view bytes) {
  if (bytes.size() < kEntryHeaderBytes) return std::nullopt;
  const auto length = LoadLe<std::uint32_t>(bytes.data());
  const auto type = static_cast<std::uint8_t>(bytes[8]);
  if (length > bytes.size() - kEntryHeaderBytes || type < kSnapshotEntry || type > kActivationEntry) return std::nullopt;
  const std::string_view typed = bytes.substr(8, length + 1);
  if (Crc32c(typed) != LoadLe<std::uint32_t>(bytes.data() + 4)) return std::nullopt;
  return typed;
}

std::optional<std::uint64_t> NumberOf(std::string_view name, std::string_view prefix, std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() <= prefix.size() + suffix.size()) return std::nullopt;
  const std::string_view digits = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

}  // namespace

std::string Journal::JournalPath(std::uint64_t number) const { return directory_ + "/journal-" + std::to_string(number); }
std::string Journal::RunPath(std::uint64_t number) const { return directory_ + "/ids-" + std::to_string(number); }

Result<std::unique_ptr<Journal>> Journal::Open(runtime::Runtime runtime, std::string directory, std::uint64_t fingerprint,
                                               std::optional<Recovered>& recovered) {
  std::unique_ptr<Journal> journal(new Journal(runtime, std::move(directory), fingerprint));
  constexpr int kLevels = 3;  // <data>/flow/<pipeline>/<partition>
  SL_TRY(runtime::CreateDirectoriesDurably(runtime.files, journal->directory_, kLevels));
  SL_TRY(journal->Recover(recovered));
  return journal;
}

Result<std::optional<Recovered>> Journal::Read(runtime::Runtime runtime, std::string directory, std::uint64_t fingerprint) {
  SL_ASSIGN_OR_RETURN(const bool exists, runtime.files.Exists(directory));
  if (!exists) return std::optional<Recovered>();
  std::string bytes;
  return Journal(runtime, std::move(directory), fingerprint).ReadNewest(bytes);
}

Result<std::optional<Recovered>> Journal::ReadNewest(std::string& bytes) {
  SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> entries, runtime_.files.List(directory_));
  std::optional<std::uint64_t> newest;
  for (const runtime::FileInfo& entry : entries) {
    const std::optional<std::uint64_t> number = NumberOf(entry.name, "journal-", "");
    if (number && (!newest || *number > *newest)) newest = number;
  }
  if (!newest) return std::optional<Recovered>();
  number_ = *newest;
  Recovered found;
  SL_ASSIGN_OR_RETURN(const bool whole, ReadJournal(JournalPath(number_), bytes, found));
  if (!whole) {
    return Fail(ErrorKind::kCorruption, JournalPath(number_) + " does not begin with a snapshot: the file is damaged; restore " +
                                            directory_ + " or start the pipeline anew with --from earliest");
  }
  for (const RunFile& run : runs_) found.id_runs.push_back({RunPath(run.number), run.bytes, run.crc, run.forgotten_at});
  return std::optional<Recovered>(std::move(found));
}

Status Journal::Recover(std::optional<Recovered>& recovered) {
  std::string bytes;
  SL_ASSIGN_OR_RETURN(recovered, ReadNewest(bytes));
  if (!recovered) return {};
  SL_ASSIGN_OR_RETURN(file_, runtime_.files.Open(JournalPath(number_), runtime::OpenMode::kReadWrite));
  SL_TRY(MakeDurable(bytes));
  SL_TRY(RemoveOld(number_));
  if (recovered->other_plan) runs_.clear();  // ids of another plan are not carried over
  return {};
}

// An entry is written when the one before it is durable: what is not whole and has a whole one behind it was damaged.
Status Journal::CheckTail(std::string_view bytes, const std::string& path) const {
  for (std::uint64_t at = position_ + 1; at < bytes.size(); ++at) {
    if (!EntryAt(bytes.substr(at))) continue;
    return Fail(ErrorKind::kCorruption,
                path + " is damaged at byte " + std::to_string(position_) + ": what was committed behind it, from byte " +
                    std::to_string(at) + " on, can't be told; restore " + directory_ + " or start the pipeline anew with --from earliest");
  }
  return {};
}

// What was read may be in memory alone, after a sync that failed, and a second sync would not write it: the entries behind the
// snapshot are written once more, as they are. The snapshot was synced before the file had its name.
Status Journal::MakeDurable(std::string_view bytes) {
  SL_TRY(file_->Truncate(position_));
  SL_TRY(file_->WriteAt(snapshot_bytes_, bytes.substr(snapshot_bytes_, position_ - snapshot_bytes_)));
  SL_TRY(file_->Sync());
  return runtime_.files.SyncDirectory(directory_);
}

// Reads entries up to the first that is cut off or fails its checksum; true if there was a snapshot.
Result<bool> Journal::ReadJournal(const std::string& path, std::string& bytes, Recovered& into) {
  SL_ASSIGN_OR_RETURN(bytes, runtime::ReadFile(runtime_.files, path, kJournalBytesMax));
  bool snapshot = false;
  position_ = 0;
  while (const auto entry = EntryAt(std::string_view(bytes).substr(position_))) {
    SL_TRY(ReadEntry(static_cast<std::uint8_t>((*entry)[0]), entry->substr(1), path, into));
    position_ += kEntryHeaderBytes + entry->size() - 1;
    if (!snapshot) snapshot_bytes_ = position_;
    snapshot = true;
  }
  SL_TRY(CheckTail(bytes, path));
  return snapshot;
}

Status Journal::ReadEntry(std::uint8_t type, std::string_view payload, const std::string& path, Recovered& into) {
  ByteReader in(payload);
  const auto damaged = [&] {
    return Fail(ErrorKind::kCorruption, path + " at byte " + std::to_string(position_) +
                                            ": an entry passes its checksum but can't be read; "
                                            "it was written by a newer version or the file is damaged");
  };
  switch (type) {
    case kSnapshotEntry: {
      if (in.Get<std::uint32_t>() != kFormatVersion) return damaged();
      const auto fingerprint = in.Get<std::uint64_t>();
      into.other_plan = fingerprint != fingerprint_;
      into.snapshot = GetSnapshot(in);
      const std::uint64_t runs = in.GetVarint();
      for (std::uint64_t i = 0; i < runs && in.ok(); ++i) {
        RunFile run;
        run.number = in.Get<std::uint64_t>();
        run.bytes = in.Get<std::uint64_t>();
        run.crc = in.Get<std::uint32_t>();
        run.forgotten_at = in.Get<std::int64_t>();
        runs_.push_back(run);
      }
      into.snapshot.state = std::string(in.GetString());
      into.last = into.snapshot.point;
      break;
    }
    case kCommitEntry: into.last = GetPoint(in); break;
    case kActivationEntry: {
      ReferenceActivation activation;
      activation.name = std::string(in.GetString());
      activation.version = in.Get<std::uint64_t>();
      activation.input = in.Get<std::int64_t>();
      into.activations.push_back(std::move(activation));
      break;
    }
    default: return damaged();
  }
  if (!in.done()) return damaged();
  return {};
}

Status Journal::Append(std::uint8_t type, std::string_view payload) {
  if (!file_) return Fail(ErrorKind::kInternal, directory_ + ": a commit before the first snapshot");
  std::string entry;
  PutEntry(entry, type, payload);
  SL_TRY(runtime_.failpoints.Hit("flow.commit.before_journal"));
  SL_TRY(file_->WriteAt(position_, entry));
  SL_TRY(runtime_.failpoints.Hit("flow.commit.journal_written"));
  SL_TRY(file_->Sync());
  position_ += entry.size();
  SL_TRY(runtime_.failpoints.Hit("flow.commit.journal_durable"));
  return {};
}

Status Journal::Commit(const CommitPoint& point) {
  std::string payload;
  ByteWriter writer(payload);
  PutPoint(point, writer);
  SL_TRY(Append(kCommitEntry, payload));
  ++commits_;
  return {};
}

Status Journal::NoteActivation(const ReferenceActivation& activation) {
  std::string payload;
  ByteWriter writer(payload);
  writer.PutString(activation.name);
  writer.Put(activation.version);
  writer.Put(activation.input);
  return Append(kActivationEntry, payload);
}

Status Journal::TakeSnapshot(const Snapshot& snapshot, const IdRun& run, std::int64_t watermark) {
  std::vector<RunFile> runs;
  for (const RunFile& old : runs_) {
    if (old.forgotten_at > watermark) runs.push_back(old);
  }
  const std::uint64_t next = number_ + 1;
  if (!run.bytes.empty()) {
    runs.push_back({next, run.bytes.size(), Crc32c(run.bytes), run.forgotten_at});
    SL_ASSIGN_OR_RETURN(std::unique_ptr<runtime::File> file, runtime_.files.Open(RunPath(next), runtime::OpenMode::kCreate));
    SL_TRY(file->Truncate(0));
    SL_TRY(file->WriteAt(0, run.bytes));
    SL_TRY(file->Sync());
    SL_TRY(runtime_.files.SyncDirectory(directory_));
  }
  SL_TRY(runtime_.failpoints.Hit("flow.snapshot.ids_written"));
  std::string payload;
  ByteWriter writer(payload);
  writer.Put(kFormatVersion);
  writer.Put(fingerprint_);
  PutSnapshot(snapshot, writer);
  writer.PutVarint(runs.size());
  for (const RunFile& file : runs) {
    writer.Put(file.number);
    writer.Put(file.bytes);
    writer.Put(file.crc);
    writer.Put(file.forgotten_at);
  }
  writer.PutString(snapshot.state);
  std::string entry;
  PutEntry(entry, kSnapshotEntry, payload);
  // The new journal appears whole or not at all; until then the old one is the truth.
  SL_TRY(runtime::WriteFileAtomically(runtime_.files, JournalPath(next), entry));
  SL_TRY(runtime_.failpoints.Hit("flow.snapshot.durable"));
  SL_ASSIGN_OR_RETURN(file_, runtime_.files.Open(JournalPath(next), runtime::OpenMode::kReadWrite));
  number_ = next;
  position_ = entry.size();
  runs_ = std::move(runs);
  ++commits_;
  return RemoveOld(next);
}

Status Journal::RemoveOld(std::uint64_t keep_journal) {
  SL_ASSIGN_OR_RETURN(const std::vector<runtime::FileInfo> entries, runtime_.files.List(directory_));
  for (const runtime::FileInfo& entry : entries) {
    const std::optional<std::uint64_t> journal = NumberOf(entry.name, "journal-", "");
    const std::optional<std::uint64_t> run = NumberOf(entry.name, "ids-", "");
    const bool used = run && std::any_of(runs_.begin(), runs_.end(), [&](const RunFile& file) { return file.number == *run; });
    const bool old = (journal && *journal != keep_journal) || (run && !used);
    if (old) SL_TRY(runtime_.files.Remove(directory_ + "/" + entry.name));
  }
  return {};
}

}  // namespace sightline::flow
