#include "connectors/gcs/gcs_store.h"

namespace sightline::gcs {

Result<std::unique_ptr<bridge::ObjectStore>> Open(const Options& options) {
  bridge::Options given = {{"type", "gcs"},
                           {"bucket", options.bucket},
                           {"prefix", options.prefix},
                           {"endpoint", options.endpoint},
                           {"service_account", options.service_account},
                           {"ca_pem", options.ca_pem}};
  if (options.credentials == Credentials::kAnonymous) given.emplace_back("anonymous", "true");
  bridge::AddTo(given, options.patience);
  std::string location = "gs://" + options.bucket + (options.prefix.empty() ? "" : "/" + options.prefix);
  return bridge::ObjectStore::Open(given, std::move(location));
}

}  // namespace sightline::gcs
