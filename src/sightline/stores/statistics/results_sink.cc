#include "sightline/stores/statistics/results_sink.h"

#include <algorithm>
#include <condition_variable>
#include <thread>
#include <utility>

#include "sightline/base/bytes.h"

namespace sightline::stores {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

milliseconds RoundUp(nanoseconds time) { return std::chrono::ceil<milliseconds>(std::max(time, nanoseconds(0))); }

}  // namespace

ResultsSink::ResultsSink(bus::Bus& bus, StatisticsStore& store, const runtime::Runtime& runtime, ResultShape shape,
                         std::uint64_t generation, ResultsSinkOptions options)
    : bus_(bus),
      store_(store),
      runtime_(runtime),
      shape_(std::move(shape)),
      generation_(generation),
      options_([&] {
        if (options.group.empty()) options.group = "statistics." + shape_.pipeline;
        return std::move(options);
      }()),
      batch_(shape_.schema) {}

Status ResultsSink::Open() {
  SL_TRY(store_.Ensure(shape_, generation_));
  SL_ASSIGN_OR_RETURN(const auto stored, store_.Offsets(shape_.pipeline, generation_, options_.topic));
  SL_ASSIGN_OR_RETURN(const bus::TopicInfo topic, bus_.Describe(options_.topic));
  sources_.clear();
  batch_.Clear();
  {
    const std::lock_guard lock(metrics_mutex_);
    wanted_changed_ = false;
    applied_to_.clear();
  }
  for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
    const auto partition = static_cast<std::int32_t>(i);
    if (!Works(partition)) continue;
    Source& source = sources_[partition];
    source.next = source.begin = topic.partitions[i].start;
    for (const auto& [known, next] : stored) {
      if (known.value == partition) source.next = next;
    }
    source.stored = source.next;
    source.goal = topic.partitions[i].visible;
    SL_ASSIGN_OR_RETURN(source.reader, bus_.OpenReader({options_.topic, Partition(partition)}, source.next));
    // The hold stands before the first record is read.
    SL_TRY(bus_.CommitOffset(options_.group, {options_.topic, Partition(partition)}, source.stored));
    source.held = source.stored;
  }
  const std::lock_guard lock(metrics_mutex_);
  for (const auto& [partition, source] : sources_) applied_to_[partition] = source.stored;
  open_ = true;
  return {};
}

bool ResultsSink::Works(std::int32_t partition) const {
  if (options_.all) return true;
  const std::lock_guard lock(metrics_mutex_);
  return wanted_.contains(partition);
}

void ResultsSink::Acquire(Partition partition) {
  const std::lock_guard lock(metrics_mutex_);
  wanted_changed_ |= wanted_.insert(partition.value).second;
}

void ResultsSink::GiveUp(Partition partition) {
  const std::lock_guard lock(metrics_mutex_);
  wanted_changed_ |= wanted_.erase(partition.value) > 0;
}

Status ResultsSink::Take(std::int32_t partition, Source& source, const bus::Batch& batch) {
  for (std::size_t i = 0; batch.type == bus::BatchType::kData && i < batch.values.size(); ++i) {
    const Offset offset = batch.offset(i);
    const std::string_view value = batch.values[i];
    if (const std::uint64_t generation = GenerationOf(value); generation != 0 && generation != generation_) {
      const std::lock_guard lock(metrics_mutex_);
      ++metrics_.other_generation;
      continue;
    }
    if (auto status = DecodeResult(value, shape_.schema, record_); !status) {
      return std::unexpected(std::move(status).error().In("offset " + std::to_string(offset.value) + " of partition " +
                                                          std::to_string(partition) + " of " + options_.topic));
    }
    if (record_.closed) continue;
    SL_TRY(batch_.Add(Partition(partition), offset, record_, shape_));
  }
  source.next = batch.end();
  return {};
}

// One batch of each partition in turn, so that none waits for another, until the transaction is full or nothing is there.
Status ResultsSink::Gather() {
  more_ = true;
  for (bool found = true; found;) {
    found = false;
    for (auto& [partition, source] : sources_) {
      if (batch_.rows().rows >= options_.rows_max) return {};
      SL_ASSIGN_OR_RETURN(const auto batch, source.reader->Next());
      if (!batch) {
        source.next = std::max(source.next, source.reader->position());
        continue;
      }
      found = true;
      SL_TRY(Take(partition, source, *batch));
      gathered_at_ns_ = runtime_.clock.MonotonicNs();
    }
  }
  more_ = false;
  return {};
}

bool ResultsSink::Advanced() const {
  return std::ranges::any_of(sources_, [](const auto& entry) { return entry.second.next > entry.second.stored; });
}

Status ResultsSink::ApplyGathered() {
  ApplyRequest request{.pipeline = shape_.pipeline, .generation = generation_, .topic = options_.topic, .results = &batch_, .consumed = {}};
  for (const auto& [partition, source] : sources_) {
    if (source.next <= source.stored) continue;
    request.consumed.push_back({Partition(partition), source.next});
    // A partition that begins behind removed data has nothing stored yet.
    if (source.stored > source.begin) request.since.push_back({Partition(partition), source.stored});
  }
  SL_ASSIGN_OR_RETURN(const Applied applied, store_.Apply(request));
  applied_at_ns_ = runtime_.clock.MonotonicNs();
  batch_.Clear();
  const std::lock_guard lock(metrics_mutex_);
  for (auto& [partition, source] : sources_) {
    source.stored = source.next;
    applied_to_[partition] = source.stored;
  }
  metrics_.rows += applied.rows;
  metrics_.groups += applied.groups;
  metrics_.outdated += applied.outdated;
  ++metrics_.transactions;
  return {};
}

Status ResultsSink::CommitHolds() {
  SL_TRY(runtime_.failpoints.Hit("statistics.sink.before_hold"));
  for (auto& [partition, source] : sources_) {
    if (source.held == source.stored) continue;
    SL_TRY(bus_.CommitOffset(options_.group, {options_.topic, Partition(partition)}, source.stored));
    source.held = source.stored;
  }
  held_at_ns_ = runtime_.clock.MonotonicNs();
  return {};
}

nanoseconds ResultsSink::SinceApplied() const {
  if (!applied_at_ns_) return nanoseconds::max();
  return nanoseconds(runtime_.clock.MonotonicNs() - *applied_at_ns_);
}

// Until what was gathered is to be applied. Ticks and marks alone are not worth a transaction each; their positions go along with the next
// rows, or after a while.
nanoseconds ResultsSink::Wait() const {
  const nanoseconds since = SinceApplied();
  if (batch_.groups().empty()) return options_.hold_every - std::min<nanoseconds>(options_.hold_every, since);
  const nanoseconds quiet(runtime_.clock.MonotonicNs() - gathered_at_ns_);
  return std::min(options_.gather_max - std::min<nanoseconds>(options_.gather_max, since),
                  options_.quiet - std::min<nanoseconds>(options_.quiet, quiet));
}

Result<milliseconds> ResultsSink::TryStep() {
  {
    // What was gathered of another set of partitions is read again.
    const std::lock_guard lock(metrics_mutex_);
    open_ = open_ && !wanted_changed_;
  }
  if (!open_) SL_TRY(Open());
  SL_TRY(Gather());
  const bool due = Advanced() && (batch_.rows().rows >= options_.rows_max || Wait() <= nanoseconds(0));
  if (due) SL_TRY(ApplyGathered());
  const bool there = !activated_ && !sources_.empty() &&
                     std::ranges::all_of(sources_, [](const auto& entry) { return entry.second.next >= entry.second.goal; });
  if (there && (!options_.may_activate || options_.may_activate())) {
    if (Advanced()) SL_TRY(ApplyGathered());
    SL_TRY(store_.Activate(shape_.pipeline, generation_));
    activated_ = true;
  }
  const bool unheld = std::ranges::any_of(sources_, [](const auto& entry) { return entry.second.held != entry.second.stored; });
  const nanoseconds since_held = held_at_ns_ ? nanoseconds(runtime_.clock.MonotonicNs() - *held_at_ns_) : nanoseconds(nanoseconds::max());
  if (unheld && since_held >= options_.hold_every) SL_TRY(CommitHolds());
  if (more_) return milliseconds(0);
  nanoseconds next = options_.hold_every;
  if (Advanced()) next = std::min(next, Wait());
  return RoundUp(next);
}

milliseconds ResultsSink::Failed(Error error) {
  backoff_ = std::clamp(backoff_ * 2, options_.backoff_min, options_.backoff_max);
  retry_at_ns_ = runtime_.clock.MonotonicNs() + nanoseconds(backoff_).count();
  open_ = false;
  sources_.clear();
  batch_.Clear();
  const std::lock_guard lock(metrics_mutex_);
  metrics_.error = error.ToString();
  metrics_.error_kind = error.kind;
  return backoff_;
}

milliseconds ResultsSink::Step() {
  if (backoff_ > milliseconds(0)) {
    const nanoseconds left(retry_at_ns_ - runtime_.clock.MonotonicNs());
    if (left > nanoseconds(0)) return RoundUp(left);
  }
  auto wait = TryStep();
  if (!wait) return Failed(std::move(wait).error());
  backoff_ = milliseconds(0);
  const std::lock_guard lock(metrics_mutex_);
  metrics_.error.reset();
  return *wait;
}

void ResultsSink::Finish() {
  const auto finish = [&]() -> Status {
    if (!open_) return {};
    SL_TRY(Gather());
    if (Advanced()) SL_TRY(ApplyGathered());
    return CommitHolds();
  };
  if (auto status = finish(); !status) (void)Failed(std::move(status).error());
}

ResultsSinkMetrics ResultsSink::metrics() const {
  // The topic is asked without the lock: its answer may wait for a disk.
  const auto topic = bus_.Describe(options_.topic);
  std::vector<std::int64_t> held;
  for (std::size_t i = 0; topic && i < topic->partitions.size(); ++i) {
    const auto known = bus_.CommittedOffset(options_.group, {options_.topic, Partition(static_cast<std::int32_t>(i))});
    held.push_back(known && *known ? (*known)->value : topic->partitions[i].start.value);
  }
  const std::lock_guard lock(metrics_mutex_);
  ResultsSinkMetrics metrics = metrics_;
  for (const auto& [partition, offset] : applied_to_) metrics.offset += offset.value;
  metrics.end = metrics.offset;
  if (topic) {
    metrics.end = 0;
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
      if (!options_.all && !wanted_.contains(static_cast<std::int32_t>(i))) continue;
      metrics.end += topic->partitions[i].visible.value;
      // The store was never reached: what the bus holds for it is all that is known.
      if (!applied_to_.contains(static_cast<std::int32_t>(i))) metrics.offset += held[i];
    }
  }
  return metrics;
}

class ResultsSinkThread::Shell {
 public:
  Shell(bus::Bus& bus, ResultsSink& sink) : bus_(bus), sink_(sink), thread_([this](const std::stop_token& stop) { Run(stop); }) {}

  void Wake() {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    woken_changed_.notify_one();
  }

 private:
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      SubscribeAll();
      const milliseconds wait = sink_.Step();
      std::unique_lock lock(mutex_);
      if (wait > milliseconds(0)) {
        // New records end the wait only if no pause after an error or between transactions is running; Step decides.
        woken_changed_.wait_for(lock, stop, wait, [&] { return woken_; });
      }
      woken_ = false;
    }
    sink_.Finish();
  }

  void SubscribeAll() {
    if (!subscriptions_.empty()) return;
    const auto topic = bus_.Describe(sink_.topic());
    if (!topic) return;
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
      auto subscription = bus_.Subscribe({sink_.topic(), Partition(static_cast<std::int32_t>(i))}, [this] { Wake(); });
      if (subscription) subscriptions_.push_back(*std::move(subscription));
    }
  }

  bus::Bus& bus_;
  ResultsSink& sink_;
  std::mutex mutex_;
  std::condition_variable_any woken_changed_;
  bool woken_ = false;
  std::vector<std::shared_ptr<void>> subscriptions_;
  std::jthread thread_;
};

ResultsSinkThread::ResultsSinkThread(bus::Bus& bus, std::unique_ptr<ResultsSink> sink)
    : sink_(std::move(sink)), shell_(std::make_unique<Shell>(bus, *sink_)) {}

ResultsSinkThread::~ResultsSinkThread() = default;

void ResultsSinkThread::Acquire(Partition partition) {
  sink_->Acquire(partition);
  shell_->Wake();
}

void ResultsSinkThread::GiveUp(Partition partition) {
  sink_->GiveUp(partition);
  shell_->Wake();
}

}  // namespace sightline::stores
