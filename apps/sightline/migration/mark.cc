#include "apps/sightline/migration/mark.h"

#include <nlohmann/json.hpp>

#include "apps/sightline/objects.h"
#include "sightline/runtime/failpoints.h"

namespace sightline::app {
namespace {

constexpr std::uint64_t kMarkMax = 64U << 10;
constexpr const char* kTargetKey = "migration.json";
constexpr std::int64_t kVersion = 1;

std::string ObjectsName(const config::ObjectsConfig& objects, const std::string& data) {
  switch (objects.type) {
    case config::ObjectsType::kFiles: return "files in " + data + "/objects";
    case config::ObjectsType::kS3: return "s3 bucket " + objects.bucket + " prefix '" + objects.prefix + "'";
    case config::ObjectsType::kGcs: return "gcs bucket " + objects.bucket + " prefix '" + objects.prefix + "'";
    case config::ObjectsType::kHdfs: return "hdfs " + objects.url + " prefix '" + objects.prefix + "'";
  }
  return "objects";
}

// A server's own access to the object store, for one look.
Result<std::optional<MigrationMark>> LookAtTarget(const World& world, const config::Config& config) {
  runtime::Failpoints failpoints;
  const runtime::Runtime runtime{world.clock, world.files, failpoints};
  SL_ASSIGN_OR_RETURN(const OpenedObjects opened,
                      OpenObjects(config.drivers.objects, config.data, runtime, stores::FileObjectStore::Access::kRead));
  return ReadTargetMark(*opened.store);
}

}  // namespace

std::string MigrationMark::ToJson() const {
  const nlohmann::ordered_json mark{
      {"version", kVersion}, {"id", id}, {"state", state == State::kDone ? "done" : "begun"}, {"from", from}, {"to", to},
      {"target", target},    {"at", at}};
  return mark.dump() + "\n";
}

Result<MigrationMark> MigrationMark::Parse(const std::string& text, const std::string& where) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto bad = [&](const std::string& why) {
    return Fail(ErrorKind::kCorruption,
                where + " is no mark of a migration (" + why + "): restore it, or remove it if you know that none is under way");
  };
  if (!json.is_object()) return bad("not a JSON object");
  const auto text_of = [&](const char* name) { return json.contains(name) && json[name].is_string() ? json[name].get<std::string>() : ""; };
  if (!json.contains("version") || json["version"] != kVersion) return bad("another version wrote it");
  MigrationMark mark{.id = text_of("id"),
                     .state = text_of("state") == "done" ? State::kDone : State::kBegun,
                     .from = text_of("from"),
                     .to = text_of("to"),
                     .target = text_of("target"),
                     .at = 0};
  if (json.contains("at") && json["at"].is_number_integer()) mark.at = json["at"].get<std::int64_t>();
  if (mark.id.empty()) return bad("it has no id");
  return mark;
}

std::string TargetName(const config::Config& config) {
  const config::DriversConfig& drivers = config.drivers;
  const bool kafka = drivers.bus.type == config::BusType::kKafka;
  const bool postgres = drivers.statistics.type == config::StatisticsType::kPostgres;
  return (kafka ? "kafka prefix '" + drivers.bus.prefix + "'" : "the log in " + config.data) + ", " +
         ObjectsName(drivers.objects, config.data) + ", " +
         (postgres ? "postgres schema " + drivers.statistics.schema : "duckdb in " + config.data + "/statistics");
}

std::string SourceMarkPath(const std::string& data) { return data + "/migration.json"; }

Result<std::optional<MigrationMark>> ReadSourceMark(runtime::FileSystem& files, const std::string& data) {
  const std::string path = SourceMarkPath(data);
  const auto text = runtime::ReadFile(files, path, kMarkMax);
  if (!text && text.error().kind == ErrorKind::kNotFound) return std::optional<MigrationMark>();
  if (!text) return std::unexpected(text.error());
  SL_ASSIGN_OR_RETURN(MigrationMark mark, MigrationMark::Parse(*text, path));
  return std::optional(std::move(mark));
}

Status WriteSourceMark(runtime::FileSystem& files, const std::string& data, const MigrationMark& mark) {
  return runtime::WriteFileAtomically(files, SourceMarkPath(data), mark.ToJson());
}

Result<std::optional<MigrationMark>> ReadTargetMark(stores::ObjectStore& objects) {
  const auto object = objects.Get(kTargetKey);
  if (!object && object.error().kind == ErrorKind::kNotFound) return std::optional<MigrationMark>();
  if (!object) return std::unexpected(object.error());
  SL_ASSIGN_OR_RETURN(MigrationMark mark, MigrationMark::Parse(object->bytes, "the object migration.json in " + objects.location()));
  return std::optional(std::move(mark));
}

Status BeginTargetMark(stores::ObjectStore& objects, const MigrationMark& mark) {
  SL_ASSIGN_OR_RETURN(const stores::ObjectInfo put, objects.Put(kTargetKey, mark.ToJson(), stores::PutCondition::IfAbsent()));
  return {};
}

Status EndTargetMark(stores::ObjectStore& objects, const MigrationMark& mark) {
  SL_ASSIGN_OR_RETURN(const stores::ObjectInfo now, objects.Head(kTargetKey));
  SL_ASSIGN_OR_RETURN(const stores::ObjectInfo put, objects.Put(kTargetKey, mark.ToJson(), stores::PutCondition::IfMatch(now.etag)));
  return {};
}

Status CheckNotMigrating(const World& world, const config::Config& config) {
  if (config.drivers.bus.type == config::BusType::kKafka) {
    // A store that cannot be asked now is said by whoever needs it.
    const auto mark = LookAtTarget(world, config);
    if (!mark || !*mark || (*mark)->state == MigrationMark::State::kDone) return {};
    return Fail(ErrorKind::kFailedPrecondition,
                "data of " + (*mark)->from + " is being moved here, and not all of it is here yet: finish that by `sightline migrate " +
                    (*mark)->from + " " + (*mark)->to + "`");
  }
  SL_ASSIGN_OR_RETURN(const std::optional<MigrationMark> mark, ReadSourceMark(world.files, config.data));
  if (!mark) return {};
  const std::string back =
      "; to go back to this one all the same, and give up what the other has taken in, remove " + SourceMarkPath(config.data);
  if (mark->state == MigrationMark::State::kDone) {
    return Fail(ErrorKind::kFailedPrecondition, "the data in " + config.data + " was moved to " + mark->to + " (" + mark->target +
                                                    "): start that one, `sightline up " + mark->to + "`" + back);
  }
  return Fail(ErrorKind::kFailedPrecondition, "the data in " + config.data + " is being moved to " + mark->to +
                                                  ": finish that by `sightline migrate " + mark->from + " " + mark->to + "`" + back);
}

}  // namespace sightline::app
