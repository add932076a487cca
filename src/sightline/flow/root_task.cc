#include <algorithm>

#include "sightline/flow/commits/embedded/journal_commits.h"
#include "sightline/flow/task.h"

namespace sightline::flow {
namespace {

constexpr std::int64_t kLiveIntervalNs = 2'000'000;       // between two looks at the open windows while records keep coming,
constexpr std::int64_t kLiveShare = 10;                   // and as many times as long as the last one took: who catches up, counts
constexpr std::int64_t kNsPerMs = 1'000'000;
constexpr std::int64_t kStatusIntervalNs = 200'000'000;
constexpr std::size_t kRecordsMax = 8192;                 // a piece of a large batch, so that live updates are not held up

// One partition of a dataset's topic through one root pipeline.
class RootTask final : public Task {
 public:
  RootTask(const TaskContext& context, int root, Partition partition)
      : context_(context),
        root_(root),
        plan_(context.plan.pipelines[static_cast<std::size_t>(root)]),
        dataset_(*context.plan.FindDataset(plan_.from)),
        partition_(partition),
        inputs_{{dataset_.topic, partition}},
        decoder_(*dataset_.contract, context.limits) {}

  Status Open() {
    opened_ = context_.runtime.clock.MonotonicNs();
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, context_.bus.Describe(dataset_.topic));
    const bus::TopicInfo::PartitionInfo& log = info.partitions[static_cast<std::size_t>(partition_.value)];
    SL_ASSIGN_OR_RETURN(const std::int64_t start, Start(log));
    if (context_.commits == nullptr) SL_TRY(HoldFrom(context_.bus, "flow." + plan_.name, inputs_[0], log.start));
    CommittedPartition::Settings settings;
    settings.partition = partition_;
    settings.inputs = inputs_;
    settings.seed = context_.seed;
    const auto make = [&](std::uint64_t seed) {
      auto made = std::make_unique<Processor>(
          context_.plan, root_, Processor::Options{.seed = seed, .live = context_.live, .only = {}, .memory = context_.memory});
      processor_ = made.get();
      return made;
    };
    SL_ASSIGN_OR_RETURN(committed_, OpenCommitted(context_, root_, std::move(settings), {start}, make));
    SL_ASSIGN_OR_RETURN(reader_, context_.bus.OpenReader(inputs_[0], Offset(committed_->positions()[0])));
    last_commit_ = last_snapshot_ = context_.runtime.clock.MonotonicNs();
    refused_before_ = Refused();
    KeepStatus();
    return {};
  }

  Result<bool> Step() override {
    SL_TRY(TakeUpReferences());
    SL_ASSIGN_OR_RETURN(const bool more, Feed());
    const std::int64_t now = context_.runtime.clock.MonotonicNs();
    if (!restore_ms_ && !committed_->replaying()) restore_ms_ = (now - opened_) / kNsPerMs;
    if (committed_->keeps_ticks()) SL_TRY(MaybeTick(now, more));
    if (context_.live != nullptr && !committed_->replaying() && (!more || now >= next_live_)) {
      processor_->PublishLive();
      const std::int64_t after = context_.runtime.clock.MonotonicNs();
      next_live_ = after + std::max(kLiveIntervalNs, kLiveShare * (after - now));
    }
    SL_TRY(MaybeCommit(now, more));
    if (!more || now - last_status_ > kStatusIntervalNs) KeepStatus();
    return more;
  }

  Status Finish() override {
    if (committed_->replaying()) return {};
    return Snapshot();
  }
  const std::vector<TopicPartition>& inputs() const override { return inputs_; }
  TaskStatus status() const override {
    const std::lock_guard lock(status_mutex_);
    return status_;
  }

 private:
  // Where a new generation begins to read.
  Result<std::int64_t> Start(const bus::TopicInfo::PartitionInfo& log) const {
    if (!context_.from || context_.from->where == StartAt::Where::kEarliest) return log.start.value;
    if (context_.from->where == StartAt::Where::kNow) return log.visible.value;
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, context_.bus.OpenReader(inputs_[0], log.start));
    for (;;) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
      if (!batch) return log.visible.value;
      for (std::size_t i = 0; i < batch->values.size(); ++i) {
        if (batch->time(i) >= context_.from->time) return batch->offset(i).value;
      }
    }
  }
  Status TakeUpReferences() {
    for (;;) {
      SL_ASSIGN_OR_RETURN(const std::optional<AppendTime> tick, committed_->TakeDue());
      if (!tick) break;
      SL_TRY(PassIdleTime(*tick));
    }
    if (committed_->replaying() || committed_->next_due() != INT64_MAX) return {};
    const std::uint64_t change = context_.references.change();
    if (change == seen_change_) return {};
    seen_change_ = change;
    for (const ReferencePlan& reference : context_.plan.references) {
      const ReferenceHandle newest = context_.references.Newest(reference.name);
      const auto active = processor_->references().find(reference.name);
      const bool known = active != processor_->references().end() && newest != nullptr && active->second->version() == newest->version();
      if (newest != nullptr && !known) SL_TRY(committed_->Activate(newest));
    }
    return {};
  }

  // Where the log has no ticks, whoever reads it sees that nothing comes, and notes it.
  Status MaybeTick(std::int64_t now, bool more) {
    if (more || last_record_ == 0) last_record_ = now;
    const std::int64_t idle_after = std::chrono::nanoseconds(dataset_.watermark.idle_after).count();
    if (idle_after == 0 || committed_->replaying() || now - last_record_ < idle_after) return {};
    last_record_ = now;
    // Nothing came up to this moment: what the log gets later has a later time.
    const AppendTime at(context_.runtime.clock.Now().value);
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, context_.bus.Describe(dataset_.topic));
    if (info.partitions[static_cast<std::size_t>(partition_.value)].end > reader_->position()) return {};
    SL_TRY(committed_->NoteTick(at));
    return PassIdleTime(at);
  }

  Status PassIdleTime(AppendTime at) {
    processor_->Tick(at);
    return committed_->Advance(0, committed_->positions()[0]);
  }

  // Takes in one piece of the log; false at the visible end.
  Result<bool> Feed() {
    if (pending_ == pending_end_) {
      SL_ASSIGN_OR_RETURN(std::optional<bus::Batch> batch, reader_->Next());
      if (!batch) {
        if (committed_->replaying()) {
          return Fail(ErrorKind::kCorruption, plan_.name + ": " + dataset_.topic + "/" + std::to_string(partition_.value) + " ends at " +
                                                  std::to_string(reader_->position().value) +
                                                  ", before what was committed: the log was damaged or replaced");
        }
        return false;
      }
      batch_ = *batch;
      pending_ = 0;
      pending_end_ = batch_.values.size();
    }
    std::size_t end = std::min(pending_end_, pending_ + kRecordsMax);
    // Stop where a reference changed last time, or where the last commit stood: both are positions between two records.
    for (const std::int64_t stop : {committed_->next_due(), committed_->replay_end()}) {
      if (const std::size_t before = batch_.CountBefore(Offset(stop)); before > pending_) end = std::min(end, before);
    }
    processor_->SetRecovering(committed_->replaying());
    SL_ASSIGN_OR_RETURN(pending_, Put(*processor_, decoder_, decoded_, batch_, pending_, end));
    // One past the last record taken in, whatever gap follows: the same wherever batches begin and end.
    SL_TRY(committed_->Advance(0, (batch_.offset(pending_ - 1) + 1).value));
    return true;
  }

  // Puts records [begin, end) of a batch into a processor; the end of what it took, which may be less.
  Result<std::size_t> Put(Processor& processor, gate::Decoder& decoder, gate::Decoded& decoded, const bus::Batch& batch, std::size_t begin,
                          std::size_t end) {
    if (batch.type == bus::BatchType::kTick) {
      processor.Tick(batch.append_time);
      return end;
    }
    std::vector<ReplayKey> keys;
    if (batch.type == bus::BatchType::kReplay) {
      SL_ASSIGN_OR_RETURN(keys, ReplayKeys(batch, begin, end));
      end = begin + keys.size();
    }
    decoder.DecodeRecords(batch.encoding, batch.values.subspan(begin, end - begin), decoded);
    const Input input = Input::Of(batch, begin, end, decoded, inputs_[0]);
    if (batch.type == bus::BatchType::kData) {
      processor.Process(input);
      return end;
    }
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, context_.bus.Describe(dataset_.topic));
    const std::int64_t log_start = info.partitions[static_cast<std::size_t>(partition_.value)].start.value;
    SL_TRY(processor.Replay(input, keys, log_start,
                            [&](Processor& shadow, std::int64_t from) { return CountAnew(shadow, from, input.base.value); }));
    // Retention may take what was read for it: recovery must not need it again.
    snapshot_due_ = true;
    return end;
  }

  // The keys of the records from `begin` on that are all late, or all not.
  Result<std::vector<ReplayKey>> ReplayKeys(const bus::Batch& batch, std::size_t begin, std::size_t end) {
    std::vector<ReplayKey> keys;
    for (std::size_t i = begin; i < end && i < batch.keys.size(); ++i) {
      SL_ASSIGN_OR_RETURN(const ReplayKey key, DecodeReplayKey(batch.keys[i]));
      if (!keys.empty() && (key.reason == Verdict::kLate) != (keys.front().reason == Verdict::kLate)) break;
      keys.push_back(key);
    }
    if (keys.empty())
      return Fail(ErrorKind::kCorruption, dataset_.topic + ": a replay batch without keys at " + std::to_string(batch.base.value));
    return keys;
  }

  // Feeds a processor that counts windows anew with the log from `from` to `end`.
  Status CountAnew(Processor& shadow, std::int64_t from, std::int64_t end) {
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, context_.bus.OpenReader(inputs_[0], Offset(from)));
    gate::Decoder decoder(*dataset_.contract, context_.limits);
    gate::Decoded decoded;
    while (reader->position().value < end) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
      if (!batch) break;
      const std::size_t last = batch->CountBefore(Offset(end));
      for (std::size_t at = 0; at < last;) {
        SL_ASSIGN_OR_RETURN(at, Put(shadow, decoder, decoded, *batch, at, std::min(last, at + kRecordsMax)));
      }
    }
    return {};
  }

  Status MaybeCommit(std::int64_t now, bool more) {
    if (committed_->replaying()) return {};
    const CommitPolicy& policy = context_.policy;
    const bool snapshot =
        snapshot_due_ || committed_->since_snapshot() >= policy.snapshot_records ||
        (committed_->since_snapshot() > 0 && now - last_snapshot_ >= std::chrono::nanoseconds(policy.snapshot_interval).count());
    // What was refused for lack of room need not be so when the same input is processed again: only a snapshot settles it.
    const bool commit = committed_->uncommitted() && Refused() == refused_before_ &&
                        (!more || now - last_commit_ >= std::chrono::nanoseconds(policy.interval).count());
    if (!snapshot && !commit) return {};
    last_commit_ = now;
    if (snapshot) {
      last_snapshot_ = now;
      return Snapshot();
    }
    SL_TRY(MakeInputDurable());
    return committed_->Commit();
  }

  // What a commit claims to have read must not be lost with the page cache.
  Status MakeInputDurable() { return context_.bus.MakeDurable(inputs_[0], Offset(committed_->positions()[0])); }

  Status Snapshot() {
    SL_TRY(MakeInputDurable());
    SL_TRY(committed_->TakeSnapshot());
    snapshot_due_ = false;
    refused_before_ = Refused();
    if (context_.commits != nullptr) return {};  // what holds the input is the log's business
    return context_.bus.CommitOffset("flow." + plan_.name, inputs_[0], Offset(committed_->snapshot_positions()[0]));
  }

  std::uint64_t Refused() const { return processor_->counters().of(Verdict::kStateLimit); }

  void KeepStatus() {
    last_status_ = context_.runtime.clock.MonotonicNs();
    TaskStatus status;
    status.pipeline = plan_.name;
    status.partition = partition_.value;
    status.counters = processor_->counters();
    SetMembers(context_.plan, *processor_, status);
    status.positions = committed_->positions();
    // A log may end in a gap.
    if (pending_ == pending_end_) status.positions[0] = std::max(status.positions[0], reader_->position().value);
    status.origin = committed_->origin();
    status.watermark = processor_->watermark().value;
    status.state_bytes = processor_->state_bytes();
    status.dedupe_ids = processor_->dedupe_ids();
    status.open_windows = processor_->open_panes();
    status.commits = committed_->commits();
    status.restore_ms = restore_ms_;
    if (processor_->taken().size() != (status_.taken == nullptr ? 0 : status_.taken->size())) {
      status.taken = std::make_shared<const OffsetSet>(processor_->taken());
    } else {
      status.taken = status_.taken;
    }
    const std::lock_guard lock(status_mutex_);
    status_ = std::move(status);
  }

  const TaskContext& context_;
  int root_;
  const PipelinePlan& plan_;
  const DatasetPlan& dataset_;
  Partition partition_;
  std::vector<TopicPartition> inputs_;
  gate::Decoder decoder_;
  gate::Decoded decoded_;
  std::unique_ptr<CommittedPartition> committed_;
  Processor* processor_ = nullptr;  // committed_'s
  std::unique_ptr<bus::Reader> reader_;
  bus::Batch batch_;
  std::size_t pending_ = 0, pending_end_ = 0;
  bool snapshot_due_ = false;
  std::uint64_t refused_before_ = 0;  // for lack of room, up to the newest snapshot
  std::uint64_t seen_change_ = UINT64_MAX;
  std::int64_t last_commit_ = 0, last_snapshot_ = 0, next_live_ = 0, last_status_ = 0, last_record_ = 0, opened_ = 0;
  std::optional<std::int64_t> restore_ms_;
  mutable std::mutex status_mutex_;
  TaskStatus status_;
};

}  // namespace

Result<std::unique_ptr<CommittedPartition>> OpenCommitted(const TaskContext& context, int root, CommittedPartition::Settings settings,
                                                          std::vector<std::int64_t> start, const CommittedPartition::Factory& factory) {
  settings.replace = context.from.has_value();
  JournalCommitLogs journals(context.runtime, context.bus, context.directory);
  return CommittedPartition::Open(context.commits != nullptr ? *context.commits : journals, context.plan, root, settings, std::move(start),
                                  context.versions, factory);
}

Result<std::unique_ptr<Task>> OpenRootTask(const TaskContext& context, int root, Partition partition) {
  auto task = std::make_unique<RootTask>(context, root, partition);
  SL_TRY(task->Open());
  return task;
}

Status HoldFrom(bus::Bus& bus, const std::string& group, const TopicPartition& input, Offset start) {
  const auto held = bus.CommittedOffset(group, input);
  if (held && held->has_value()) return {};
  return bus.CommitOffset(group, input, start);
}

void SetMembers(const Plan& plan, const PartitionState& state, TaskStatus& status) {
  for (std::size_t m = 0; m < state.members().size(); ++m) {
    const MemberOutput& output = state.outputs()[m];
    MemberOutput counts;
    counts.rows_in = output.rows_in;
    counts.rows_filtered = output.rows_filtered;
    counts.rows_late = output.rows_late;
    counts.rows_out = output.rows_out;
    status.members.push_back(std::move(counts));
    status.member_names.push_back(plan.pipelines[static_cast<std::size_t>(state.members()[m])].name);
  }
}

std::int32_t PartitionsOf(const Plan& plan, int pipeline) {
  const PipelinePlan* at = &plan.pipelines[static_cast<std::size_t>(pipeline)];
  if (plan.pipelines[static_cast<std::size_t>(at->root)].kind == PipelineKind::kMerge) return 1;
  while (at->parent >= 0) at = &plan.pipelines[static_cast<std::size_t>(at->parent)];
  return plan.FindDataset(at->from)->partitions;
}

Status EnsureOwnedTopics(bus::Bus& bus, const Plan& plan, const bus::TopicSpec& like) {
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    bus::TopicSpec spec = like;
    spec.owned = true;
    spec.retain_time = plan.pipelines[i].retain.topics;
    spec.partitions = PartitionsOf(plan, static_cast<int>(i));
    spec.name = Plan::ResultsTopic(plan.pipelines[i].name);
    SL_TRY(bus.EnsureTopic(spec));
    if (plan.pipelines[i].root != static_cast<int>(i)) continue;
    spec.name = Plan::DeadLetterTopic(plan.pipelines[i].name);
    SL_TRY(bus.EnsureTopic(spec));
  }
  return {};
}

}  // namespace sightline::flow
