#include "apps/sightline/migration/migration.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "apps/sightline/migration/mark.h"
#include "apps/sightline/migration/owner.h"
#include "apps/sightline/migration/results_copy.h"
#include "apps/sightline/migration/source.h"
#include "apps/sightline/migration/state_copy.h"
#include "apps/sightline/migration/target.h"
#include "apps/sightline/migration/topic_copy.h"
#include "apps/sightline/plan_input.h"
#include "sightline/runtime/random.h"

namespace sightline::app {
namespace {

constexpr std::string_view kDeadLetters = "dead_letters.";
constexpr const char* kTransactionalId = "migration";

std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

std::string NewId() {
  std::array<char, 32> id{};
  std::snprintf(id.data(), id.size(), "%016llx", static_cast<unsigned long long>(runtime::SystemEntropy()));
  return id.data();
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : "; ") + part;
  return all;
}

bool SameDirectory(const std::string& a, const std::string& b) { return Absolute(a + "/") == Absolute(b + "/"); }

Status ArmFailpoints(const World& world, runtime::Failpoints& failpoints) {
  const auto spec = world.environment ? world.environment("SIGHTLINE_FAILPOINTS") : std::nullopt;
  if (!spec || spec->empty()) return {};
  if (auto armed = runtime::Failpoints::Parse(*spec, failpoints); !armed) {
    return std::unexpected(std::move(armed).error().In("SIGHTLINE_FAILPOINTS"));
  }
  return {};
}

std::string StartOver(const config::Config& to) {
  return "to begin anew, delete what is there (topics and consumer groups with the prefix '" + to.drivers.bus.prefix +
         "', flow/, references/ and migration.json in the object store, the results in the statistics store), or name another prefix, "
         "bucket "
         "and schema in " +
         to.file;
}

class Migration {
 public:
  Migration(const Context& context, const config::Config& from, const config::Config& to) : context_(context), from_(from), to_(to) {}

  Result<MigrationReport> Run(OldServer old_server) {
    SL_TRY(ArmFailpoints(context_.world, failpoints_));
    SL_TRY(CheckMigratable(context_.world.files, from_, to_));
    SL_ASSIGN_OR_RETURN(const std::optional<MigrationMark> mark, ReadSourceMark(context_.world.files, from_.data));
    if (mark) SL_TRY(CheckTarget(*mark));
    if (mark && mark->state == MigrationMark::State::kDone) return MigrationReport{.id = mark->id, .before = true, .compared = {}};
    SL_TRY(Examine());
    if (old_server == OldServer::kStop) SL_TRY(StopOwner(context_.world, from_.data));
    SL_TRY(CheckUnowned(context_.world, from_.data));
    SL_ASSIGN_OR_RETURN(source_, MigrationSource::Open(context_.world, from_, failpoints_));
    SL_TRY(CheckSource());
    SL_ASSIGN_OR_RETURN(target_, MigrationTarget::Open(context_.world, to_, failpoints_, MigrationTarget::Access::kOwn));
    SL_TRY(Begin());
    report_.id = mark_.id;
    if (report_.before) return std::move(report_);
    SL_TRY(CopyTopics());
    SL_TRY(CopyState());
    SL_TRY(CopyResults());
    if (!report_.holds()) return std::move(report_);
    SL_TRY(SetRetention());
    SL_TRY(End());
    return std::move(report_);
  }

 private:
  Status Examine() const {
    std::vector<std::string> problems;
    for (const Finding& finding : ExamineEngines(context_.world, to_)) {
      if (finding.health != Health::kProblem) continue;
      problems.push_back(finding.name + ": " + finding.found + (finding.remedy.empty() ? "" : " -> " + finding.remedy));
    }
    if (problems.empty()) return {};
    return Fail(ErrorKind::kFailedPrecondition, to_.file + " names engines that cannot be used as they are; sightline doctor " + to_.file +
                                                    " says more: " + Joined(problems));
  }

  // What would be found out at the end otherwise.
  Status CheckSource() {
    SL_TRY(flow::CheckPlans(source_->tasks()));
    for (const flow::PipelinePlan& pipeline : source_->plan().pipelines) {
      if (!pipeline.to_statistics || source_->statistics() == nullptr) continue;
      SL_TRY(HoldsResults(*source_->statistics(), pipeline));
    }
    return {};
  }

  Status CheckTarget(const MigrationMark& mark) const {
    if (mark.target == TargetName(to_)) return {};
    return Fail(ErrorKind::kFailedPrecondition, SourceMarkPath(from_.data) +
                                                    ": this data is being moved, or was moved, to other engines (" + mark.target + ", by " +
                                                    mark.to + "): go on there, or remove the file to give that up");
  }

  // Marks both sides, or finds that they are marked for each other.
  Status Begin() {
    SL_ASSIGN_OR_RETURN(const std::optional<MigrationMark> here, ReadSourceMark(context_.world.files, from_.data));
    SL_ASSIGN_OR_RETURN(const std::optional<MigrationMark> there, ReadTargetMark(target_->objects()));
    mark_ = here.value_or(MigrationMark{.id = NewId(),
                                        .state = MigrationMark::State::kBegun,
                                        .from = Absolute(from_.file),
                                        .to = Absolute(to_.file),
                                        .target = TargetName(to_),
                                        .at = context_.world.clock.Now().value});
    if (there && there->id != mark_.id) {
      return Fail(ErrorKind::kFailedPrecondition,
                  target_->objects().location() + " is the target of another migration, of " + there->from + "; " + StartOver(to_));
    }
    if (there && there->state == MigrationMark::State::kDone) {
      report_.before = true;
      mark_.state = MigrationMark::State::kDone;
      return WriteSourceMark(context_.world.files, from_.data, mark_);
    }
    if (there) return {};
    SL_ASSIGN_OR_RETURN(const std::vector<std::string> topics, source_->bus().Topics());
    SL_ASSIGN_OR_RETURN(const std::vector<std::string> found,
                        target_->Contents(source_->plan(), topics, MigrationTarget::Results::kLookAt));
    if (!found.empty()) {
      return Fail(ErrorKind::kFailedPrecondition,
                  to_.file + " names engines that are in use already: " + Joined(found) + "; " + StartOver(to_));
    }
    SL_TRY(WriteSourceMark(context_.world.files, from_.data, mark_));
    SL_TRY(failpoints_.Hit("migrate.marked"));
    return BeginTargetMark(target_->objects(), mark_);
  }

  Status CopyTopics() {
    // From here on nobody else writes what an earlier call had under way.
    SL_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::RecordCopier> copier, kafka::RecordCopier::Open(target_->bus(), kTransactionalId));
    SL_ASSIGN_OR_RETURN(topics_, source_->bus().Topics());
    std::ranges::stable_partition(topics_, [](const std::string& topic) { return topic.starts_with(kDeadLetters); });
    TopicCopy copy(context_, source_->bus(), target_->bus(), *copier, failpoints_, maps_);
    for (const std::string& topic : topics_) {
      SL_ASSIGN_OR_RETURN(const std::vector<CopiedPartition> partitions, copy.Copy(topic));
      for (std::size_t p = 0; p < partitions.size(); ++p) {
        // Each record was compared with its original.
        Compare("topic", topic + "/" + std::to_string(p), partitions[p].map.records(), partitions[p].records, true);
      }
    }
    return {};
  }

  Status CopyState() {
    StateCopy copy(context_, *source_, *target_, maps_, failpoints_);
    SL_ASSIGN_OR_RETURN(const std::uint64_t references, copy.CopyReferences());
    Compare("references", "versions and objects", references, references, true);
    SL_ASSIGN_OR_RETURN(const std::vector<CopiedState> states, copy.CopyTasks());
    CompareVerdicts(states);
    SL_ASSIGN_OR_RETURN(const std::uint64_t positions, copy.CopyPositions());
    Compare("positions", "consumer groups", positions, positions, true);
    SL_ASSIGN_OR_RETURN(const std::uint64_t requests, copy.CopyRequests());
    Compare("requests", "Idempotency-Keys of the last 24 h", requests, requests, true);
    return {};
  }

  void CompareVerdicts(const std::vector<CopiedState>& states) {
    for (const flow::PipelinePlan& pipeline : source_->plan().pipelines) {
      if (source_->plan().pipelines[static_cast<std::size_t>(pipeline.root)].name != pipeline.name) continue;
      std::uint64_t tasks = 0;
      std::array<std::uint64_t, kVerdicts> from{};
      std::array<std::uint64_t, kVerdicts> to{};
      for (const CopiedState& state : states) {
        if (state.pipeline != pipeline.name) continue;
        ++tasks;
        for (std::size_t v = 0; v < kVerdicts; ++v) {
          from[v] += state.from.verdicts[v];
          to[v] += state.to.verdicts[v];
        }
      }
      // The bytes of each state were compared.
      Compare("state", pipeline.name + ", tasks", tasks, tasks, true);
      for (std::size_t v = 0; v < kVerdicts; ++v) {
        if (from[v] + to[v] > 0) Compare("verdicts", pipeline.name + " " + std::string(kVerdictNames[v]), from[v], to[v], from[v] == to[v]);
      }
    }
  }

  Status CopyResults() {
    stores::StatisticsStore* const from = source_->statistics();
    if (from == nullptr) return {};
    SL_ASSIGN_OR_RETURN(stores::StatisticsStore* const to, target_->statistics());
    ResultsCopy copy(context_, *from, *to, mark_.id, failpoints_);
    for (const flow::PipelinePlan& pipeline : source_->plan().pipelines) {
      if (!pipeline.to_statistics) continue;
      SL_TRY(copy.Copy(pipeline, maps_));
      SL_ASSIGN_OR_RETURN(const bool there, HoldsResults(*from, pipeline));
      if (!there) continue;
      SL_ASSIGN_OR_RETURN(const RowsDigest old_rows, DigestOf(*from, pipeline.name));
      SL_ASSIGN_OR_RETURN(const RowsDigest new_rows, DigestOf(*to, pipeline.name));
      Compare("results", pipeline.name + ", rows", old_rows.rows, new_rows.rows, old_rows == new_rows);
    }
    return {};
  }

  // From now on old records may go.
  Status SetRetention() {
    for (const std::string& topic : topics_) {
      SL_ASSIGN_OR_RETURN(const bus::TopicInfo info, source_->bus().Describe(topic));
      SL_TRY(target_->bus().EnsureTopic(info.spec));
    }
    return {};
  }

  Status End() {
    mark_.state = MigrationMark::State::kDone;
    mark_.at = context_.world.clock.Now().value;
    SL_TRY(failpoints_.Hit("migrate.compared"));
    SL_TRY(EndTargetMark(target_->objects(), mark_));
    SL_TRY(failpoints_.Hit("migrate.done"));
    return WriteSourceMark(context_.world.files, from_.data, mark_);
  }

  void Compare(std::string what, std::string name, std::uint64_t from, std::uint64_t to, bool same) {
    report_.compared.push_back({.what = std::move(what), .name = std::move(name), .from = from, .to = to, .same = same && from == to});
  }

  const Context& context_;
  const config::Config& from_;
  const config::Config& to_;
  runtime::Failpoints failpoints_;
  std::unique_ptr<MigrationSource> source_;
  std::unique_ptr<MigrationTarget> target_;
  MigrationMark mark_;
  std::vector<std::string> topics_;
  flow::OffsetMaps maps_;
  MigrationReport report_;
};

// Why it could not begin now; the order is that of Migrate.
Status AddObstacles(const Context& context, const config::Config& from, const config::Config& to, const flow::Plan& plan,
                    MigrationOutlook& outlook) {
  for (const Finding& finding : outlook.target) {
    if (finding.health == Health::kProblem) outlook.in_the_way.push_back(finding.name + ": " + finding.found);
  }
  if (!outlook.in_the_way.empty()) return {};
  runtime::Failpoints none;
  SL_ASSIGN_OR_RETURN(const std::unique_ptr<MigrationTarget> target,
                      MigrationTarget::Open(context.world, to, none, MigrationTarget::Access::kRead));
  SL_ASSIGN_OR_RETURN(const std::optional<MigrationMark> here, ReadSourceMark(context.world.files, from.data));
  SL_ASSIGN_OR_RETURN(const std::optional<MigrationMark> there, ReadTargetMark(target->objects()));
  if (here && here->state == MigrationMark::State::kDone) outlook.notes.emplace_back("it was moved already: start " + to.file);
  if (here && here->state == MigrationMark::State::kBegun) outlook.notes.emplace_back("an earlier call began it: the next one goes on");
  if (here && there && here->id == there->id) return {};
  if (there) {
    outlook.in_the_way.push_back(target->objects().location() + " is the target of another migration, of " + there->from);
    return {};
  }
  std::vector<std::string> topics;
  for (const MovedThing& thing : outlook.moves) {
    if (thing.what == "topic") topics.push_back(thing.name);
  }
  SL_ASSIGN_OR_RETURN(outlook.in_the_way, target->Contents(plan, topics, MigrationTarget::Results::kLeaveOut));
  return {};
}

}  // namespace

bool MigrationReport::holds() const { return std::ranges::all_of(compared, &ComparedThing::same); }

Status CheckMigratable(runtime::FileSystem& files, const config::Config& from, const config::Config& to) {
  std::vector<std::string> wrong;
  const auto at = [](const config::Config& config, const char* path) { return config.PlaceOf(path).file + ": " + path; };
  if (from.drivers.bus.type != config::BusType::kLog)
    wrong.push_back(at(from, "drivers.bus") + " must be {type: log}: the data of one machine is moved");
  if (from.drivers.statistics.type != config::StatisticsType::kDuckdb)
    wrong.push_back(at(from, "drivers.statistics") + " must be {type: duckdb}");
  if (to.drivers.bus.type != config::BusType::kKafka)
    wrong.push_back(at(to, "drivers.bus") + " must be {type: kafka, ...}: that is where it is moved to");
  if (to.drivers.statistics.type == config::StatisticsType::kDuckdb && SameDirectory(from.data, to.data)) {
    wrong.push_back(at(to, "drivers.statistics") + " is the same file as that of " + from.file +
                    ", which stays as it is: use postgres, or another `data`");
  }
  for (const Difference& difference : DifferencesOf(files, from, to)) wrong.push_back(difference.ToString());
  if (wrong.empty()) return {};
  std::string all = from.file + " and " + to.file + " must differ in `drivers`, `data` and `listen` alone:";
  for (const std::string& one : wrong) all += "\n  " + one;
  return Fail(ErrorKind::kInvalidArgument, std::move(all));
}

Result<MigrationOutlook> LookAhead(const Context& context, const config::Config& from, const config::Config& to) {
  SL_TRY(CheckMigratable(context.world.files, from, to));
  const auto plan = CompilePlans(from);
  if (!plan) return Fail(ErrorKind::kInvalidArgument, from.file + " has mistakes; sightline check " + from.file + " lists them");
  runtime::Failpoints none;
  MigrationOutlook outlook;
  SL_ASSIGN_OR_RETURN(outlook.moves, TakeInventory(context.world, from, *plan, none));
  outlook.target = ExamineEngines(context.world, to);
  SL_TRY(AddObstacles(context, from, to, *plan, outlook));
  if (!CheckUnowned(context.world, from.data)) {
    outlook.notes.emplace_back("a process owns " + from.data +
                               ": it must end first (--stop does that, in order), and senders are refused from then on");
  }
  outlook.notes.emplace_back(
      "sequence numbers of producers (simulated fleets) are not moved: on Kafka its clients have their own. Idempotency-Keys are, for 24 h "
      "from the migration on");
  return outlook;
}

Result<MigrationReport> Migrate(const Context& context, const config::Config& from, const config::Config& to, OldServer old_server) {
  return Migration(context, from, to).Run(old_server);
}

}  // namespace sightline::app
