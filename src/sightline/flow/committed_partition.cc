#include "sightline/flow/committed_partition.h"

#include <algorithm>

#include "sightline/base/hash.h"

namespace sightline::flow {
namespace {

constexpr std::size_t kAppendRecords = 4096;
constexpr std::size_t kSeedBytes = 8;

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

Status LoadSnapshot(PartitionState& into, const Recovered& recovered, const ReadIdRun& read, const ReferenceVersions& versions) {
  SL_TRY(into.LoadState(std::string_view(recovered.snapshot.state).substr(kSeedBytes)));
  for (const auto& [name, version] : recovered.snapshot.references) {
    SL_ASSIGN_OR_RETURN(ReferenceHandle table, versions(name, version));
    into.Activate(std::move(table));
  }
  std::uint64_t id_bytes = 0;
  for (const KeptIdRun& run : recovered.id_runs) id_bytes += run.bytes;
  into.ExpectDedupe(id_bytes);
  for (const KeptIdRun& run : recovered.id_runs) {
    SL_TRY(read(run, [&](std::string_view bytes) -> Status {
      if (Status loaded = into.LoadDedupe(bytes); !loaded) return std::unexpected(std::move(loaded.error()).In(run.path));
      return {};
    }));
  }
  return {};
}

std::vector<std::string> CommittedPartition::TopicsOf(const Plan& plan, int root, const std::string& only) {
  std::vector<std::string> topics;
  for (const PipelinePlan& pipeline : plan.pipelines) {
    if (pipeline.root == root && (only.empty() || only == pipeline.name)) topics.push_back(Plan::ResultsTopic(pipeline.name));
  }
  topics.push_back(Plan::DeadLetterTopic(plan.pipelines[static_cast<std::size_t>(root)].name));
  return topics;
}

Result<std::unique_ptr<CommittedPartition>> CommittedPartition::Open(CommitLogs& logs, const Plan& plan, int root, const Settings& settings,
                                                                     std::vector<std::int64_t> start, const ReferenceVersions& versions,
                                                                     const Factory& factory) {
  std::unique_ptr<CommittedPartition> made(new CommittedPartition());
  const std::string& pipeline = plan.pipelines[static_cast<std::size_t>(root)].name;
  made->name_ = pipeline + "/" + std::to_string(settings.partition.value);
  made->topics_ = TopicsOf(plan, root, settings.only);
  SL_ASSIGN_OR_RETURN(made->log_, logs.Open({.pipeline = pipeline,
                                             .partition = settings.partition,
                                             .inputs = settings.inputs,
                                             .topics = made->topics_,
                                             .fingerprint = FamilyFingerprint(plan, root),
                                             .shares_topics = settings.replace}));
  const std::optional<Recovered> recovered = made->log_->TakeRecovered();
  made->seed_ = settings.seed;
  const bool goes_on = recovered && !recovered->other_plan;
  if (recovered && recovered->other_plan && !settings.replace) {
    return Fail(ErrorKind::kFailedPrecondition,
                "pipeline " + pipeline + " (or what it reads from) was changed since its state in partition " +
                    std::to_string(settings.partition.value) +
                    " was written: say where the changed pipeline is to begin, with --from now, --from earliest or --from raw:TIME; its "
                    "earlier results stay until the new ones take their place");
  }
  if (goes_on) {
    const Result<std::uint64_t> seed = SeedOf(recovered->snapshot);
    if (!seed) return Fail(ErrorKind::kCorruption, made->name_ + ": " + seed.error().message);
    made->seed_ = *seed;
  }
  made->processor_ = factory(made->seed_);
  made->MakeOutputs(plan, settings);
  SL_TRY(goes_on ? made->Recover(*recovered, versions) : made->Begin(recovered, std::move(start)));
  return made;
}

// A new generation: over the state of another plan, or over none.
Status CommittedPartition::Begin(const std::optional<Recovered>& before, std::vector<std::int64_t> start) {
  replay_end_ = start[0];
  positions_ = std::move(start);
  std::vector<std::int64_t> ends = log_->ends();
  for (std::size_t i = 0; before && i < topics_.size(); ++i) {
    const std::vector<std::string>& known = before->snapshot.topics;
    const auto at = std::find(known.begin(), known.end(), topics_[i]);
    // What the earlier generation put out and did not commit was never there.
    if (at != known.end()) ends[i] = before->last.outputs.at(static_cast<std::size_t>(at - known.begin()));
  }
  SL_TRY(log_->CutBack(ends));
  for (std::size_t i = 0; i < outputs_.size(); ++i) outputs_[i].end = outputs_[i].suppress_to = ends[i];
  origin_ = Point();
  return TakeSnapshot();
}

void CommittedPartition::MakeOutputs(const Plan& plan, const Settings& settings) {
  const std::vector<int>& members = processor_->members();
  for (std::size_t m = 0; m < members.size(); ++m) {
    if (!settings.only.empty() && settings.only != plan.pipelines[static_cast<std::size_t>(members[m])].name) continue;
    outputs_.push_back({.member = static_cast<int>(m)});
  }
  outputs_.push_back({.member = -1});
}

Status CommittedPartition::Recover(const Recovered& recovered, const ReferenceVersions& versions) {
  const Snapshot& snapshot = recovered.snapshot;
  const std::size_t inputs = snapshot.point.inputs.size();
  const bool replays = snapshot.point != recovered.last;
  if (inputs == 0 || recovered.last.inputs.size() != inputs || (replays && inputs != 1) ||
      snapshot.point.outputs.size() != outputs_.size() || recovered.last.outputs.size() != outputs_.size()) {
    return Fail(ErrorKind::kCorruption, name_ + ": what was committed is of other topics");
  }
  SL_TRY(LoadSnapshot(*processor_, recovered, log_->id_run_reader(), versions));
  due_ = DueNotes(recovered, versions);
  positions_ = snapshot_positions_ = snapshot.point.inputs;
  replay_end_ = recovered.last.inputs[0];
  last_ = recovered.last;
  origin_ = snapshot.origin;
  const std::vector<std::int64_t> ends = log_->ends();
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    outputs_[i].end = snapshot.point.outputs[i];
    outputs_[i].suppress_to = last_.outputs[i];
    if (ends[i] < last_.outputs[i]) {
      return Fail(ErrorKind::kCorruption, name_ + ": topic " + topics_[i] + ", which it owns, ends at " + std::to_string(ends[i]) +
                                              ", before the committed end " + std::to_string(last_.outputs[i]) +
                                              ": the log was damaged or replaced");
    }
  }
  return log_->CutBack(last_.outputs);
}

Result<std::optional<AppendTime>> CommittedPartition::TakeDue() {
  if (next_due() > positions_[0]) return std::nullopt;
  SL_ASSIGN_OR_RETURN(const std::optional<AppendTime> tick, due_.Take(positions_[0], *processor_));
  if (!tick && !last_.inputs.empty()) SL_TRY(CheckReplay());
  return tick;
}

Status CommittedPartition::Activate(const ReferenceHandle& table) {
  SL_TRY(log_->NoteActivation({table->name(), table->version(), positions_[0]}));
  processor_->Activate(table);
  return {};
}

Status CommittedPartition::NoteTick(AppendTime at) {
  uncommitted_ = true;
  return log_->NoteTick({.at = at, .input = positions_[0], .after = 0});
}

Status CommittedPartition::Put(std::size_t topic, EncodedRecords& records) {
  Output& output = outputs_[topic];
  const auto skip =
      static_cast<std::size_t>(std::clamp<std::int64_t>(output.suppress_to - output.end, 0, static_cast<std::int64_t>(records.size())));
  for (std::size_t begin = skip; begin < records.size(); begin += kAppendRecords) {
    scratch_.clear();
    for (std::size_t i = begin; i < std::min(records.size(), begin + kAppendRecords); ++i) scratch_.push_back(records.at(i));
    SL_TRY(log_->Append(topic, scratch_));
    uncommitted_ = true;
  }
  output.end += static_cast<std::int64_t>(records.size());
  records.Clear();
  return {};
}

Status CommittedPartition::Advance(std::size_t input, std::int64_t position) {
  positions_[input] = position;
  for (std::size_t topic = 0; topic < outputs_.size(); ++topic) {
    const int member = outputs_[topic].member;
    EncodedRecords& records = member < 0 ? processor_->dead_letters() : processor_->outputs()[static_cast<std::size_t>(member)].results;
    if (records.size() != 0) SL_TRY(Put(topic, records));
  }
  if (!last_.inputs.empty()) return CheckReplay();
  return {};
}

// Processing is a function of the input: what was put out again must be what had been committed.
Status CommittedPartition::CheckReplay() const {
  if (positions_[0] != replay_end_ || next_due() <= positions_[0]) return {};
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].end < last_.outputs[i]) {
      return Fail(ErrorKind::kCorruption, name_ + ": reading its input again from " + std::to_string(snapshot_positions_[0]) + " to " +
                                              std::to_string(replay_end_) + " gave " + std::to_string(outputs_[i].end) + " records in " +
                                              topics_[i] + ", but " + std::to_string(last_.outputs[i]) +
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

Status CommittedPartition::Commit() {
  if (replaying()) return {};  // everything up to replay_end() is committed already
  SL_TRY(log_->Commit(Point()));
  uncommitted_ = false;
  return {};
}

Status CommittedPartition::TakeSnapshot() {
  if (replaying()) return {};
  Snapshot snapshot;
  snapshot.point = Point();
  snapshot.origin = origin_;
  snapshot.topics = topics_;
  ByteWriter(snapshot.state).Put(seed_);
  processor_->SaveState(snapshot.state);
  for (const auto& [name, table] : processor_->references()) snapshot.references[name] = table->version();
  SL_TRY(log_->TakeSnapshot(snapshot, processor_->TakeDedupeDelta(), processor_->watermark().value));
  // Those that lie ahead stood before this one, and went with what it takes the place of.
  SL_TRY(due_.NoteLeft(*log_));
  snapshot_positions_ = positions_;
  uncommitted_ = false;
  return {};
}

}  // namespace sightline::flow
