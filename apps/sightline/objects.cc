#include "apps/sightline/objects.h"

#include "connectors/gcs/gcs_store.h"
#include "connectors/hdfs/hdfs_store.h"
#include "connectors/s3/s3_store.h"

namespace sightline::app {
namespace {

constexpr std::uint64_t kCertificatesMax = 4ULL << 20;

bridge::Patience PatienceOf(const config::ObjectsConfig& objects) {
  return {.connect_timeout = objects.connect_timeout,
          .request_timeout = objects.request_timeout,
          .retries_max = objects.retries_max,
          .retry_time_max = objects.retry_time_max};
}

Result<std::unique_ptr<bridge::ObjectStore>> OpenS3(const config::ObjectsConfig& objects, std::string ca_pem) {
  return s3::Open({.bucket = objects.bucket,
                   .prefix = objects.prefix,
                   .region = objects.region,
                   .endpoint = objects.endpoint,
                   .addressing = static_cast<s3::Addressing>(objects.addressing),
                   .credentials = static_cast<s3::Credentials>(objects.credentials),
                   .access_key = objects.access_key.reveal(),
                   .secret_key = objects.secret_key.reveal(),
                   .session_token = objects.session_token.reveal(),
                   .checksum = static_cast<s3::Checksum>(objects.checksum),
                   .ca_pem = std::move(ca_pem),
                   .patience = PatienceOf(objects)});
}

Result<std::unique_ptr<bridge::ObjectStore>> OpenGcs(const config::ObjectsConfig& objects, std::string ca_pem) {
  return gcs::Open({.bucket = objects.bucket,
                    .prefix = objects.prefix,
                    .endpoint = objects.endpoint,
                    .service_account = objects.service_account.reveal(),
                    .credentials = static_cast<gcs::Credentials>(objects.credentials),
                    .ca_pem = std::move(ca_pem),
                    .patience = PatienceOf(objects)});
}

Result<std::unique_ptr<bridge::ObjectStore>> OpenHdfs(const config::ObjectsConfig& objects) {
  return hdfs::Open({.url = objects.url,
                     .user = objects.user,
                     .config_dir = objects.hadoop_conf,
                     .principal = objects.principal,
                     .keytab = objects.keytab,
                     .patience = PatienceOf(objects)});
}

}  // namespace

Result<OpenedObjects> OpenObjects(const config::ObjectsConfig& objects, const std::string& data, const runtime::Runtime& runtime,
                                  stores::FileObjectStore::Access access) {
  if (objects.type == config::ObjectsType::kFiles) {
    SL_ASSIGN_OR_RETURN(auto files, stores::FileObjectStore::Open(runtime, data + "/objects", access));
    return OpenedObjects{.store = std::move(files), .service = nullptr};
  }
  std::string ca_pem;
  if (!objects.tls_ca.empty()) {
    auto read = runtime::ReadFile(runtime.files, objects.tls_ca, kCertificatesMax);
    if (!read) return std::unexpected(std::move(read.error()).In("drivers.objects.tls_ca"));
    ca_pem = std::move(*read);
  }
  Result<std::unique_ptr<bridge::ObjectStore>> opened = objects.type == config::ObjectsType::kS3    ? OpenS3(objects, std::move(ca_pem))
                                                        : objects.type == config::ObjectsType::kGcs ? OpenGcs(objects, std::move(ca_pem))
                                                                                                    : OpenHdfs(objects);
  if (!opened) return std::unexpected(std::move(opened.error()).In("drivers.objects"));
  bridge::ObjectStore* service = opened->get();
  return OpenedObjects{.store = std::move(*opened), .service = service};
}

config::ObjectsConfig SettingsFor(const config::Config& config, const config::ObjectUrl& url) {
  if (!url.type) return config.drivers.objects;
  const bool same = config.drivers.objects.type == *url.type;
  config::ObjectsConfig settings = same ? config.drivers.objects : config::Defaults().drivers.objects;
  settings.type = *url.type;
  settings.prefix.clear();
  if (*url.type == config::ObjectsType::kHdfs) {
    settings.url = "hdfs://" + url.bucket;
  } else {
    settings.bucket = url.bucket;
  }
  return settings;
}

Result<stores::ObjectStore*> Objects::Get(const std::string& name, const config::ObjectsConfig& settings) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<stores::ObjectStore>& store = open_[name];
  if (store == nullptr) {
    SL_ASSIGN_OR_RETURN(OpenedObjects opened, OpenObjects(settings, config_.data, runtime_, access_));
    store = std::move(opened.store);
  }
  return store.get();
}

Result<stores::ObjectStore*> Objects::Configured() { return Get("", config_.drivers.objects); }

Result<stores::ObjectStore*> Objects::Find(const config::ObjectUrl& url) {
  if (!url.type) return Configured();
  return Get(std::to_string(static_cast<int>(*url.type)) + " " + url.bucket, SettingsFor(config_, url));
}

}  // namespace sightline::app
