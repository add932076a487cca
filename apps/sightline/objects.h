#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "bridge/objects.h"
#include "sightline/config/config.h"
#include "sightline/runtime/runtime.h"
#include "sightline/stores/objects/embedded/file_store.h"
#include "sightline/stores/objects/port.h"

namespace sightline::app {

// An open store, and the half of it that knows the service's clock; null for local files.
struct OpenedObjects {
  std::unique_ptr<stores::ObjectStore> store;
  bridge::ObjectStore* service = nullptr;
};

// Opens the store that the settings describe; local files are below `data`. Errors name the setting.
Result<OpenedObjects> OpenObjects(const config::ObjectsConfig& objects, const std::string& data, const runtime::Runtime& runtime,
                                  stores::FileObjectStore::Access access);

// The settings for an object that a URL names in a bucket or cluster: those of drivers.objects where the type is the same, else the
// defaults, with the credentials of the environment.
config::ObjectsConfig SettingsFor(const config::Config& config, const config::ObjectUrl& url);

// The object stores of a configuration, each opened when it is first asked for. Thread-safe; the configuration and the runtime must
// outlive it.
class Objects {
 public:
  Objects(const config::Config& config, const runtime::Runtime& runtime, stores::FileObjectStore::Access access)
      : config_(config), runtime_(runtime), access_(access) {}

  // The one of drivers.objects.
  Result<stores::ObjectStore*> Configured();
  // The one that holds what the URL names.
  Result<stores::ObjectStore*> Find(const config::ObjectUrl& url);

 private:
  Result<stores::ObjectStore*> Get(const std::string& name, const config::ObjectsConfig& settings);

  const config::Config& config_;
  runtime::Runtime runtime_;
  stores::FileObjectStore::Access access_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<stores::ObjectStore>> open_;
};

}  // namespace sightline::app
