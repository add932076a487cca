#include "sightline/flow/recount.h"

#include <algorithm>

#include "sightline/flow/commits/embedded/journal_commits.h"
#include "sightline/flow/due_notes.h"
#include "sightline/flow/processor.h"

namespace sightline::flow {
namespace {

Result<std::optional<CommittedState>> Look(const TaskContext& context, int root, Partition partition) {
  const PipelinePlan& pipeline = context.plan.pipelines[static_cast<std::size_t>(root)];
  const bool merge = pipeline.kind == PipelineKind::kMerge;
  CommitPlace place{.pipeline = pipeline.name,
                    .partition = partition,
                    .inputs = {},
                    .topics = CommittedPartition::TopicsOf(context.plan, root, ""),
                    .fingerprint = FamilyFingerprint(context.plan, root)};
  if (!merge) place.inputs.push_back({context.plan.FindDataset(pipeline.from)->topic, partition});
  JournalCommitLogs journals(context.runtime, context.bus, context.directory);
  return (context.commits != nullptr ? *context.commits : journals).Read(place);
}

// Feeds a processor in a snapshot's state with the input up to the newest commit.
class Replay {
 public:
  Replay(const TaskContext& context, int root, Partition partition, const Recovered& recovered, Processor& processor)
      : context_(context),
        dataset_(*context.plan.FindDataset(context.plan.pipelines[static_cast<std::size_t>(root)].from)),
        partition_(partition),
        recovered_(recovered),
        due_(recovered, context.versions),
        processor_(processor),
        decoder_(*dataset_.contract, context.limits),
        made_(recovered.snapshot.point.outputs) {}

  Status Run() {
    position_ = recovered_.snapshot.point.inputs[0];
    const std::int64_t end = recovered_.last.inputs[0];
    SL_ASSIGN_OR_RETURN(const auto reader, context_.bus.OpenReader({dataset_.topic, partition_}, Offset(position_)));
    while (position_ < end) {
      SL_ASSIGN_OR_RETURN(const std::optional<bus::Batch> batch, reader->Next());
      if (!batch) {
        return Fail(ErrorKind::kCorruption, Where() + " ends at " + std::to_string(position_) + ", before what was committed (" +
                                                std::to_string(end) + "): the log was damaged or replaced");
      }
      const std::size_t last = batch->CountBefore(Offset(end));
      // Behind `end` there is nothing to take in: the last commit stood in a gap.
      if (last == 0) break;
      for (std::size_t at = batch->CountBefore(Offset(position_)); at < last;) {
        SL_ASSIGN_OR_RETURN(at, Feed(*batch, at, last));
      }
    }
    SL_TRY(PassNotes(position_));
    return made_ == recovered_.last.outputs ? Status() : Differs();
  }

 private:
  // Records of the batch from `at` on, up to `last` or the next place where a reference changed; where they end.
  Result<std::size_t> Feed(const bus::Batch& batch, std::size_t at, std::size_t last) {
    SL_TRY(PassNotes(batch.offset(at).value));
    std::size_t end = last;
    if (due_.next() != INT64_MAX) end = std::min(end, batch.CountBefore(Offset(due_.next())));
    if (batch.type == bus::BatchType::kReplay) {
      return Fail(ErrorKind::kCorruption, Where() + ": records offered again at " + std::to_string(batch.offset(at).value) +
                                              " behind the newest snapshot, which is always taken with them");
    }
    if (batch.type == bus::BatchType::kTick) {
      processor_.Tick(batch.append_time);
    } else {
      decoder_.DecodeRecords(batch.encoding, batch.values.subspan(at, end - at), decoded_);
      processor_.Process(Input::Of(batch, at, end, decoded_, {dataset_.topic, partition_}));
    }
    position_ = (batch.offset(end - 1) + 1).value;
    CountMade();
    return end;
  }

  // References that changed and idle time that passed before the record at `position`.
  Status PassNotes(std::int64_t position) {
    for (;;) {
      SL_ASSIGN_OR_RETURN(const std::optional<AppendTime> tick, due_.Take(position, processor_));
      if (!tick) return {};
      processor_.Tick(*tick);
      CountMade();
    }
  }

  void CountMade() {
    for (std::size_t i = 0; i < made_.size(); ++i) {
      EncodedRecords& records = i < processor_.outputs().size() ? processor_.outputs()[i].results : processor_.dead_letters();
      made_[i] += static_cast<std::int64_t>(records.size());
      records.Clear();
    }
  }

  std::string Where() const { return dataset_.topic + "/" + std::to_string(partition_.value); }
  Status Differs() const {
    return Fail(ErrorKind::kCorruption,
                "processing " + Where() + " again from " + std::to_string(recovered_.snapshot.point.inputs[0]) + " to " +
                    std::to_string(position_) +
                    " gives other results than were committed: input, references or program are not what they were");
  }

  const TaskContext& context_;
  const DatasetPlan& dataset_;
  const Partition partition_;
  const Recovered& recovered_;
  DueNotes due_;
  Processor& processor_;
  gate::Decoder decoder_;
  gate::Decoded decoded_;
  std::vector<std::int64_t> made_;  // ends of the owned topics
  std::int64_t position_ = 0;
};

}  // namespace

Status PublishCommitted(const TaskContext& context) {
  for (std::size_t i = 0; i < context.plan.pipelines.size(); ++i) {
    const int root = static_cast<int>(i);
    if (context.plan.pipelines[i].root != root) continue;
    for (Partition partition(0); partition.value < PartitionsOf(context.plan, root); ++partition.value) {
      SL_ASSIGN_OR_RETURN(const std::optional<CommittedState> found, Look(context, root, partition));
      if (!found) continue;
      const Recovered* const recovered = &found->recovered;
      // Also what another plan committed: the topics are named there.
      const std::vector<std::string>& topics = recovered->snapshot.topics;
      if (recovered->last.outputs.size() != topics.size())
        return Fail(ErrorKind::kCorruption, context.plan.pipelines[i].name + ": the journal was written for other topics");
      for (std::size_t t = 0; t < topics.size(); ++t) {
        SL_ASSIGN_OR_RETURN(const auto owned, context.bus.OpenOwned({topics[t], partition}));
        SL_TRY(owned->Publish(Offset(recovered->last.outputs[t])));
      }
    }
  }
  return {};
}

Result<TaskStatus> Recount(const TaskContext& context, int root, Partition partition) {
  const PipelinePlan& pipeline = context.plan.pipelines[static_cast<std::size_t>(root)];
  TaskStatus status;
  status.pipeline = pipeline.name;
  status.partition = partition.value;
  SL_ASSIGN_OR_RETURN(const std::optional<CommittedState> found, Look(context, root, partition));
  if (!found) {
    SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, context.bus.Describe(context.plan.FindDataset(pipeline.from)->topic));
    status.positions = {info.partitions[static_cast<std::size_t>(partition.value)].start.value};
    status.origin = {.inputs = status.positions, .outputs = {0}};
    return status;
  }
  const Recovered* const recovered = &found->recovered;
  if (recovered->other_plan) {
    return Fail(ErrorKind::kFailedPrecondition, pipeline.name +
                                                    " was changed since its state was written: look with the configuration "
                                                    "of then, or start it with up --from");
  }
  SL_ASSIGN_OR_RETURN(const std::uint64_t seed, SeedOf(recovered->snapshot));
  Processor processor(context.plan, root, {.seed = seed, .live = nullptr, .only = {}});
  SL_TRY(LoadSnapshot(processor, *recovered, found->read_ids, context.versions));
  if (recovered->last.inputs.size() != 1 || recovered->last.outputs.size() != processor.members().size() + 1)
    return Fail(ErrorKind::kCorruption, pipeline.name + ": the journal was written for other topics");
  SL_TRY(Replay(context, root, partition, *recovered, processor).Run());
  status.counters = processor.counters();
  SetMembers(context.plan, processor, status);
  status.positions = recovered->last.inputs;
  status.origin = recovered->snapshot.origin;
  status.watermark = processor.watermark().value;
  return status;
}

}  // namespace sightline::flow
