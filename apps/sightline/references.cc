#include "apps/sightline/references.h"

#include "apps/sightline/statistics.h"
#include "sightline/stores/reference/source.h"

namespace sightline::app {

namespace {

Result<flow::ReferenceHandle> Install(const config::ReferenceConfig& reference, Result<ColumnBatch> rows, flow::ReferenceStore& store,
                                      flow::ReferenceCatalog& catalog) {
  if (!rows) return std::unexpected(std::move(rows.error()).In("reference " + reference.name));
  const Schema& schema = reference.contract.schema;
  Result<flow::ReferenceHandle> table = store.Add(reference.name, schema, schema.Find(reference.key), std::move(*rows));
  if (!table) return std::unexpected(std::move(table.error()).In(reference.postgres ? reference.postgres->table : reference.from));
  const flow::ReferenceHandle active = catalog.Newest(reference.name);
  if (active == nullptr || active->version() != (*table)->version()) catalog.Install(*table);
  return table;
}

Result<ColumnBatch> Read(const config::ReferenceConfig& reference, const runtime::Runtime& runtime) {
  if (!reference.postgres) return stores::ReadReference(runtime.files, reference.from, reference.contract);
  SL_ASSIGN_OR_RETURN(const std::string lines, postgres::ReadTableOnce(FollowerOptionsOf(reference, ""), runtime.clock));
  return stores::ReadReferenceLines(reference.postgres->table, lines, reference.contract);
}

}  // namespace

Result<flow::ReferenceHandle> ReloadReference(const config::ReferenceConfig& reference, const runtime::Runtime& runtime,
                                              flow::ReferenceStore& store, flow::ReferenceCatalog& catalog) {
  return Install(reference, Read(reference, runtime), store, catalog);
}

Status LoadReferences(const config::Config& config, const runtime::Runtime& runtime, flow::ReferenceStore& store,
                      flow::ReferenceCatalog& catalog) {
  for (const config::ReferenceConfig& reference : config.references) {
    const Result<flow::ReferenceHandle> loaded = ReloadReference(reference, runtime, store, catalog);
    if (!loaded) return std::unexpected(loaded.error());
  }
  return {};
}

postgres::FollowerOptions FollowerOptionsOf(const config::ReferenceConfig& reference, const std::string& data) {
  const config::PostgresReferenceConfig& from = *reference.postgres;
  const std::string name = "sightline_" + reference.name;
  return {.connection = ConnectionOptionsOf(from.url, from.tls, from.connect_timeout, from.statement_timeout),
          .reference = reference.name,
          .table = from.table,
          .slot = from.slot.empty() ? name : from.slot,
          .publication = from.publication.empty() ? name : from.publication,
          .schema = reference.contract.schema,
          .state_file = data + "/references/" + reference.name + ".postgres",
          .lag_bytes_max = from.lag_max,
          .heartbeat = from.heartbeat};
}

Result<std::unique_ptr<FollowedReferences>> FollowedReferences::Start(const config::Config& config, const runtime::Runtime& runtime,
                                                                      const std::string& data, flow::ReferenceStore& store,
                                                                      flow::ReferenceCatalog& catalog, const ops::Log& log) {
  auto followed = std::make_unique<FollowedReferences>();
  for (const config::ReferenceConfig& reference : config.references) {
    if (!reference.postgres) continue;
    SL_TRY(runtime.files.CreateDirectories(data + "/references"));
    const Schema& schema = reference.contract.schema;
    SL_ASSIGN_OR_RETURN(flow::ReferenceHandle kept, store.Newest(reference.name, schema, schema.Find(reference.key)));
    if (kept != nullptr) catalog.Install(kept);
    const auto take = [&reference, &store, &catalog](const std::string& lines) -> Status {
      SL_TRY(Install(reference, stores::ReadReferenceLines(reference.postgres->table, lines, reference.contract), store, catalog));
      return {};
    };
    SL_ASSIGN_OR_RETURN(followed->followers_[reference.name],
                        postgres::ReferenceFollower::Start(runtime, FollowerOptionsOf(reference, data), take, log.For("references")));
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
