#include "apps/sightline/migration/state_copy.h"

#include <chrono>

#include "apps/sightline/progress.h"
#include "sightline/bus/embedded/retry_table.h"
#include "sightline/stores/objects/transfer.h"

namespace sightline::app {
namespace {

constexpr std::uint64_t kObjectMax = 4ULL << 30;
// Positions that say how far a pipeline's input is needed; on Kafka its commits say where it stands.
constexpr std::string_view kHolds = "flow.";

}  // namespace

Result<std::uint64_t> StateCopy::CopyReferences() {
  std::uint64_t copied = 0;
  for (const flow::ReferencePlan& reference : from_.plan().references) {
    SL_ASSIGN_OR_RETURN(const std::size_t versions, from_.references().CopyTo(to_.references(), reference.name));
    copied += versions;
  }
  for (const config::ReferenceConfig& reference : from_.config().references) SL_TRY(CopySourceObject(reference, copied));
  return copied;
}

// A reference that is an object of the configured store must be in the new one.
Status StateCopy::CopySourceObject(const config::ReferenceConfig& reference, std::uint64_t& copied) {
  if (reference.from.empty() || from_.config().drivers.objects.type != config::ObjectsType::kFiles) return {};
  SL_ASSIGN_OR_RETURN(const std::optional<config::ObjectUrl> url, config::ParseObjectUrl(reference.from));
  if (!url || url->type) return {};
  const auto there = to_.objects().Head(url->key);
  if (there) return {};
  if (there.error().kind != ErrorKind::kNotFound) return std::unexpected(there.error());
  runtime::Failpoints none;
  const runtime::Runtime runtime{context_.world.clock, context_.world.files, none};
  SL_ASSIGN_OR_RETURN(const OpenedObjects opened,
                      OpenObjects(from_.config().drivers.objects, from_.config().data, runtime, stores::FileObjectStore::Access::kRead));
  SL_ASSIGN_OR_RETURN(const stores::Object object, stores::GetLarge(*opened.store, url->key, kObjectMax));
  SL_TRY(stores::PutLarge(to_.objects(), url->key, object.bytes));
  ++copied;
  return {};
}

Result<std::vector<CopiedState>> StateCopy::CopyTasks() {
  const flow::Plan& plan = from_.plan();
  std::vector<CopiedState> copied;
  Progress progress(context_, "moving state", "tasks");
  for (std::size_t i = 0; i < plan.pipelines.size(); ++i) {
    const int root = static_cast<int>(i);
    if (plan.pipelines[i].root != root) continue;
    for (Partition partition(0); partition.value < flow::PartitionsOf(plan, root); ++partition.value) {
      auto one = CopyTask(root, partition);
      if (!one) {
        return std::unexpected(std::move(one.error()).In("the state of " + plan.pipelines[i].name + "/" + std::to_string(partition.value)));
      }
      if (*one) copied.push_back(std::move(**one));
      progress.Update(copied.size());
    }
  }
  return copied;
}

Result<std::optional<CopiedState>> StateCopy::CopyTask(int root, Partition partition) {
  SL_ASSIGN_OR_RETURN(const std::optional<flow::MovedState> moved, flow::MoveState(from_.tasks(), root, partition, maps_));
  if (!moved) return std::optional<CopiedState>();
  SL_TRY(to_.commits().Install(moved->place, moved->snapshot, moved->id_runs, moved->read_ids, moved->new_ids, moved->watermark));
  SL_TRY(failpoints_.Hit("migrate.state.moved"));
  CopiedState copied{.pipeline = moved->place.pipeline, .merge = false, .from = moved->counters, .to = {}, .bytes = 0};
  copied.merge = from_.plan().pipelines[static_cast<std::size_t>(root)].kind == flow::PipelineKind::kMerge;
  SL_TRY(CheckInstalled(*moved, copied, root));
  return std::optional(std::move(copied));
}

Status StateCopy::CheckInstalled(const flow::MovedState& moved, CopiedState& copied, int root) {
  std::uint64_t ids = moved.new_ids.bytes.size();
  for (const flow::KeptIdRun& run : moved.id_runs) {
    if (run.forgotten_at > moved.watermark) ids += run.bytes;
  }
  SL_ASSIGN_OR_RETURN(const std::optional<flow::CommittedState> found, to_.commits().Read(moved.place));
  if (!found) return Fail(ErrorKind::kCorruption, "it was committed, and the group has no positions: somebody deleted them");
  const flow::Recovered& recovered = found->recovered;
  std::uint64_t there = 0;
  for (const flow::KeptIdRun& run : recovered.id_runs) {
    SL_TRY(found->read_ids(run, [&](std::string_view bytes) -> Status {
      there += bytes.size();
      return {};
    }));
  }
  const bool same = !recovered.other_plan && recovered.last == moved.snapshot.point && recovered.snapshot.point == moved.snapshot.point &&
                    recovered.snapshot.origin == moved.snapshot.origin && recovered.snapshot.state == moved.snapshot.state &&
                    recovered.snapshot.references == moved.snapshot.references && there == ids;
  if (!same) return Fail(ErrorKind::kCorruption, "another state came back than was committed: somebody else works on it");
  copied.bytes = recovered.snapshot.state.size() + there;
  if (copied.merge) return {};
  SL_ASSIGN_OR_RETURN(copied.to, flow::CountersOf(from_.plan(), root, recovered.snapshot));
  return {};
}

Result<std::uint64_t> StateCopy::CopyPositions() {
  std::uint64_t copied = 0;
  for (const std::string& group : from_.bus().Groups()) {
    if (group.starts_with(kHolds)) continue;
    for (const auto& [partition, position] : from_.bus().GroupPositions(group)) {
      const auto map = maps_.find(partition);
      if (map == maps_.end()) continue;  // of a topic that is gone
      const Offset there = map->second.PositionAt(position.offset);
      SL_TRY(to_.bus().CommitOffset(group, partition, there));
      SL_ASSIGN_OR_RETURN(const std::optional<Offset> read, to_.bus().CommittedOffset(group, partition));
      if (read != there)
        return Fail(ErrorKind::kCorruption, "the position of the consumer group " + group + " was committed and is not there");
      ++copied;
    }
  }
  return copied;
}

Result<std::uint64_t> StateCopy::CopyRequests() {
  const std::int64_t oldest =
      context_.world.clock.Now().value - std::chrono::duration_cast<std::chrono::milliseconds>(bus::RetryTable::kTagsKept).count();
  std::uint64_t copied = 0;
  Progress progress(context_, "moving Idempotency-Keys", "requests");
  for (const auto& [partition, map] : maps_) {
    SL_ASSIGN_OR_RETURN(const std::vector<bus::RetryTable::Tag> tags, from_.bus().Requests(partition));
    std::vector<kafka::ClaimsLog::Known> known;
    for (const bus::RetryTable::Tag& tag : tags) {
      if (tag.at.value < oldest) continue;
      const Offset first = map.RecordAt(tag.base).value_or(map.PositionAt(tag.base));
      known.push_back({.tag = tag.tag, .answer = {.base = first, .count = tag.count, .digest = tag.tag.digest}});
    }
    SL_TRY(to_.bus().Adopt(known));
    copied += known.size();
    progress.Update(copied);
  }
  return copied;
}

}  // namespace sightline::app
