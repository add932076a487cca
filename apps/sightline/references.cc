#include "apps/sightline/references.h"

#include "sightline/stores/reference/source.h"

namespace sightline::app {

Result<flow::ReferenceHandle> ReloadReference(const config::ReferenceConfig& reference, runtime::FileSystem& files,
                                              flow::ReferenceStore& store, flow::ReferenceCatalog& catalog) {
  Result<ColumnBatch> rows = stores::ReadReference(files, reference.from, reference.contract);
  if (!rows) return std::unexpected(std::move(rows.error()).In("reference " + reference.name));
  const Schema& schema = reference.contract.schema;
  Result<flow::ReferenceHandle> table = store.Add(reference.name, schema, schema.Find(reference.key), std::move(*rows));
  if (!table) return std::unexpected(std::move(table.error()).In(reference.from));
  const flow::ReferenceHandle active = catalog.Newest(reference.name);
  if (active == nullptr || active->version() != (*table)->version()) catalog.Install(*table);
  return table;
}

Status LoadReferences(const config::Config& config, runtime::FileSystem& files, flow::ReferenceStore& store,
                      flow::ReferenceCatalog& catalog) {
  for (const config::ReferenceConfig& reference : config.references) {
    const Result<flow::ReferenceHandle> loaded = ReloadReference(reference, files, store, catalog);
    if (!loaded) return std::unexpected(loaded.error());
  }
  return {};
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
