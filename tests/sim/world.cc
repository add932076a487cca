#include "tests/sim/world.h"

#include <algorithm>

#include "sightline/flow/commits/embedded/journal.h"

namespace sightline::sim {
namespace {

// A task keeps its status about as often.
constexpr std::chrono::milliseconds kStatusEvery{201};

}  // namespace

World::World(const Scenario& scenario, Checks& checks, Trace& trace)
    : files(scenario.seed), scenario_(scenario), checks_(checks), trace_(trace) {
  const flow::Plan& plan = scenario.plan();
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    if (plan.pipelines[i].root != static_cast<int>(i)) continue;
    const bool merge = plan.pipelines[i].kind == flow::PipelineKind::kMerge;
    for (std::int32_t p = 0; p < flow::PartitionsOf(plan, static_cast<int>(i)); ++p) {
      Slot slot;
      slot.root = static_cast<int>(i);
      slot.partition = Partition(p);
      slot.merge = merge;
      slots_.push_back(std::move(slot));
    }
  }
  activations_.resize(static_cast<std::size_t>(scenario.partitions));
}

void World::Boot() {
  constexpr int kAttempts = 30;
  for (int attempt = 0; attempt < kAttempts && !checks_.over(); ++attempt) {
    if (!files.powered()) files.Restart();
    troubled_ = false;
    ++process_;
    const Status started = Start();
    if (started) return;
    trace_.Say("start failed", started.error().ToString());
    const bool powered = files.powered();
    if (powered) Judge("recovery", "at the start", started.error());
    Kill();
    if (powered) EndFaults();
  }
  checks_.Violated("recovery", "the process did not come up in " + std::to_string(kAttempts) + " attempts");
}

Status World::Start() {
  bus::LogBus::Options options;
  options.flushing = bus::LogBus::Flushing::kManual;
  options.retention_interval = {};
  options.seed = Mix64(scenario_.seed) + process_;
  SL_ASSIGN_OR_RETURN(bus, bus::LogBus::Open(runtime, kData, options));
  for (const bus::LogBus::Recovered& recovered : bus->recovered()) {
    if (recovered.report.damages.empty()) continue;
    const bus::Damage& damage = recovered.report.damages[0];
    return Fail(ErrorKind::kCorruption,
                recovered.partition.topic + " reported damage at " + damage.file + " byte " + std::to_string(damage.position));
  }
  SL_TRY(bus->EnsureTopic(scenario_.input));
  SL_TRY(flow::EnsureOwnedTopics(*bus, scenario_.plan(), scenario_.owned));
  references_ = std::make_unique<flow::FileReferenceStore>(files, std::string(kData) + "/references");
  catalog_ = std::make_unique<flow::ReferenceCatalog>();
  SL_ASSIGN_OR_RETURN(flow::ReferenceHandle newest, references_->Newest(kReference, scenario_.reference_schema(), 0));
  if (newest) catalog_->Install(std::move(newest));
  const auto versions = [this](const std::string&, std::uint64_t version) { return LoadReference(version); };
  context_ = std::make_unique<flow::TaskContext>(flow::TaskContext{.runtime = runtime,
                                                                   .bus = *bus,
                                                                   .plan = scenario_.plan(),
                                                                   .references = *catalog_,
                                                                   .versions = versions,
                                                                   .directory = std::string(kData) + "/flow",
                                                                   .live = nullptr,
                                                                   .policy = scenario_.policy,
                                                                   .limits = {},
                                                                   .seed = scenario_.seed});
  ticker_ = std::make_unique<flow::IdleTicker>(*bus, clock, scenario_.plan());
  // As the engine does: every task opens before any works.
  for (Slot& slot : slots_) SL_TRY(OpenTask(slot));
  return {};
}

Result<flow::ReferenceHandle> World::LoadReference(std::uint64_t version) {
  return references_->Load(kReference, scenario_.reference_schema(), 0, version);
}

void World::End() {
  ++process_;  // whatever is answered from here on reaches nobody
  for (Slot& slot : slots_) slot.task.reset();
  ticker_.reset();
  context_.reset();
  bus.reset();
  catalog_.reset();
  references_.reset();
}

void World::Kill() {
  files.KillProcess();
  End();
}

void World::PowerLoss() {
  files.CutPower();
  End();
}

void World::Shutdown() {
  for (Slot& slot : slots_) {
    if (!slot.task) continue;
    const Status finished = slot.task->Finish();
    if (!finished && files.powered()) Judge("recovery", "finishing a task", finished.error());
  }
  for (Slot& slot : slots_) slot.task.reset();
  const Status closed = bus->Close();
  if (!closed && files.powered()) Judge("recovery", "closing the log", closed.error());
  End();
}

Status World::OpenTask(Slot& slot) {
  auto task = slot.merge ? flow::OpenMergeTask(*context_, slot.root) : flow::OpenRootTask(*context_, slot.root, slot.partition);
  if (!task) return std::unexpected(std::move(task).error());
  slot.task = std::move(*task);
  slot.look_for_activations = true;
  ReadActivations(slot);
  return {};
}

bool World::StepTask(std::size_t task, int steps) {
  Slot& slot = slots_[task];
  const std::string name =
      scenario_.plan().pipelines[static_cast<std::size_t>(slot.root)].name + "/" + std::to_string(slot.partition.value);
  const auto failed = [&](const Error& error) {
    trace_.Say("task failed: " + name, error.ToString());
    slot.task.reset();
    if (files.powered()) Judge("recovery", "task " + name, error);
    return false;
  };
  if (!slot.task) {
    if (const Status opened = OpenTask(slot); !opened) return failed(opened.error());
  }
  bool more = true;
  for (int i = 0; i < steps && more; ++i) {
    if (slot.look_for_activations) {
      slot.position = slot.task->status().positions[0];
      clock.Advance(kStatusEvery);
    }
    const Result<bool> stepped = slot.task->Step();
    if (!stepped) return failed(stepped.error());
    ReadActivations(slot);
    more = *stepped;
  }
  return more;
}

void World::Tick() {
  if (const Status ticked = ticker_->Step(); !ticked && files.powered()) Judge("recovery", "ticking", ticked.error());
}

void World::ReloadReference(std::uint64_t variant) {
  ColumnBatch rows;
  const Schema schema = scenario_.reference_schema();
  rows.Reset(schema, 0);
  // Each version knows other locations, and calls them otherwise.
  for (std::int64_t location = 0; location < scenario_.locations; ++location) {
    if ((variant >> (location % 8)) % 5 == 0) continue;
    const std::string name = "place " + std::to_string(location) + " v" + std::to_string(variant % 7);
    char* text = rows.Allocate(name.size());
    std::copy(name.begin(), name.end(), text);
    rows.columns[0].int64s.push_back(location);
    rows.columns[1].strings.emplace_back(text, name.size());
    ++rows.rows;
  }
  auto added = references_->Add(kReference, schema, 0, std::move(rows));
  if (!added) {
    if (files.powered()) Judge("recovery", "reloading the reference", added.error());
    return;
  }
  trace_.Note("reference", static_cast<std::int64_t>((*added)->version()));
  // Every task says where it is, so that the place where the version takes effect is known even if a snapshot swallows it.
  clock.Advance(kStatusEvery);
  for (std::size_t task = 0; task < slots_.size(); ++task) {
    if (slots_[task].task && files.powered() && !checks_.over()) StepTask(task, 1);
  }
  catalog_->Install(std::move(*added));
  for (Slot& slot : slots_) slot.look_for_activations = true;
}

// Reads a copy of the journal with the journal's own reader. What a snapshot holds stays; of what came after it only that which is
// durable in the journal ever took effect.
void World::ReadActivations(Slot& slot) {
  if (slot.merge || !slot.look_for_activations || !files.powered()) return;
  const std::string name = scenario_.plan().pipelines[static_cast<std::size_t>(slot.root)].name;
  const std::string directory = std::string(kData) + "/flow/" + name + "/" + std::to_string(slot.partition.value);
  const auto entries = files.List(directory);
  if (!entries) return;
  runtime::SimulatedFileSystem copy(1);
  static_cast<void>(copy.CreateDirectories(directory));
  for (const runtime::FileInfo& entry : *entries) {
    const std::string path = directory + "/" + entry.name;
    const auto bytes = runtime::ReadFile(files, path, 1 << 24);
    const auto file = copy.Open(path, runtime::OpenMode::kCreate);
    if (bytes && file) static_cast<void>((*file)->WriteAt(0, *bytes));
  }
  runtime::Failpoints none;
  std::optional<flow::Recovered> recovered;
  const auto journal = flow::Journal::Open({.clock = clock, .files = copy, .failpoints = none}, directory,
                                           flow::FamilyFingerprint(scenario_.plan(), slot.root), recovered);
  if (!journal || !recovered) return;
  auto& known = activations_[static_cast<std::size_t>(slot.partition.value)];
  const auto active = recovered->snapshot.references.find(kReference);
  const std::uint64_t in_snapshot = active == recovered->snapshot.references.end() ? 0 : active->second;
  std::erase_if(known, [&](const flow::ReferenceActivation& activation) { return activation.version > in_snapshot; });
  // It took effect at the beginning of the last step, whose snapshot holds it.
  if (in_snapshot > 0 && (known.empty() || known.back().version < in_snapshot)) known.push_back({kReference, in_snapshot, slot.position});
  known.insert(known.end(), recovered->activations.begin(), recovered->activations.end());
  std::string all;
  for (const flow::ReferenceActivation& at : known) all += " " + std::to_string(at.version) + "@" + std::to_string(at.input);
  trace_.Say("references in " + std::to_string(slot.partition.value),
             all + ", in the snapshot " + std::to_string(in_snapshot) + "@" + std::to_string(recovered->snapshot.point.inputs[0]));
  const flow::ReferenceHandle newest = catalog_->Newest(kReference);
  const std::uint64_t last = known.empty() ? 0 : known.back().version;
  slot.look_for_activations = newest != nullptr && newest->version() != last;
}

void World::EndFaults() {
  files.FailSyncs("", 0);
  files.FailWrites("", 0);
  files.SetCapacity(std::numeric_limits<std::uint64_t>::max());
  static_cast<void>(runtime::Failpoints::Parse("", failpoints));
  io_errors_ = false;
}

void World::Judge(std::string_view check, std::string_view where, const Error& error) {
  if (damaged_) return checks_.ReportedDamage();
  troubled_ = true;
  const bool refused = error.kind == ErrorKind::kIo || error.kind == ErrorKind::kResourceExhausted;
  if (io_errors_ && refused) return;
  // A limit by size is full until what holds it moves on.
  if (scenario_.input.retain_bytes > 0 && error.kind == ErrorKind::kResourceExhausted) return;
  checks_.Violated(check, std::string(where) + ": " + error.ToString());
}

}  // namespace sightline::sim
