#include "connectors/s3/s3_store.h"

namespace sightline::s3 {

Result<std::unique_ptr<bridge::ObjectStore>> Open(const Options& options) {
  bridge::Options given = {{"type", "s3"},
                           {"bucket", options.bucket},
                           {"prefix", options.prefix},
                           {"region", options.region},
                           {"endpoint", options.endpoint},
                           {"access_key", options.access_key},
                           {"secret_key", options.secret_key},
                           {"session_token", options.session_token},
                           {"ca_pem", options.ca_pem}};
  if (options.access_key.empty()) std::erase_if(given, [](const auto& option) { return option.first == "secret_key"; });
  if (options.addressing != Addressing::kAuto) {
    given.emplace_back("path_style", options.addressing == Addressing::kPath ? "true" : "false");
  }
  if (options.credentials == Credentials::kAnonymous) given.emplace_back("anonymous", "true");
  if (options.checksum == Checksum::kSha256) given.emplace_back("checksum", "sha256");
  if (options.checksum == Checksum::kCrc64Nvme) given.emplace_back("checksum", "crc64nvme");
  bridge::AddTo(given, options.patience);
  std::string location = "s3://" + options.bucket + (options.prefix.empty() ? "" : "/" + options.prefix);
  return bridge::ObjectStore::Open(given, std::move(location));
}

}  // namespace sightline::s3
