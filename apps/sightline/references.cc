#include "apps/sightline/references.h"

#include "apps/sightline/statistics.h"
#include "sightline/stores/objects/transfer.h"
#include "sightline/stores/reference/source.h"

namespace sightline::app {
namespace {

struct Source {
  stores::ObjectStore* store = nullptr;  // null: a file or a table
  std::string key;
};

Result<Source> SourceOf(const config::ReferenceConfig& reference, Objects& objects) {
  if (reference.postgres) return Source{};
  SL_ASSIGN_OR_RETURN(const std::optional<config::ObjectUrl> url, config::ParseObjectUrl(reference.from));
  if (!url) return Source{};
  SL_ASSIGN_OR_RETURN(stores::ObjectStore * store, objects.Find(*url));
  return Source{.store = store, .key = url->key};
}

struct Fetched {
  ColumnBatch rows;
  std::string etag;  // empty: no object
};

Result<Fetched> Fetch(const config::ReferenceConfig& reference, const runtime::Runtime& runtime, const Source& source) {
  Fetched fetched;
  if (reference.postgres) {
    SL_ASSIGN_OR_RETURN(const std::string lines,
                        postgres::ReadTableOnce(FollowerOptionsOf(reference, "", Sharing::kNobody), runtime.clock));
    SL_ASSIGN_OR_RETURN(fetched.rows, stores::ReadReferenceLines(reference.postgres->table, lines, reference.contract));
  } else if (source.store == nullptr) {
    SL_ASSIGN_OR_RETURN(fetched.rows, stores::ReadReference(runtime.files, reference.from, reference.contract));
  } else {
    SL_ASSIGN_OR_RETURN(stores::Object object, stores::GetLarge(*source.store, source.key, stores::kReferenceBytesMax));
    SL_ASSIGN_OR_RETURN(fetched.rows, stores::ParseReference(std::move(object.bytes), reference.from, reference.contract));
    fetched.etag = object.info.etag;
  }
  return fetched;
}

}  // namespace

Result<ColumnBatch> ReadReferenceRows(const config::ReferenceConfig& reference, const runtime::Runtime& runtime, Objects& objects) {
  SL_ASSIGN_OR_RETURN(const Source source, SourceOf(reference, objects));
  SL_ASSIGN_OR_RETURN(Fetched fetched, Fetch(reference, runtime, source));
  return std::move(fetched.rows);
}

Result<flow::ReferenceHandle> ReferenceLoader::Install(const config::ReferenceConfig& reference, ColumnBatch rows) {
  const Schema& schema = reference.contract.schema;
  Result<flow::ReferenceHandle> table = store_.Add(reference.name, schema, schema.Find(reference.key), std::move(rows));
  if (!table) return std::unexpected(std::move(table.error()).In(reference.postgres ? reference.postgres->table : reference.from));
  const flow::ReferenceHandle active = catalog_.Newest(reference.name);
  if (active == nullptr || active->version() != (*table)->version()) catalog_.Install(*table);
  return table;
}

Result<flow::ReferenceHandle> ReferenceLoader::InstallKept(const config::ReferenceConfig& reference) {
  const Schema& schema = reference.contract.schema;
  SL_ASSIGN_OR_RETURN(flow::ReferenceHandle kept, store_.Newest(reference.name, schema, schema.Find(reference.key)));
  if (kept != nullptr) catalog_.Install(kept);
  return kept;
}

Result<flow::ReferenceHandle> ReferenceLoader::TakeUpNewer(const config::ReferenceConfig& reference) {
  const flow::ReferenceHandle active = catalog_.Newest(reference.name);
  SL_ASSIGN_OR_RETURN(const std::uint64_t newest, store_.NewestVersion(reference.name));
  if (newest == 0 || (active != nullptr && active->version() >= newest)) return active;
  return InstallKept(reference);
}

Result<flow::ReferenceHandle> ReferenceLoader::Reload(const config::ReferenceConfig& reference) {
  const std::lock_guard lock(mutex_);
  const auto named = [&](Error error) { return std::unexpected(std::move(error).In("reference " + reference.name)); };
  const Result<Source> source = SourceOf(reference, objects_);
  if (!source) return named(source.error());
  const flow::ReferenceHandle active = catalog_.Newest(reference.name);
  std::string& last = etags_[reference.name];
  if (source->store != nullptr && active != nullptr && !last.empty()) {
    const Result<stores::ObjectInfo> now = source->store->Head(source->key);
    if (!now) return named(now.error());
    if (now->etag == last) return active;
  }
  Result<Fetched> fetched = Fetch(reference, runtime_, *source);
  if (!fetched) return named(std::move(fetched.error()));
  SL_ASSIGN_OR_RETURN(flow::ReferenceHandle table, Install(reference, std::move(fetched->rows)));
  last = fetched->etag;
  return table;
}

Result<std::vector<ReferenceLoader::Outdated>> ReferenceLoader::LoadAll(Tables tables) {
  std::vector<Outdated> outdated;
  for (const config::ReferenceConfig& reference : config_.references) {
    if (reference.postgres && tables == Tables::kLeaveOut) continue;
    const Result<flow::ReferenceHandle> loaded = Reload(reference);
    if (loaded) continue;
    const ErrorKind kind = loaded.error().kind;
    if (kind != ErrorKind::kUnavailable && kind != ErrorKind::kDeadlineExceeded) return std::unexpected(loaded.error());
    // A service that is down for a while is no reason to count nothing.
    SL_ASSIGN_OR_RETURN(const flow::ReferenceHandle kept, InstallKept(reference));
    if (kept == nullptr) return std::unexpected(loaded.error());
    outdated.push_back({.reference = reference.name, .error = loaded.error()});
  }
  return outdated;
}

postgres::FollowerOptions FollowerOptionsOf(const config::ReferenceConfig& reference, const std::string& data, Sharing sharing) {
  const config::PostgresReferenceConfig& from = *reference.postgres;
  const std::string name = "sightline_" + reference.name;
  return {.connection = ConnectionOptionsOf(from.url, from.tls, from.connect_timeout, from.statement_timeout),
          .reference = reference.name,
          .table = from.table,
          .slot = from.slot.empty() ? name : from.slot,
          .publication = from.publication.empty() ? name : from.publication,
          .schema = reference.contract.schema,
          .state_file = data + "/references/" + reference.name + ".postgres",
          .shared = sharing == Sharing::kProcesses,
          .lag_bytes_max = from.lag_max,
          .heartbeat = from.heartbeat};
}

Result<std::unique_ptr<FollowedReferences>> FollowedReferences::Start(const config::Config& config, const runtime::Runtime& runtime,
                                                                      const std::string& data, ReferenceLoader& loader,
                                                                      const ops::Log& log) {
  auto followed = std::make_unique<FollowedReferences>();
  const Sharing sharing = config.drivers.bus.type == config::BusType::kKafka ? Sharing::kProcesses : Sharing::kNobody;
  for (const config::ReferenceConfig& reference : config.references) {
    if (!reference.postgres) continue;
    SL_TRY(runtime.files.CreateDirectories(data + "/references"));
    SL_ASSIGN_OR_RETURN(const flow::ReferenceHandle kept, loader.InstallKept(reference));
    const auto take = [&reference, &loader](const std::string& lines) -> Status {
      Result<ColumnBatch> rows = stores::ReadReferenceLines(reference.postgres->table, lines, reference.contract);
      if (!rows) return std::unexpected(std::move(rows.error()).In("reference " + reference.name));
      SL_TRY(loader.Install(reference, std::move(*rows)));
      return {};
    };
    SL_ASSIGN_OR_RETURN(
        followed->followers_[reference.name],
        postgres::ReferenceFollower::Start(runtime, FollowerOptionsOf(reference, data, sharing), take, log.For("references")));
    if (kept == nullptr) {
      SL_TRY(followed->followers_[reference.name]->AwaitFirst(reference.postgres->connect_timeout + reference.postgres->statement_timeout));
    }
  }
  return followed;
}

std::map<std::string, postgres::FollowerStatus> FollowedReferences::status() const {
  std::map<std::string, postgres::FollowerStatus> all;
  for (const auto& [name, follower] : followers_) all[name] = follower->status();
  return all;
}

flow::ReferenceVersions VersionsOf(flow::ReferenceStore& store, const flow::Plan& plan) {
  return [&store, &plan](const std::string& name, std::uint64_t version) -> Result<flow::ReferenceHandle> {
    for (const flow::ReferencePlan& reference : plan.references) {
      if (reference.name == name) return store.Load(name, reference.schema, reference.key, version);
    }
    return Fail(ErrorKind::kNotFound, "the reference " + name + " is no longer configured, and kept input was joined with it");
  };
}

}  // namespace sightline::app
