#include "sightline/flow/recount.h"

#include <algorithm>

#include "sightline/flow/commits/embedded/journal_commits.h"
#include "sightline/flow/due_notes.h"
#include "sightline/flow/merge_processor.h"
#include "sightline/flow/processor.h"

namespace sightline::flow {
namespace {

CommitPlace PlaceOf(const Plan& plan, int root, Partition partition) {
  const PipelinePlan& pipeline = plan.pipelines[static_cast<std::size_t>(root)];
  CommitPlace place{.pipeline = pipeline.name,
                    .partition = partition,
                    .inputs = {},
                    .topics = CommittedPartition::TopicsOf(plan, root, ""),
                    .fingerprint = FamilyFingerprint(plan, root)};
  if (pipeline.kind != PipelineKind::kMerge) {
    place.inputs.push_back({plan.FindDataset(pipeline.from)->topic, partition});
    return place;
  }
  const std::string& parent = plan.pipelines[static_cast<std::size_t>(pipeline.parent)].name;
  for (Partition p(0); p.value < PartitionsOf(plan, pipeline.parent); ++p.value) {
    place.inputs.push_back({Plan::ResultsTopic(parent), p});
  }
  return place;
}

Result<std::optional<CommittedState>> Look(const TaskContext& context, int root, Partition partition) {
  JournalCommitLogs journals(context.runtime, context.bus, context.directory);
  return (context.commits != nullptr ? *context.commits : journals).Read(PlaceOf(context.plan, root, partition));
}

std::unexpected<Error> OtherPlan(const std::string& pipeline) {
  return Fail(ErrorKind::kFailedPrecondition, pipeline +
                                                  " was changed since its state was written: look with the configuration "
                                                  "of then, or start it with up --from");
}

std::unexpected<Error> OtherTopics(const std::string& pipeline) {
  return Fail(ErrorKind::kCorruption, pipeline + ": what was committed is of other topics");
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
  if (recovered->other_plan) return OtherPlan(pipeline.name);
  SL_ASSIGN_OR_RETURN(const std::uint64_t seed, SeedOf(recovered->snapshot));
  Processor processor(context.plan, root, {.seed = seed, .live = nullptr, .only = {}});
  SL_TRY(LoadSnapshot(processor, *recovered, found->read_ids, context.versions));
  const bool fits = recovered->last.inputs.size() == 1 && recovered->last.outputs.size() == processor.members().size() + 1;
  if (!fits) return OtherTopics(pipeline.name);
  SL_TRY(Replay(context, root, partition, *recovered, processor).Run());
  status.counters = processor.counters();
  SetMembers(context.plan, processor, status);
  status.positions = recovered->last.inputs;
  status.origin = recovered->snapshot.origin;
  status.watermark = processor.watermark().value;
  return status;
}

Status CheckPlans(const TaskContext& context) {
  for (std::size_t i = 0; i < context.plan.pipelines.size(); ++i) {
    const int root = static_cast<int>(i);
    if (context.plan.pipelines[i].root != root) continue;
    for (Partition partition(0); partition.value < PartitionsOf(context.plan, root); ++partition.value) {
      SL_ASSIGN_OR_RETURN(const std::optional<CommittedState> found, Look(context, root, partition));
      if (found && found->recovered.other_plan) return OtherPlan(context.plan.pipelines[i].name);
    }
  }
  return {};
}

Result<std::optional<MovedState>> MoveState(const TaskContext& context, int root, Partition partition, const OffsetMaps& maps) {
  const PipelinePlan& pipeline = context.plan.pipelines[static_cast<std::size_t>(root)];
  SL_ASSIGN_OR_RETURN(std::optional<CommittedState> found, Look(context, root, partition));
  if (!found) return std::optional<MovedState>();
  Recovered& recovered = found->recovered;
  if (recovered.other_plan) return OtherPlan(pipeline.name);
  MovedState moved;
  moved.place = PlaceOf(context.plan, root, partition);
  const std::size_t inputs = moved.place.inputs.size();
  const CommitPoint& point = recovered.snapshot.point;
  if (point.inputs.size() != inputs || recovered.last.inputs.size() != inputs || recovered.snapshot.origin.inputs.size() != inputs ||
      recovered.snapshot.topics != moved.place.topics || recovered.last.outputs.size() != moved.place.topics.size()) {
    return OtherTopics(pipeline.name);
  }
  moved.id_runs = recovered.id_runs;
  moved.read_ids = found->read_ids;
  // Without input to be processed again the ids stay as they are.
  if (point.inputs == recovered.last.inputs) recovered.id_runs.clear();
  SL_ASSIGN_OR_RETURN(const std::uint64_t seed, SeedOf(recovered.snapshot));
  std::unique_ptr<PartitionState> state;
  if (pipeline.kind == PipelineKind::kMerge) {
    if (point != recovered.last) return OtherTopics(pipeline.name);  // each of its commits is a snapshot
    state = std::make_unique<MergeProcessor>(context.plan, root, static_cast<std::int32_t>(inputs));
    SL_TRY(LoadSnapshot(*state, recovered, moved.read_ids, context.versions));
  } else {
    auto processor = std::make_unique<Processor>(context.plan, root, Processor::Options{.seed = seed, .live = nullptr, .only = {}});
    SL_TRY(LoadSnapshot(*processor, recovered, moved.read_ids, context.versions));
    SL_TRY(Replay(context, root, partition, recovered, *processor).Run());
    moved.counters = processor->counters();
    state = std::move(processor);
  }
  moved.new_ids = state->TakeDedupeDelta();
  moved.watermark = state->watermark().value;
  SL_TRY(state->MoveOffsets(maps, partition));
  moved.snapshot.topics = moved.place.topics;
  moved.snapshot.point.outputs = recovered.last.outputs;
  moved.snapshot.origin.outputs = recovered.snapshot.origin.outputs;
  for (std::size_t i = 0; i < inputs; ++i) {
    const auto map = maps.find(moved.place.inputs[i]);
    if (map == maps.end()) return Fail(ErrorKind::kCorruption, moved.place.inputs[i].topic + " was not moved");
    moved.snapshot.point.inputs.push_back(map->second.PositionAt(Offset(recovered.last.inputs[i])).value);
    moved.snapshot.origin.inputs.push_back(map->second.OriginAt(Offset(recovered.snapshot.origin.inputs[i])).value);
  }
  ByteWriter(moved.snapshot.state).Put(seed);
  state->SaveState(moved.snapshot.state);
  for (const auto& [name, table] : state->references()) moved.snapshot.references[name] = table->version();
  return std::optional<MovedState>(std::move(moved));
}

Result<Counters> CountersOf(const Plan& plan, int root, const Snapshot& snapshot) {
  SL_ASSIGN_OR_RETURN(const std::uint64_t seed, SeedOf(snapshot));
  Processor processor(plan, root, {.seed = seed, .live = nullptr, .only = {}});
  SL_TRY(processor.LoadState(std::string_view(snapshot.state).substr(sizeof(seed))));
  return processor.counters();
}

}  // namespace sightline::flow
