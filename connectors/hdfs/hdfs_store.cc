#include "connectors/hdfs/hdfs_store.h"

namespace sightline::hdfs {

Result<std::unique_ptr<bridge::ObjectStore>> Open(const Options& options) {
  bridge::Options given = {{"type", "hdfs"},
                           {"url", options.url},
                           {"user", options.user},
                           {"config_dir", options.config_dir},
                           {"principal", options.principal},
                           {"keytab", options.keytab}};
  bridge::AddTo(given, options.patience);
  return bridge::ObjectStore::Open(given, options.url);
}

}  // namespace sightline::hdfs
