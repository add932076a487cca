#include "apps/sightline/references.h"

#include "sightline/stores/objects/transfer.h"
#include "sightline/stores/reference/source.h"

namespace sightline::app {
namespace {

struct Source {
  stores::ObjectStore* store = nullptr;  // null: a file
  std::string key;
};

Result<Source> SourceOf(const config::ReferenceConfig& reference, Objects& objects) {
  SL_ASSIGN_OR_RETURN(const std::optional<config::ObjectUrl> url, config::ParseObjectUrl(reference.from));
  if (!url) return Source{};
  SL_ASSIGN_OR_RETURN(stores::ObjectStore * store, objects.Find(*url));
  return Source{.store = store, .key = url->key};
}

struct Fetched {
  ColumnBatch rows;
  std::string etag;  // empty: a file
};

Result<Fetched> Fetch(const config::ReferenceConfig& reference, runtime::FileSystem& files, const Source& source) {
  Fetched fetched;
  if (source.store == nullptr) {
    SL_ASSIGN_OR_RETURN(fetched.rows, stores::ReadReference(files, reference.from, reference.contract));
    return fetched;
  }
  SL_ASSIGN_OR_RETURN(stores::Object object, stores::GetLarge(*source.store, source.key, stores::kReferenceBytesMax));
  SL_ASSIGN_OR_RETURN(fetched.rows, stores::ParseReference(std::move(object.bytes), reference.from, reference.contract));
  fetched.etag = object.info.etag;
  return fetched;
}

}  // namespace

Result<ColumnBatch> ReadReferenceRows(const config::ReferenceConfig& reference, runtime::FileSystem& files, Objects& objects) {
  SL_ASSIGN_OR_RETURN(const Source source, SourceOf(reference, objects));
  SL_ASSIGN_OR_RETURN(Fetched fetched, Fetch(reference, files, source));
  return std::move(fetched.rows);
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
  Result<Fetched> fetched = Fetch(reference, files_, *source);
  if (!fetched) return named(std::move(fetched.error()));
  const Schema& schema = reference.contract.schema;
  Result<flow::ReferenceHandle> table = store_.Add(reference.name, schema, schema.Find(reference.key), std::move(fetched->rows));
  if (!table) return std::unexpected(std::move(table.error()).In(reference.from));
  if (active == nullptr || active->version() != (*table)->version()) catalog_.Install(*table);
  last = fetched->etag;
  return table;
}

Result<std::vector<ReferenceLoader::Outdated>> ReferenceLoader::LoadAll() {
  std::vector<Outdated> outdated;
  for (const config::ReferenceConfig& reference : config_.references) {
    const Result<flow::ReferenceHandle> loaded = Reload(reference);
    if (loaded) continue;
    const ErrorKind kind = loaded.error().kind;
    if (kind != ErrorKind::kUnavailable && kind != ErrorKind::kDeadlineExceeded) return std::unexpected(loaded.error());
    // A service that is down for a while is no reason to count nothing.
    const Schema& schema = reference.contract.schema;
    SL_ASSIGN_OR_RETURN(const flow::ReferenceHandle kept, store_.Newest(reference.name, schema, schema.Find(reference.key)));
    if (kept == nullptr) return std::unexpected(loaded.error());
    catalog_.Install(kept);
    outdated.push_back({.reference = reference.name, .error = loaded.error()});
  }
  return outdated;
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
