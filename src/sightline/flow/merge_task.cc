#include <algorithm>

#include "sightline/flow/task.h"

namespace sightline::flow {
namespace {

constexpr std::size_t kBatchesMax = 64;  // of one partition before the next has its turn

// All partitions of another pipeline's results topic through one merge. Its state is small (the groups of kept windows are
// read again from the topic), so that every commit carries it.
class MergeTask final : public Task {
 public:
  MergeTask(const TaskContext& context, int root)
      : context_(context),
        root_(root),
        plan_(context.plan.pipelines[static_cast<std::size_t>(root)]),
        parent_(context.plan.pipelines[static_cast<std::size_t>(plan_.parent)]) {
    const std::int32_t partitions = PartitionsOf(context.plan, plan_.parent);
    for (std::int32_t p = 0; p < partitions; ++p) inputs_.push_back({Plan::ResultsTopic(parent_.name), Partition(p)});
  }

  Status Open() {
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, context_.bus.Describe(inputs_[0].topic));
    std::vector<std::int64_t> start;
    for (std::size_t p = 0; p < inputs_.size(); ++p) {
      start.push_back(info.partitions[p].start.value);
      if (context_.commits == nullptr) SL_TRY(HoldFrom(context_.bus, "flow." + plan_.name, inputs_[p], Offset(start[p])));
    }
    CommittedPartition::Settings settings;
    settings.inputs = inputs_;
    const auto make = [&](std::uint64_t) {
      auto made = std::make_unique<MergeProcessor>(context_.plan, root_, static_cast<std::int32_t>(inputs_.size()));
      processor_ = made.get();
      return made;
    };
    // A changed plan begins at the topic's start: results of other generations are passed over.
    SL_ASSIGN_OR_RETURN(committed_, OpenCommitted(context_, root_, std::move(settings), std::move(start), make));
    for (std::size_t p = 0; p < inputs_.size(); ++p) SL_TRY(OpenInput(p));
    KeepStatus();
    return {};
  }

  Result<bool> Step() override {
    SL_TRY(TakeUpReferences());
    bool more = false;
    for (std::size_t p = 0; p < inputs_.size(); ++p) {
      for (std::size_t i = 0; i < kBatchesMax; ++i) {
        SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, readers_[p]->Next());
        if (!batch) break;
        more = true;
        for (std::size_t v = 0; v < batch->values.size(); ++v) {
          SL_TRY(MaybeReopen(p, *batch, v));
          SL_TRY(processor_->Process(inputs_[p].partition, batch->offset(v), batch->values[v]));
        }
        SL_TRY(committed_->Advance(p, batch->end().value));
      }
    }
    const std::int64_t now = context_.runtime.clock.MonotonicNs();
    const bool due =
        committed_->uncommitted() && (!more || now - last_commit_ >= std::chrono::nanoseconds(context_.policy.interval).count());
    if (due || now - last_commit_ >= std::chrono::nanoseconds(context_.policy.snapshot_interval).count()) {
      last_commit_ = now;
      SL_TRY(Commit());
    }
    KeepStatus();
    return more;
  }

  Status Finish() override { return Commit(); }
  const std::vector<TopicPartition>& inputs() const override { return inputs_; }
  TaskStatus status() const override {
    const std::lock_guard lock(status_mutex_);
    return status_;
  }

 private:
  Status OpenInput(std::size_t p) {
    const std::int64_t position = committed_->positions()[p];
    const std::int64_t needed = processor_->NeededFrom(inputs_[p].partition, position);
    SL_ASSIGN_OR_RETURN(std::unique_ptr<bus::Reader> reader, context_.bus.OpenReader(inputs_[p], Offset(needed)));
    while (reader->position().value < position) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
      if (!batch) {
        return Fail(ErrorKind::kCorruption, plan_.name + ": " + inputs_[p].topic + "/" + std::to_string(p) + " ends at " +
                                                std::to_string(reader->position().value) + ", before what was committed (" +
                                                std::to_string(position) + ")");
      }
      for (std::size_t v = 0; v < batch->values.size(); ++v) {
        if (batch->offset(v).value >= position) break;
        SL_TRY(processor_->Restore(inputs_[p].partition, batch->offset(v), batch->values[v]));
      }
    }
    if (reader->position().value != position) SL_TRY(reader->Seek(Offset(position), std::nullopt));
    readers_.push_back(std::move(reader));
    return {};
  }

  // When record v corrects a window that is no longer kept, that window is read again from the topic, together with those of the
  // records behind it.
  Status MaybeReopen(std::size_t p, const bus::Batch& batch, std::size_t v) {
    std::map<std::int64_t, std::int64_t> gone;
    SL_ASSIGN_OR_RETURN(const bool first, processor_->FindGone(batch.values[v], gone));
    if (!first) return {};
    for (std::string_view value : batch.values.subspan(v + 1)) SL_TRY(processor_->FindGone(value, gone));
    const std::int64_t here = batch.offset(v).value;
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, context_.bus.Describe(inputs_[p].topic));
    for (std::size_t q = 0; q < inputs_.size() && !gone.empty(); ++q) {
      SL_ASSIGN_OR_RETURN(const std::int64_t whole_from, WholeFrom(q, info.partitions[q].start));
      gone.erase(gone.begin(), gone.lower_bound(whole_from));
    }
    processor_->Reopen(gone);
    for (std::size_t q = 0; q < inputs_.size() && !gone.empty(); ++q) {
      const std::int64_t end = q == p ? here : readers_[q]->position().value;
      SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, context_.bus.OpenReader(inputs_[q], info.partitions[q].start));
      while (reader->position().value < end) {
        SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> past, reader->Next());
        if (!past) break;
        for (std::size_t i = 0; i < past->values.size() && past->offset(i).value < end; ++i) {
          SL_TRY(processor_->Restore(inputs_[q].partition, past->offset(i), past->values[i]));
        }
      }
    }
    return {};
  }

  // Windows that begin there or later are whole in what retention left of a partition: it was done with earlier ones before.
  Result<std::int64_t> WholeFrom(std::size_t q, Offset start) {
    if (start == Offset(0)) return INT64_MIN;
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<bus::Reader> reader, context_.bus.OpenReader(inputs_[q], start));
    for (;;) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
      if (!batch) return INT64_MAX;
      for (std::string_view value : batch->values) {
        if (GenerationOf(value) != parent_.fingerprint) continue;
        ResultRecord record;
        SL_TRY(DecodeResult(value, parent_.shape.schema, record));
        if (record.closed) return record.header.window_end.value;
      }
    }
  }

  Status TakeUpReferences() {
    const std::uint64_t change = context_.references.change();
    if (change == seen_change_) return {};
    seen_change_ = change;
    for (const ReferencePlan& reference : context_.plan.references) {
      if (ReferenceHandle newest = context_.references.Newest(reference.name)) processor_->Activate(std::move(newest));
    }
    return {};
  }

  Status Commit() {
    SL_TRY(committed_->TakeSnapshot());
    for (std::size_t p = 0; context_.commits == nullptr && p < inputs_.size(); ++p) {
      const std::int64_t needed = processor_->NeededFrom(inputs_[p].partition, committed_->positions()[p]);
      if (held_.size() > p && held_[p] == needed) continue;
      held_.resize(std::max(held_.size(), p + 1));
      held_[p] = needed;
      SL_TRY(context_.bus.CommitOffset("flow." + plan_.name, inputs_[p], Offset(needed)));
    }
    return {};
  }

  void KeepStatus() {
    TaskStatus status;
    status.pipeline = plan_.name;
    status.merge = true;
    SetMembers(context_.plan, *processor_, status);
    status.positions = committed_->positions();
    // A log may end in a gap.
    for (std::size_t p = 0; p < readers_.size(); ++p) status.positions[p] = std::max(status.positions[p], readers_[p]->position().value);
    status.origin = committed_->origin();
    status.watermark = processor_->watermark().value;
    status.state_bytes = processor_->state_bytes();
    status.open_windows = processor_->open_windows();
    status.commits = committed_->commits();
    const std::lock_guard lock(status_mutex_);
    status_ = std::move(status);
  }

  const TaskContext& context_;
  int root_;
  const PipelinePlan& plan_;
  const PipelinePlan& parent_;
  std::vector<TopicPartition> inputs_;
  std::unique_ptr<CommittedPartition> committed_;
  MergeProcessor* processor_ = nullptr;  // committed_'s
  std::vector<std::unique_ptr<bus::Reader>> readers_;
  std::vector<std::int64_t> held_;
  std::uint64_t seen_change_ = UINT64_MAX;
  std::int64_t last_commit_ = 0;
  mutable std::mutex status_mutex_;
  TaskStatus status_;
};

}  // namespace

Result<std::unique_ptr<Task>> OpenMergeTask(const TaskContext& context, int root) {
  auto task = std::make_unique<MergeTask>(context, root);
  SL_TRY(task->Open());
  return task;
}

}  // namespace sightline::flow
