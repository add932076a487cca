#include "sightline/bus/embedded/log_partition.h"

#include <algorithm>

#include "sightline/base/text.h"
#include "sightline/bus/embedded/flusher.h"

namespace sightline::bus {

std::shared_ptr<void> WakerList::Add(Waker waker) {
  auto entry = std::make_shared<Entry>();
  entry->waker = std::move(waker);
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_, [](const auto& old) { return old.expired(); });
    entries_.push_back(entry);
  }
  // The entry outlives the subscription while a call is under way, so that the end of it can be waited for.
  Entry* raw = entry.get();
  return {raw, [entry = std::move(entry)](void*) mutable {
            {
              const std::lock_guard lock(entry->mutex);
              entry->waker = nullptr;
            }
            entry.reset();
          }};
}

void WakerList::WakeAll() {
  std::vector<std::shared_ptr<Entry>> entries;
  {
    const std::lock_guard lock(mutex_);
    entries.reserve(entries_.size());
    for (const auto& entry : entries_) {
      if (auto alive = entry.lock()) entries.push_back(std::move(alive));
    }
  }
  for (const auto& entry : entries) {
    const std::lock_guard lock(entry->mutex);
    if (entry->waker) entry->waker();
  }
}

LogPartition::LogPartition(std::unique_ptr<PartitionLog> log, Flusher* flusher, bool sync_each, const LogLimits& limits,
                           std::uint64_t pending_bytes_max)
    : log_(std::move(log)),
      flusher_(flusher),
      sync_each_(sync_each),
      owned_topic_(log_->spec().owned),
      batch_bytes_max_(limits.batch_bytes_max),
      pending_bytes_max_(pending_bytes_max),
      compression_(log_->spec().compression),
      woken_at_(log_->visible().value) {}

void LogPartition::Append(const AppendBatch& batch, Bus::AppendDone done) {
  auto encoded = EncodeBatch(batch, compression_, batch_bytes_max_);
  if (!encoded) return done(std::unexpected(std::move(encoded).error()));
  auto waiting = std::make_unique<Waiting>(Waiting{{std::move(*encoded), {}}, std::move(done)});
  const std::uint64_t size = waiting->append.batch.bytes.size();
  std::optional<Error> refused;
  {
    const std::lock_guard lock(queue_mutex_);
    if (closed_) {
      refused = Error{ErrorKind::kCancelled, "the log is being closed"};
    } else if (pending_bytes_ > 0 && pending_bytes_ + size > pending_bytes_max_) {
      refused =
          Error{ErrorKind::kResourceExhausted, "topic " + name().topic + " partition " + std::to_string(name().partition.value) +
                                                   " can't keep up: " + FormatBytes(pending_bytes_) + " wait to be written; retry later"};
    } else {
      pending_bytes_ += size;
      queue_.push_back(std::move(waiting));
      if (writing_) return;
      writing_ = true;
    }
  }
  if (refused) return waiting->done(std::unexpected(std::move(*refused)));
  WriteQueue();
  if (sync_each_) Flush();
}

// Runs with `writing_` set, and ends it.
void LogPartition::WriteQueue() {
  // A producer does not write for the others for ever: after some rounds the flusher takes over.
  constexpr int kRounds = 16;
  for (int round = 0;; ++round) {
    std::vector<std::unique_ptr<Waiting>> group;
    {
      const std::lock_guard lock(queue_mutex_);
      if (queue_.empty() || (round == kRounds && flusher_ != nullptr)) {
        writing_ = false;
        queue_idle_.notify_all();
        if (queue_.empty()) return;
        break;
      }
      group.swap(queue_);
    }
    WriteGroup(std::move(group));
  }
  flusher_->Request(*this, 0);
}

void LogPartition::WriteGroup(std::vector<std::unique_ptr<Waiting>> group) {
  std::vector<PendingAppend*> appends;
  appends.reserve(group.size());
  for (const auto& waiting : group) appends.push_back(&waiting->append);
  std::vector<Answer> answers;
  std::uint64_t released = 0;
  std::size_t unsynced = 0;
  bool sealed = false;
  bool due_set = false;
  {
    const std::lock_guard lock(log_mutex_);
    log_->Append(appends);
    sealed = log_->wants_sync();
    const bool durable_first = log_->spec().durability == Durability::kFsync;
    if (log_->spec().durability == Durability::kInterval && flush_due_ns_ == 0 && log_->durable() < log_->end()) {
      flush_due_ns_ = log_->DueNs();
      due_set = true;
    }
    for (const auto& waiting : group) {
      Answer answer{std::move(waiting->done), std::move(waiting->append.result)};
      const std::uint64_t bytes = waiting->append.batch.bytes.size();
      const Offset end = answer.result ? answer.result->base + answer.result->count : Offset(0);
      if (durable_first && answer.result && end > log_->durable()) {
        unsynced_.push_back({.end = end, .bytes = bytes, .answer = std::move(answer)});
        ++unsynced;
      } else {
        released += bytes;
        answers.push_back(std::move(answer));
      }
    }
  }
  ReleaseBytes(released);
  if (flusher_ != nullptr && (unsynced > 0 || sealed)) flusher_->Request(*this, unsynced);
  if (flusher_ != nullptr && due_set) flusher_->LookAgain();
  WakeIfNew();
  Give(answers);
}

void LogPartition::ReleaseBytes(std::uint64_t bytes) {
  if (bytes == 0) return;
  const std::lock_guard lock(queue_mutex_);
  pending_bytes_ -= bytes;
}

void LogPartition::WakeIfNew() {
  const std::int64_t visible = log_->visible().value;
  if (woken_at_.exchange(visible) != visible) wakers_.WakeAll();
}

void LogPartition::Give(std::vector<Answer>& answers) {
  for (Answer& answer : answers) answer.done(std::move(answer.result));
}

std::size_t LogPartition::Flush() {
  bool write = false;
  {
    const std::lock_guard lock(queue_mutex_);
    write = !writing_ && !queue_.empty();
    writing_ = writing_ || write;
  }
  if (write) WriteQueue();
  std::vector<Answer> answers;
  {
    const std::lock_guard lock(sync_mutex_);
    static_cast<void>(SyncLog(answers));  // a failure stands in the answers, and in every later append
  }
  WakeIfNew();
  if (flusher_ != nullptr) flusher_->NoteRelease();
  Give(answers);
  return answers.size();
}

// With the sync lock.
Status LogPartition::SyncLog(std::vector<Answer>& answers) {
  std::optional<SyncTicket> ticket;
  {
    const std::lock_guard lock(log_mutex_);
    flush_due_ns_ = 0;
    if (!log_->failed()) ticket = log_->BeginSync();
    if (!ticket) {
      CollectAnswers(answers);
      return log_->CheckAlive();
    }
  }
  const Status outcome = log_->RunSync(*ticket);
  Status finished;
  {
    const std::lock_guard lock(log_mutex_);
    finished = log_->FinishSync(*ticket, outcome);
    CollectAnswers(answers);
  }
  if (finished && !ticket->sidecars.empty()) {
    log_->WriteSidecars(*ticket);
    const std::lock_guard lock(log_mutex_);
    log_->FinishSidecars(*ticket);
  }
  return finished;
}

// With the log lock: what can be answered now.
void LogPartition::CollectAnswers(std::vector<Answer>& answers) {
  const Status alive = log_->CheckAlive();
  std::uint64_t released = 0;
  while (!unsynced_.empty() && (!alive || unsynced_.front().end <= log_->durable())) {
    Unsynced& oldest = unsynced_.front();
    if (oldest.end > log_->durable()) oldest.answer.result = std::unexpected(alive.error());
    released += oldest.bytes;
    answers.push_back(std::move(oldest.answer));
    unsynced_.pop_front();
  }
  ReleaseBytes(released);
}

Status LogPartition::MakeDurable(Offset end) {
  std::vector<Answer> answers;
  Status outcome;
  {
    const std::lock_guard sync(sync_mutex_);
    {
      const std::lock_guard lock(log_mutex_);
      if (log_->durable() >= end) return {};
      if (end > log_->end()) {
        return Fail(ErrorKind::kOutOfRange, "topic " + name().topic + " partition " + std::to_string(name().partition.value) + " ends at " +
                                                std::to_string(log_->end().value) + ", before " + std::to_string(end.value));
      }
    }
    outcome = SyncLog(answers);
  }
  WakeIfNew();
  Give(answers);
  return outcome;
}

Result<Appended> LogPartition::AppendOwned(const AppendBatch& batch) {
  PendingAppend append;
  SL_ASSIGN_OR_RETURN(append.batch, EncodeBatch(batch, compression_, batch_bytes_max_));
  const std::lock_guard lock(log_mutex_);
  PendingAppend* const one = &append;
  log_->Append({&one, 1});
  return std::move(append.result);
}

Status LogPartition::Publish(Offset end) {
  {
    const std::lock_guard lock(log_mutex_);
    SL_TRY(log_->Publish(end));
  }
  WakeIfNew();
  return {};
}

Status LogPartition::TruncateTo(Offset end) {
  const std::unique_lock cut(cut_mutex_);
  const std::lock_guard sync(sync_mutex_);
  const std::lock_guard lock(log_mutex_);
  return log_->TruncateTo(end);
}

void LogPartition::SetHold(Offset hold, std::string holder) {
  const std::lock_guard lock(log_mutex_);
  log_->SetHold(hold, std::move(holder));
}

void LogPartition::SetSpec(const TopicSpec& spec) {
  compression_ = spec.compression;
  const std::lock_guard lock(log_mutex_);
  log_->SetSpec(spec);
}

Status LogPartition::Retain(WallTime now) {
  const std::lock_guard sync(sync_mutex_);
  const std::lock_guard lock(log_mutex_);
  return log_->Retain(now);
}

Result<VerifyReport> LogPartition::Verify() {
  const std::shared_lock uncut(cut_mutex_);
  std::vector<SegmentPtr> segments;
  std::vector<Skip> skips;
  Offset from;
  Offset to;
  {
    const std::lock_guard lock(log_mutex_);
    segments.assign(log_->segments().begin(), log_->segments().end());
    skips = log_->state().skips;
    from = log_->start();
    to = log_->end();
  }
  return PartitionLog::Verify(segments, from, to, skips);
}

Result<VerifyReport> LogPartition::Repair() {
  SL_ASSIGN_OR_RETURN(VerifyReport report, Verify());
  const std::lock_guard lock(log_mutex_);
  if (!report.damages.empty()) SL_TRY(log_->SkipDamages(report.damages));
  return report;
}

Status LogPartition::Close() {
  {
    std::unique_lock lock(queue_mutex_);
    closed_ = true;
    // Whoever writes at this moment hands over what the flush below has to answer.
    queue_idle_.wait(lock, [this] { return !writing_; });
  }
  Flush();
  const std::lock_guard sync(sync_mutex_);
  const std::lock_guard lock(log_mutex_);
  return log_->Close();
}

Offset LogPartition::end() const {
  const std::lock_guard lock(log_mutex_);
  return log_->end();
}

Epoch LogPartition::epoch() const {
  const std::lock_guard lock(log_mutex_);
  return log_->epoch();
}

TopicInfo::PartitionInfo LogPartition::Describe() const {
  const std::lock_guard lock(log_mutex_);
  return log_->Describe();
}

RecoveryReport LogPartition::recovery() const {
  const std::lock_guard lock(log_mutex_);
  return log_->recovery();
}

std::vector<RetryTable::Tag> LogPartition::Requests() const {
  const std::lock_guard lock(log_mutex_);
  return log_->Requests();
}

Result<LogPlace> LogPartition::Locate(Offset offset) const {
  const std::lock_guard lock(log_mutex_);
  return log_->Locate(offset);
}

std::optional<Skip> LogPartition::SkipAt(Offset offset) const {
  const std::lock_guard lock(log_mutex_);
  return log_->SkipAt(offset);
}

Status LogPartition::CheckPosition(Offset offset, std::optional<Epoch> epoch) const {
  const std::lock_guard lock(log_mutex_);
  return log_->CheckPosition(offset, epoch);
}

}  // namespace sightline::bus
