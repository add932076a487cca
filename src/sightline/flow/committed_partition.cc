#include "sightline/flow/committed_partition.h"

#include <algorithm>

#include "sightline/base/hash.h"
#include "sightline/runtime/file_system.h"

namespace sightline::flow {
namespace {

constexpr std::size_t kAppendRecords = 4096;
constexpr std::size_t kSeedBytes = 8;

std::unexpected<Error> DamagedRun(const std::string& path) {
  return Fail(ErrorKind::kCorruption, path +
                                          " does not hold the dedupe ids that were written: the file is damaged; restore it or start the "
                                          "pipeline anew with --from earliest");
}

}  // namespace

std::uint64_t FamilyFingerprint(const Plan& plan, int root) {
  std::string all;
  for (const PipelinePlan& pipeline : plan.pipelines) {
    if (pipeline.root == root) all += pipeline.canonical + "\n";
  }
  return Hash64(all);
}

Result<std::uint64_t> SeedOf(const Snapshot& snapshot) {
  if (snapshot.state.size() < kSeedBytes) return Fail(ErrorKind::kCorruption, "a snapshot without state");
  return LoadLe<std::uint64_t>(snapshot.state.data());
}

Status LoadSnapshot(PartitionState& into, const Recovered& recovered, runtime::FileSystem& files, const ReferenceVersions& versions) {
  SL_TRY(into.LoadState(std::string_view(recovered.snapshot.state).substr(kSeedBytes)));
  for (const auto& [name, version] : recovered.snapshot.references) {
    SL_ASSIGN_OR_RETURN(ReferenceHandle table, versions(name, version));
    into.Activate(std::move(table));
  }
  std::uint64_t id_bytes = 0;
  for (const IdRunFile& kept : recovered.id_runs) id_bytes += kept.bytes;
  into.ExpectDedupe(id_bytes);
  for (const IdRunFile& kept : recovered.id_runs) {
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<runtime::File> file, files.Open(kept.path, runtime::OpenMode::kRead));
    SL_ASSIGN_OR_RETURN(const std::uint64_t size, file->Size());
    if (size != kept.bytes || size == 0) return DamagedRun(kept.path);
    SL_ASSIGN_OR_RETURN(const std::string_view run, file->Map(size));
    if (Crc32c(run) != kept.crc) return DamagedRun(kept.path);
    if (Status loaded = into.LoadDedupe(run); !loaded) return std::unexpected(std::move(loaded.error()).In(kept.path));
  }
  return {};
}

Result<std::unique_ptr<CommittedPartition>> CommittedPartition::Open(runtime::Runtime runtime, bus::Bus& bus, const Plan& plan, int root,
                                                                     Settings settings, std::vector<std::int64_t> start,
                                                                     const ReferenceVersions& versions, const Factory& factory) {
  std::unique_ptr<CommittedPartition> made(new CommittedPartition());
  made->versions_ = versions;
  made->failpoints_ = &runtime.failpoints;
  made->name_ = plan.pipelines[static_cast<std::size_t>(root)].name + "/" + std::to_string(settings.partition.value);
  std::optional<Recovered> recovered;
  SL_ASSIGN_OR_RETURN(made->journal_, Journal::Open(runtime, settings.directory, FamilyFingerprint(plan, root), recovered));
  made->seed_ = settings.seed;
  const bool goes_on = recovered && !recovered->other_plan;
  if (recovered && recovered->other_plan && !settings.replace) {
    return Fail(ErrorKind::kFailedPrecondition,
                "pipeline " + plan.pipelines[static_cast<std::size_t>(root)].name + " (or what it reads from) was changed since " +
                    settings.directory +
                    " was written: say where the changed pipeline is to begin, with --from now, --from earliest or --from raw:TIME; its "
                    "earlier results stay until the new ones take their place");
  }
  if (goes_on) {
    const Result<std::uint64_t> seed = SeedOf(recovered->snapshot);
    if (!seed) return Fail(ErrorKind::kCorruption, settings.directory + ": " + seed.error().message);
    made->seed_ = *seed;
  }
  made->processor_ = factory(made->seed_);
  SL_TRY(made->OpenOutputs(bus, plan, root, settings));
  SL_TRY(goes_on ? made->Recover(*recovered, runtime, versions) : made->Begin(recovered, std::move(start), settings.directory));
  return made;
}

// A new generation: over the state of another plan, or over none.
Status CommittedPartition::Begin(const std::optional<Recovered>& before, std::vector<std::int64_t> start, const std::string& directory) {
  replay_end_ = start[0];
  positions_ = std::move(start);
  for (Output& output : outputs_) {
    const auto at = before ? std::find(before->snapshot.topics.begin(), before->snapshot.topics.end(), output.topic)
                           : std::vector<std::string>::const_iterator();
    if (before && at != before->snapshot.topics.end()) {
      // What the earlier generation put out and did not commit was never there.
      const std::int64_t committed = before->last.outputs.at(static_cast<std::size_t>(at - before->snapshot.topics.begin()));
      SL_TRY(output.partition->TruncateTo(Offset(committed)));
      SL_TRY(output.partition->Publish(Offset(committed)));
    } else if (!before && output.partition->end() != Offset(0)) {
      // Nothing is put out before the first snapshot, so that an owned topic that holds something has lost its journal.
      return Fail(ErrorKind::kFailedPrecondition, name_ + ": a topic it owns holds " + std::to_string(output.partition->end().value) +
                                                      " results, but " + directory +
                                                      " holds no state: restore it, or remove the pipeline's topics to start anew");
    }
    output.end = output.suppress_to = output.partition->end().value;
  }
  origin_ = Point();
  return TakeSnapshot();
}

Status CommittedPartition::OpenOutputs(bus::Bus& bus, const Plan& plan, int root, const Settings& settings) {
  const auto open = [&](int member, const std::string& topic) -> Status {
    Output output;
    output.topic = topic;
    output.member = member;
    SL_ASSIGN_OR_RETURN(output.partition, bus.OpenOwned({topic, settings.partition}));
    outputs_.push_back(std::move(output));
    return {};
  };
  const std::vector<int>& members = processor_->members();
  for (std::size_t m = 0; m < members.size(); ++m) {
    const std::string& name = plan.pipelines[static_cast<std::size_t>(members[m])].name;
    if (settings.only.empty() || settings.only == name) SL_TRY(open(static_cast<int>(m), Plan::ResultsTopic(name)));
  }
  return open(-1, Plan::DeadLetterTopic(plan.pipelines[static_cast<std::size_t>(root)].name));
}

Status CommittedPartition::Recover(const Recovered& recovered, runtime::Runtime runtime, const ReferenceVersions& versions) {
  const Snapshot& snapshot = recovered.snapshot;
  const std::size_t inputs = snapshot.point.inputs.size();
  const bool replays = snapshot.point != recovered.last;
  if (inputs == 0 || recovered.last.inputs.size() != inputs || (replays && inputs != 1) ||
      snapshot.point.outputs.size() != outputs_.size() || recovered.last.outputs.size() != outputs_.size()) {
    return Fail(ErrorKind::kCorruption, name_ + ": the journal was written for other topics");
  }
  SL_TRY(LoadSnapshot(*processor_, recovered, runtime.files, versions));
  activations_ = recovered.activations;
  positions_ = snapshot_positions_ = snapshot.point.inputs;
  replay_end_ = recovered.last.inputs[0];
  last_ = recovered.last;
  origin_ = snapshot.origin;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    output.end = snapshot.point.outputs[i];
    output.suppress_to = recovered.last.outputs[i];
    if (output.partition->end() < Offset(output.suppress_to)) {
      return Fail(ErrorKind::kCorruption, name_ + ": a topic it owns ends at " + std::to_string(output.partition->end().value) +
                                              ", before the committed end " + std::to_string(output.suppress_to) +
                                              ": the log was damaged or replaced");
    }
    SL_TRY(output.partition->TruncateTo(Offset(output.suppress_to)));
    SL_TRY(output.partition->Publish(Offset(output.suppress_to)));
  }
  return {};
}

std::int64_t CommittedPartition::next_activation() const {
  return next_activation_ < activations_.size() ? activations_[next_activation_].input : INT64_MAX;
}

Status CommittedPartition::ActivateDue() {
  while (next_activation() <= positions_[0]) {
    const ReferenceActivation& due = activations_[next_activation_++];
    SL_ASSIGN_OR_RETURN(ReferenceHandle table, versions_(due.name, due.version));
    processor_->Activate(std::move(table));
  }
  return {};
}

Status CommittedPartition::Activate(const ReferenceHandle& table) {
  SL_TRY(journal_->NoteActivation({table->name(), table->version(), positions_[0]}));
  processor_->Activate(table);
  return {};
}

Status CommittedPartition::Put(Output& output, EncodedRecords& records) {
  const auto skip =
      static_cast<std::size_t>(std::clamp<std::int64_t>(output.suppress_to - output.end, 0, static_cast<std::int64_t>(records.size())));
  for (std::size_t begin = skip; begin < records.size(); begin += kAppendRecords) {
    scratch_.clear();
    for (std::size_t i = begin; i < std::min(records.size(), begin + kAppendRecords); ++i) scratch_.push_back(records.at(i));
    bus::AppendBatch batch;
    batch.encoding = bus::Encoding::kBinary;
    batch.values = scratch_;
    SL_ASSIGN_OR_RETURN(const bus::Appended appended, output.partition->Append(batch));
    if (appended.base.value != output.end + static_cast<std::int64_t>(begin)) {
      return Fail(ErrorKind::kInternal, name_ + ": an owned topic has records of somebody else: expected offset " +
                                            std::to_string(output.end + static_cast<std::int64_t>(begin)) + ", got " +
                                            std::to_string(appended.base.value));
    }
    uncommitted_ = true;
  }
  output.end += static_cast<std::int64_t>(records.size());
  records.Clear();
  return {};
}

Status CommittedPartition::Advance(std::size_t input, std::int64_t position) {
  positions_[input] = position;
  for (Output& output : outputs_) {
    EncodedRecords& records =
        output.member < 0 ? processor_->dead_letters() : processor_->outputs()[static_cast<std::size_t>(output.member)].results;
    if (records.size() != 0) SL_TRY(Put(output, records));
  }
  if (!last_.inputs.empty()) return CheckReplay();
  return {};
}

// Processing is a function of the input: what was put out again must be what had been committed.
Status CommittedPartition::CheckReplay() const {
  if (positions_[0] != replay_end_) return {};
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].end < last_.outputs[i]) {
      return Fail(ErrorKind::kCorruption, name_ + ": reading its input again from " + std::to_string(snapshot_positions_[0]) + " to " +
                                              std::to_string(replay_end_) + " gave " + std::to_string(outputs_[i].end) +
                                              " records in topic " + std::to_string(i) + ", but " + std::to_string(last_.outputs[i]) +
                                              " were committed: input, reference or program are not what they were");
    }
  }
  return {};
}

CommitPoint CommittedPartition::Point() const {
  CommitPoint point;
  point.inputs = positions_;
  for (const Output& output : outputs_) point.outputs.push_back(output.end);
  return point;
}

Status CommittedPartition::MakeOutputsDurable() {
  SL_TRY(failpoints_->Hit("flow.commit.begin"));
  for (Output& output : outputs_) SL_TRY(output.partition->Sync());
  return failpoints_->Hit("flow.commit.outputs_durable");
}

Status CommittedPartition::PublishOutputs() {
  for (Output& output : outputs_) SL_TRY(output.partition->Publish(Offset(output.end)));
  uncommitted_ = false;
  return failpoints_->Hit("flow.commit.published");
}

Status CommittedPartition::Commit() {
  if (replaying()) return {};  // everything up to replay_end() is committed already
  SL_TRY(MakeOutputsDurable());
  SL_TRY(journal_->Commit(Point()));
  return PublishOutputs();
}

Status CommittedPartition::TakeSnapshot() {
  if (replaying()) return {};
  SL_TRY(MakeOutputsDurable());
  Snapshot snapshot;
  snapshot.point = Point();
  snapshot.origin = origin_;
  for (const Output& output : outputs_) snapshot.topics.push_back(output.topic);
  ByteWriter(snapshot.state).Put(seed_);
  processor_->SaveState(snapshot.state);
  for (const auto& [name, table] : processor_->references()) snapshot.references[name] = table->version();
  SL_TRY(journal_->TakeSnapshot(snapshot, processor_->TakeDedupeDelta(), processor_->watermark().value));
  // Those that lie ahead stood in the journal before this one.
  for (std::size_t i = next_activation_; i < activations_.size(); ++i) SL_TRY(journal_->NoteActivation(activations_[i]));
  snapshot_positions_ = positions_;
  return PublishOutputs();
}

}  // namespace sightline::flow
